//! From the writes to `UpdateShardCount`: the example's `KinesisStream` and `ScaledObject`, KEDA, the HPA, the scaler and the controller.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::controller::Scene;
use crate::process::eventually;
use crate::scaler::Scaler;

/// Records per minute that fill a shard.
const SHARD: f64 = 60_000.0;
/// The scaler reads each minute, a minute that ended a minute ago; KEDA and the HPA ask every few seconds.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(150);

const SCALED_OBJECTS: &str = "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects";

pub async fn run() -> bool {
    let scene = Scene::start(Cluster::start().await).await;
    let environment = [
        format!("AWS_ENDPOINT_URL={}", scene.aws.endpoint()),
        "AWS_ACCESS_KEY_ID=a".to_owned(),
        "AWS_SECRET_ACCESS_KEY=b".to_owned(),
    ];
    let mut scaler = Scaler::start_in(&scene.cluster.directory, "scaler", &environment).await;
    let _controller = scene.controller("first");
    let begun = Instant::now();
    let report = |what: &str| println!("{what} ({:.0} s)", begun.elapsed().as_secs_f64());

    for stream in ["orders", "events"] {
        scene.aws.create_stream(stream, 8, scene.aws.now() - 3 * 86_400_000);
    }
    let reads_shards = scene.aws.create_stream("reads", 8, scene.aws.now() - 3 * 86_400_000);
    scene.aws.written("orders", |_| Some([0.0, 2.0 * SHARD, 0.0]));
    scene.apply(&example(&scaler)).await;
    let mut events = example(&scaler);
    for object in &mut events {
        rename(object, "events", "events-shards");
    }
    // active on one night of the year, and this is not it
    events[1]["spec"]["triggers"] = json!([cron("0 3 29 2 *", "1 3 29 2 *", 1)]);
    events[1]["spec"]["minReplicaCount"] = 0.into();
    events[1]["spec"]["cooldownPeriod"] = 5.into();
    scene.apply(&events).await;

    // an application whose six workers keep up; nothing is called, so that its shards stay
    scene.aws.written("reads", |_| Some([0.0, 2.0 * SHARD, 0.0]));
    let mut reads = example(&scaler);
    for object in &mut reads {
        rename(object, "reads", "reads-shards");
    }
    reads[0]["spec"]["dryRun"] = true.into();
    let both = example_triggers(&scaler).into_iter().take(2).map(|mut trigger| {
        trigger["metadata"]["streamName"] = "reads".into();
        trigger
    });
    reads[1]["spec"]["triggers"] = both.collect();
    scene.aws.create_table("order-service", "leaseKey");
    scene.work_on("order-service", &reads_shards);
    scene.apply(&reads).await;

    scene.shows("2 of 8 shards are filled", 4, "AtTarget").await;
    report("2 of 8 shards are filled: 8 -> 4");
    let six = async || {
        scene.work_on("order-service", &reads_shards);
        let object = scene.find("shop", "reads").await;
        let there = object["spec"]["shards"] == 6 && object["status"]["why"] == "DryRun";
        if there { Ok(()) } else { Err(format!("{} {}", object["spec"], object["status"])) }
    };
    eventually("as many shards as consumers", FOLLOWS_WITHIN, six).await;
    report("4 shards are enough for the writes, and catchUp beside it needs 6 consumers: 6");
    scene.aws.written("orders", |_| Some([0.0, 4.8 * SHARD, 0.0]));
    scene.shows("8 shards", 8, "AtTarget").await;
    report("4.8 shards are filled: 4 -> 8");
    scene.aws.written("orders", |_| Some([0.0, 9.6 * SHARD, 0.0]));
    scene.shows("16 shards", 16, "AtTarget").await;
    report("9.6 shards are filled: 8 -> 16");
    println!("{:#}", scene.find("shop", "orders").await["status"]["actions"]);

    // the writes have always been low now: the HPA lowers the wish at once, the controller says why not yet
    scene.aws.written("orders", |_| Some([0.0, SHARD, 0.0]));
    let status = scene.shows("a lower count rests", 16, "Resting").await;
    // on both of the days before, two shards were filled at this time
    assert_eq!(status["wanted"], 4, "{status:#}");
    report("1 shard is filled: 4 are wanted, and the count rests");

    let triggers = scene.scaled_object("orders-shards").await["spec"]["triggers"].clone();
    let with_cron = [triggers.as_array().unwrap().clone(), vec![cron("0 0 * * *", "59 23 * * *", 24)]].concat();
    scene.set_triggers("orders-shards", &json!(with_cron)).await;
    scene.shows("24 shards for an event", 24, "AtTarget").await;
    report("a cron trigger beside it wants 24: 16 -> 24");
    scene.set_triggers("orders-shards", &triggers).await;
    let status = scene.shows("the event is over", 24, "Resting").await;
    assert_eq!(status["wanted"], 4, "{status:#}");

    let refused = || async {
        let events = scene.cluster.api.find("/api/v1/namespaces/shop/events").await.unwrap();
        let events = events["items"].as_array().unwrap();
        let failed = events.iter().find(|event| event["reason"] == "KEDAScaleTargetDeactivationFailed");
        failed.map(|event| event["message"].clone()).ok_or_else(|| format!("{events:#?}"))
    };
    let message = eventually("KEDA wants zero shards", FOLLOWS_WITHIN, refused).await;
    let object = scene.find("shop", "events").await;
    // an inactive cron trigger is worth 1 to the HPA
    assert!(object["spec"]["shards"].as_u64() >= Some(1), "{message} {object:#}");
    report(&format!("zero is refused: {message}"));

    scaler.kill();
    sleep(Duration::from_secs(30)).await;
    let object = scene.find("shop", "orders").await;
    assert_eq!((&object["spec"]["shards"], &object["status"]["shards"]), (&4.into(), &24.into()), "{object:#}");
    report("without a scaler the wish stays as it is");
    true
}

impl Scene {
    async fn apply(&self, objects: &[Value]) {
        for object in objects {
            let collection = match object["kind"].as_str().unwrap() {
                "KinesisStream" => "/apis/keda-stream-scaler.io/v1alpha1/namespaces/shop/kinesisstreams",
                _ => SCALED_OBJECTS,
            };
            self.cluster.api.create(collection, object).await;
        }
    }

    /// Renews the leases of six workers, as KCL does.
    fn work_on(&self, application: &str, shards: &[String]) {
        static RENEWALS: AtomicU64 = AtomicU64::new(0);
        let counter = RENEWALS.fetch_add(1, Ordering::Relaxed);
        for (index, shard) in shards.iter().enumerate() {
            let row = json!({
                "leaseKey": {"S": shard}, "checkpoint": {"S": "TRIM_HORIZON"}, "leaseCounter": {"N": counter.to_string()},
                "leaseOwner": {"S": format!("worker-{}", index % 6)}, "checkpointSubSequenceNumber": {"N": "0"},
            });
            self.aws.put_item(application, &row);
        }
    }

    async fn scaled_object(&self, name: &str) -> Value {
        self.cluster.api.find(&format!("{SCALED_OBJECTS}/{name}")).await.unwrap()
    }

    async fn set_triggers(&self, name: &str, triggers: &Value) {
        self.cluster.api.patch(&format!("{SCALED_OBJECTS}/{name}"), &json!({"spec": {"triggers": triggers}})).await;
    }

    /// Waits for this number of open shards and this reason; the status then.
    async fn shows(&self, what: &str, shards: u32, why: &str) -> Value {
        eventually(what, FOLLOWS_WITHIN, async || {
            let object = self.find("shop", "orders").await;
            let status = &object["status"];
            let observed = status["observedGeneration"] == object["metadata"]["generation"];
            let there = observed && status["shards"] == shards && status["why"] == why;
            if there { Ok(status.clone()) } else { Err(format!("{} {status}", object["spec"])) }
        })
        .await
    }
}

/// The objects of the example, for this scaler and in the region of the scripted Kinesis, with the first of their triggers.
fn example(scaler: &Scaler) -> Vec<Value> {
    let mut objects = shipped(scaler);
    for object in &mut objects {
        if object["kind"] == "ScaledObject" {
            object["spec"]["triggers"].as_array_mut().unwrap().truncate(1);
            object["spec"]["pollingInterval"] = 5.into();
            object["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"] =
                json!({"stabilizationWindowSeconds": 0});
        } else {
            // the scripted stream has no readers
            object["spec"].as_object_mut().unwrap().remove("consumers");
        }
    }
    objects
}

fn example_triggers(scaler: &Scaler) -> Vec<Value> {
    let object = shipped(scaler).into_iter().find(|object| object["kind"] == "ScaledObject").unwrap();
    object["spec"]["triggers"].as_array().unwrap().clone()
}

fn shipped(scaler: &Scaler) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/examples/kinesis-resize.yaml");
    let text = fs::read_to_string(path).unwrap();
    let text = text.replace("eu-west-1", "us-east-1").replace("keda-stream-scaler.keda:50051", &scaler.address);
    text.split("---\n").map(|object| serde_saphyr::from_str(object).unwrap()).collect()
}

fn rename(object: &mut Value, stream: &str, scaled_object: &str) {
    if object["kind"] == "ScaledObject" {
        object["metadata"]["name"] = scaled_object.into();
        object["spec"]["scaleTargetRef"]["name"] = stream.into();
    } else {
        object["metadata"]["name"] = stream.into();
        object["spec"]["streamName"] = stream.into();
    }
}

fn cron(start: &str, end: &str, replicas: u32) -> Value {
    let metadata = json!({"timezone": "Etc/UTC", "start": start, "end": end, "desiredReplicas": replicas.to_string()});
    json!({"type": "cron", "metadata": metadata})
}

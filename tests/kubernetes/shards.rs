//! From the writes to `UpdateShardCount`: the example's `KinesisStream` and `ScaledObject`, KEDA, the HPA, the scaler and the controller.

use std::fs;
use std::path::Path;
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

    scene.aws.create_stream("orders", 4, scene.aws.now() - 3 * 86_400_000);
    scene.aws.written("orders", |_| Some([0.0, 2.0 * SHARD, 0.0]));
    for object in example(&scaler) {
        let collection = match object["kind"].as_str().unwrap() {
            "KinesisStream" => "/apis/keda-stream-scaler.io/v1alpha1/namespaces/shop/kinesisstreams",
            _ => "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects",
        };
        scene.cluster.api.create(collection, object).await;
    }
    let read = async || if scene.aws.calls("GetMetricData") >= 2 { Ok(()) } else { Err("not yet".to_owned()) };
    eventually("the writes are read", FOLLOWS_WITHIN, read).await;
    sleep(Duration::from_secs(15)).await;
    scene.shows("4 shards are right for 2", 4, "AtTarget").await;
    report("half of four shards is used: nothing is called");
    assert_eq!(scene.aws.calls("UpdateShardCount"), 0);

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

    scaler.kill();
    sleep(Duration::from_secs(30)).await;
    let object = scene.find("shop", "orders").await;
    assert_eq!((&object["spec"]["shards"], &object["status"]["shards"]), (&4.into(), &16.into()), "{object:#}");
    report("without a scaler the wish stays as it is");
    true
}

impl Scene {
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

/// The objects of the example, for this scaler and in the region of the scripted Kinesis; without the cron trigger, which depends on the day.
fn example(scaler: &Scaler) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/examples/kinesis-resize.yaml");
    let text = fs::read_to_string(path).unwrap();
    let text = text.replace("eu-west-1", "us-east-1").replace("keda-stream-scaler.keda:50051", &scaler.address);
    let objects = text.split("---\n").map(|object| serde_saphyr::from_str(object).unwrap());
    objects
        .map(|mut object: Value| {
            if object["kind"] == "ScaledObject" {
                object["spec"]["triggers"].as_array_mut().unwrap().truncate(1);
                object["spec"]["pollingInterval"] = 5.into();
                object["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"] =
                    json!({"stabilizationWindowSeconds": 0});
            } else {
                // nobody reads the scripted stream
                object["spec"].as_object_mut().unwrap().remove("consumers");
            }
            object
        })
        .collect()
}

//! `KinesisStream` objects behind a real API server, with the rights that are shipped, and a scripted Kinesis.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::api::Api;
use crate::aws_services::free_ports;
use crate::cluster::Cluster;
use crate::process::{Process, eventually};
use crate::scripted_aws::{Behaviour, ScriptedAws};

const GROUP: &str = "/apis/keda-stream-scaler.io/v1alpha1";
const SOON: Duration = Duration::from_secs(20);
const CLAIM: &str = "keda-stream-scaler/resized-by";
const RULES: &str = "resize: [{namespaces: [shop], streams: ['*'], maxShards: 64}]";

/// Everything that a test needs; each uses streams of its own.
pub struct Scene {
    pub cluster: Cluster,
    pub aws: ScriptedAws,
}

pub async fn run(filter: &str) -> bool {
    let scene = Scene::start(Cluster::start_api().await).await;
    let mut controller = scene.controller("first");
    let mut held = true;
    macro_rules! check {
        ($($name:ident),*) => { $(
            if stringify!($name).contains(filter) {
                let begun = Instant::now();
                scene.$name().await;
                println!("test {} ... ok ({:.1} s)", stringify!($name), begun.elapsed().as_secs_f64());
            }
            held &= true;
        )* };
    }
    check!(
        wrong_objects_are_refused_by_the_api_server,
        a_new_object_adopts_and_scale_is_carried_out_at_once,
        what_is_not_allowed_is_said_and_nothing_is_called,
        two_hands_never_resize_one_stream,
        a_dry_run_only_says_what_it_would_call,
        a_full_budget_and_a_lost_answer_make_no_call_too_many,
        a_lower_count_waits_for_readers_and_then_goes,
        nothing_is_written_while_nothing_changes,
        a_deleted_object_takes_its_tag_along_and_nothing_else
    );
    if "the_lease_is_handed_over".contains(filter) {
        let second = scene.controller("second");
        scene.the_lease_is_handed_over(controller).await;
        println!("test the_lease_is_handed_over ... ok");
        controller = second;
    }
    drop(controller);
    held
}

/// What 500 objects cost that change nothing: printed, and asserted only where a limit is a promise.
pub async fn figures() -> bool {
    const OBJECTS: usize = 500;
    let scene = Scene::start(Cluster::start_api().await).await;
    for number in 0..OBJECTS {
        scene.stream(&format!("stream-{number}"), json!({})).await;
    }
    let controller = scene.controller("first");
    let begun = Instant::now();
    let all = async || scene.api().find(&format!("{GROUP}/kinesisstreams")).await.unwrap()["items"].clone();
    eventually("all are at their target", Duration::from_secs(900), async || {
        let objects = all().await;
        let there = objects.as_array().unwrap().iter().filter(|object| object["status"]["why"] == "AtTarget").count();
        if there == OBJECTS { Ok(()) } else { Err(format!("{there} of {OBJECTS}")) }
    })
    .await;
    println!("{OBJECTS} objects are at their target after {:.0} s", begun.elapsed().as_secs_f64());
    sleep(Duration::from_secs(20)).await;
    let operations = ["ListShards", "DescribeStreamSummary", "ListTagsForStream", "GetMetricData", "UpdateShardCount"];
    let counted = || operations.map(|operation| scene.aws.calls(operation));
    let (before, calls) = (all().await, counted());
    const MINUTES: u64 = 5;
    sleep(Duration::from_secs(60 * MINUTES)).await;
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let versions = |objects: &Value| objects.as_array().unwrap().iter().map(version).collect::<Vec<_>>();
    assert_eq!(versions(&all().await), versions(&before), "no object is written while nothing changes");
    for ((operation, before), after) in operations.into_iter().zip(calls).zip(counted()) {
        println!("{operation}: {} calls per minute", (after - before) / usize::try_from(MINUTES).unwrap());
    }
    let status = fs::read_to_string(format!("/proc/{}/status", controller.id().unwrap())).unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmRSS")).unwrap());
    println!("{}", status.lines().find(|line| line.starts_with("RssAnon")).unwrap());
    true
}

impl Scene {
    /// With the definition, the rights that are shipped, and two namespaces.
    pub async fn start(cluster: Cluster) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = env!("CARGO_BIN_EXE_keda-stream-scaler");
        let definition = Command::new(program).args(["schema", "--crd"]).output().unwrap();
        let definition = String::from_utf8(definition.stdout).unwrap();
        cluster.api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).await;
        let rbac = fs::read_to_string(root.join("k8s/components/controller/rbac.yaml")).unwrap();
        for object in rbac.split("---\n") {
            let path = match object.lines().find_map(|line| line.strip_prefix("kind: ")).unwrap() {
                "ServiceAccount" => "/api/v1/namespaces/keda/serviceaccounts",
                "ClusterRole" => "/apis/rbac.authorization.k8s.io/v1/clusterroles",
                "ClusterRoleBinding" => "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
                "Role" => "/apis/rbac.authorization.k8s.io/v1/namespaces/keda/roles",
                "RoleBinding" => "/apis/rbac.authorization.k8s.io/v1/namespaces/keda/rolebindings",
                other => panic!("{other}"),
            };
            cluster.api.create(path, object).await;
        }
        cluster.api.create_namespace("shop").await;
        cluster.api.create_namespace("bank").await;
        let api = cluster.api.clone();
        let kind = format!("{GROUP}/kinesisstreams");
        eventually("the kind is served", SOON, async || api.answers(&kind).await).await;
        Self { cluster, aws: ScriptedAws::start().await }
    }

    /// A replica as the shipped service account.
    pub fn controller(&self, name: &str) -> Process {
        self.controller_with(name, &format!("AWS_ENDPOINT_URL={}", self.aws.endpoint()), "")
    }

    /// The same with these variables and arguments.
    pub fn controller_with(&self, name: &str, variables: &str, arguments: &str) -> Process {
        let directory = &self.cluster.directory;
        let kubeconfig = fs::read_to_string(directory.join("kubeconfig")).unwrap();
        let account = "as: system:serviceaccount:keda:keda-stream-scaler-controller, client-certificate:";
        fs::write(directory.join("kubeconfig-controller"), kubeconfig.replace("client-certificate:", account)).unwrap();
        fs::write(directory.join("resize.yaml"), RULES).unwrap();
        let [port] = free_ports::<1>();
        let command = format!(
            "env KUBECONFIG={0}/kubeconfig-controller {variables} AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b {1} controller \
             --http-addr 127.0.0.1:{port} --namespace keda --identity {name} --connections {0}/resize.yaml {arguments}",
            directory.display(),
            env!("CARGO_BIN_EXE_keda-stream-scaler"),
        );
        let command: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
        Process::start(directory, &format!("controller-{name}"), &command)
    }

    fn api(&self) -> &Api {
        &self.cluster.api
    }

    /// A stream of four shards that is three days old, and its object.
    pub async fn stream(&self, name: &str, more: Value) {
        self.aws.create_stream(name, 4, self.aws.now() - 3 * 86_400_000);
        self.aws.written(name, |_| Some([0.0, 60_000.0, 0.0]));
        self.object("shop", name, name, more).await;
    }

    pub async fn object(&self, namespace: &str, name: &str, stream: &str, more: Value) {
        let object = object(name, stream, more);
        self.api().create(&format!("{GROUP}/namespaces/{namespace}/kinesisstreams"), object).await;
    }

    pub async fn find(&self, namespace: &str, name: &str) -> Value {
        let path = format!("{GROUP}/namespaces/{namespace}/kinesisstreams/{name}");
        self.api().find(&path).await.unwrap_or_default()
    }

    /// Waits until a condition has this status and reason.
    pub async fn wait(&self, namespace: &str, name: &str, kind: &str, expected: &str) -> Value {
        let what = format!("{namespace}/{name} is {kind} {expected}");
        eventually(&what, SOON, async || {
            let object = self.find(namespace, name).await;
            let conditions: Vec<_> = crate::api::conditions(&object).collect();
            let observed = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            let found = observed && conditions.iter().any(|(one, status)| one == kind && status == expected);
            if found { Ok(object) } else { Err(object["status"].to_string()) }
        })
        .await
    }

    pub async fn scale(&self, name: &str, shards: u32) {
        let path = format!("{GROUP}/namespaces/shop/kinesisstreams/{name}/scale");
        self.api().patch(&path, &json!({"spec": {"replicas": shards}})).await;
    }

    async fn wrong_objects_are_refused_by_the_api_server(&self) {
        let path = format!("{GROUP}/namespaces/shop/kinesisstreams");
        let mut without_max = object("wrong", "wrong", json!({}));
        without_max["spec"].as_object_mut().unwrap().remove("maxShards");
        for (object, expected) in [
            (object("wrong", "wrong", json!({"shards": 0})), "spec.shards"),
            (object("wrong", "wrong", json!({"minShards": 20})), "minShards must not be more than maxShards"),
            (object("wrong", "wrong", json!({"callsPerDay": 0})), "spec.callsPerDay"),
            (object("wrong", "a b", json!({})), "spec.streamName"),
            (without_max, "spec.maxShards"),
        ] {
            let said = self.api().refusal(Method::POST, &path, &object).await;
            assert!(said.contains(expected), "{expected}: {said}");
        }
        self.object("bank", "kept", "kept", json!({})).await;
        let path = format!("{GROUP}/namespaces/bank/kinesisstreams/kept");
        for change in [json!({"spec": {"streamName": "other"}}), json!({"spec": {"awsRegion": "eu-west-1"}})] {
            let said = self.api().refusal(Method::PATCH, &path, &change).await;
            assert!(said.contains("cannot be changed"), "{said}");
        }
    }

    async fn a_new_object_adopts_and_scale_is_carried_out_at_once(&self) {
        self.stream("orders", json!({})).await;
        let adopted = self.wait("shop", "orders", "AtTarget", "True AtTarget").await;
        assert_eq!((&adopted["spec"]["shards"], &adopted["status"]["shards"]), (&4.into(), &4.into()), "{adopted:#}");
        assert_eq!(adopted["status"]["selector"], "keda-stream-scaler.io/kinesis-stream=orders");
        assert_eq!(self.aws.calls("UpdateShardCount"), 0, "an adopted stream is left as it is");
        let scale = self.api().find(&format!("{GROUP}/namespaces/shop/kinesisstreams/orders/scale")).await.unwrap();
        assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&4.into(), &4.into()), "{scale:#}");
        // 4 → 8 → 16: a far target is walked, a step after each ACTIVE
        self.aws.resharding_takes("orders", 3000);
        let begun = Instant::now();
        self.scale("orders", 16).await;
        eventually("it is called", SOON, async || {
            (self.aws.open_shards("orders") == 8).then_some(()).ok_or_else(String::new)
        })
        .await;
        assert!(begun.elapsed() < Duration::from_secs(5), "called {:?} after /scale", begun.elapsed());
        let resizing = self.wait("shop", "orders", "Resizing", "True Updating").await;
        assert_eq!(resizing["status"]["target"], 8, "{resizing:#}");
        eventually("the second step", Duration::from_secs(40), async || {
            (self.aws.open_shards("orders") == 16).then_some(()).ok_or_else(|| "not yet".to_owned())
        })
        .await;
        let there = eventually("it is there", Duration::from_secs(40), async || {
            let object = self.find("shop", "orders").await;
            if object["status"]["why"] == "AtTarget" { Ok(object) } else { Err(object["status"].to_string()) }
        })
        .await;
        let actions = there["status"]["actions"].as_array().unwrap();
        let steps: Vec<_> =
            actions.iter().rev().map(|action| [&action["from"], &action["to"], &action["outcome"]]).collect();
        assert_eq!(json!(steps), json!([[4, 8, "called"], [8, 16, "called"]]), "{actions:#?}");
        assert_eq!(there["status"]["callsLeft"], 8, "{there:#}");
        let events = self.api().find("/apis/events.k8s.io/v1/namespaces/shop/events").await.unwrap();
        let notes: Vec<_> =
            events["items"].as_array().unwrap().iter().filter_map(|event| event["note"].as_str()).collect();
        assert!(notes.iter().any(|note| note.contains("4 to 8 shards, called")), "{notes:#?}");
    }

    async fn what_is_not_allowed_is_said_and_nothing_is_called(&self) {
        let before = self.aws.calls("UpdateShardCount");
        self.object("bank", "ledger", "ledger", json!({"shards": 8})).await;
        let object = self.wait("bank", "ledger", "Ready", "False Denied").await;
        assert!(object["status"]["conditions"][0]["message"].as_str().unwrap().contains("resize"), "{object:#}");
        self.object("shop", "too-large", "too-large", json!({"maxShards": 65})).await;
        self.wait("shop", "too-large", "Ready", "False Denied").await;
        self.object("shop", "absent", "absent", json!({"shards": 8})).await;
        self.wait("shop", "absent", "Ready", "False NotFound").await;
        self.object(
            "shop",
            "unreadable",
            "unreadable",
            json!({"consumers": [{"applicationNme": "a"}], "maxConsumerAge": "x"}),
        )
        .await;
        let object = self.wait("shop", "unreadable", "Ready", "False Invalid").await;
        let message = object["status"]["conditions"][0]["message"].as_str().unwrap();
        for expected in ["did you mean applicationName", "maxConsumerAge"] {
            assert!(message.contains(expected), "all problems at once: {message}");
        }
        self.stream("on-demand", json!({"shards": 8})).await;
        self.aws.set_on_demand("on-demand");
        self.wait("shop", "on-demand", "Ready", "False NotApplicable").await;
        self.aws.on("ListShards").about("secret").does(Behaviour::AccessDenied);
        self.stream("secret", json!({"shards": 8})).await;
        self.wait("shop", "secret", "Ready", "False Denied").await;
        assert_eq!(self.aws.calls("UpdateShardCount"), before);
    }

    async fn two_hands_never_resize_one_stream(&self) {
        self.stream("shared", json!({})).await;
        self.wait("shop", "shared", "AtTarget", "True AtTarget").await;
        // creation times are whole seconds
        sleep(Duration::from_millis(1100)).await;
        self.object("shop", "second", "shared", json!({"shards": 8})).await;
        let object = self.wait("shop", "second", "Ready", "False Conflict").await;
        assert!(object["status"]["conditions"][0]["message"].as_str().unwrap().contains("shop/shared"), "{object:#}");
        assert_eq!(self.aws.open_shards("shared"), 4);
        // another cluster's
        self.aws.create_stream("foreign", 4, self.aws.now() - 86_400_000);
        self.aws.tag("foreign", CLAIM, "another-cluster/shop/foreign");
        self.object("shop", "foreign", "foreign", json!({"shards": 8})).await;
        self.wait("shop", "foreign", "Ready", "False Conflict").await;
        assert_eq!(self.aws.open_shards("foreign"), 4);
        // and one whose tag appears after it was read
        self.stream("taken", json!({})).await;
        self.wait("shop", "taken", "AtTarget", "True AtTarget").await;
        self.aws.tag("taken", CLAIM, "another-cluster/shop/taken");
        self.scale("taken", 8).await;
        self.wait("shop", "taken", "Ready", "False Conflict").await;
        assert_eq!(self.aws.open_shards("taken"), 4);
        // tags that are managed elsewhere are neither read nor written
        self.stream("untagged", json!({"claim": "none", "shards": 8})).await;
        self.wait("shop", "untagged", "AtTarget", "True AtTarget").await;
        assert!(self.aws.tags("untagged").is_empty() && self.aws.open_shards("untagged") == 8);
    }

    async fn a_dry_run_only_says_what_it_would_call(&self) {
        self.stream("rehearsed", json!({"dryRun": true, "shards": 8})).await;
        let object = self.wait("shop", "rehearsed", "AtTarget", "False DryRun").await;
        assert_eq!(object["status"]["target"], 8, "{object:#}");
        assert!(self.aws.tags("rehearsed").is_empty() && self.aws.open_shards("rehearsed") == 4);
    }

    async fn a_full_budget_and_a_lost_answer_make_no_call_too_many(&self) {
        self.stream("spent", json!({})).await;
        self.wait("shop", "spent", "AtTarget", "True AtTarget").await;
        self.aws.use_calls("spent", 10);
        self.scale("spent", 8).await;
        let object = self.wait("shop", "spent", "AtTarget", "False Budget").await;
        assert_eq!(object["status"]["actions"][0]["outcome"], "refused", "{object:#}");
        let calls = self.aws.calls("UpdateShardCount");
        self.scale("spent", 7).await;
        self.wait("shop", "spent", "AtTarget", "False Budget").await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!(self.aws.calls("UpdateShardCount"), calls, "after a refusal an hour passes without a call");

        self.stream("lost", json!({})).await;
        self.wait("shop", "lost", "AtTarget", "True AtTarget").await;
        self.aws.on("UpdateShardCount").about("lost").times(1).does(Behaviour::LostAnswer);
        let calls = self.aws.calls("UpdateShardCount");
        self.scale("lost", 8).await;
        self.wait("shop", "lost", "AtTarget", "True AtTarget").await;
        assert_eq!((self.aws.open_shards("lost"), self.aws.calls("UpdateShardCount")), (8, calls + 1));
    }

    async fn a_lower_count_waits_for_readers_and_then_goes(&self) {
        self.stream("quiet", json!({})).await;
        self.wait("shop", "quiet", "AtTarget", "True AtTarget").await;
        self.aws.readers_age("quiet", 600_000.0);
        self.scale("quiet", 2).await;
        self.wait("shop", "quiet", "AtTarget", "False ConsumersBehind").await;
        assert_eq!(self.aws.open_shards("quiet"), 4);
        self.aws.readers_age("quiet", 1000.0);
        self.scale("quiet", 3).await;
        self.wait("shop", "quiet", "AtTarget", "True AtTarget").await;
        assert_eq!(self.aws.open_shards("quiet"), 3);
        // an hour after any change
        self.scale("quiet", 2).await;
        self.wait("shop", "quiet", "AtTarget", "False Resting").await;
        assert_eq!(self.aws.open_shards("quiet"), 3);
    }

    async fn nothing_is_written_while_nothing_changes(&self) {
        let versions = async || {
            let all = self.api().find(&format!("{GROUP}/kinesisstreams")).await.unwrap();
            let version = |object: &Value| object["metadata"]["resourceVersion"].to_string();
            all["items"].as_array().unwrap().iter().map(version).collect::<Vec<_>>()
        };
        sleep(Duration::from_secs(5)).await;
        let before = versions().await;
        // longer than the distance of two looks
        sleep(Duration::from_secs(70)).await;
        assert_eq!(versions().await, before, "no object is written while nothing changes");
    }

    async fn a_deleted_object_takes_its_tag_along_and_nothing_else(&self) {
        self.stream("gone", json!({})).await;
        self.wait("shop", "gone", "AtTarget", "True AtTarget").await;
        self.aws.tag("gone", "team", "shop");
        self.scale("gone", 8).await;
        self.wait("shop", "gone", "AtTarget", "True AtTarget").await;
        assert!(self.aws.tags("gone").contains_key(CLAIM));
        let path = format!("{GROUP}/namespaces/shop/kinesisstreams/gone");
        self.api().delete(&path, &json!({})).await;
        let gone =
            async || if self.find("shop", "gone").await.is_null() { Ok(()) } else { Err("it is there".to_owned()) };
        eventually("the object is gone", SOON, gone).await;
        assert_eq!(self.aws.tags("gone").into_keys().collect::<Vec<_>>(), ["team"]);
        assert_eq!(self.aws.open_shards("gone"), 8);
    }

    async fn the_lease_is_handed_over(&self, first: Process) {
        self.stream("handed-over", json!({})).await;
        self.wait("shop", "handed-over", "AtTarget", "True AtTarget").await;
        assert!(first.signal("KILL"));
        let killed = Instant::now();
        self.scale("handed-over", 8).await;
        eventually("its twin works", Duration::from_secs(30), async || {
            (self.aws.open_shards("handed-over") == 8).then_some(()).ok_or_else(|| "not yet".to_owned())
        })
        .await;
        println!("the twin called {:.1} s after the kill", killed.elapsed().as_secs_f64());
        drop(first);
    }
}

fn object(name: &str, stream: &str, more: Value) -> Value {
    let mut object = json!({"apiVersion": "keda-stream-scaler.io/v1alpha1", "kind": "KinesisStream", "metadata": {"name": name},
        "spec": {"streamName": stream, "awsRegion": "us-east-1", "maxShards": 16}});
    object["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object
}

//! A stand-in for the kubelet: it runs the command of each pod as a process.
//!
//! The `ReplicaSet` controller decides which pods are created and deleted. A pod without a command is only set ready.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use crate::api::Api;
use crate::process::Process;

const INTERVAL: Duration = Duration::from_millis(200);
const PATH: &str = "/api/v1/pods?fieldSelector=spec.nodeName=local";

struct Pod {
    process: Option<Process>,
    /// When SIGTERM was sent.
    terminated: Option<Instant>,
}

struct Kubelet {
    api: Api,
    directory: PathBuf,
    pods: HashMap<String, Pod>,
}

/// Runs pods until the runtime ends.
pub async fn run(api: Api, directory: PathBuf) {
    let mut kubelet = Kubelet { api, directory, pods: HashMap::new() };
    let mut ticks = interval(INTERVAL);
    loop {
        ticks.tick().await;
        let list = kubelet.api.find(PATH).await.unwrap();
        for pod in list["items"].as_array().unwrap() {
            if pod["metadata"]["deletionTimestamp"].is_null() {
                kubelet.keep_running(pod).await;
            } else {
                kubelet.terminate(pod).await;
            }
        }
    }
}

fn name(pod: &Value) -> (&str, &str) {
    (pod["metadata"]["namespace"].as_str().unwrap(), pod["metadata"]["name"].as_str().unwrap())
}

fn path(pod: &Value) -> String {
    let (namespace, name) = name(pod);
    format!("/api/v1/namespaces/{namespace}/pods/{name}")
}

impl Kubelet {
    async fn keep_running(&mut self, pod: &Value) {
        let path = path(pod);
        let known = self.pods.get_mut(&path);
        if let Some(Pod { process: Some(process), .. }) = known
            && process.has_ended()
        {
            println!("kubelet: {path} has ended and is started again");
            self.pods.insert(path, self.start(pod));
        } else if known.is_none() {
            let started = self.start(pod);
            self.api.patch(&format!("{path}/status"), &ready(pod)).await;
            self.pods.insert(path, started);
        }
    }

    fn start(&self, pod: &Value) -> Pod {
        let command = pod["spec"]["containers"][0]["command"].as_array().into_iter().flatten();
        let command: Vec<_> = command.map(|word| word.as_str().unwrap().to_owned()).collect();
        let (namespace, name) = name(pod);
        let log = format!("{namespace}-{name}");
        let process = (!command.is_empty()).then(|| Process::start(&self.directory, &log, &command));
        Pod { process, terminated: None }
    }

    /// SIGTERM, SIGKILL after the grace period, and the final deletion once the process has ended.
    async fn terminate(&mut self, pod: &Value) {
        let path = path(pod);
        if let Some(Pod { process: Some(process), terminated }) = self.pods.get_mut(&path)
            && !process.has_ended()
        {
            let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or_default();
            match terminated {
                None if process.signal("TERM") => *terminated = Some(Instant::now()),
                Some(at) if at.elapsed() > Duration::from_secs(grace) => {
                    process.signal("KILL");
                }
                _ => {}
            }
            return;
        }
        self.pods.remove(&path);
        self.api.delete(&path, &json!({"gracePeriodSeconds": 0})).await;
    }
}

fn ready(pod: &Value) -> Value {
    // the time of the API server; a pod is started within milliseconds
    let now = &pod["metadata"]["creationTimestamp"];
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
        .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": now}));
    json!({"status": {
        "phase": "Running", "startTime": now, "podIP": "127.0.0.1", "conditions": conditions,
        "containerStatuses": [{
            "name": "consumer", "image": "none", "imageID": "none", "ready": true, "started": true,
            "restartCount": 0, "state": {"running": {"startedAt": now}},
        }],
    }})
}

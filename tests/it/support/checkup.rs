//! `doctor` of one trigger, in an environment of its own, and what it found.

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::process::{Ended, run_in};

/// A manifest and a connections file.
pub struct Files {
    folder: TempDir,
}

/// What `doctor` said.
pub struct Checkup {
    pub code: Option<i32>,
    /// Of the first trigger.
    pub steps: Vec<Value>,
    /// All that was written, to whichever stream.
    pub written: String,
}

impl Files {
    /// One trigger in the namespace shop, and these connections.
    pub fn new(connections: &Value, metadata: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let metadata: Map<_, _> = metadata.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let object = json!({
            "kind": "ScaledObject", "metadata": {"name": "orders", "namespace": "shop"},
            "spec": {"triggers": [{"type": "external", "metadata": metadata}]},
        });
        // JSON is YAML
        std::fs::write(folder.path().join("object.yaml"), object.to_string()).unwrap();
        std::fs::write(folder.path().join("connections.yaml"), connections.to_string()).unwrap();
        Self { folder }
    }

    pub fn object(&self) -> String {
        self.path("object.yaml")
    }

    pub fn connections(&self) -> String {
        self.path("connections.yaml")
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

/// What `doctor` says of a trigger in the namespace shop.
pub async fn doctor(environment: &[(&str, &str)], connections: &Value, metadata: &[(&str, &str)]) -> Checkup {
    let files = Files::new(connections, metadata);
    doctor_with(environment, &["--connections", &files.connections(), &files.object()]).await
}

/// What `doctor` says with these arguments.
pub async fn doctor_with(environment: &[(&str, &str)], arguments: &[&str]) -> Checkup {
    let Ended { code, stdout, stderr } = run_in(environment, &[&["doctor", "-o", "json"], arguments].concat()).await;
    let told: Value = serde_json::from_str(&stdout).expect(&stderr);
    let steps = told[0]["steps"].as_array().unwrap().clone();
    Checkup { code, steps, written: stdout + &stderr }
}

impl Checkup {
    /// The only step of this name, or of this name and what it is on, as `connect b1:9092`.
    #[track_caller]
    pub fn step(&self, name: &str) -> &Value {
        let matches = |step: &&Value| {
            let (named, on) = (step["step"].as_str().unwrap(), step["on"].as_str().unwrap_or_default());
            named == name || format!("{named} {on}") == name
        };
        let found: Vec<_> = self.steps.iter().filter(matches).collect();
        assert_eq!(found.len(), 1, "{name}: {:#?}", self.steps);
        found[0]
    }

    /// Nothing has failed, nothing is odd, and these steps were taken.
    #[track_caller]
    pub fn assert_green(&self, steps: &[&str]) {
        assert_eq!(self.code, Some(0), "{:#?}", self.steps);
        for step in &self.steps {
            assert!(matches!(step["status"].as_str(), Some("ok" | "skipped")), "{step:#}");
        }
        for name in steps {
            assert_eq!(self.step(name)["status"], "ok", "{:#?}", self.steps);
        }
    }

    /// This step alone has failed, all before it are good, and it says this and what to do.
    #[track_caller]
    pub fn assert_fault(&self, name: &str, seen: &str, remedy: &str) {
        let step = self.step(name);
        println!("| {name} | {} | {} |", step["seen"].as_str().unwrap(), step["remedy"].as_str().unwrap_or_default());
        assert_eq!((self.code, &step["status"]), (Some(1), &json!("failed")), "{:#?}", self.steps);
        let at = self.steps.iter().position(|other| other == step).unwrap();
        let (before, after) = (&self.steps[..at], &self.steps[at + 1..]);
        for step in before {
            assert_eq!(step["status"], "ok", "{step:#}");
        }
        assert!(after.iter().all(|step| step["status"] != "failed"), "{after:#?}");
        assert_told(step, seen, remedy);
    }

    /// This step is odd, nothing has failed, and it says this and what to do.
    #[track_caller]
    pub fn assert_warning(&self, name: &str, seen: &str, remedy: &str) {
        let step = self.step(name);
        println!("| {name} | {} | {} |", step["seen"].as_str().unwrap(), step["remedy"].as_str().unwrap_or_default());
        assert_eq!((self.code, &step["status"]), (Some(0), &json!("warning")), "{:#?}", self.steps);
        assert_told(step, seen, remedy);
    }
}

#[track_caller]
fn assert_told(step: &Value, seen: &str, remedy: &str) {
    for (key, expected) in [("seen", seen), ("remedy", remedy)] {
        let told = step[key].as_str().unwrap_or_default();
        assert!(told.contains(expected), "{key} lacks {expected}: {step:#}");
    }
}

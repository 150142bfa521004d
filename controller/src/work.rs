//! The work loop of the replica that holds the lease.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::finalizer::{Event as Finalized, finalizer};
use kube::runtime::reflector::Store;
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use super::Settings;
use super::kinesis_stream::{Claim, FINALIZER, KinesisStream};
use super::reconcile::{Outcome, StreamCheck, without_stream};
use super::subject::{NotReady, Subject};
use crate::lag::streams::Timestamp;
use crate::source::aws::{StreamAccount, StreamControl};
use crate::trigger::AwsIdentity;

/// The controller's name in events and as a field manager.
const NAME: &str = "keda-stream-scaler";
/// The pause before an object is reconciled again after an error of the API server.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Why an object could not be reconciled, or its status could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("could not write the object: {0}")]
    Write(#[from] kube::Error),
    #[error("could not finish the object: {0}")]
    Finalizer(String),
}

struct Worker {
    settings: Settings,
    recorder: Recorder,
    /// The identity of this cluster in tags of streams.
    cluster: String,
    objects: Store<KinesisStream>,
    accounts: Mutex<HashMap<AwsIdentity, StreamAccount>>,
    known: Mutex<HashMap<String, Known>>,
}

/// The state that is kept of an object between two checks.
struct Known {
    identity: AwsIdentity,
    control: Arc<StreamControl>,
    generation: Option<i64>,
    next: Instant,
}

/// Reconciles all objects until the future is dropped.
pub(super) async fn work(settings: &Settings) -> anyhow::Result<()> {
    let client = settings.client.clone();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let cluster = namespaces.get("kube-system").await?.metadata.uid.unwrap_or_default();
    let controller = Controller::new(Api::<KinesisStream>::all(client.clone()), watcher::Config::default());
    let reporter = Reporter { controller: NAME.to_owned(), instance: Some(settings.identity.clone()) };
    let worker = Worker {
        settings: settings.clone(),
        recorder: Recorder::new(client, reporter),
        cluster,
        objects: controller.store(),
        accounts: Mutex::default(),
        known: Mutex::default(),
    };
    settings.series.show(Some(worker.objects.clone()));
    let looks = controller.run(reconcile, |_, _: &Failure, _| Action::requeue(AGAIN), Arc::new(worker));
    looks
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::warn!(error = %error, "an object could not be reconciled");
            }
        })
        .await;
    Ok(())
}

async fn reconcile(object: Arc<KinesisStream>, worker: Arc<Worker>) -> Result<Action, Failure> {
    let api: Api<KinesisStream> = Api::namespaced(worker.client(), &object.namespace().unwrap_or_default());
    if object.spec.claim == Claim::None && object.meta().deletion_timestamp.is_none() {
        return worker.apply(&api, &object).await;
    }
    let finished = finalizer(&api, FINALIZER, object, |event| async {
        match event {
            Finalized::Apply(object) => worker.apply(&api, &object).await,
            Finalized::Cleanup(object) => Ok(worker.release(&object).await),
        }
    });
    finished.await.map_err(|error| Failure::Finalizer(error.to_string()))
}

impl Worker {
    fn client(&self) -> Client {
        self.settings.client.clone()
    }

    fn owner(&self, object: &KinesisStream) -> String {
        format!("{}/{}/{}", self.cluster, object.namespace().unwrap_or_default(), object.name_any())
    }

    async fn apply(&self, api: &Api<KinesisStream>, object: &KinesisStream) -> Result<Action, Failure> {
        let uid = object.uid().unwrap_or_default();
        let (generation, now) = (object.meta().generation, Instant::now());
        let rests = self
            .known
            .lock()
            .get(&uid)
            .filter(|known| known.generation == generation && known.next > now)
            .map(|known| known.next);
        if let Some(next) = rests {
            // a status that the controller itself has written needs no reconciliation
            return Ok(Action::requeue(next - now));
        }
        let outcome = match self.subject(object) {
            Err(why) => without_stream(object, why, service_time()),
            Ok(subject) => {
                let control = self.control(&uid, &subject);
                let (owner, sampler) = (self.owner(object), &self.settings.sampler);
                StreamCheck { object, subject: &subject, control: &control, sampler, owner }.check(service_time()).await
            }
        };
        if let Some(known) = self.known.lock().get_mut(&uid) {
            (known.generation, known.next) = (generation, Instant::now() + outcome.after);
        }
        self.write(api, object, &outcome).await?;
        Ok(Action::requeue(outcome.after))
    }

    /// Returns the object's stream, unless another object of this cluster has it.
    fn subject(&self, object: &KinesisStream) -> Result<Subject, NotReady> {
        let subject = Subject::of(object, &self.settings.rules)?;
        let age = |object: &KinesisStream| (object.meta().creation_timestamp.as_ref().map(|at| at.0), object.uid());
        let rival = self.objects.state().into_iter().find(|other| {
            other.uid() != object.uid()
                && other.spec.stream_name == object.spec.stream_name
                && age(other) < age(object)
                && Subject::of(other, &self.settings.rules).is_ok_and(|other| other.identity == subject.identity)
        });
        match rival {
            None => Ok(subject),
            Some(other) => {
                let (namespace, name) = (other.namespace().unwrap_or_default(), other.name_any());
                let message = format!("the older object {namespace}/{name} resizes the stream; delete one of the two");
                Err(NotReady { reason: "Conflict", message })
            }
        }
    }

    fn control(&self, uid: &str, subject: &Subject) -> Arc<StreamControl> {
        let mut known = self.known.lock();
        if let Some(known) = known.get(uid).filter(|known| known.identity == subject.identity) {
            return known.control.clone();
        }
        let mut accounts = self.accounts.lock();
        let identity = subject.identity.clone();
        let account = accounts.entry(identity.clone()).or_insert_with(|| {
            let Settings { upstream, ledger, .. } = &self.settings;
            StreamAccount::new(identity.clone(), upstream.clone(), ledger.clone())
        });
        let control = Arc::new(account.stream(subject.named.source.stream.clone()));
        let entry = Known { identity, control: control.clone(), generation: None, next: Instant::now() };
        known.insert(uid.to_owned(), entry);
        control
    }

    /// Writes the fields that differ, and nothing if none does.
    async fn write(&self, api: &Api<KinesisStream>, object: &KinesisStream, outcome: &Outcome) -> Result<(), Failure> {
        let (name, parameters) = (object.name_any(), PatchParams::default());
        let before = object.status.clone().unwrap_or_default();
        let mut version = object.resource_version();
        if before != outcome.status {
            let status = Patch::Merge(json!({"status": outcome.status}));
            version = api.patch_status(&name, &parameters, &status).await?.resource_version();
        }
        if let Some(shards) = outcome.adopt {
            // someone else may have set it meanwhile
            let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"shards": shards}});
            api.patch(&name, &parameters, &Patch::Merge(patch)).await?;
        }
        let newest = outcome.status.actions.first();
        if newest != before.actions.first()
            && let Some(action) = newest.filter(|action| action.by == "controller")
        {
            let note = format!("{} to {} shards, {}: {}", action.from, action.to, action.outcome, action.why);
            let type_ = if action.outcome == "called" { EventType::Normal } else { EventType::Warning };
            self.publish(object, type_, "Resize", note).await;
        }
        for kind in ["Ready", "AtTarget"] {
            let (old, new) = (before.reason(kind), outcome.status.reason(kind));
            let condition = outcome.status.conditions.iter().find(|condition| condition.kind == kind);
            if let (true, Some(condition)) = (old != new, condition) {
                let type_ = if condition.status == "True" { EventType::Normal } else { EventType::Warning };
                self.publish(object, type_, &condition.reason, condition.message.clone()).await;
            }
        }
        Ok(())
    }

    async fn publish(&self, object: &KinesisStream, type_: EventType, reason: &str, note: String) {
        let event =
            Event { type_, reason: reason.to_owned(), note: Some(note), action: "Resize".to_owned(), secondary: None };
        // an event that is rejected stops nothing
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::debug!(error = %error, "an event was not written");
        }
    }

    /// Removes the tag of this object. If the stream cannot be called, the tag stays and the object is deleted.
    async fn release(&self, object: &KinesisStream) -> Action {
        if let Ok(subject) = Subject::of(object, &self.settings.rules) {
            let control = self.control(&object.uid().unwrap_or_default(), &subject);
            let ours = control.claim().await.map(|claim| claim.as_deref() == Some(&self.owner(object)));
            let removed = match ours {
                Ok(true) => control.remove_claim().await,
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                tracing::warn!(stream = %control, error = error.chain(), "the tag of a deleted object stays");
            }
        }
        self.known.lock().remove(&object.uid().unwrap_or_default());
        Action::await_change()
    }
}

/// Returns this machine's time, for objects whose stream was not read; all others use the time of AWS.
#[expect(clippy::disallowed_methods, reason = "conditions have the time of day")]
fn service_time() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

//! librdkafka behind a safe interface.
//!
//! A consumer-type client with a `group.id` which never subscribes. Producer-type clients create topics by asking for them, and
//! without a `group.id` an answer of `NOT_COORDINATOR` is a null pointer inside librdkafka.
//! Requests that go to a coordinator are given librdkafka's longest timeout: one that times out while its coordinator is unknown
//! aborts the process when the coordinator comes back. Deadlines are the caller's.
//! All results, errors and log lines come through one queue, which one thread serves; that thread also ends the client.

mod ffi;
mod last_error;
mod log;
mod secrets;
mod slab;
mod words;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use self::ffi::Handle;
use self::last_error::LastError;
use self::log::LogGate;
use self::secrets::Secrets;
use self::slab::Slab;
use self::words::Event;
pub(super) use self::words::{
    Ask, Failure, MAX_OFFSETS, Metadata, NativeToken, PartitionRow, Reply, TopicFound, TopicRow,
};
use super::reach::{OUT_OF_REACH, REFUSED_TEXT, Reach};

/// How long the thread sleeps when nothing comes; the end of the client wakes it.
const POLL: Duration = Duration::from_secs(1);

/// A client of one cluster.
pub(super) struct Native {
    /// `None` while it is dropped.
    handle: Option<Arc<Handle>>,
    shared: Arc<Shared>,
}

/// What the thread and the callers both touch.
struct Shared {
    waiting: Mutex<Slab<Waiting>>,
    last_error: Mutex<LastError>,
    /// True when the caller's reference to the handle is gone.
    ending: Mutex<bool>,
    token_wanted: Arc<Notify>,
    secrets: Secrets,
    reach: Reach,
}

struct Waiting {
    reply: oneshot::Sender<Result<Reply, Failure>>,
    /// Dropped when the result came or the client ended, however long ago the caller went away.
    ticket: Option<Box<dyn Send>>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Native {
    /// Makes a client and its thread; `token_wanted` is told when an OAUTHBEARER token is needed.
    pub(super) fn new(
        properties: &[(String, String)],
        reach: Reach,
        token_wanted: Arc<Notify>,
    ) -> Result<Self, Failure> {
        let secrets = Secrets::of(properties);
        let handle = Handle::open(properties, reach).map_err(|failure| secrets.hide_in(failure))?;
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Slab::new()),
            last_error: Mutex::default(),
            ending: Mutex::new(false),
            token_wanted,
            secrets,
            reach,
        });
        let native = Self { handle: Some(Arc::new(handle)), shared: Arc::clone(&shared) };
        let handle = native.handle.clone();
        let thread = std::thread::Builder::new().name("kafka-poll".to_owned());
        match thread.spawn(move || handle.map(|handle| serve(handle, &shared))) {
            Ok(_detached) => Ok(native),
            Err(error) => Err(Failure::invalid(format!("could not start the client's thread: {error}"))),
        }
    }

    fn handle(&self) -> Result<&Handle, Failure> {
        self.handle.as_deref().ok_or_else(|| Failure::invalid("the client has ended".to_owned()))
    }

    /// Sends a request; `ticket` is dropped when librdkafka has done with it.
    pub(super) fn request(
        &self,
        ask: &Ask,
        ticket: Option<Box<dyn Send>>,
    ) -> oneshot::Receiver<Result<Reply, Failure>> {
        let (reply, answer) = oneshot::channel();
        let key = locked(&self.shared.waiting).insert(Waiting { reply, ticket });
        let sent = self.handle().and_then(|handle| match ask {
            Ask::Committed { group, partitions } => handle.committed(group, partitions.as_deref(), key),
            Ask::Offsets { partitions, at, timeout } => handle.offsets(partitions, *at, *timeout, key),
            Ask::Topics { names, from, timeout } => handle.topics(names, *from, *timeout, key),
            Ask::Group(group) => handle.group(group, key),
        });
        if let Err(failure) = sent {
            self.shared.finish(key, Err(failure));
        }
        answer
    }

    /// Requests whose result has not come.
    pub(super) fn waiting(&self) -> usize {
        locked(&self.shared.waiting).len()
    }

    /// Why there is no connection, if the last thing that happened was that there is none.
    pub(super) fn last_error(&self) -> Option<Failure> {
        locked(&self.shared.last_error).get()
    }

    /// Asks a broker that is up for its metadata, about `topic` or all topics; blocks up to `timeout`.
    pub(super) fn metadata(&self, topic: Option<&str>, timeout: Duration) -> Result<Metadata, Failure> {
        self.handle()?.metadata(topic, timeout)
    }

    /// Gives the token for connections made and renewed from now on.
    pub(super) fn set_token(&self, token: &NativeToken<'_>) -> Result<(), Failure> {
        self.handle()?.set_token(token)
    }

    /// Says why there is no token; librdkafka asks again in a few seconds.
    pub(super) fn set_token_failure(&self, why: &str) -> Result<(), Failure> {
        self.handle()?.set_token_failure(why)
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // The reference goes while the lock is held: the thread's is then the last, and ending the client, which can block for
        // long, is the thread's work and not this one's.
        let mut ending = locked(&self.shared.ending);
        *ending = true;
        if let Some(handle) = self.handle.take() {
            handle.wake();
        }
    }
}

impl Shared {
    fn finish(&self, key: usize, result: Result<Reply, Failure>) {
        let waiting = locked(&self.waiting).take(key);
        if let Some(Waiting { reply, ticket }) = waiting {
            drop(ticket);
            // The caller may have gone away at its deadline.
            let _ = reply.send(result);
        }
    }

    /// A connection that was not made because it must not be has the system's words for it, which are too few.
    fn explained(&self, mut failure: Failure) -> Failure {
        if self.reach == Reach::OtherHosts && failure.text.contains(REFUSED_TEXT) {
            failure.text = format!("{}; {OUT_OF_REACH}", failure.text);
        }
        failure
    }

    fn dispatch(&self, event: Event, gate: &mut LogGate) {
        match event {
            Event::Log { severity, facility, line } => {
                if let Some(withheld) = gate.pass(Instant::now()) {
                    log::write(severity, &facility, &self.secrets.hide(line), withheld);
                }
            }
            Event::Error(failure) => locked(&self.last_error).record(self.explained(self.secrets.hide_in(failure))),
            Event::TokenWanted => self.token_wanted.notify_one(),
            Event::Result { key, result } => {
                if result.as_ref().is_ok_and(Reply::came_from_a_broker) {
                    locked(&self.last_error).clear();
                }
                self.finish(key, result.map_err(|failure| self.secrets.hide_in(failure)));
            }
        }
    }
}

/// Serves the queue until the client shall end.
fn serve(handle: Arc<Handle>, shared: &Shared) {
    let mut gate = LogGate::default();
    while !*locked(&shared.ending) {
        if let Some(event) = handle.poll(POLL) {
            shared.dispatch(event, &mut gate);
        }
    }
    drop(handle);
    // No result comes any more: those who still wait hear of it now.
    let left = std::mem::replace(&mut *locked(&shared.waiting), Slab::new());
    drop(left);
}

//! librdkafka behind a safe interface: the only unsafe code of the crate.
//!
//! A consumer-type client with a `group.id` which never subscribes. Producer-type clients create topics by asking for them, and
//! without a `group.id` an answer of NOT_COORDINATOR is a null pointer inside librdkafka.
//! Requests that go to a coordinator are given librdkafka's longest timeout: one that times out while its coordinator is unknown
//! aborts the process when the coordinator comes back. Deadlines are the caller's.
//! All results, errors and log lines come through one queue, which one thread serves and which ends the client.

#![expect(unsafe_code, reason = "librdkafka's requests for other groups' offsets have no safe interface")]

mod last_error;
mod log;
mod secrets;
mod slab;
mod words;

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::bindings::*;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use self::last_error::LastError;
use self::log::LogGate;
use self::slab::Slab;
pub(super) use self::secrets::Secrets;
pub(super) use self::words::{Ask, Failure, MAX_OFFSETS, Metadata, PartitionRow, Reply, TopicFound, TopicRow};
use super::transport::{BrokerId, GroupMember, GroupState, LogPosition, TopicName, TopicPartition};
use crate::lag::PartitionId;

/// The longest that librdkafka accepts; see the module's head.
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(3_600);
/// How long the thread sleeps when nothing comes; the end of the client wakes it.
const POLL_MS: c_int = 1_000;
const TEXT: usize = 512;

/// A token for OAUTHBEARER.
pub(super) struct NativeToken<'a> {
    pub(super) value: &'a str,
    pub(super) principal: &'a str,
    pub(super) expires_unix_ms: i64,
    pub(super) extensions: &'a [(String, String)],
}

/// A client of one cluster.
pub(super) struct Native {
    handle: Handle,
    shared: Arc<Shared>,
}

/// What the thread and the callers both touch.
struct Shared {
    waiting: Mutex<Slab<Waiting>>,
    last_error: Mutex<LastError>,
    /// True when the thread shall end the client. Held while the queue is woken, so that it is still there.
    ending: Mutex<bool>,
    token_wanted: Arc<Notify>,
    secrets: Secrets,
}

struct Waiting {
    reply: oneshot::Sender<Result<Reply, Failure>>,
    /// Dropped when the result came or the client ended, however long ago the caller went away.
    ticket: Option<Box<dyn Send>>,
}

#[derive(Clone, Copy)]
struct Handle {
    rk: *mut rd_kafka_t,
    main: *mut rd_kafka_queue_t,
    admin: *mut rd_kafka_queue_t,
}

// SAFETY: librdkafka's client and queues may be used by any thread at any time.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Native {
    /// Makes a client and its thread; `token_wanted` is told when an OAUTHBEARER token is needed.
    pub(super) fn new(properties: &[(String, String)], token_wanted: Arc<Notify>) -> Result<Self, Failure> {
        let secrets = Secrets::of(properties);
        let handle = open(properties).map_err(|failure| Failure { text: secrets.hide(failure.text), ..failure })?;
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Slab::new()),
            last_error: Mutex::default(),
            ending: Mutex::new(false),
            token_wanted,
            secrets,
        });
        let thread = std::thread::Builder::new().name("kafka-poll".to_owned());
        let served = Arc::clone(&shared);
        match thread.spawn(move || serve(handle, &served)) {
            Ok(_detached) => Ok(Self { handle, shared }),
            Err(error) => {
                // SAFETY: nobody else has the handle.
                unsafe { close(handle) };
                Err(invalid(format!("could not start the client's thread: {error}")))
            }
        }
    }

    /// Sends a request; `ticket` is dropped when librdkafka has done with it.
    pub(super) fn request(
        &self,
        ask: &Ask,
        ticket: Option<Box<dyn Send>>,
    ) -> oneshot::Receiver<Result<Reply, Failure>> {
        let (reply, answer) = oneshot::channel();
        let key = locked(&self.shared.waiting).insert(Waiting { reply, ticket });
        let sent = match ask {
            Ask::Committed { group, partitions } => self.committed(group, partitions.as_deref(), key),
            Ask::Offsets { partitions, at, timeout } => self.offsets(partitions, *at, *timeout, key),
            Ask::Topics { names, from, timeout } => self.topics(names, *from, *timeout, key),
            Ask::Group(group) => self.group(group, key),
        };
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
        let name = topic.map(c_string).transpose()?;
        let mut found = ptr::null();
        // SAFETY: the name outlives the call; no configuration is passed.
        let only = name.as_ref().map(|name| unsafe { rd_kafka_topic_new(self.handle.rk, name.as_ptr(), ptr::null_mut()) });
        if only.is_some_and(<*mut rd_kafka_topic_t>::is_null) {
            return Err(invalid("not a topic's name".to_owned()));
        }
        // Asking for "locally known" topics would let the broker create those that have been deleted: never null and 0.
        // SAFETY: the topic is this client's; `found` is written on success.
        let code = unsafe {
            let all = c_int::from(only.is_none());
            rd_kafka_metadata(self.handle.rk, all, only.unwrap_or(ptr::null_mut()), &raw mut found, millis(timeout))
        } as i32;
        if let Some(only) = only {
            // SAFETY: made above, and used no more.
            unsafe { rd_kafka_topic_destroy(only) };
        }
        if code != 0 {
            return Err(failure_of(code));
        }
        // SAFETY: `found` is valid until it is destroyed, here, after everything was copied.
        unsafe {
            let answer = &*found;
            let rows = slice(answer.topics.cast_const(), usize::try_from(answer.topic_cnt).unwrap_or(0));
            // Not a reference: the error field may hold a number that the enum does not know.
            let topics = rows.iter().map(|topic| text(topic.topic).into()).collect();
            let from = BrokerId(answer.orig_broker_id);
            rd_kafka_metadata_destroy(found);
            Ok(Metadata { from, topics })
        }
    }

    /// Gives the token for connections made and renewed from now on.
    pub(super) fn set_token(&self, token: &NativeToken<'_>) -> Result<(), Failure> {
        let (value, principal) = (c_string(token.value)?, c_string(token.principal)?);
        let pairs = token.extensions.iter().flat_map(|(name, value)| [name, value]);
        let pairs = pairs.map(|text| c_string(text)).collect::<Result<Vec<_>, _>>()?;
        let mut pairs = pairs.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
        let mut error: [c_char; TEXT] = [0; TEXT];
        // SAFETY: all texts outlive the call, which copies them; the error buffer has the size that is given.
        let code = unsafe {
            rd_kafka_oauthbearer_set_token(
                self.handle.rk,
                value.as_ptr(),
                token.expires_unix_ms,
                principal.as_ptr(),
                pairs.as_mut_ptr(),
                pairs.len(),
                error.as_mut_ptr(),
                error.len(),
            )
        } as i32;
        // SAFETY: librdkafka ends the text with a NUL.
        if code == 0 { Ok(()) } else { Err(Failure { code, text: unsafe { text(error.as_ptr()) } }) }
    }

    /// Says why there is no token; librdkafka asks again in a few seconds.
    pub(super) fn set_token_failure(&self, why: &str) -> Result<(), Failure> {
        let why = c_string(why)?;
        // SAFETY: the text outlives the call, which copies it.
        let code = unsafe { rd_kafka_oauthbearer_set_token_failure(self.handle.rk, why.as_ptr()) } as i32;
        if code == 0 { Ok(()) } else { Err(failure_of(code)) }
    }

    fn committed(&self, group: &str, partitions: Option<&[TopicPartition]>, key: usize) -> Result<(), Failure> {
        let group = c_string(group)?;
        let list = partitions.map(|partitions| List::new(partitions, RD_KAFKA_OFFSET_INVALID.into())).transpose()?;
        let options =
            Options::new(self.handle.rk, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, key);
        options.timeout(COORDINATOR_TIMEOUT);
        // SAFETY: group, list and options live until the end of the call; librdkafka copies them.
        unsafe {
            let list = list.as_ref().map_or(ptr::null(), |list| list.0.cast_const());
            let request = rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), list);
            let mut requests = [request];
            rd_kafka_ListConsumerGroupOffsets(self.handle.rk, requests.as_mut_ptr(), 1, options.0, self.handle.admin);
            rd_kafka_ListConsumerGroupOffsets_destroy(request);
        }
        Ok(())
    }

    fn offsets(&self, asked: &[TopicPartition], at: LogPosition, timeout: Duration, key: usize) -> Result<(), Failure> {
        let (spec, isolation) = match at {
            LogPosition::Start => (-2, rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED),
            LogPosition::End => (-1, rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED),
            LogPosition::StableEnd => (-1, rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED),
        };
        let list = List::new(asked, spec)?;
        let options = Options::new(self.handle.rk, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, key);
        options.timeout(timeout);
        // SAFETY: list and options live until the end of the call; librdkafka copies them. The isolation level is accepted for
        // this request, so no error object comes back.
        unsafe {
            let refused = rd_kafka_AdminOptions_set_isolation_level(options.0, isolation);
            debug_assert!(refused.is_null());
            rd_kafka_ListOffsets(self.handle.rk, list.0, options.0, self.handle.admin);
        }
        Ok(())
    }

    fn topics(&self, names: &[TopicName], from: BrokerId, timeout: Duration, key: usize) -> Result<(), Failure> {
        let names = names.iter().map(|name| c_string(name)).collect::<Result<Vec<_>, _>>()?;
        let mut names = names.iter().map(|name| (name, name.as_ptr())).collect::<Vec<_>>();
        let mut pointers = names.iter_mut().map(|(_, pointer)| *pointer).collect::<Vec<_>>();
        let options = Options::new(self.handle.rk, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, key);
        options.timeout(timeout);
        let mut error: [c_char; TEXT] = [0; TEXT];
        // SAFETY: names and options live until the end of the call; librdkafka copies them.
        unsafe {
            // Not the controller, which is the default: its name is old for as long as it is dead.
            rd_kafka_AdminOptions_set_broker(options.0, from.0, error.as_mut_ptr(), error.len());
            let topics = rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            rd_kafka_DescribeTopics(self.handle.rk, topics, options.0, self.handle.admin);
            rd_kafka_TopicCollection_destroy(topics);
        }
        Ok(())
    }

    fn group(&self, group: &str, key: usize) -> Result<(), Failure> {
        let group = c_string(group)?;
        let options = Options::new(self.handle.rk, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, key);
        options.timeout(COORDINATOR_TIMEOUT);
        let mut groups = [group.as_ptr()];
        // SAFETY: group and options live until the end of the call; librdkafka copies them.
        unsafe {
            rd_kafka_DescribeConsumerGroups(self.handle.rk, groups.as_mut_ptr(), 1, options.0, self.handle.admin);
        }
        Ok(())
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let mut ending = locked(&self.shared.ending);
        *ending = true;
        // SAFETY: the thread ends the client only after it has seen `ending`, whose lock is held.
        unsafe { rd_kafka_queue_yield(self.handle.main) };
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
}

/// Serves the queue until the client shall end, then ends it: that can take a while and may block.
fn serve(handle: Handle, shared: &Shared) {
    let mut gate = LogGate::default();
    while !*locked(&shared.ending) {
        // SAFETY: the queue lives until `close` below; the event is this thread's until it is destroyed.
        unsafe {
            let event = rd_kafka_queue_poll(handle.main, POLL_MS);
            if !event.is_null() {
                dispatch(event, shared, &mut gate);
                rd_kafka_event_destroy(event);
            }
        }
    }
    // SAFETY: the last reference to the client's owner is gone.
    unsafe { close(handle) };
    *locked(&shared.waiting) = Slab::new();
}

/// # Safety
/// `event` must be valid.
unsafe fn dispatch(event: *mut rd_kafka_event_t, shared: &Shared, gate: &mut LogGate) {
    // SAFETY: `event` is valid; what is taken from it is copied before the caller destroys it.
    unsafe {
        match rd_kafka_event_type(event) {
            RD_KAFKA_EVENT_LOG => {
                let (mut facility, mut line, mut severity) = (ptr::null(), ptr::null(), 0);
                let got = rd_kafka_event_log(event, &raw mut facility, &raw mut line, &raw mut severity);
                if got == 0 && let Some(withheld) = gate.pass(Instant::now()) {
                    log::write(severity, &text(facility), &shared.secrets.hide(text(line)), withheld);
                }
            }
            RD_KAFKA_EVENT_ERROR => {
                let failure = Failure { code: event_error(event), text: text(rd_kafka_event_error_string(event)) };
                let failure = Failure { text: shared.secrets.hide(failure.text), ..failure };
                locked(&shared.last_error).record(failure);
            }
            RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH => shared.token_wanted.notify_one(),
            kind => {
                let code = event_error(event);
                let result = if code == 0 {
                    read(kind, event)
                } else {
                    let text = shared.secrets.hide(text(rd_kafka_event_error_string(event)));
                    Err(Failure { code, text })
                };
                if result.as_ref().is_ok_and(Reply::came_from_a_broker) {
                    locked(&shared.last_error).clear();
                }
                shared.finish(rd_kafka_event_opaque(event).addr(), result);
            }
        }
    }
}

/// # Safety
/// `event` must be a valid result.
unsafe fn read(kind: c_int, event: *mut rd_kafka_event_t) -> Result<Reply, Failure> {
    let mut count = 0;
    // SAFETY: `kind` is the event's, so each result is of the type that is asked for; arrays have the length that they say.
    unsafe {
        match kind {
            RD_KAFKA_EVENT_LISTOFFSETS_RESULT => {
                let result = rd_kafka_event_ListOffsets_result(event);
                let infos = rd_kafka_ListOffsets_result_infos(result, &raw mut count);
                let mut rows = Rows::default();
                for info in slice(infos.cast_const(), count) {
                    rows.push(rd_kafka_ListOffsetsResultInfo_topic_partition(*info));
                }
                Ok(Reply::Partitions(rows.done))
            }
            RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT => {
                let result = rd_kafka_event_ListConsumerGroupOffsets_result(event);
                let groups = rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
                let Some(group) = slice(groups.cast_const(), count).first() else {
                    return Err(invalid("an answer without the group".to_owned()));
                };
                error_of(rd_kafka_group_result_error(*group))?;
                Ok(Reply::Partitions(Rows::of(rd_kafka_group_result_partitions(*group)).done))
            }
            RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT => {
                let result = rd_kafka_event_DescribeTopics_result(event);
                let topics = rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
                Ok(Reply::Topics(slice(topics.cast_const(), count).iter().map(|topic| read_topic(*topic)).collect()))
            }
            RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT => {
                let result = rd_kafka_event_DescribeConsumerGroups_result(event);
                let groups = rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
                let Some(group) = slice(groups.cast_const(), count).first() else {
                    return Err(invalid("an answer without the group".to_owned()));
                };
                error_of(rd_kafka_ConsumerGroupDescription_error(*group))?;
                Ok(Reply::Group(read_group(*group)))
            }
            other => Err(invalid(format!("an event of unknown type {other}"))),
        }
    }
}

/// # Safety
/// `topic` must be valid.
unsafe fn read_topic(topic: *const rd_kafka_TopicDescription_t) -> TopicRow {
    let mut count = 0;
    // SAFETY: everything belongs to `topic`.
    unsafe {
        let name = text(rd_kafka_TopicDescription_name(topic)).into();
        let found = error_of(rd_kafka_TopicDescription_error(topic)).map(|()| {
            let id = rd_kafka_TopicDescription_topic_id(topic);
            let (high, low) = (rd_kafka_Uuid_most_significant_bits(id), rd_kafka_Uuid_least_significant_bits(id));
            let partitions = rd_kafka_TopicDescription_partitions(topic, &raw mut count);
            let partitions = slice(partitions.cast_const(), count).iter().map(|partition| {
                let leader = rd_kafka_TopicPartitionInfo_leader(*partition);
                let leader = (!leader.is_null()).then(|| rd_kafka_Node_id(leader)).filter(|id| *id >= 0);
                (rd_kafka_TopicPartitionInfo_partition(*partition), leader.map(BrokerId))
            });
            let id = (u128::from(high.cast_unsigned()) << 64) | u128::from(low.cast_unsigned());
            TopicFound { id, partitions: partitions.collect() }
        });
        TopicRow { name, found }
    }
}

/// # Safety
/// `group` must be valid.
unsafe fn read_group(group: *const rd_kafka_ConsumerGroupDescription_t) -> GroupState {
    // SAFETY: everything belongs to `group`; members are asked for by an index below their number.
    unsafe {
        let state = text(rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(group)));
        let members = (0..rd_kafka_ConsumerGroupDescription_member_count(group)).map(|index| {
            let member = rd_kafka_ConsumerGroupDescription_member(group, index);
            let given = rd_kafka_MemberDescription_assignment(member);
            let given = if given.is_null() { ptr::null() } else { rd_kafka_MemberAssignment_partitions(given) };
            let assignment = Rows::of(given).done.into_iter().filter_map(|row| {
                let partition = PartitionId(u32::try_from(row.partition).ok()?);
                Some(TopicPartition { topic: row.topic, partition })
            });
            let client_id = text(rd_kafka_MemberDescription_client_id(member));
            GroupMember { client_id, assignment: assignment.collect() }
        });
        GroupState { state, members: members.collect() }
    }
}

/// Rows that share the name of their topic with the row before.
#[derive(Default)]
struct Rows {
    done: Vec<PartitionRow>,
}

impl Rows {
    /// # Safety
    /// `list` must be null or valid.
    unsafe fn of(list: *const rd_kafka_topic_partition_list_t) -> Self {
        let mut rows = Self::default();
        if !list.is_null() {
            // SAFETY: a list holds `cnt` elements; no reference to one is made.
            unsafe {
                for index in 0..usize::try_from((*list).cnt).unwrap_or(0) {
                    rows.push((*list).elems.add(index).cast_const());
                }
            }
        }
        rows
    }

    /// # Safety
    /// `row` must be valid.
    unsafe fn push(&mut self, row: *const rd_kafka_topic_partition_t) {
        // SAFETY: the fields are read one by one and the error as a number, for it may be one that the enum does not know.
        let (name, partition, offset, code) = unsafe {
            let code = (&raw const (*row).err).cast::<i32>().read();
            (CStr::from_ptr((*row).topic).to_string_lossy(), (*row).partition, (*row).offset, code)
        };
        let topic = match self.done.last() {
            Some(last) if *last.topic == *name => last.topic.clone(),
            _ => TopicName::from(name),
        };
        let error = (code != 0).then(|| failure_of(code));
        self.done.push(PartitionRow { topic, partition, offset, error });
    }
}

/// Owns a list of partitions.
struct List(*mut rd_kafka_topic_partition_list_t);

impl List {
    fn new(partitions: &[TopicPartition], offset: i64) -> Result<Self, Failure> {
        // SAFETY: the size is a hint.
        let list = Self(unsafe { rd_kafka_topic_partition_list_new(c_int::try_from(partitions.len()).unwrap_or(0)) });
        let mut last: Option<(&str, CString)> = None;
        for TopicPartition { topic, partition } in partitions {
            let name = match last.take() {
                Some((name, copy)) if name == &**topic => copy,
                _ => c_string(topic)?,
            };
            let partition = i32::try_from(partition.0).map_err(|error| invalid(format!("partition: {error}")))?;
            // SAFETY: the list is valid and copies the name; it gives a valid place back.
            unsafe { (*rd_kafka_topic_partition_list_add(list.0, name.as_ptr(), partition)).offset = offset };
            last = Some((topic, name));
        }
        Ok(list)
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { rd_kafka_topic_partition_list_destroy(self.0) };
    }
}

/// Owns the options of a request.
struct Options(*mut rd_kafka_AdminOptions_t);

impl Options {
    fn new(rk: *mut rd_kafka_t, of: rd_kafka_admin_op_t, key: usize) -> Self {
        // SAFETY: the client is valid; the opaque is a number that nobody follows.
        unsafe {
            let options = rd_kafka_AdminOptions_new(rk, of);
            rd_kafka_AdminOptions_set_opaque(options, ptr::without_provenance_mut(key));
            Self(options)
        }
    }

    fn timeout(&self, timeout: Duration) {
        let mut error: [c_char; TEXT] = [0; TEXT];
        // SAFETY: the options are valid; the error buffer has the size that is given. Refused values are out of `millis`'s range.
        unsafe { rd_kafka_AdminOptions_set_request_timeout(self.0, millis(timeout), error.as_mut_ptr(), error.len()) };
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: this is the only owner.
        unsafe { rd_kafka_AdminOptions_destroy(self.0) };
    }
}

fn open(properties: &[(String, String)]) -> Result<Handle, Failure> {
    let mut error: [c_char; TEXT] = [0; TEXT];
    // SAFETY: the configuration is destroyed on each way out on which `rd_kafka_new` has not taken it; texts outlive the calls.
    unsafe {
        let conf = rd_kafka_conf_new();
        for (name, value) in properties {
            let set = c_string(name).and_then(|name| Ok((name, c_string(value)?))).and_then(|(name, value)| {
                match rd_kafka_conf_set(conf, name.as_ptr(), value.as_ptr(), error.as_mut_ptr(), error.len()) {
                    rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
                    _ => Err(invalid(text(error.as_ptr()))),
                }
            });
            if let Err(failure) = set {
                rd_kafka_conf_destroy(conf);
                return Err(failure);
            }
        }
        let events = RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH;
        rd_kafka_conf_set_events(conf, events);
        let rk = rd_kafka_new(rd_kafka_type_t::RD_KAFKA_CONSUMER, conf, error.as_mut_ptr(), error.len());
        if rk.is_null() {
            rd_kafka_conf_destroy(conf);
            return Err(invalid(text(error.as_ptr())));
        }
        let (main, admin) = (rd_kafka_queue_get_main(rk), rd_kafka_queue_new(rk));
        rd_kafka_queue_forward(admin, main);
        rd_kafka_set_log_queue(rk, main);
        Ok(Handle { rk, main, admin })
    }
}

/// # Safety
/// Nobody may use the handle afterwards.
unsafe fn close(handle: Handle) {
    // SAFETY: the caller gives up the handle.
    unsafe {
        rd_kafka_queue_destroy(handle.admin);
        rd_kafka_queue_destroy(handle.main);
        rd_kafka_destroy_flags(handle.rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
}

/// The number of an event's error, which may be one that the generated enum does not know.
///
/// # Safety
/// `event` must be valid.
unsafe fn event_error(event: *mut rd_kafka_event_t) -> i32 {
    type Asked = unsafe extern "C" fn(*mut rd_kafka_event_t) -> rd_kafka_resp_err_t;
    type AsNumber = unsafe extern "C" fn(*mut rd_kafka_event_t) -> i32;
    // SAFETY: the enum is represented as an `i32`.
    unsafe { std::mem::transmute::<Asked, AsNumber>(rd_kafka_event_error)(event) }
}

/// # Safety
/// `error` must be null or valid.
unsafe fn error_of(error: *const rd_kafka_error_t) -> Result<(), Failure> {
    type Asked = unsafe extern "C" fn(*const rd_kafka_error_t) -> rd_kafka_resp_err_t;
    type AsNumber = unsafe extern "C" fn(*const rd_kafka_error_t) -> i32;
    // SAFETY: the enum is represented as an `i32`; the text belongs to the error and is copied. Null is "no error" to both.
    unsafe {
        match std::mem::transmute::<Asked, AsNumber>(rd_kafka_error_code)(error) {
            0 => Ok(()),
            code => Err(Failure { code, text: text(rd_kafka_error_string(error)) }),
        }
    }
}

fn failure_of(code: i32) -> Failure {
    let text = rd_kafka_resp_err_t::try_from(code).map_or_else(
        |_| format!("error {code} of the broker"),
        // SAFETY: the text is static.
        |known| unsafe { text(rd_kafka_err2str(known)) },
    );
    Failure { code, text }
}

fn invalid(text: String) -> Failure {
    Failure { code: rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG as i32, text }
}

fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| invalid("a text with a NUL byte".to_owned()))
}

fn millis(duration: Duration) -> c_int {
    c_int::try_from(duration.as_millis()).unwrap_or(c_int::MAX).clamp(1, 3_600_000)
}

/// # Safety
/// `pointer` must be null or point to a text that ends with a NUL.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// # Safety
/// `first` must be null or point to `count` values that outlive the slice.
unsafe fn slice<'a, T>(first: *const T, count: usize) -> &'a [T] {
    if first.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts(first, count) }
}

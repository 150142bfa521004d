//! librdkafka: all unsafe code of the crate is in this file.
//!
//! One client for a cluster and an identity: a consumer with a group of its own that it never joins, because librdkafka's
//! admin requests dereference the missing group of any other kind of client. A thread polls the client's main queue, which
//! carries answers, errors and log lines, and destroys the client when the last handle is gone. Group requests must not time
//! out inside librdkafka, which aborts when the coordinator of one that did comes back: their time-out is the longest there
//! is, and those who wait have deadlines of their own. Tests: `tests/it/native.rs`.
#![expect(unsafe_code, reason = "the only way to read another group's offsets is librdkafka's C API")]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka::bindings as rd;
use tokio::sync::oneshot;

use super::transport::{BrokerId, GroupMember, GroupState, LogPosition, Topic, TopicPartition};
use crate::lag::{CommittedOffset, Offset, PartitionId, TopicId};

/// The longest time-out that librdkafka knows; see the module's text.
const NEVER: Duration = Duration::from_secs(3600);

/// The poller looks this often whether its client is gone.
const POLL: Duration = Duration::from_millis(100);

unsafe extern "C" {
    // The bindings declare these as a Rust enum, in which a code of a newer broker would be undefined behaviour.
    #[link_name = "rd_kafka_event_error"]
    fn event_error(event: *mut rd::rd_kafka_event_t) -> c_int;
    #[link_name = "rd_kafka_error_code"]
    fn error_code(error: *const rd::rd_kafka_error_t) -> c_int;
}

/// An error code of Kafka (positive) or librdkafka (negative), with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NativeError {
    pub(super) code: i32,
    pub(super) text: String,
}

pub(super) type Outcome<T> = Result<T, NativeError>;

/// What a request got.
#[derive(Debug)]
pub(super) enum Answer {
    Committed(Vec<(TopicPartition, Outcome<CommittedOffset>)>),
    Offsets(Vec<(TopicPartition, Outcome<Offset>)>),
    Topics(Vec<(String, Outcome<Topic>)>),
    Group(GroupState),
}

/// Somebody waits for an answer; `keep` is dropped when librdkafka has answered, however late.
struct Pending {
    reply: oneshot::Sender<Outcome<Answer>>,
    keep: Box<dyn Send>,
}

/// A client; dropping it ends its thread, which then destroys it.
pub(super) struct NativeClient {
    client: Client,
    shared: Arc<Shared>,
    next: AtomicUsize,
}

/// What the handle and the polling thread share.
#[derive(Default)]
struct Shared {
    /// Open requests; a key is never used again, so a late answer finds its own entry or none.
    pending: Mutex<HashMap<usize, Pending>>,
    /// The newest error of the connections, which tells the cause that a request's own error lacks.
    last_error: Mutex<Option<NativeError>>,
    gone: AtomicBool,
}

#[derive(Clone, Copy)]
struct Client {
    rk: NonNull<rd::rd_kafka_t>,
    queue: NonNull<rd::rd_kafka_queue_t>,
}

// SAFETY: librdkafka's client and queue handles may be used from any thread at any time until they are destroyed, which only
// the polling thread does, after the last `NativeClient` is gone.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

// === life ===

impl NativeClient {
    /// A client with these properties.
    pub(super) fn new(properties: &[(String, String)]) -> Result<Self, String> {
        let client = create(properties)?;
        let shared = Arc::new(Shared::default());
        let polled = shared.clone();
        thread::Builder::new().name("librdkafka-poll".into()).spawn(move || poll(client, &polled)).map_err(
            |error| {
                // SAFETY: the thread that would have destroyed them does not exist.
                unsafe { destroy(client) };
                format!("could not start a thread: {error}")
            },
        )?;
        Ok(Self { client, shared, next: AtomicUsize::new(1) })
    }

    /// The newest error of the connections, since the last answer without one.
    pub(super) fn last_error(&self) -> Option<NativeError> {
        lock(&self.shared.last_error).clone()
    }

    /// Requests that librdkafka has not answered yet, waited for or not.
    pub(super) fn open_requests(&self) -> usize {
        lock(&self.shared.pending).len()
    }

    /// Sets the token of SASL/OAUTHBEARER; connections log in again with it when the old one runs out.
    pub(super) fn set_token(
        &self,
        token: &str,
        principal: &str,
        expires_at_ms: i64,
        extensions: &[(String, String)],
    ) -> Result<(), String> {
        let (token, principal) = (text(token), text(principal));
        let extensions: Vec<_> = extensions.iter().flat_map(|(name, value)| [text(name), text(value)]).collect();
        let mut pointers: Vec<_> = extensions.iter().map(|part| part.as_ptr()).collect();
        let mut message = [0; 512];
        // SAFETY: all pointers live until the call returns, and librdkafka copies what it keeps.
        let code = unsafe {
            rd::rd_kafka_oauthbearer_set_token(
                self.client.rk.as_ptr(),
                token.as_ptr(),
                expires_at_ms,
                principal.as_ptr(),
                pointers.as_mut_ptr(),
                pointers.len(),
                message.as_mut_ptr(),
                message.len(),
            )
        };
        if code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(buffer(&message)) }
    }

    /// Tells those who wait for a token why there is none.
    pub(super) fn set_token_failure(&self, cause: &str) {
        let cause = text(cause);
        // SAFETY: the pointer lives until the call returns.
        unsafe { rd::rd_kafka_oauthbearer_set_token_failure(self.client.rk.as_ptr(), cause.as_ptr()) };
    }
}

impl Drop for NativeClient {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::Release);
        // those who still wait are told at once, not when the thread has destroyed the client
        lock(&self.shared.pending).clear();
    }
}

fn create(properties: &[(String, String)]) -> Result<Client, String> {
    let mut message = [0; 512];
    // SAFETY: the configuration is given to the client or destroyed here; strings live until each call returns; a client that
    // was made is not null, and neither is its main queue.
    unsafe {
        let conf = rd::rd_kafka_conf_new();
        for (name, value) in properties {
            let (c_name, c_value) = (text(name), text(value));
            let result =
                rd::rd_kafka_conf_set(conf, c_name.as_ptr(), c_value.as_ptr(), message.as_mut_ptr(), message.len());
            if result != rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
                rd::rd_kafka_conf_destroy(conf);
                // librdkafka's message may repeat the value, which may be a secret
                return Err(format!("librdkafka does not take the property {name}"));
            }
        }
        rd::rd_kafka_conf_set_events(
            conf,
            rd::RD_KAFKA_EVENT_ERROR | rd::RD_KAFKA_EVENT_LOG | rd::RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH,
        );
        let kind = rd::rd_kafka_type_t::RD_KAFKA_CONSUMER;
        let Some(rk) = NonNull::new(rd::rd_kafka_new(kind, conf, message.as_mut_ptr(), message.len())) else {
            rd::rd_kafka_conf_destroy(conf);
            return Err(buffer(&message));
        };
        rd::rd_kafka_set_log_queue(rk.as_ptr(), ptr::null_mut());
        let Some(queue) = NonNull::new(rd::rd_kafka_queue_get_main(rk.as_ptr())) else {
            rd::rd_kafka_destroy(rk.as_ptr());
            return Err("librdkafka gave no queue".into());
        };
        Ok(Client { rk, queue })
    }
}

/// # Safety
/// Nobody else may use the client any more.
unsafe fn destroy(client: Client) {
    // SAFETY: both are valid and, as the caller promises, used by nobody else.
    unsafe {
        rd::rd_kafka_queue_destroy(client.queue.as_ptr());
        rd::rd_kafka_destroy(client.rk.as_ptr());
    }
}

fn poll(client: Client, shared: &Shared) {
    while !shared.gone.load(Ordering::Acquire) {
        let timeout = c_int::try_from(POLL.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the queue lives until this thread destroys it.
        let event = unsafe { rd::rd_kafka_queue_poll(client.queue.as_ptr(), timeout) };
        if let Some(event) = NonNull::new(event) {
            serve(event, shared);
            // SAFETY: the event came from the queue, and everything that is kept of it was copied.
            unsafe { rd::rd_kafka_event_destroy(event.as_ptr()) };
        }
    }
    // SAFETY: `gone` is set when the last handle is dropped, and only handles use the client.
    unsafe { destroy(client) };
}

// === requests ===

impl NativeClient {
    /// Reads what a group committed for these partitions, or for all where there is no list; `keep` lives until the answer.
    pub(super) fn committed(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
        keep: Box<dyn Send>,
    ) -> oneshot::Receiver<Outcome<Answer>> {
        let group = text(group);
        let list = partitions.map(|partitions| PartitionList::new(partitions, rd::RD_KAFKA_OFFSET_INVALID.into()));
        let operation = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
        // SAFETY: the request copies the group and the list, and is itself copied by the call.
        self.request(operation, NEVER, keep, |options| unsafe {
            let list = list.as_ref().map_or(ptr::null(), |list| list.0.as_ptr().cast_const());
            let mut request = rd::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), list);
            rd::rd_kafka_ListConsumerGroupOffsets(
                self.client.rk.as_ptr(),
                &raw mut request,
                1,
                options,
                self.client.queue.as_ptr(),
            );
            rd::rd_kafka_ListConsumerGroupOffsets_destroy(request);
        })
    }

    /// Reads one end of the logs of partitions that share a leader.
    pub(super) fn offsets(
        &self,
        partitions: &[TopicPartition],
        at: LogPosition,
        timeout: Duration,
    ) -> oneshot::Receiver<Outcome<Answer>> {
        use rd::rd_kafka_IsolationLevel_t as Isolation;
        let (spec, isolation) = match at {
            LogPosition::Start => (
                rd::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST,
                Isolation::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
            ),
            LogPosition::End => (
                rd::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST,
                Isolation::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
            ),
            LogPosition::StableEnd => (
                rd::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST,
                Isolation::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
            ),
        };
        let list = PartitionList::new(partitions, spec as i64);
        let operation = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS;
        // SAFETY: the call copies the list and the options; an error of the option would be freed by its destroy function.
        self.request(operation, timeout, Box::new(()), |options| unsafe {
            let error = rd::rd_kafka_AdminOptions_set_isolation_level(options, isolation);
            if !error.is_null() {
                rd::rd_kafka_error_destroy(error);
            }
            rd::rd_kafka_ListOffsets(self.client.rk.as_ptr(), list.0.as_ptr(), options, self.client.queue.as_ptr());
        })
    }

    /// Reads ids, partitions and leaders of topics, and refreshes what librdkafka itself remembers of them.
    pub(super) fn topics(&self, names: &[&str], timeout: Duration) -> oneshot::Receiver<Outcome<Answer>> {
        let names: Vec<_> = names.iter().map(|name| text(name)).collect();
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let operation = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        // SAFETY: the collection copies the names and is copied by the call.
        self.request(operation, timeout, Box::new(()), |options| unsafe {
            let topics = rd::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            rd::rd_kafka_DescribeTopics(self.client.rk.as_ptr(), topics, options, self.client.queue.as_ptr());
            rd::rd_kafka_TopicCollection_destroy(topics);
        })
    }

    /// Reads the state and the members of a group.
    pub(super) fn group(&self, group: &str, keep: Box<dyn Send>) -> oneshot::Receiver<Outcome<Answer>> {
        let group = text(group);
        let operation = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
        // SAFETY: the call copies the name.
        self.request(operation, NEVER, keep, |options| unsafe {
            let mut name = group.as_ptr();
            rd::rd_kafka_DescribeConsumerGroups(
                self.client.rk.as_ptr(),
                &raw mut name,
                1,
                options,
                self.client.queue.as_ptr(),
            );
        })
    }

    fn request(
        &self,
        operation: rd::rd_kafka_admin_op_t,
        timeout: Duration,
        keep: Box<dyn Send>,
        send: impl FnOnce(*mut rd::rd_kafka_AdminOptions_t),
    ) -> oneshot::Receiver<Outcome<Answer>> {
        let (reply, answer) = oneshot::channel();
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.shared.pending).insert(key, Pending { reply, keep });
        let timeout = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        let mut message = [0; 128];
        // SAFETY: the options live until they are destroyed here; the opaque is a number, never followed as a pointer.
        unsafe {
            let options = rd::rd_kafka_AdminOptions_new(self.client.rk.as_ptr(), operation);
            rd::rd_kafka_AdminOptions_set_request_timeout(options, timeout, message.as_mut_ptr(), message.len());
            rd::rd_kafka_AdminOptions_set_opaque(options, ptr::without_provenance_mut::<c_void>(key));
            send(options);
            rd::rd_kafka_AdminOptions_destroy(options);
        }
        answer
    }

    /// Reads the leaders of topics from any broker, for clusters without a controller that answers; or all topics of the
    /// cluster. Blocks.
    pub(super) fn metadata(&self, names: Option<&[&str]>, timeout: Duration) -> Outcome<Vec<(String, Outcome<Topic>)>> {
        let timeout = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        let mut metadata = ptr::null();
        // SAFETY: a topic handle makes its topic one of those that the request names, and is destroyed after it; the metadata
        // is copied before it is destroyed.
        unsafe {
            let handles: Vec<_> = names
                .unwrap_or_default()
                .iter()
                .map(|name| rd::rd_kafka_topic_new(self.client.rk.as_ptr(), text(name).as_ptr(), ptr::null_mut()))
                .collect();
            let all = c_int::from(names.is_none());
            let code = rd::rd_kafka_metadata(self.client.rk.as_ptr(), all, ptr::null_mut(), &raw mut metadata, timeout);
            for handle in handles.into_iter().filter(|handle| !handle.is_null()) {
                rd::rd_kafka_topic_destroy(handle);
            }
            match result(code as i32) {
                Ok(()) => {
                    let topics =
                        list((*metadata).topics, (*metadata).topic_cnt).iter().map(|topic| metadata_topic(topic));
                    let topics = topics.collect();
                    rd::rd_kafka_metadata_destroy(metadata);
                    Ok(topics)
                }
                Err(error) => Err(error),
            }
        }
    }
}

// === answers ===

fn serve(event: NonNull<rd::rd_kafka_event_t>, shared: &Shared) {
    let event = event.as_ptr();
    // SAFETY: the event is valid until the caller destroys it, each result is read by the functions of its own type, and all
    // that is kept is copied.
    unsafe {
        match rd::rd_kafka_event_type(event) {
            rd::RD_KAFKA_EVENT_LOG => log_line(event),
            rd::RD_KAFKA_EVENT_ERROR => note_error(
                shared,
                NativeError { code: event_error(event), text: string(rd::rd_kafka_event_error_string(event)) },
            ),
            rd::RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT => {
                answer(event, shared, |event| committed_answer(event));
            }
            rd::RD_KAFKA_EVENT_LISTOFFSETS_RESULT => answer(event, shared, |event| Ok(offsets_answer(event))),
            rd::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT => answer(event, shared, |event| Ok(topics_answer(event))),
            rd::RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT => answer(event, shared, |event| group_answer(event)),
            _ => {}
        }
    }
}

/// A lost connection is told by many errors; one that says more than "all brokers are down" is worth keeping.
fn note_error(shared: &Shared, error: NativeError) {
    let all_down = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as i32;
    let mut last = lock(&shared.last_error);
    if last.is_none() || error.code != all_down {
        tracing::debug!(target: "librdkafka", code = error.code, error = error.text, "connection error");
        *last = Some(error);
    }
}

unsafe fn log_line(event: *mut rd::rd_kafka_event_t) {
    let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
    // SAFETY: the three places are written by the call, and the strings live as long as the event.
    if unsafe { rd::rd_kafka_event_log(event, &raw mut facility, &raw mut line, &raw mut level) } == 0 {
        // SAFETY: as above.
        let (facility, line) = unsafe { (string(facility), string(line)) };
        tracing::debug!(target: "librdkafka", facility, syslog_level = level, "{line}");
    }
}

unsafe fn answer(
    event: *mut rd::rd_kafka_event_t,
    shared: &Shared,
    read: impl FnOnce(*mut rd::rd_kafka_event_t) -> Outcome<Answer>,
) {
    // SAFETY: the event is an answer to a request of ours, whose opaque is its key.
    let (key, outcome) = unsafe {
        let key = rd::rd_kafka_event_opaque(event).addr();
        let code = event_error(event);
        (
            key,
            if code == 0 {
                Ok(())
            } else {
                Err(NativeError { code, text: string(rd::rd_kafka_event_error_string(event)) })
            },
        )
    };
    let outcome = outcome.and_then(|()| read(event));
    if outcome.is_ok() {
        *lock(&shared.last_error) = None;
    }
    let pending = lock(&shared.pending).remove(&key);
    if let Some(Pending { reply, keep }) = pending {
        // nobody may be waiting any more
        drop(reply.send(outcome));
        drop(keep);
    }
}

unsafe fn committed_answer(event: *mut rd::rd_kafka_event_t) -> Outcome<Answer> {
    // SAFETY: the event is a result of this kind; its parts live as long as the event.
    unsafe {
        let result = rd::rd_kafka_event_ListConsumerGroupOffsets_result(event);
        let mut count = 0;
        let groups = rd::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
        let Some(&group) = list(groups, count).first() else { return Err(missing("group")) };
        error(rd::rd_kafka_group_result_error(group))?;
        let rows = partitions(rd::rd_kafka_group_result_partitions(group)).iter().map(|row| {
            // a negative offset without an error is Kafka's way to say that nothing is committed
            let offset = Offset::from_wire(row.offset).map_or(CommittedOffset::None, CommittedOffset::At);
            (partition(row), partition_error(row).map(|()| offset))
        });
        Ok(Answer::Committed(rows.collect()))
    }
}

unsafe fn offsets_answer(event: *mut rd::rd_kafka_event_t) -> Answer {
    // SAFETY: as in `committed_answer`.
    unsafe {
        let result = rd::rd_kafka_event_ListOffsets_result(event);
        let mut count = 0;
        let rows = rd::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
        let rows = list(rows, count).iter().map(|&row| {
            let row = &*rd::rd_kafka_ListOffsetsResultInfo_topic_partition(row);
            // librdkafka leaves the rows of a broker that did not answer without an error, but with a negative offset
            let offset = partition_error(row).and_then(|()| Offset::from_wire(row.offset).ok_or_else(no_answer));
            (partition(row), offset)
        });
        Answer::Offsets(rows.collect())
    }
}

unsafe fn topics_answer(event: *mut rd::rd_kafka_event_t) -> Answer {
    // SAFETY: as in `committed_answer`.
    unsafe {
        let result = rd::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let topics = list(topics, count).iter().map(|&topic| {
            let name = string(rd::rd_kafka_TopicDescription_name(topic));
            (name, error(rd::rd_kafka_TopicDescription_error(topic)).map(|()| described_topic(topic)))
        });
        Answer::Topics(topics.collect())
    }
}

unsafe fn described_topic(topic: *const rd::rd_kafka_TopicDescription_t) -> Topic {
    // SAFETY: as in `committed_answer`.
    unsafe {
        let id = rd::rd_kafka_TopicDescription_topic_id(topic);
        let most = rd::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned();
        let least = rd::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned();
        let id = (u128::from(most) << 64) | u128::from(least);
        let mut count = 0;
        let rows = rd::rd_kafka_TopicDescription_partitions(topic, &raw mut count);
        let partitions = list(rows, count).iter().filter_map(|&row| {
            let leader = NonNull::new(rd::rd_kafka_TopicPartitionInfo_leader(row).cast_mut());
            let leader = leader.map_or(-1, |leader| rd::rd_kafka_Node_id(leader.as_ptr()));
            with_leader(rd::rd_kafka_TopicPartitionInfo_partition(row), leader)
        });
        topic_of((id != 0).then_some(TopicId(id)), partitions.collect())
    }
}

unsafe fn metadata_topic(topic: &rd::rd_kafka_metadata_topic) -> (String, Outcome<Topic>) {
    // SAFETY: the metadata lives until the caller destroys it.
    unsafe {
        let name = string(topic.topic);
        let code = (&raw const topic.err).cast::<i32>().read();
        let rows = list(topic.partitions, topic.partition_cnt).iter();
        let partitions = rows.filter_map(|row| with_leader(row.id, row.leader)).collect();
        let outcome = result(code).map(|()| topic_of(None, partitions));
        (name, outcome)
    }
}

unsafe fn group_answer(event: *mut rd::rd_kafka_event_t) -> Outcome<Answer> {
    // SAFETY: as in `committed_answer`.
    unsafe {
        let result = rd::rd_kafka_event_DescribeConsumerGroups_result(event);
        let mut count = 0;
        let groups = rd::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        let Some(&group) = list(groups, count).first() else { return Err(missing("group")) };
        error(rd::rd_kafka_ConsumerGroupDescription_error(group))?;
        let members = (0..rd::rd_kafka_ConsumerGroupDescription_member_count(group)).map(|index| {
            let member = rd::rd_kafka_ConsumerGroupDescription_member(group, index);
            let assignment = NonNull::new(rd::rd_kafka_MemberDescription_assignment(member).cast_mut());
            let assignment =
                assignment.map_or(ptr::null(), |given| rd::rd_kafka_MemberAssignment_partitions(given.as_ptr()));
            GroupMember {
                client_id: string(rd::rd_kafka_MemberDescription_client_id(member)),
                assignment: partitions(assignment).iter().map(partition).collect(),
            }
        });
        let state = rd::rd_kafka_consumer_group_state_name(rd::rd_kafka_ConsumerGroupDescription_state(group));
        Ok(Answer::Group(GroupState { state: string(state), members: members.collect() }))
    }
}

// === small parts ===

/// A list of partitions for a request, freed when it is dropped.
struct PartitionList(NonNull<rd::rd_kafka_topic_partition_list_t>);

impl PartitionList {
    fn new(partitions: &[TopicPartition], offset: i64) -> Self {
        let size = c_int::try_from(partitions.len()).unwrap_or(c_int::MAX);
        // SAFETY: the list is made by librdkafka, which aborts when memory is short and never returns null here.
        let list = unsafe { NonNull::new_unchecked(rd::rd_kafka_topic_partition_list_new(size)) };
        let mut name: Option<(&str, CString)> = None;
        for partition in partitions {
            let topic = match name.take() {
                Some((same, topic)) if same == &*partition.topic => topic,
                _ => text(&partition.topic),
            };
            let number = i32::try_from(partition.partition.0).unwrap_or(i32::MAX);
            // SAFETY: the list copies the name; the element it returns is valid until the next one is added.
            unsafe { (*rd::rd_kafka_topic_partition_list_add(list.as_ptr(), topic.as_ptr(), number)).offset = offset };
            name = Some((&partition.topic, topic));
        }
        Self(list)
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { rd::rd_kafka_topic_partition_list_destroy(self.0.as_ptr()) };
    }
}

/// # Safety
/// `items` must point to `count` valid items, or be null.
unsafe fn list<'a, T>(items: *const T, count: impl TryInto<usize>) -> &'a [T] {
    let count = count.try_into().unwrap_or(0);
    // SAFETY: as the caller promises.
    if items.is_null() { &[] } else { unsafe { slice::from_raw_parts(items, count) } }
}

/// # Safety
/// `list` must be valid, or null.
unsafe fn partitions<'a>(from: *const rd::rd_kafka_topic_partition_list_t) -> &'a [rd::rd_kafka_topic_partition_t] {
    // SAFETY: as the caller promises.
    if from.is_null() { &[] } else { unsafe { list((*from).elems, (*from).cnt) } }
}

fn partition(row: &rd::rd_kafka_topic_partition_t) -> TopicPartition {
    // SAFETY: the name of a row is a string that lives as long as the row.
    let topic = unsafe { string(row.topic) };
    TopicPartition { topic: topic.into(), partition: PartitionId(u32::try_from(row.partition).unwrap_or(u32::MAX)) }
}

fn partition_error(row: &rd::rd_kafka_topic_partition_t) -> Outcome<()> {
    // SAFETY: the field is an int in C; read as one, a code that the bindings do not know is harmless.
    let code = unsafe { (&raw const row.err).cast::<i32>().read() };
    result(code)
}

fn with_leader(partition: i32, leader: i32) -> Option<(PartitionId, Option<BrokerId>)> {
    let partition = PartitionId(u32::try_from(partition).ok()?);
    Some((partition, (leader >= 0).then_some(BrokerId(leader))))
}

fn topic_of(id: Option<TopicId>, mut partitions: Vec<(PartitionId, Option<BrokerId>)>) -> Topic {
    partitions.sort_unstable();
    Topic { id, partitions }
}

/// # Safety
/// `error` must be valid, or null.
unsafe fn error(error: *const rd::rd_kafka_error_t) -> Outcome<()> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: as the caller promises; the text is copied.
    let (code, text) = unsafe { (error_code(error), string(rd::rd_kafka_error_string(error))) };
    if code == 0 { Ok(()) } else { Err(NativeError { code, text }) }
}

fn result(code: i32) -> Outcome<()> {
    if code == 0 { Ok(()) } else { Err(NativeError { code, text: super::row_error::describe(code) }) }
}

fn missing(what: &str) -> NativeError {
    let code = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__BAD_MSG as i32;
    NativeError { code, text: format!("the answer has no {what}") }
}

fn no_answer() -> NativeError {
    let code = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TRANSPORT as i32;
    NativeError { code, text: "the leader did not answer".into() }
}

/// # Safety
/// `from` must be a string that ends with a NUL, or null.
unsafe fn string(from: *const c_char) -> String {
    // SAFETY: as the caller promises.
    if from.is_null() { String::new() } else { unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned() }
}

/// A NUL cannot be part of a name or value; text behind one is cut off.
fn text(from: &str) -> CString {
    let end = from.find('\0').unwrap_or(from.len());
    CString::new(from.get(..end).unwrap_or_default()).unwrap_or_default()
}

fn buffer(from: &[c_char]) -> String {
    let bytes: Vec<u8> = from.iter().take_while(|&&byte| byte != 0).map(|byte| byte.cast_unsigned()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Every unsafe line of the crate: librdkafka's client, its requests and its events, as safe values.

#![allow(clippy::wildcard_imports, reason = "what begins with rd_kafka_ is librdkafka's")]
#![expect(unsafe_code, reason = "librdkafka's requests for other groups' offsets have no safe interface")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::BorrowedFd;
use std::ptr;
use std::time::Duration;

use rdkafka::bindings::*;
use socket2::{SockAddr, SockRef};

use super::words::{
    Event, Failure, Metadata, NativeToken, PartitionRow, Reply, Sent, TopicFound, TopicRow, c_string, millis, named,
};
use crate::lag::PartitionId;
use crate::source::kafka::reach::{REFUSED, Reach, connect_to_other_host};
use crate::source::kafka::transport::{BrokerId, GroupMember, GroupState, LogPosition, TopicName, TopicPartition};

/// The longest that librdkafka accepts; see the head of the module above.
const COORDINATOR_TIMEOUT: Duration = Duration::from_hours(1);
const TEXT: usize = 512;

/// A client and its queues. Dropping it blocks until its threads have ended.
pub(super) struct Handle {
    rk: *mut rd_kafka_t,
    /// Errors, log lines and, by way of `admin`, results.
    main: *mut rd_kafka_queue_t,
    admin: *mut rd_kafka_queue_t,
}

// SAFETY: librdkafka's client and queues may be used by any thread at any time.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: nobody uses the handle any more.
        unsafe {
            rd_kafka_queue_destroy(self.admin);
            rd_kafka_queue_destroy(self.main);
            rd_kafka_destroy_flags(self.rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        }
    }
}

impl Handle {
    /// A consumer-type client whose errors, log lines and calls for a token come as events.
    pub(super) fn open(properties: &[(String, String)], reach: Reach) -> Result<Self, Failure> {
        let mut error: [c_char; TEXT] = [0; TEXT];
        // SAFETY: the configuration is destroyed on each way out on which `rd_kafka_new` has not taken it; texts outlive the calls.
        unsafe {
            let conf = rd_kafka_conf_new();
            for (name, value) in properties {
                let set = c_string(name).and_then(|name| Ok((name, c_string(value)?))).and_then(|(name, value)| {
                    match rd_kafka_conf_set(conf, name.as_ptr(), value.as_ptr(), error.as_mut_ptr(), error.len()) {
                        rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
                        _ => Err(Failure::invalid(text(error.as_ptr()))),
                    }
                });
                if let Err(failure) = set {
                    rd_kafka_conf_destroy(conf);
                    return Err(failure);
                }
            }
            let events = RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH;
            rd_kafka_conf_set_events(conf, events);
            rd_kafka_conf_set_connect_cb(conf, (reach == Reach::OtherHosts).then_some(dial));
            let rk = rd_kafka_new(rd_kafka_type_t::RD_KAFKA_CONSUMER, conf, error.as_mut_ptr(), error.len());
            if rk.is_null() {
                rd_kafka_conf_destroy(conf);
                return Err(Failure::invalid(text(error.as_ptr())));
            }
            let (main, admin) = (rd_kafka_queue_get_main(rk), rd_kafka_queue_new(rk));
            rd_kafka_queue_forward(admin, main);
            rd_kafka_set_log_queue(rk, main);
            Ok(Self { rk, main, admin })
        }
    }

    /// The next event; `None` after `timeout` or when somebody calls [`Handle::wake`].
    pub(super) fn poll(&self, timeout: Duration) -> Option<Event> {
        // SAFETY: the event is ours until it is destroyed, after everything was copied.
        unsafe {
            let event = rd_kafka_queue_poll(self.main, millis(timeout));
            if event.is_null() {
                return None;
            }
            let copy = read_event(event);
            rd_kafka_event_destroy(event);
            Some(copy)
        }
    }

    /// Ends a `poll` that waits, or the next one.
    pub(super) fn wake(&self) {
        // SAFETY: the queue is valid.
        unsafe { rd_kafka_queue_yield(self.main) };
    }

    /// Blocks up to `timeout`.
    pub(super) fn metadata(&self, topic: Option<&str>, timeout: Duration) -> Result<Metadata, Failure> {
        let name = topic.map(c_string).transpose()?;
        let mut found = ptr::null();
        // SAFETY: the name outlives the call; no configuration is passed.
        let only = name.as_ref().map(|name| unsafe { rd_kafka_topic_new(self.rk, name.as_ptr(), ptr::null_mut()) });
        if only.is_some_and(<*mut rd_kafka_topic_t>::is_null) {
            return Err(Failure::invalid("not a topic's name".to_owned()));
        }
        // Asking for "locally known" topics would let the broker create those that have been deleted: never null and 0.
        // SAFETY: the topic is this client's; `found` is written on success.
        let code = unsafe {
            let all = c_int::from(only.is_none());
            rd_kafka_metadata(self.rk, all, only.unwrap_or(ptr::null_mut()), &raw mut found, millis(timeout))
        } as i32;
        if let Some(only) = only {
            // SAFETY: made above, and used no more.
            unsafe { rd_kafka_topic_destroy(only) };
        }
        if code != 0 {
            return Err(Failure::of(code));
        }
        // SAFETY: `found` is valid until it is destroyed, here, after everything was copied. No reference to a topic is made, for
        // its error may be a number that the enum does not know.
        unsafe {
            let count = usize::try_from((*found).topic_cnt).unwrap_or(0);
            let topics = (0..count).map(|index| text((*(*found).topics.add(index)).topic).into()).collect();
            let count = usize::try_from((*found).broker_cnt).unwrap_or(0);
            let brokers = slice((*found).brokers.cast_const(), count).iter();
            let brokers: Result<_, _> =
                brokers.map(|broker| named(broker.id, text(broker.host), broker.port)).collect();
            rd_kafka_metadata_destroy(found);
            Ok(Metadata { brokers: brokers?, topics })
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
                self.rk,
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
        let code = unsafe { rd_kafka_oauthbearer_set_token_failure(self.rk, why.as_ptr()) } as i32;
        if code == 0 { Ok(()) } else { Err(Failure::of(code)) }
    }

    pub(super) fn committed(&self, group: &str, partitions: Option<&[TopicPartition]>, key: usize) -> Sent {
        let group = c_string(group)?;
        let list = partitions.map(|partitions| List::new(partitions, RD_KAFKA_OFFSET_INVALID.into())).transpose()?;
        let options = Options::new(self.rk, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, key);
        options.timeout(COORDINATOR_TIMEOUT);
        // SAFETY: group, list and options live until the end of the call; librdkafka copies them.
        unsafe {
            let list = list.as_ref().map_or(ptr::null(), |list| list.0.cast_const());
            let request = rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), list);
            let mut requests = [request];
            rd_kafka_ListConsumerGroupOffsets(self.rk, requests.as_mut_ptr(), 1, options.0, self.admin);
            rd_kafka_ListConsumerGroupOffsets_destroy(request);
        }
        Ok(())
    }

    pub(super) fn offsets(&self, asked: &[TopicPartition], at: LogPosition, timeout: Duration, key: usize) -> Sent {
        let (spec, isolation) = match at {
            LogPosition::Start => (-2, rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED),
            LogPosition::End => (-1, rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED),
            LogPosition::StableEnd => (-1, rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED),
        };
        let list = List::new(asked, spec)?;
        let options = Options::new(self.rk, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, key);
        options.timeout(timeout);
        // SAFETY: list and options live until the end of the call; librdkafka copies them. The isolation level is accepted for
        // this request, so no error object comes back.
        unsafe {
            rd_kafka_AdminOptions_set_isolation_level(options.0, isolation);
            rd_kafka_ListOffsets(self.rk, list.0, options.0, self.admin);
        }
        Ok(())
    }

    pub(super) fn topics(&self, names: &[TopicName], from: BrokerId, timeout: Duration, key: usize) -> Sent {
        let names = names.iter().map(|name| c_string(name)).collect::<Result<Vec<_>, _>>()?;
        let mut pointers = names.iter().map(|name| name.as_ptr()).collect::<Vec<_>>();
        let options = Options::new(self.rk, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, key);
        options.timeout(timeout);
        let mut error: [c_char; TEXT] = [0; TEXT];
        // SAFETY: names and options live until the end of the call; librdkafka copies them.
        unsafe {
            // Not the controller, which is the default: its name is old for as long as it is dead.
            rd_kafka_AdminOptions_set_broker(options.0, from.0, error.as_mut_ptr(), error.len());
            let topics = rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            rd_kafka_DescribeTopics(self.rk, topics, options.0, self.admin);
            rd_kafka_TopicCollection_destroy(topics);
        }
        Ok(())
    }

    pub(super) fn group(&self, group: &str, key: usize) -> Sent {
        let group = c_string(group)?;
        let options = Options::new(self.rk, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, key);
        options.timeout(COORDINATOR_TIMEOUT);
        let mut groups = [group.as_ptr()];
        // SAFETY: group and options live until the end of the call; librdkafka copies them.
        unsafe {
            rd_kafka_DescribeConsumerGroups(self.rk, groups.as_mut_ptr(), 1, options.0, self.admin);
        }
        Ok(())
    }
}

/// librdkafka connects by it where a client may not reach every address.
///
/// # Safety
/// `fd` must be an open socket, and `to` have `len` bytes.
unsafe extern "C" fn dial(fd: c_int, to: *const libc::sockaddr, len: c_int, _: *const c_char, _: *mut c_void) -> c_int {
    // SAFETY: the caller's; no address is longer than the place for it.
    let (fd, to) = unsafe {
        let to = SockAddr::try_init(|place, size| {
            *size = u32::try_from(len).unwrap_or(0).min(*size);
            to.cast::<u8>().copy_to_nonoverlapping(place.cast(), *size as usize);
            Ok(())
        });
        (BorrowedFd::borrow_raw(fd), to)
    };
    to.map_or(REFUSED, |((), to)| connect_to_other_host(&SockRef::from(&fd), &to))
}

/// # Safety
/// `event` must be valid.
unsafe fn read_event(event: *mut rd_kafka_event_t) -> Event {
    // SAFETY: each field is asked of the type of event that has it.
    unsafe {
        match rd_kafka_event_type(event) {
            RD_KAFKA_EVENT_LOG => {
                let (mut facility, mut line, mut severity) = (ptr::null(), ptr::null(), 0);
                rd_kafka_event_log(event, &raw mut facility, &raw mut line, &raw mut severity);
                Event::Log { severity, facility: text(facility), line: text(line) }
            }
            RD_KAFKA_EVENT_ERROR => {
                Event::Error(Failure { code: event_error(event), text: text(rd_kafka_event_error_string(event)) })
            }
            RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH => Event::TokenWanted,
            kind => {
                let result = match event_error(event) {
                    0 => read(kind, event),
                    code => Err(Failure { code, text: text(rd_kafka_event_error_string(event)) }),
                };
                Event::Result { key: rd_kafka_event_opaque(event).addr(), result }
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
                let group = slice(groups.cast_const(), count).first().ok_or_else(Failure::without_group)?;
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
                let group = slice(groups.cast_const(), count).first().ok_or_else(Failure::without_group)?;
                error_of(rd_kafka_ConsumerGroupDescription_error(*group))?;
                Ok(Reply::Group(read_group(*group)))
            }
            other => Err(Failure::invalid(format!("an event of unknown type {other}"))),
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
            let id = text(rd_kafka_MemberDescription_consumer_id(member));
            let client_id = text(rd_kafka_MemberDescription_client_id(member));
            GroupMember { id, client_id, assignment: assignment.collect() }
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
        let error = (code != 0).then(|| Failure::of(code));
        self.done.push(PartitionRow { topic, partition, offset, error });
    }
}

/// Owns a list of partitions.
struct List(*mut rd_kafka_topic_partition_list_t);

impl List {
    fn new(partitions: &[TopicPartition], offset: i64) -> Result<Self, Failure> {
        // SAFETY: the size is a hint.
        let list = Self(unsafe { rd_kafka_topic_partition_list_new(c_int::try_from(partitions.len()).unwrap_or(0)) });
        let mut before: Option<(&str, CString)> = None;
        for TopicPartition { topic, partition } in partitions {
            let name = match before.take() {
                Some((name, copy)) if name == &**topic => copy,
                _ => c_string(topic)?,
            };
            let partition = i32::try_from(partition.0).map_err(|_| Failure::invalid("no such partition".to_owned()))?;
            // SAFETY: the list is valid and copies the name; it gives a valid place back.
            unsafe { (*rd_kafka_topic_partition_list_add(list.0, name.as_ptr(), partition)).offset = offset };
            before = Some((topic, name));
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

type Coded<Of, Code> = unsafe extern "C" fn(Of) -> Code;

/// The number of an event's error, which may be one that the generated enum does not know.
///
/// # Safety
/// `event` must be valid.
unsafe fn event_error(event: *mut rd_kafka_event_t) -> i32 {
    // SAFETY: the enum is represented as an `i32`.
    unsafe { std::mem::transmute::<Coded<_, rd_kafka_resp_err_t>, Coded<_, i32>>(rd_kafka_event_error)(event) }
}

/// # Safety
/// `error` must be null or valid.
unsafe fn error_of(error: *const rd_kafka_error_t) -> Result<(), Failure> {
    // SAFETY: the enum is represented as an `i32`; the text belongs to the error and is copied. Null is "no error" to both.
    unsafe {
        match std::mem::transmute::<Coded<_, rd_kafka_resp_err_t>, Coded<_, i32>>(rd_kafka_error_code)(error) {
            0 => Ok(()),
            code => Err(Failure { code, text: text(rd_kafka_error_string(error)) }),
        }
    }
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

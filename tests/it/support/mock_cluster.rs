//! librdkafka's mock cluster, with its requests counted, through the raw interface: the safe one cannot count.

#![allow(unsafe_code, reason = "the safe mock cluster neither counts requests nor clears one broker's errors")]

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings::*;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

pub(crate) const LIST_OFFSETS: i16 = 2;
pub(crate) const METADATA: i16 = 3;
pub(crate) const OFFSET_FETCH: i16 = 9;
pub(crate) const FIND_COORDINATOR: i16 = 10;

pub(crate) use rdkafka::bindings::rd_kafka_resp_err_t as Code;

/// A cluster inside this process, reached over TCP.
pub(crate) struct MockCluster {
    rk: *mut rd_kafka_t,
    cluster: *mut rd_kafka_mock_cluster_t,
}

// SAFETY: librdkafka's mock cluster hands every call to its own thread.
unsafe impl Send for MockCluster {}
// SAFETY: as above.
unsafe impl Sync for MockCluster {}

impl MockCluster {
    pub(crate) fn new(brokers: i32) -> Self {
        // SAFETY: a configuration without changes is accepted, and taken by the client.
        unsafe {
            let rk = rd_kafka_new(rd_kafka_type_t::RD_KAFKA_PRODUCER, rd_kafka_conf_new(), ptr::null_mut(), 0);
            assert!(!rk.is_null());
            let cluster = rd_kafka_mock_cluster_new(rk, brokers);
            assert!(!cluster.is_null());
            rd_kafka_mock_start_request_tracking(cluster);
            // a byte too many is behind its answers in the versions after
            ok(rd_kafka_mock_set_apiversion(cluster, METADATA, 0, 8));
            Self { rk, cluster }
        }
    }

    pub(crate) fn bootstrap(&self) -> String {
        // SAFETY: the text lives as long as the cluster.
        unsafe { CStr::from_ptr(rd_kafka_mock_cluster_bootstraps(self.cluster)) }.to_string_lossy().into_owned()
    }

    /// A topic whose partition `p` is led by broker `1 + p % brokers`.
    pub(crate) fn topic(&self, name: &str, partitions: i32, brokers: i32) {
        let c_name = CString::new(name).unwrap();
        // SAFETY: the name outlives the call.
        let code = unsafe { rd_kafka_mock_topic_create(self.cluster, c_name.as_ptr(), partitions, brokers) };
        ok(code);
        // Each takes the mock cluster's thread up to a second.
        for partition in (0..partitions).filter(|_| brokers > 1) {
            self.leader(name, partition, 1 + partition % brokers);
        }
    }

    pub(crate) fn leader(&self, topic: &str, partition: i32, broker: i32) {
        let topic = CString::new(topic).unwrap();
        // SAFETY: the name outlives the call.
        ok(unsafe { rd_kafka_mock_partition_set_leader(self.cluster, topic.as_ptr(), partition, broker) });
    }

    pub(crate) fn coordinator(&self, group: &str, broker: i32) {
        let group = CString::new(group).unwrap();
        // SAFETY: both texts outlive the call.
        ok(unsafe { rd_kafka_mock_coordinator_set(self.cluster, c"group".as_ptr(), group.as_ptr(), broker) });
    }

    pub(crate) fn down(&self, broker: i32) {
        // SAFETY: the cluster is valid.
        ok(unsafe { rd_kafka_mock_broker_set_down(self.cluster, broker) });
    }

    pub(crate) fn up(&self, broker: i32) {
        // SAFETY: the cluster is valid.
        ok(unsafe { rd_kafka_mock_broker_set_up(self.cluster, broker) });
    }

    pub(crate) fn slow(&self, broker: i32, delay: Duration) {
        let millis = i32::try_from(delay.as_millis()).unwrap();
        // SAFETY: the cluster is valid.
        ok(unsafe { rd_kafka_mock_broker_set_rtt(self.cluster, broker, millis) });
    }

    /// The next `times` requests for `api` fail.
    pub(crate) fn fail(&self, api: i16, error: Code, times: usize) {
        let errors = vec![error; times];
        // SAFETY: the array has the length that is given and is copied.
        unsafe { rd_kafka_mock_push_request_errors_array(self.cluster, api, errors.len(), errors.as_ptr()) };
    }

    pub(crate) fn heal(&self, api: i16) {
        // SAFETY: the cluster is valid.
        unsafe { rd_kafka_mock_clear_request_errors(self.cluster, api) };
    }

    /// The requests for `api` since the last call of `forget_requests`.
    pub(crate) fn requests(&self, api: i16) -> usize {
        let mut count = 0;
        // SAFETY: the array has `count` valid elements and is destroyed here.
        unsafe {
            let all = rd_kafka_mock_get_requests(self.cluster, &raw mut count);
            let of_api = (0..count).filter(|index| rd_kafka_mock_request_api_key(*all.add(*index)) == api).count();
            rd_kafka_mock_request_destroy_array(all, count);
            of_api
        }
    }

    pub(crate) fn forget_requests(&self) {
        // SAFETY: the cluster is valid.
        unsafe { rd_kafka_mock_clear_requests(self.cluster) };
    }

    /// Appends records to a partition.
    pub(crate) fn produce(&self, topic: &str, partition: i32, records: usize) {
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create().unwrap();
        for _ in 0..records {
            producer.send(BaseRecord::<(), str>::to(topic).partition(partition).payload("x")).unwrap();
        }
        producer.flush(Duration::from_secs(10)).unwrap();
    }

    /// Commits `offset` for partitions of a topic, as `group`, which it does not join.
    pub(crate) fn commit(&self, group: &str, topic: &str, partitions: &[i32], offset: i64) {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", self.bootstrap()).set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition_offset(topic, *partition, Offset::Offset(offset)).unwrap();
        }
        consumer.commit(&list, CommitMode::Sync).unwrap();
    }
}

impl Drop for MockCluster {
    fn drop(&mut self) {
        // SAFETY: nobody else has either.
        unsafe {
            rd_kafka_mock_cluster_destroy(self.cluster);
            rd_kafka_destroy(self.rk);
        }
    }
}

fn ok(code: Code) {
    assert_eq!(code, Code::RD_KAFKA_RESP_ERR_NO_ERROR);
}

//! A round on one cluster, with brokers that do what none does on demand: on a paused clock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keda_stream_scaler::lag::{FORGET_AFTER, Report, SourceErrorKind};
use keda_stream_scaler::source::kafka::Cluster;
use keda_stream_scaler::trigger::{SourceRef, Trigger};
use tokio::time::{Instant, sleep};

use crate::support::scripted_transport::{Script, Secrecy};
use crate::support::server::scaled_object;

/// When each source was reported, in milliseconds, and its error.
type Reported = HashMap<String, (u128, Option<SourceErrorKind>)>;

fn source(group: &str, topic: &str) -> Arc<SourceRef> {
    Arc::new(Trigger::parse(&scaled_object(group, &[("topic", topic)]).scaler_metadata).unwrap().source)
}

fn without_topic(group: &str) -> Arc<SourceRef> {
    let mut metadata = scaled_object(group, &[]).scaler_metadata;
    metadata.remove("topic");
    Arc::new(Trigger::parse(&metadata).unwrap().source)
}

/// The same group, of which it is to be told who works on what.
fn followed(group: &str, topic: &str) -> Arc<SourceRef> {
    let mut metadata = scaled_object(group, &[("topic", topic), ("scaleOn", "catchUp")]).scaler_metadata;
    metadata.remove("allowIdleConsumers");
    Arc::new(Trigger::parse(&metadata).unwrap().source)
}

async fn round(cluster: &Cluster<Script>, sources: &[(&str, &str)]) -> Reported {
    round_of(cluster, sources.iter().map(|(group, topic)| source(group, topic)).collect()).await
}

async fn round_of(cluster: &Cluster<Script>, sources: Vec<Arc<SourceRef>>) -> Reported {
    let begun = Instant::now();
    let reported = Arc::new(Mutex::new(Reported::new()));
    let report: Report = {
        let reported = reported.clone();
        Arc::new(move |source, outcome| {
            let SourceRef::Kafka(kafka) = source.as_ref() else { panic!("a Kafka source") };
            let seen = (begun.elapsed().as_millis(), outcome.err().map(|error| error.kind()));
            let before = reported.lock().unwrap().insert(kafka.group.to_string(), seen);
            assert!(before.is_none(), "each source is reported once");
        })
    };
    cluster.observe(sources, &report).await;
    reported.lock().unwrap().clone()
}

fn cluster(topics: &[(&str, i32)]) -> (Script, Cluster<Script>) {
    let script = Script::default();
    for (topic, leader) in topics {
        script.lead(topic, *leader);
    }
    (script.clone(), Cluster::new(script))
}

#[tokio::test(start_paused = true)]
async fn commits_are_read_before_the_ends_of_the_logs() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    assert_eq!(round(&cluster, &[("a", "orders")]).await["a"], (0, None));
    let mut asked: Vec<_> = script.asked().into_iter().filter(|asked| !asked.starts_with("members")).collect();
    asked[2..].sort();
    assert_eq!(asked, ["topics", "committed a", "End of orders at 1", "Start of orders at 1"]);
}

#[tokio::test(start_paused = true)]
async fn what_two_sources_share_is_asked_once() {
    let (script, cluster) = cluster(&[("orders", 1), ("payments", 1)]);
    round(&cluster, &[("a", "orders"), ("b", "orders"), ("a", "payments")][..2]).await;
    let ends = script.asked().iter().filter(|asked| *asked == "End of orders at 1").count();
    assert_eq!(ends, 1);
}

/// K8
#[tokio::test(start_paused = true)]
async fn a_silent_leader_of_those_who_came_first_does_not_hold_up_those_who_come_later() {
    let (script, cluster) = cluster(&[("orders", 1), ("payments", 2)]);
    script.silence_broker(1);
    script.slow_group("b", Duration::from_millis(300));
    let reported = round(&cluster, &[("a", "orders"), ("b", "payments")]).await;
    assert_eq!(reported["a"].1, Some(SourceErrorKind::TimedOut));
    assert!(reported["b"].1.is_none() && reported["b"].0 < 600, "{reported:?}");
}

/// K8
#[tokio::test(start_paused = true)]
async fn a_silent_coordinator_of_a_group_whose_topics_are_looked_up_does_not_hold_up_those_that_name_them() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    script.silence_group("a");
    let reported = round_of(&cluster, vec![without_topic("a"), source("b", "orders")]).await;
    assert_eq!(reported["a"].1, Some(SourceErrorKind::TimedOut));
    assert!(reported["b"].1.is_none() && reported["b"].0 < 300, "{reported:?}");
}

/// K8
#[tokio::test(start_paused = true)]
async fn a_silent_coordinator_of_a_group_whose_topics_are_looked_up_does_not_hold_up_another_such_group() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    script.silence_group("a");
    let reported = round_of(&cluster, vec![without_topic("a"), without_topic("b")]).await;
    assert_eq!(reported["a"].1, Some(SourceErrorKind::TimedOut));
    assert!(reported["b"].1.is_none() && reported["b"].0 < 600, "{reported:?}");
}

/// K4: KEDA requests the selected partitions only.
#[tokio::test(start_paused = true)]
async fn a_partition_that_is_not_selected_may_have_no_leader() {
    let (script, cluster) = cluster(&[]);
    script.lead_each("orders", &[Some(1), None, Some(2)]);
    for (limitation, error) in
        [("0", None), ("0,2", None), ("0-1", Some(SourceErrorKind::Unreachable)), ("7", Some(SourceErrorKind::Missing))]
    {
        for policy in ["lag", "catchUp"] {
            let mut metadata = scaled_object("a", &[("topic", "orders"), ("scaleOn", policy)]).scaler_metadata;
            metadata.remove("allowIdleConsumers");
            metadata.insert("partitionLimitation".into(), limitation.into());
            let source = Arc::new(Trigger::parse(&metadata).unwrap().source);
            assert_eq!(round_of(&cluster, vec![source]).await["a"].1, error, "{limitation} {policy}");
        }
    }
    let asked = script.asked().iter().filter(|asked| *asked == "End of orders at 2").count();
    assert_eq!(asked, 2, "of those that select it");
}

/// K6: a topic without a commit counted for as long as the scaler ran.
#[tokio::test(start_paused = true)]
async fn a_topic_that_has_left_a_group_counts_no_more_and_a_hidden_one_is_an_error() {
    let (script, cluster) = cluster(&[("orders", 1), ("payments", 2), ("stock", 3)]);
    let ends_of =
        |topic: &str| script.asked().iter().filter(|asked| asked.starts_with(&format!("End of {topic}"))).count();
    script.commit("a", &["orders", "payments"]);
    script.assign("a", Some("stock"));
    assert_eq!(round_of(&cluster, vec![without_topic("a")]).await["a"].1, None);
    assert_eq!([ends_of("orders"), ends_of("payments"), ends_of("stock")], [1; 3]);

    // the commits for one expire, and the member of another one leaves
    script.commit("a", &["orders"]);
    script.assign("a", None);
    sleep(Duration::from_secs(11)).await;
    assert_eq!(round_of(&cluster, vec![without_topic("a")]).await["a"].1, None);
    assert_eq!([ends_of("orders"), ends_of("payments"), ends_of("stock")], [2, 1, 1]);

    // one that is left out because the principal may not see it has not left
    script.hide("orders");
    sleep(Duration::from_secs(11)).await;
    assert_eq!(round_of(&cluster, vec![without_topic("a")]).await["a"].1, Some(SourceErrorKind::Denied));
    sleep(Duration::from_secs(11)).await;
    assert_eq!(round_of(&cluster, vec![without_topic("a")]).await["a"].1, Some(SourceErrorKind::Denied));
}

#[tokio::test(start_paused = true)]
async fn the_type_of_a_group_is_looked_up_until_it_has_read_something() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    let asked = |what: &str| script.asked().iter().filter(|asked| *asked == what).count();
    script.share("a");
    script.commit("new", &[]);
    let sources = [("a", "orders"), ("b", "orders"), ("new", "orders")];
    for _ in 0..3 {
        let reported = round(&cluster, &sources).await;
        assert!(reported.values().all(|(after_ms, error)| *after_ms <= 250 && error.is_none()), "{reported:?}");
    }
    assert_eq!([asked("committed a"), asked("shared a"), asked("members of a")], [1, 3, 1]);
    assert_eq!([asked("committed b"), asked("shared b"), asked("members of b")], [3, 0, 1]);
    assert_eq!(asked("members of new"), 1);
    sleep(Duration::from_secs(11)).await;
    // it has begun as a share group, and the other one has been deleted and recreated as a consumer group
    script.share("new");
    script.commit("new", &["orders"]);
    assert_eq!(round(&cluster, &sources).await["new"].1, None);
    assert_eq!([asked("members of new"), asked("shared new"), asked("members of a")], [2, 1, 1]);

    // a followed group shows its type in every round
    script.commit("late", &[]);
    for _ in 0..3 {
        assert_eq!(round_of(&cluster, vec![followed("late", "orders")]).await["late"].1, None);
    }
    script.share("late");
    script.commit("late", &["orders"]);
    assert_eq!(round_of(&cluster, vec![followed("late", "orders")]).await["late"].1, None);
    assert_eq!(asked("shared late"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_group_type_that_the_trigger_names_must_be_the_group_s() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    script.share("shared");
    for (group, group_type, error) in [
        ("shared", "share", None),
        ("shared", "auto", None),
        ("shared", "consumer", Some(SourceErrorKind::Missing)),
        ("other", "consumer", None),
        ("other", "auto", None),
        ("other", "share", Some(SourceErrorKind::Missing)),
    ] {
        for _ in 0..2 {
            let changes = [("topic", "orders"), ("groupType", group_type)];
            let source = Trigger::parse(&scaled_object(group, &changes).scaler_metadata).unwrap().source;
            assert_eq!(round_of(&cluster, vec![Arc::new(source)]).await[group].1, error, "{group} {group_type}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_topics_of_a_share_group_are_those_that_it_has_read() {
    let (script, cluster) = cluster(&[("orders", 1), ("payments", 2)]);
    script.share("a");
    script.commit("a", &["payments"]);
    assert_eq!(round_of(&cluster, vec![without_topic("a")]).await["a"].1, None);
    assert!(!script.asked().iter().any(|asked| asked.starts_with("End of orders")));
    assert!(script.asked().iter().any(|asked| asked.starts_with("End of payments")));
}

/// K6: no topic at all is no lag of zero.
#[tokio::test(start_paused = true)]
async fn a_group_whose_last_topic_has_left_is_an_error() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    assert_eq!(round_of(&cluster, vec![without_topic("a")]).await["a"].1, None);
    script.commit("a", &[]);
    sleep(Duration::from_secs(11)).await;
    assert_eq!(round_of(&cluster, vec![without_topic("a")]).await["a"].1, Some(SourceErrorKind::Missing));
}

/// K11: it was "leaders are moving" for as long as anybody looked.
#[tokio::test(start_paused = true)]
async fn a_partition_that_nobody_leads_says_so_and_is_right_once_somebody_does() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    script.lead_each("orders", &[None]);
    let error = Arc::new(Mutex::new(None));
    let report: Report = {
        let error = error.clone();
        Arc::new(move |_, outcome| *error.lock().unwrap() = outcome.err())
    };
    cluster.observe(vec![source("a", "orders")], &report).await;
    let error = error.lock().unwrap().take().expect("nobody leads it");
    assert_eq!(error.kind(), SourceErrorKind::Unreachable);
    assert!(error.chain().contains("names no leader of the partition; start the brokers"), "{}", error.chain());
    script.lead("orders", 2);
    assert_eq!(round(&cluster, &[("a", "orders")]).await["a"].1, None);
}

#[tokio::test(start_paused = true)]
async fn a_silent_coordinator_holds_up_its_group_only() {
    let (script, cluster) = cluster(&[("orders", 1), ("payments", 2)]);
    script.silence_group("a");
    let reported = round(&cluster, &[("a", "orders"), ("b", "payments"), ("c", "orders")]).await;
    assert_eq!(reported["a"].1, Some(SourceErrorKind::TimedOut));
    for group in ["b", "c"] {
        let (after_ms, error) = reported[group];
        assert!(after_ms <= 250 && error.is_none(), "{group}: {after_ms} ms, {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_leader_holds_up_its_partitions_only() {
    let (script, cluster) = cluster(&[("orders", 1), ("payments", 2)]);
    script.silence_broker(2);
    let reported = round(&cluster, &[("a", "orders"), ("b", "payments")]).await;
    assert_eq!(reported["a"], (0, None));
    let (after_ms, error) = reported["b"];
    assert_eq!(error, Some(SourceErrorKind::TimedOut));
    assert!(after_ms <= 2500, "{after_ms} ms");
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_is_asked_while_the_old_one_is_awaited() {
    let (script, cluster) = cluster(&[("payments", 2)]);
    round(&cluster, &[("b", "payments")]).await;
    script.silence_broker(2);
    let elected = {
        let script = script.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(700)).await;
            script.lead("payments", 3);
        })
    };
    let (after_ms, error) = round(&cluster, &[("b", "payments")]).await["b"];
    elected.await.unwrap();
    assert!(error.is_none() && (700..=1100).contains(&after_ms), "{after_ms} ms, {error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_says_it_is_moving_is_looked_up_and_asked_again() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    script.moving(1, 4);
    let (after_ms, error) = round(&cluster, &[("a", "orders")]).await["a"];
    assert!(error.is_none() && after_ms <= 300, "{after_ms} ms, {error:?}");
}

#[tokio::test(start_paused = true)]
async fn leaders_that_move_for_ever_are_an_error_within_the_deadline() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    script.moving(1, usize::MAX);
    let (after_ms, error) = round(&cluster, &[("a", "orders")]).await["a"];
    assert_eq!(error, Some(SourceErrorKind::Unreachable));
    assert!(after_ms <= 2200, "{after_ms} ms");
    assert!(script.asked().len() < 100, "asked at a bounded pace");
}

#[tokio::test(start_paused = true)]
async fn an_absent_topic_is_missing_and_harms_no_other_source() {
    let (_, cluster) = cluster(&[("orders", 1)]);
    let reported = round(&cluster, &[("a", "orders"), ("b", "absent")]).await;
    assert_eq!(reported["a"], (0, None));
    assert_eq!(reported["b"].1, Some(SourceErrorKind::Missing));
}

#[tokio::test(start_paused = true)]
async fn for_strict_apache_kafka_an_absent_topic_is_empty_and_no_partition_is_asked_for() {
    let (script, cluster) = cluster(&[]);
    let changes = [("topic", "absent"), ("source", "apache-kafka"), ("compat", "strict")];
    let source = Trigger::parse(&scaled_object("a", &changes).scaler_metadata).unwrap().source;
    let outcome = Arc::new(Mutex::new(None));
    let report: Report = {
        let outcome = outcome.clone();
        Arc::new(move |_, reported| *outcome.lock().unwrap() = Some(reported.is_ok()))
    };
    cluster.observe(vec![Arc::new(source)], &report).await;
    assert_eq!(*outcome.lock().unwrap(), Some(true));
    assert_eq!(script.asked(), ["topics"]);
}

#[tokio::test(start_paused = true)]
async fn topics_and_starts_of_logs_are_read_once_in_twenty_seconds_while_all_is_well() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    let asked = |what: &str| script.asked().iter().filter(|asked| *asked == what).count();
    for _ in 0..6 {
        assert_eq!(round(&cluster, &[("a", "orders")]).await["a"].1, None);
        sleep(Duration::from_secs(10)).await;
    }
    assert_eq!([asked("topics"), asked("Start of orders at 1"), asked("End of orders at 1")], [3, 3, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_lies_behind_the_end_is_read_again_in_the_same_round() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    script.log("orders", 500, 900);
    assert_eq!(round(&cluster, &[("a", "orders")]).await["a"].1, None);
    // another log under the same name, by brokers that have no topic ids
    script.log("orders", 0, 40);
    assert_eq!(round(&cluster, &[("a", "orders")]).await["a"].1, None);
    let starts = script.asked().iter().filter(|asked| *asked == "Start of orders at 1").count();
    assert_eq!(starts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_was_not_read_for_long_is_forgotten() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    let described = || script.asked().iter().filter(|asked| *asked == "members of a").count();
    for _ in 0..2 {
        round(&cluster, &[("a", "orders")]).await;
    }
    assert_eq!(described(), 1);
    sleep(FORGET_AFTER).await;
    round(&cluster, &[("b", "orders")]).await;
    round(&cluster, &[("a", "orders")]).await;
    assert_eq!(described(), 2);
}

#[tokio::test(start_paused = true)]
async fn two_sources_of_one_topic_may_select_other_partitions_of_it() {
    let (script, cluster) = cluster(&[]);
    script.lead_each("orders", &[Some(1), Some(2), Some(1)]);
    let select = |group: &str, partitions: &str| {
        let mut metadata = scaled_object(group, &[("topic", "orders")]).scaler_metadata;
        metadata.insert("partitionLimitation".to_owned(), partitions.to_owned());
        Arc::new(Trigger::parse(&metadata).unwrap().source)
    };
    let reported = round_of(&cluster, vec![select("a", "0-1"), select("b", "1-2")]).await;
    assert!(reported.values().all(|(at, error)| *at < 300 && error.is_none()), "{reported:?}");
    let ends = |broker: i32| {
        let end = format!("End of orders at {broker}");
        script.asked().iter().filter(|asked| **asked == end).count()
    };
    assert_eq!([ends(1), ends(2)], [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn members_are_read_only_of_groups_that_are_followed() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    for _ in 0..3 {
        let reported = round_of(&cluster, vec![followed("a", "orders"), source("b", "orders")]).await;
        assert_eq!((reported["a"], reported["b"]), ((0, None), (0, None)));
    }
    let asked = |group: &str| script.asked().iter().filter(|asked| **asked == format!("members of {group}")).count();
    assert_eq!((asked("a"), asked("b")), (3, 1), "once for the type of the group");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_does_not_say_who_is_in_it_holds_up_nobody_else() {
    let (script, cluster) = cluster(&[("orders", 1)]);
    script.hide_members("a", Secrecy::Silent);
    let reported =
        round_of(&cluster, vec![followed("a", "orders"), followed("b", "orders"), source("c", "orders")]).await;
    assert_eq!(reported["a"].1, Some(SourceErrorKind::TimedOut));
    for group in ["b", "c"] {
        let (after_ms, error) = reported[group];
        assert!(after_ms <= 250 && error.is_none(), "{group}: {after_ms} ms, {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_members_are_denied_is_an_error_for_those_only_who_follow_it() {
    let (script, cluster) = cluster(&[("orders", 1), ("payments", 1)]);
    script.hide_members("a", Secrecy::Denied);
    let denied = round_of(&cluster, vec![followed("a", "orders")]).await;
    assert_eq!(denied["a"].1, Some(SourceErrorKind::Denied));
    assert_eq!(round(&cluster, &[("a", "orders")]).await["a"], (0, None));
}

//! One odd application, shard, page or list has no effect on the others.

use std::time::Duration;

use tokio::time::sleep;

use super::fake::{Op, Scene};
use super::{FIRST, S, assert_about};
use crate::source::aws::failure::FailureKind;

const SECOND: &str = "shardId-000000000001";

#[tokio::test(start_paused = true)]
async fn a_position_that_is_refused_is_an_error_of_its_own_application_only() {
    let scene = Scene::new(true, &[], 2);
    let shard = scene.world().open(FIRST, &[]);
    let arrived = scene.fake.ago(300);
    let done = scene.world().put(&shard, arrived, 1);
    scene.world().put(&shard, arrived, 1);
    scene.world().lease(&shard, done.as_str(), 0);
    // of a former stream, so DynamoDB rejects it
    scene.world().refused = Some("7".to_owned());
    scene.world().own_rows.insert("application-0".to_owned(), (shard.to_string(), "7".to_owned()));
    for _ in 0..3 {
        let outcomes = scene.round().await;
        let (good, bad): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        let texts: Vec<_> = bad.into_iter().map(|outcome| outcome.expect_err("an error").chain()).collect();
        assert_eq!((good.len(), texts.len()), (1, 1), "{texts:?}");
        assert!(texts[0].contains("application-0"), "{texts:?}");
        sleep(S(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_round_spins_where_a_list_of_kept_pages_is_older_than_a_dispute() {
    let scene = Scene::kinesis(&[]);
    for index in 0..4 {
        let shard = scene.world().open(&format!("shardId-{index:012}"), &[]);
        scene.world().lease(&shard, "TRIM_HORIZON", 0);
    }
    scene.world().page_size = 2;
    assert_about(scene.age().await, 0.0);
    // the first page of the next list is kept, the second one fails
    sleep(S(61)).await;
    scene.world().failing_after.push((Op::List, 1, FailureKind::Throttled));
    scene.round().await;
    let unlisted = crate::lag::streams::ShardId::new("shardId-000000000099");
    scene.world().lease(&unlisted, "TRIM_HORIZON", 0);
    sleep(S(5)).await;
    assert_about(scene.age().await, 0.0);
    assert_eq!(scene.ages(3).await, [0.0; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_list_whose_pages_are_older_than_a_dispute_is_read_anew() {
    let scene = Scene::kinesis(&[]);
    for index in 0..4 {
        let shard = scene.world().open(&format!("shardId-{index:012}"), &[]);
        scene.world().lease(&shard, "TRIM_HORIZON", 0);
    }
    scene.world().page_size = 2;
    assert_about(scene.age().await, 0.0);
    let unlisted = crate::lag::streams::ShardId::new;
    // a first page is read for this dispute and kept, the second one fails
    scene.world().lease(&unlisted("shardId-000000000098"), "TRIM_HORIZON", 0);
    scene.world().failing_after.push((Op::List, 1, FailureKind::Throttled));
    sleep(S(10)).await;
    assert_about(scene.age().await, 0.0);
    let before = scene.world().calls(Op::List);
    scene.world().lease(&unlisted("shardId-000000000099"), "TRIM_HORIZON", 0);
    sleep(S(10)).await;
    assert_about(scene.age().await, 0.0);
    assert_eq!(scene.world().calls(Op::List) - before, 2, "both pages, and not the rest of the former list first");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_description_of_a_table_leaves_the_ages_of_its_stream() {
    let scene = Scene::dynamodb(&[]);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    assert_about(scene.age().await, 0.0);
    scene.world().failing = vec![(Op::Describe, FailureKind::Throttled); 12];
    assert_eq!(scene.ages(12).await, [0.0; 12]);
}

#[tokio::test(start_paused = true)]
async fn a_packed_record_that_is_partly_processed_counts_before_those_that_follow_it() {
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    let (packed, later) = (scene.fake.ago(400), scene.fake.ago(20));
    let packed = scene.world().put(&shard, packed, 3);
    scene.world().put(&shard, later, 1);
    for (index, expected) in [(0, 400.0), (1, 400.0), (2, 20.0)] {
        scene.world().lease(&shard, packed.as_str(), index);
        let scene = scene.again();
        assert_about(scene.age().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn empty_pages_of_a_closed_shard_hide_no_child() {
    let scene = Scene::dynamodb(&[]);
    let parent = scene.world().open(FIRST, &[]);
    let child = scene.world().open(SECOND, &[FIRST]);
    let arrived = scene.fake.ago(900);
    scene.world().put(&child, arrived, 1);
    scene.world().set_empty_pages(&parent, 9);
    scene.world().lease(&parent, "TRIM_HORIZON", 0);
    for _ in 0..4 {
        if let Ok(seen) = scene.round().await.remove(0) {
            assert!(seen.survey.age() >= S(900), "{:?}", seen.survey.age());
        }
        sleep(S(10)).await;
    }
    assert!(scene.age().await >= 900.0);
}

#[tokio::test(start_paused = true)]
async fn quiet_shards_beside_a_busy_one_do_not_seem_ever_older() {
    let scene = Scene::kinesis(&[]);
    let (busy, quiet) = {
        let mut world = scene.world();
        (world.open(FIRST, &[]), world.open(SECOND, &[]))
    };
    scene.world().lease(&quiet, "TRIM_HORIZON", 0);
    let mut ages = Vec::new();
    for _ in 0..30 {
        let now = scene.fake.ago(3);
        let done = scene.world().put(&busy, now, 1);
        scene.world().lease(&busy, done.as_str(), 0);
        ages.push(scene.age().await);
        sleep(S(10)).await;
    }
    assert!(ages.iter().all(|age| *age <= 25.0), "{ages:?}");
}

#[tokio::test(start_paused = true)]
async fn every_application_of_a_round_notices_that_the_stream_was_recreated() {
    let scene = Scene::new(false, &[], 3);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    let old = scene.fake.ago(5_000);
    scene.world().put(&shard, old, 1);
    sleep(S(30)).await;
    scene.round().await;
    sleep(S(10)).await;
    let now = scene.fake.now_ms();
    scene.world().recreate(now);
    scene.world().open(FIRST, &[]);
    sleep(S(55)).await;
    for outcome in scene.round().await {
        let age = outcome.unwrap_or_else(|error| panic!("{}", error.chain())).survey.age();
        assert_eq!(age, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_begins_in_the_future_has_nothing_to_read_yet() {
    let scene = Scene::kinesis(&[("initialPosition", "AT_TIMESTAMP"), ("initialTimestamp", "2099-01-01T00:00:00Z")]);
    let shard = scene.world().open(FIRST, &[]);
    let arrived = scene.fake.ago(300);
    scene.world().put(&shard, arrived, 1);
    assert_about(scene.age().await, 0.0);
    assert_eq!(scene.world().calls(Op::Iterator), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_listed_as_its_own_parent_is_read() {
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().set_parents(&shard, &[FIRST]);
    let arrived = scene.fake.ago(300);
    scene.world().put(&shard, arrived, 1);
    assert_about(scene.age().await, 300.0);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_row_of_kcl_costs_one_read_of_its_shard_in_each_round_from_the_first_on() {
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    let arrived = scene.fake.ago(5_000);
    let done = scene.world().put(&shard, arrived, 1);
    scene.world().lease(&shard, done.as_str(), 0);
    assert_about(scene.age().await, 0.0);
    assert_eq!(scene.ages(8).await, [0.0; 8]);
    let world = scene.world();
    assert_eq!((world.calls(Op::Iterator), world.calls(Op::Records)), (1, 9));
}

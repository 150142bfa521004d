//! The validity of remembered facts: streams that are quiet, trimmed or resharded.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::fake::{Op, Scene};
use super::{FIRST, S, assert_about};
use crate::lag::SourceErrorKind;
use crate::lag::streams::{AgeBasis, ShardId};
use crate::source::aws::failure::FailureKind;

// === T3: a silent service ===

#[tokio::test(start_paused = true)]
async fn six_applications_on_a_silent_service_are_not_served_one_after_the_other() {
    for silent in [Op::List, Op::Rows, Op::Describe, Op::Iterator, Op::Records] {
        let scene = Scene::new(false, &[], 6);
        let shard = scene.world().open(FIRST, &[]);
        scene.world().lease(&shard, "TRIM_HORIZON", 0);
        scene.world().silent.insert(silent);
        let begun = Instant::now();
        for outcome in scene.round().await {
            match outcome {
                Err(error) => assert_eq!(error.kind(), SourceErrorKind::TimedOut, "{silent:?}: {}", error.chain()),
                Ok(_) => assert_eq!(silent, Op::Describe, "no age needs the retention"),
            }
        }
        assert!(begun.elapsed() < S(6), "{silent:?}: {:?}", begun.elapsed());
        assert_eq!(scene.world().calls(silent), if silent == Op::Rows { 6 } else { 1 }, "{silent:?}");
    }
}

// === A2, A4: facts that exclude each other ===

#[tokio::test(start_paused = true)]
async fn a_row_that_says_finished_of_an_open_shard_is_an_error_after_one_fresh_list() {
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "SHARD_END", 0);
    let error = scene.error().await;
    assert!(error.contains("says SHARD_END") && error.contains("lists shardId-000000000000 as open"), "{error}");
    assert!(error.contains("application-0") && error.contains("if the stream was recreated"), "{error}");
    assert_eq!(scene.world().calls(Op::List), 2, "one fresh list");
    for _ in 0..6 {
        sleep(S(10)).await;
        scene.error().await;
    }
    assert!(scene.world().calls(Op::List) <= 6, "{}", scene.world().calls(Op::List));
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_ends_after_it_was_listed_is_no_contradiction() {
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    assert_about(scene.age().await, 0.0);
    sleep(S(10)).await;
    let child = scene.world().open("shardId-000000000001", &[FIRST]);
    scene.world().lease(&shard, "SHARD_END", 0);
    let arrived = scene.fake.ago(5);
    scene.world().put(&child, arrived, 1);
    assert_about(scene.age().await, 5.0);
}

#[tokio::test(start_paused = true)]
async fn a_young_checkpoint_of_another_stream_or_shard_is_an_error_and_not_believed() {
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    let other = scene.world().open("shardId-000000000001", &[]);
    let (recent, created) = (scene.fake.ago(3), scene.fake.ago(2));
    let foreign = scene.world().put(&other, recent, 1);
    scene.world().lease(&shard, foreign.as_str(), 0);
    let error = scene.error().await;
    assert!(error.contains("is a sequence number of shardId-000000000001"), "{error}");
    let former = scene.world().put(&shard, recent, 1);
    scene.world().recreate(created);
    scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, former.as_str(), 0);
    sleep(S(20)).await;
    let error = scene.error().await;
    assert!(
        error.contains("is of a shard created at 2026-11-17") && error.contains("was created at 2026-11-18"),
        "{error}"
    );
    assert_eq!(scene.world().calls(Op::Records), 0);
}

#[tokio::test(start_paused = true)]
async fn a_merged_shard_that_is_listed_with_its_parents_first_number_contradicts_no_checkpoint() {
    let scene = Scene::kinesis(&[]);
    let parent = scene.world().open(FIRST, &[]);
    scene.world().open("shardId-000000000001", &[]);
    let merged = scene.world().open("shardId-000000000002", &[FIRST, "shardId-000000000001"]);
    // kinesis-local lists the first number of a parent, which has another index and another time of creation
    let of_parent = super::number(0, scene.fake.ago(90_000) / 1000, scene.fake.ago(90_000) / 1000, 0);
    scene.world().set_first(&merged, of_parent);
    let (done, unread) = (scene.fake.ago(400), scene.fake.ago(300));
    let checkpoint = scene.world().put(&merged, done, 1);
    scene.world().put(&merged, unread, 1);
    for shard in [&parent, &ShardId::new("shardId-000000000001")] {
        scene.world().lease(shard, "SHARD_END", 0);
    }
    scene.world().lease(&merged, checkpoint.as_str(), 0);
    assert_about(scene.age().await, 300.0);
    assert_eq!(scene.world().calls(Op::List), 1);
}

// === A5, A6: records that are deleted ===

#[tokio::test(start_paused = true)]
async fn an_unread_record_counts_until_it_is_deleted_and_no_longer() {
    for dynamodb in [false, true] {
        let scene = Scene::new(dynamodb, &[], 1);
        let shard = scene.world().open(FIRST, &[]);
        scene.world().lease(&shard, "TRIM_HORIZON", 0);
        let (old, newer) = (scene.fake.ago(5_000), scene.fake.ago(300));
        scene.world().put(&shard, old, 1);
        scene.world().put(&shard, newer, 1);
        assert_about(scene.age().await, 5_000.0);
        scene.world().trim(&shard, newer);
        sleep(S(90)).await;
        assert_about(scene.age().await, 390.0);
        scene.world().trim(&shard, u64::MAX);
        sleep(S(90)).await;
        assert_about(scene.age().await, 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_age_is_never_above_a_retention_that_was_shortened() {
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    let old = scene.fake.ago(70_000);
    scene.world().put(&shard, old, 1);
    assert_about(scene.age().await, 70_000.0);
    scene.world().retention = S(3_600);
    scene.world().trim(&shard, u64::MAX);
    sleep(S(90)).await;
    assert_about(scene.age().await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_has_passed_retention_since_it_was_found_is_looked_up_again() {
    let scene = Scene::kinesis(&[]);
    scene.world().retention = S(3_600);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    let old = scene.fake.ago(3_580);
    scene.world().put(&shard, old, 1);
    assert_about(scene.age().await, 3_580.0);
    scene.world().trim(&shard, u64::MAX);
    sleep(S(30)).await;
    assert_about(scene.age().await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_before_deleted_changes_means_from_the_oldest_that_is_left() {
    let scene = Scene::dynamodb(&[]);
    let shard = scene.world().open(FIRST, &[]);
    let (old, kept) = (scene.fake.ago(100_000), scene.fake.ago(40_000));
    let done = scene.world().put(&shard, old, 1);
    for arrived in [old, kept] {
        scene.world().put(&shard, arrived, 1);
    }
    scene.world().trim(&shard, kept);
    scene.world().lease(&shard, done.as_str(), 0);
    assert_about(scene.age().await, 40_000.0);
}

// === A7: empty pages ===

#[tokio::test(start_paused = true)]
async fn four_empty_pages_of_an_open_shard_are_never_two_minutes_of_zero() {
    for (pages, dynamodb) in (1..=4).flat_map(|pages| [(pages, true), (pages, false)]) {
        let scene = Scene::new(dynamodb, &[], 1);
        let shard = scene.world().open(FIRST, &[]);
        let arrived = scene.fake.ago(900);
        scene.world().put(&shard, arrived, 1);
        scene.world().set_empty_pages(&shard, pages);
        scene.world().lease(&shard, "TRIM_HORIZON", 0);
        assert_about(scene.age().await, 900.0);
    }
}

// === A8: long lists ===

#[tokio::test(start_paused = true)]
async fn a_list_that_takes_longer_than_a_round_is_read_to_its_end_and_keeps_its_pages() {
    let scene = Scene::dynamodb(&[]);
    for index in 0..2_800 {
        scene.world().open(&format!("shardId-{index:012}"), &[]);
    }
    scene.world().page_size = 100;
    scene.world().latency = Duration::from_millis(600);
    let last = format!("shardId-{:012}", 2_799);
    for index in 0..2_800 {
        scene.world().lease(&crate::lag::streams::ShardId::new(&format!("shardId-{index:012}")), "TRIM_HORIZON", 0);
    }
    let error = scene.error().await;
    assert!(error.contains("the list is still being read") && error.contains("shards so far"), "{error}");
    // a page fails meanwhile: the others are kept
    scene.world().failing.push((Op::List, FailureKind::Throttled));
    for _ in 0..6 {
        sleep(S(2)).await;
        scene.round().await;
    }
    assert!(scene.world().calls(Op::List) <= 28 + 1, "{last}: {}", scene.world().calls(Op::List));
    assert_eq!(scene.ages(6).await.last(), Some(&0.0));
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_lease_of_a_shard_that_is_not_listed_is_looked_up_once() {
    let scene = Scene::dynamodb(&[]);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    scene.world().lease(&crate::lag::streams::ShardId::new("shardId-000000000099"), "TRIM_HORIZON", 0);
    assert_about(scene.age().await, 0.0);
    assert_eq!(scene.ages(4).await, [0.0; 4]);
    assert_eq!(scene.world().calls(Op::List), 2);
}

#[tokio::test(start_paused = true)]
async fn an_old_list_is_used_while_the_next_one_cannot_be_read() {
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    assert_about(scene.age().await, 0.0);
    scene.world().silent.insert(Op::List);
    assert_eq!(scene.ages(30).await, [0.0; 30]);
    sleep(S(600)).await;
    let error = scene.error().await;
    assert!(error.contains("could not list the shards"), "{error}");
}

// === A9: quiet after a reshard ===

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_whose_parent_was_read_to_its_end_stays_at_zero() {
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    let old = scene.fake.ago(5_000);
    let done = scene.world().put(&shard, old, 1);
    scene.world().lease(&shard, done.as_str(), 0);
    scene.world().open("shardId-000000000001", &[FIRST]);
    scene.world().open("shardId-000000000002", &[]);
    assert_about(scene.age().await, 0.0);
    assert_eq!(scene.ages(15).await, [0.0; 15]);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_stays_at_zero_whenever_rounds_begin() {
    for dynamodb in [false, true] {
        for beyond in (0..800).step_by(50) {
            let scene = Scene::new(dynamodb, &[("probeInterval", "10s")], 1);
            let shard = scene.world().open(FIRST, &[]);
            scene.world().lease(&shard, "TRIM_HORIZON", 0);
            // the rows of a table that is large enough are not read in each round
            scene.world().read_units = 550.0;
            scene.world().latency = Duration::from_millis(400);
            for round in 0..12 {
                let begun = Instant::now();
                assert!(scene.age().await < 0.001, "round {round}, {beyond} ms later than the interval");
                sleep_until(begun + S(10) + Duration::from_millis(beyond)).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_round_that_begins_a_little_early_reads_anew() {
    let scene = Scene::kinesis(&[("probeInterval", "10s")]);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    for _ in 0..8 {
        assert_about(scene.age().await, 0.0);
        sleep(Duration::from_millis(9_500)).await;
    }
    assert_eq!(scene.world().calls(Op::Records), 8);
}

#[tokio::test(start_paused = true)]
async fn an_iterator_that_has_expired_between_rounds_is_made_anew_before_it_is_used() {
    let scene = Scene::kinesis(&[("pollInterval", "10m"), ("probeInterval", "10m")]);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    for _ in 0..3 {
        assert_about(scene.age().await, 0.0);
        sleep(S(600)).await;
    }
    let world = scene.world();
    assert_eq!((world.calls(Op::Iterator), world.calls(Op::Records)), (3, 3));
}

// === A10: LATEST ===

#[tokio::test(start_paused = true)]
async fn where_the_table_of_an_application_at_latest_is_deleted_only_what_came_since_is_unread() {
    let scene = Scene::kinesis(&[("initialPosition", "LATEST")]);
    let shard = scene.world().open(FIRST, &[]);
    assert_about(scene.age().await, 0.0);
    let mut done = None;
    for _ in 0..30 {
        sleep(S(20)).await;
        let now = scene.fake.now_ms();
        done = Some(scene.world().put(&shard, now, 1));
    }
    let done = done.expect("a record");
    scene.world().lease(&shard, done.as_str(), 0);
    sleep(S(70)).await;
    assert_about(scene.age().await, 0.0);
    scene.world().rows = None;
    sleep(S(10)).await;
    assert_about(scene.age().await, 0.0);
    let now = scene.fake.now_ms();
    scene.world().put(&shard, now, 1);
    sleep(S(10)).await;
    assert_about(scene.age().await, 10.0);
}

#[tokio::test(start_paused = true)]
async fn the_beginning_of_an_application_at_latest_is_kept_between_the_longest_intervals() {
    let mut scene = Scene::kinesis(&[("initialPosition", "LATEST"), ("pollInterval", "10m")]);
    let shard = scene.world().open(FIRST, &[]);
    assert_about(scene.age().await, 0.0);
    sleep(S(300)).await;
    let now = scene.fake.now_ms();
    scene.world().put(&shard, now, 1);
    sleep(S(300)).await;
    // new applications make room for themselves
    scene.add(&Scene::kinesis(&[("initialPosition", "LATEST"), ("applicationName", "another")]));
    let ages = scene.round().await.into_iter().map(|outcome| outcome.expect("an answer").survey.age());
    assert_about(ages.max().expect("two").as_secs_f64(), 300.0);
}

// === A11: user records that are packed into one ===

#[tokio::test(start_paused = true)]
async fn a_packed_record_of_which_a_part_is_processed_is_unread() {
    // the index of the last processed user record, of three
    for (index, expected) in [(0, 400.0), (1, 400.0), (2, 0.0)] {
        let scene = Scene::kinesis(&[]);
        let shard = scene.world().open(FIRST, &[]);
        let arrived = scene.fake.ago(400);
        let packed = scene.world().put(&shard, arrived, 3);
        scene.world().lease(&shard, packed.as_str(), index);
        assert_about(scene.age().await, expected);
        sleep(S(10)).await;
        assert_about(scene.age().await, if expected > 0.0 { expected + 10.0 } else { 0.0 });
    }
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    let arrived = scene.fake.ago(400);
    let packed = scene.world().put(&shard, arrived, 3);
    scene.world().put(&shard, arrived + 100_000, 1);
    scene.world().lease(&shard, packed.as_str(), 2);
    assert_about(scene.age().await, 300.0);
}

// === A15: the cost of a large table ===

#[tokio::test(start_paused = true)]
async fn a_large_checkpoint_table_is_read_as_often_as_its_size_allows() {
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    scene.world().read_units = 550.0;
    scene.age().await;
    scene.ages(32).await;
    // 550 units every 110 s
    assert_eq!(scene.world().calls(Op::Rows), 3);
}

#[tokio::test(start_paused = true)]
async fn an_age_by_checkpoints_of_an_earlier_round_is_an_upper_bound() {
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    let arrived = scene.fake.ago(400);
    scene.world().put(&shard, arrived, 1);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    scene.world().read_units = 550.0;
    assert_eq!(scene.basis().await, Some(AgeBasis::Record));
    sleep(S(10)).await;
    assert_eq!(scene.basis().await, Some(AgeBasis::EarlierCheckpoint));
}

#[tokio::test(start_paused = true)]
async fn while_reads_of_a_table_are_throttled_its_last_rows_are_used_for_a_minute() {
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    assert_about(scene.age().await, 0.0);
    scene.world().failing = vec![(Op::Rows, FailureKind::Throttled); 20];
    assert_eq!(scene.ages(5).await, [0.0; 5]);
    sleep(S(20)).await;
    assert!(scene.error().await.contains("could not read the checkpoints"));
}

// === several triggers on one application ===

#[tokio::test(start_paused = true)]
async fn a_trigger_with_a_lower_threshold_gets_the_probes_that_it_needs() {
    let trigger = |threshold| vec![("applicationName", "application-0"), ("ageThreshold", threshold)];
    let scene = Scene::observed(false, &[trigger("1h"), trigger("10s")]);
    let shard = scene.world().open(FIRST, &[]);
    let (done, unread) = (scene.fake.ago(900), scene.fake.ago(300));
    let done = scene.world().put(&shard, done, 1);
    scene.world().put(&shard, unread, 1);
    scene.world().lease(&shard, done.as_str(), 0);
    for _ in 0..4 {
        let ages: Vec<_> =
            scene.round().await.into_iter().map(|outcome| outcome.map(|seen| seen.survey.age().as_secs())).collect();
        assert!(ages.iter().all(Result::is_ok), "{ages:?}");
        let expected = (scene.fake.now_ms() - unread) / 1000;
        assert!(ages.iter().flatten().any(|age| age.abs_diff(expected) <= 1), "{ages:?}, {expected}");
        sleep(S(10)).await;
    }
}

//! Streams that are deleted and created again under their name, and tables whose stream is disabled and enabled again.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::fake::{Op, Scene};
use super::{FIRST, S, assert_about};
use crate::lag::streams::Timestamp;
use crate::source::aws::service::Address;
use crate::source::aws::stream::Stream;
use crate::trigger::StreamName;

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_recreated_under_its_name_keeps_nothing_of_the_former_one() {
    let scene = Scene::kinesis(&[]);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    let old = scene.fake.ago(5_000);
    scene.world().put(&shard, old, 1);
    assert_about(scene.age().await, 5_000.0);
    sleep(S(10)).await;
    let now = scene.fake.now_ms();
    scene.world().recreate(now);
    scene.world().open(FIRST, &[]);
    sleep(S(125)).await;
    assert_about(scene.age().await, 0.0);
    assert_eq!(scene.ages(3).await, [0.0; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_shard_shows_at_once_that_its_stream_was_recreated_although_it_was_looked_up_before() {
    let scene = Scene::kinesis(&[("ageThreshold", "1s")]);
    let parent = scene.world().open(FIRST, &[]);
    scene.world().lease(&parent, "TRIM_HORIZON", 0);
    assert_about(scene.age().await, 0.0);
    // the consumer lists the child before the scaler does
    let child = scene.world().open("shardId-000000000001", &[FIRST]);
    let now = scene.fake.now_ms();
    let done = scene.world().put(&child, now, 1);
    scene.world().lease(&parent, "SHARD_END", 0);
    scene.world().lease(&child, done.as_str(), 0);
    sleep(S(5)).await;
    scene.age().await;
    assert_eq!(scene.world().calls(Op::List), 2);
    sleep(S(10)).await;
    let now = scene.fake.now_ms();
    scene.world().recreate(now);
    scene.world().open(FIRST, &[]);
    let error = scene.error().await;
    assert!(error.contains("says SHARD_END") && error.contains("lists shardId-000000000000 as open"), "{error}");
    for _ in 0..6 {
        sleep(S(10)).await;
        scene.error().await;
    }
    assert!(scene.world().calls(Op::List) <= 10, "{}", scene.world().calls(Op::List));
}

#[tokio::test(start_paused = true)]
async fn a_tables_stream_that_is_switched_off_and_on_is_noticed_within_half_a_minute() {
    let scene = Scene::dynamodb(&[]);
    let shard = scene.world().open(FIRST, &[]);
    scene.world().lease(&shard, "TRIM_HORIZON", 0);
    assert_about(scene.age().await, 0.0);
    sleep(S(10)).await;
    let now = scene.fake.now_ms();
    scene.world().recreate(now);
    let other = scene.world().open("shardId-000000000007", &[]);
    scene.world().put(&other, now, 1);
    let ages = scene.ages(3).await;
    assert!(ages[2] >= 30.0, "{ages:?}");
    assert_eq!(
        scene.world().calls(Op::List),
        3,
        "the first, the second stream's, and one for the lease of the former one"
    );
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_a_table_is_looked_up_again_although_the_former_one_can_still_be_read() {
    let scene = Scene::dynamodb(&[]);
    scene.world().open(FIRST, &[]);
    assert_about(scene.age().await, 0.0);
    let now = scene.fake.now_ms();
    scene.world().recreate(now);
    let shard = scene.world().open("shardId-000000000007", &[]);
    scene.world().put(&shard, now, 1);
    let ages = scene.ages(3).await;
    assert!(ages[2] >= 30.0, "{ages:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_created_at_another_time_is_another_one() {
    let scene = Scene::kinesis(&[]);
    let stream = Stream::new(Arc::new(scene.fake.clone()), scene.stream(), Arc::new(Semaphore::new(1)));
    let StreamName::Kinesis(name) = scene.stream() else { panic!("a stream of Kinesis") };
    let of = |created: Option<u64>| {
        stream.incarnation(&Address::Kinesis(name.clone()), created.map(Timestamp::from_unix_ms))
    };
    let first = of(None);
    assert!(Arc::ptr_eq(&first, &of(Some(1_000))), "nothing was known of its creation");
    assert!(Arc::ptr_eq(&first, &of(Some(1_000))));
    assert!(Arc::ptr_eq(&first, &of(None)));
    assert!(!Arc::ptr_eq(&first, &of(Some(2_000))));
}

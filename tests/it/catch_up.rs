//! `scaleOn: catchUp` beside a real group on a real broker: who works on what, and consumers started and stopped by its answers.

use std::time::Duration;

use keda_stream_scaler::lag::Moment;
use keda_stream_scaler::sampler::Rows;
use keda_stream_scaler::scaling::Step;
use keda_stream_scaler::scaling::catch_up::CatchUpStep;
use keda_stream_scaler::scaling::hpa::{HorizontalPodAutoscaler, Pace, Replicas, Rules, Target, Tolerance};
use keda_stream_scaler::trigger::Trigger;
use tokio::time::{Instant, sleep};

use crate::support::driver::{Driver, WITHIN};
use crate::support::kafka::{one_node, unique};
use crate::support::observer::Observer;
use crate::support::workers::{Producing, Workers};

const SECOND: Duration = Duration::from_secs(1);

/// A topic and a group of the test's own.
struct Scene {
    driver: Driver,
    topic: String,
    group: String,
    partitions: i32,
}

impl Scene {
    async fn new(partitions: i32) -> Self {
        let driver = Driver::new(one_node().bootstrap_servers());
        let (topic, group) = (unique("orders"), unique("order-service"));
        driver.create_topic(&topic, partitions, 1, &[]).await;
        Self { driver, topic, group, partitions }
    }

    fn trigger(&self, more: &[(&str, &str)]) -> Trigger {
        let servers = one_node().bootstrap_servers();
        let base = [
            ("source", "kafka"),
            ("scaleOn", "catchUp"),
            ("bootstrapServers", &*servers),
            ("consumerGroup", &self.group),
            ("topic", &self.topic),
            ("pollInterval", "2s"),
            ("offsetResetPolicy", "earliest"),
        ];
        let all = base.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Trigger::parse(&all.collect()).unwrap()
    }
}

/// How many consumers work, by the newest reading.
pub async fn working(observer: &Observer, trigger: &Trigger) -> usize {
    let decision = observer.decision(trigger).await.unwrap_or_else(|error| panic!("{}", error.chain()));
    let count = |step: &Step| {
        if let Step::CatchUp(CatchUpStep::Flow { consumers, .. }) = step { Some(*consumers) } else { None }
    };
    decision.steps.iter().find_map(count).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_are_counted_by_what_they_were_given_and_named() {
    let scene = Scene::new(4).await;
    let (observer, trigger) = (Observer::new(), scene.trigger(&[]));
    let idle = observer.decision(&trigger).await.unwrap();
    assert_eq!((idle.value.get(), idle.active), (0.0, false), "{:?}", idle.steps);

    let mut workers = Workers::new(&scene.driver, &scene.group, &scene.topic, SECOND / 50);
    workers.scale(2);
    let begun = Instant::now();
    while working(&observer, &trigger).await != 2 {
        assert!(begun.elapsed() < WITHIN, "two consumers are not seen");
        sleep(SECOND / 2).await;
    }
    let answer = observer.answer(&trigger).await.unwrap();
    let Rows::Partitions { partitions: rows } = Rows::of(&answer.sample) else { panic!("no partitions") };
    assert!(rows.iter().all(|row| row.owner.is_some()), "{rows:?}");

    // a fifth and sixth consumer of four partitions have nothing to do
    workers.scale(6);
    let begun = Instant::now();
    while working(&observer, &trigger).await != 4 {
        assert!(begun.elapsed() < WITHIN, "four consumers are not seen");
        sleep(SECOND / 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_without_members_that_moves_is_an_error_unless_the_capacity_is_given() {
    let scene = Scene::new(1).await;
    scene.driver.produce(&scene.topic, 0, 100);
    let observer = Observer::new();
    let (without, given) = (scene.trigger(&[]), scene.trigger(&[("capacityPerConsumer", "10")]));
    assert!(observer.decision(&without).await.unwrap().active);
    let begun = Instant::now();
    for offset in 1.. {
        // somebody commits who is no member: a consumer with partitions of its own choice
        scene.driver.commit(&scene.group, &[(&scene.topic, 0, offset)]);
        let refused = observer
            .answer(&without)
            .await
            .map(|answer| keda_stream_scaler::scaling::decide(&without.policy, &without.source, &answer.sample));
        if let Err(error) = refused.unwrap() {
            assert!(error.chain().contains("no member") && error.chain().contains("capacityPerConsumer"), "{error:?}");
            break;
        }
        assert!(begun.elapsed() < WITHIN, "an unknown number of consumers is answered for");
        sleep(SECOND / 2).await;
    }
    let value = observer.decision(&given).await.unwrap().value;
    assert_eq!(value.ceil(), 1, "{value}");
}

/// One consumer keeps up with 25 records a second; 90 want two. It is done when the backlog is gone and two consumers stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_the_arrivals_is_drained_in_time_and_without_going_back() {
    const SYNC: Duration = Duration::from_secs(3);
    const CATCH_UP: Duration = Duration::from_secs(30);
    // a reading each 2 s, 20 s until the first capacity is measured, a sync, and a rebalance
    const REACTION: Duration = Duration::from_secs(45);
    let scene = Scene::new(4).await;
    let trigger = scene.trigger(&[("maxAge", "30s"), ("scaleDownStabilizationWindow", "30s")]);
    let observer = Observer::new();
    let mut workers = Workers::new(&scene.driver, &scene.group, &scene.topic, SECOND / 60);
    workers.scale(1);
    let producing = Producing::start(&scene.driver, &scene.topic, scene.partitions, 25);
    let begun = Instant::now();
    while working(&observer, &trigger).await != 1 {
        assert!(begun.elapsed() < WITHIN, "the consumer is not seen");
        sleep(SECOND).await;
    }
    let mut hpa = HorizontalPodAutoscaler::new(Rules {
        target: Target::AverageValue(1.0),
        min_replicas: 1,
        max_replicas: 10,
        tolerance: Tolerance::default(),
        pace: Pace::Plain { down_window: Duration::from_secs(30) },
    });
    producing.rate(90);
    let stepped = Instant::now();
    let (mut counts, mut behind, mut drained) = (vec![1], 0.0_f64, None);
    while drained.is_none_or(|drained: Instant| drained.elapsed() < SECOND * 15) {
        assert!(drained.is_some() || stepped.elapsed() < CATCH_UP + REACTION, "{behind} behind, {counts:?}");
        sleep(SYNC).await;
        let decision = observer.decision(&trigger).await.unwrap();
        let backlog = |step: &Step| {
            if let Step::CatchUp(CatchUpStep::Flow { backlog, .. }) = step { Some(backlog.get()) } else { None }
        };
        behind = decision.steps.iter().find_map(backlog).unwrap();
        let replicas = u32::try_from(workers.count()).unwrap();
        let now = Moment::after_epoch(begun.elapsed());
        let wanted = hpa.sync(now, Some(decision.value.get()), Replicas::settled(replicas));
        if wanted != replicas {
            workers.scale(usize::try_from(wanted).unwrap());
            counts.push(wanted);
        }
        println!("{:>5.1} s: {behind:>5.0} behind, {wanted} wanted", stepped.elapsed().as_secs_f64());
        // two commits' worth of what arrives is no backlog
        drained = if behind > 200.0 || counts.len() == 1 { None } else { drained.or(Some(Instant::now())) };
    }
    assert!(counts.is_sorted(), "it went back: {counts:?}");
    assert!((2..=4).contains(counts.last().unwrap()), "{counts:?}");
}

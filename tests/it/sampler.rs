//! Who is asked when, and what an old answer is worth: on a paused clock.

use std::sync::Arc;
use std::time::Duration;

use keda_stream_scaler::lag::{SourceError, SourceErrorKind};
use keda_stream_scaler::sampler::{Answer, Judged, PATIENCE, Sampler, ScaledObjectKey, ViewState};
use keda_stream_scaler::scaling::decide;
use keda_stream_scaler::telemetry::Metrics;
use keda_stream_scaler::trigger::Trigger;
use tokio::time::{Instant, advance, sleep};

use crate::support::scripted::{Script, Scripted, lag};
use crate::support::server::scaled_object;

const S: fn(u64) -> Duration = Duration::from_secs;

fn sampler() -> (Scripted, Sampler<Scripted>) {
    let source = Scripted::default();
    let sampler = Sampler::new(source.clone(), Metrics::new("0", "none").sampler.clone());
    (source, sampler)
}

fn trigger(group: &str, changes: &[(&str, &str)]) -> Trigger {
    Trigger::parse(&scaled_object(group, changes).scaler_metadata).unwrap()
}

async fn ask(sampler: &Sampler<Scripted>, trigger: &Trigger) -> Result<Answer, SourceError> {
    sampler.ask("shop", trigger, PATIENCE).await
}

#[tokio::test(start_paused = true)]
async fn a_source_is_read_at_the_shortest_interval_that_anybody_asked_for() {
    let (source, sampler) = sampler();
    let (slow, quick) = (trigger("a", &[("pollInterval", "20s")]), trigger("a", &[("pollInterval", "4s")]));
    ask(&sampler, &slow).await.unwrap();
    ask(&sampler, &quick).await.unwrap();
    sleep(S(40)).await;
    let observed = source.observed("a");
    assert!((10..=11).contains(&observed), "{observed} readings in 40 s, every 4 s");
}

#[tokio::test(start_paused = true)]
async fn questions_in_between_are_answered_from_memory() {
    let (source, sampler) = sampler();
    let trigger = trigger("a", &[]);
    for _ in 0..1000 {
        ask(&sampler, &trigger).await.unwrap();
    }
    assert_eq!(source.observed("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn how_often_the_catch_up_law_is_asked_changes_no_answer() {
    let (source, sampler) = sampler();
    source.set("a", Script::Lag(5000));
    let mut metadata = scaled_object("a", &[("scaleOn", "catchUp"), ("capacityPerConsumer", "10")]).scaler_metadata;
    metadata.remove("allowIdleConsumers");
    let trigger = Trigger::parse(&metadata).unwrap();
    let mut answers = 0;
    for _ in 0..12 {
        let first = ask(&sampler, &trigger).await.unwrap();
        let decide = |answer: &Answer| decide(&trigger.policy, &trigger.source, &answer.sample).unwrap();
        for _ in 0..50 {
            sleep(Duration::from_millis(20)).await;
            let again = ask(&sampler, &trigger).await.unwrap();
            if again.sample.taken_at == first.sample.taken_at {
                assert_eq!(decide(&again), decide(&first));
                answers += 1;
            }
        }
        sleep(S(10)).await;
    }
    assert!(answers > 300, "{answers}");
    assert!((10..=16).contains(&source.observed("a")), "asking does not read: {}", source.observed("a"));
}

#[tokio::test(start_paused = true)]
async fn a_target_is_forgotten_ten_minutes_after_the_last_question() {
    let (source, sampler) = sampler();
    ask(&sampler, &trigger("a", &[])).await.unwrap();
    sleep(S(599)).await;
    assert_eq!(sampler.view().len(), 1);
    sleep(S(20)).await;
    assert_eq!(sampler.view().len(), 0);
    let before = source.observed("a");
    sleep(S(600)).await;
    assert_eq!(source.observed("a"), before);
    ask(&sampler, &trigger("a", &[])).await.expect("a new question starts it again");
}

#[tokio::test(start_paused = true)]
async fn the_last_good_answer_holds_until_max_staleness_and_then_the_error_itself_is_given() {
    let (source, sampler) = sampler();
    source.set("a", Script::Lag(7));
    let trigger = trigger("a", &[("maxStaleness", "30s")]);
    let begun = Instant::now();
    ask(&sampler, &trigger).await.unwrap();
    source.set("a", Script::Fails(SourceErrorKind::Unreachable));
    let mut last_good = None;
    let error = loop {
        match ask(&sampler, &trigger).await {
            Ok(answer) => {
                assert_eq!(answer.sample.observation, lag(7));
                last_good = Some((begun.elapsed(), answer.stale.is_some()));
            }
            Err(error) => break error,
        }
        advance(Duration::from_millis(100)).await;
    };
    assert_eq!(error.kind(), SourceErrorKind::Unreachable);
    let (at, stale) = last_good.unwrap();
    assert!(stale && (S(29)..=S(30)).contains(&at), "{at:?}");
    assert!((S(30)..=S(31)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_falls_silent_becomes_an_error_when_max_staleness_is_over() {
    let (source, sampler) = sampler();
    let trigger = trigger("a", &[("maxStaleness", "30s")]);
    ask(&sampler, &trigger).await.unwrap();
    source.set("a", Script::Silent);
    sleep(S(29)).await;
    ask(&sampler, &trigger).await.unwrap();
    sleep(S(2)).await;
    let error = ask(&sampler, &trigger).await.unwrap_err();
    assert!(matches!(error.kind(), SourceErrorKind::TimedOut | SourceErrorKind::Broken), "{}", error.chain());
    source.set("a", Script::Lag(1));
    sleep(S(1)).await;
    ask(&sampler, &trigger).await.expect("it comes back within a second");
}

#[tokio::test(start_paused = true)]
async fn a_silent_source_delays_no_other() {
    let (source, sampler) = sampler();
    source.set("silent", Script::Silent);
    let silent = trigger("silent", &[]);
    let waiting = tokio::spawn({
        let sampler = sampler.clone();
        async move { ask(&sampler, &silent).await.unwrap_err().kind() }
    });
    sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    ask(&sampler, &trigger("quick", &[])).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    assert_eq!(waiting.await.unwrap(), SourceErrorKind::TimedOut);
    assert!(begun.elapsed() <= PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_passing_failure_is_tried_again_within_a_second() {
    let (source, sampler) = sampler();
    let trigger = trigger("a", &[]);
    source.set("a", Script::Fails(SourceErrorKind::Unreachable));
    ask(&sampler, &trigger).await.unwrap_err();
    source.set("a", Script::Lag(1));
    sleep(Duration::from_millis(500)).await;
    ask(&sampler, &trigger).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_first_targets_of_a_backend_share_their_round() {
    let (source, sampler) = sampler();
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..5 {
        let sampler = sampler.clone();
        asked.spawn(async move {
            sleep(Duration::from_millis(number)).await;
            ask(&sampler, &trigger(&format!("g{number}"), &[])).await.unwrap()
        });
    }
    asked.join_all().await;
    assert_eq!(source.rounds(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_new_targets_are_read_in_few_rounds_once_each() {
    let (source, sampler) = sampler();
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let sampler = sampler.clone();
        asked.spawn(async move { ask(&sampler, &trigger(&format!("g{number}"), &[])).await.unwrap() });
    }
    asked.join_all().await;
    assert!((0..1000).all(|number| source.observed(&format!("g{number}")) == 1));
    assert_eq!(sampler.view().len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn all_sources_of_a_backend_share_one_round_an_interval() {
    let (source, sampler) = sampler();
    for number in 0..300 {
        ask(&sampler, &trigger(&format!("g{number}"), &[])).await.unwrap();
    }
    sleep(S(20)).await;
    let before = source.rounds();
    sleep(S(100)).await;
    let rounds = source.rounds() - before;
    assert!((10..=11).contains(&rounds), "{rounds} rounds in ten intervals");
}

#[tokio::test(start_paused = true)]
async fn an_idle_watched_source_is_read_at_the_watchs_pace_until_the_watch_ends() {
    let (source, sampler) = sampler();
    let watch = sampler.watch("shop", &trigger("a", &[]), S(1)).unwrap();
    sleep(S(10)).await;
    let observed = source.observed("a");
    assert!((10..=12).contains(&observed), "{observed}");
    drop(watch);
    sleep(S(5)).await;
    assert_eq!(sampler.view().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn operators_see_who_asks_what_each_gets_and_how_it_went() {
    let (source, sampler) = sampler();
    let [near, far] = ["10", "100"].map(|threshold| trigger("a", &[("lagThreshold", threshold)]));
    for (name, trigger, lag) in [("orders", &near, 50), ("archive", &far, 70), ("orders", &near, 90)] {
        source.set("a", Script::Lag(lag));
        sampler.ask(ScaledObjectKey::new("shop", name), trigger, PATIENCE).await.unwrap();
        sleep(S(20)).await;
    }
    let view = sampler.view().remove(0);
    let got = view.callers.shown.iter().map(|caller| match view.judge(caller) {
        Judged::Valued(decision) => (caller.name.to_string(), decision.replicas()),
        other => panic!("{other:?}"),
    });
    assert_eq!(got.collect::<Vec<_>>(), [("archive".to_owned(), 1), ("orders".to_owned(), 9)]);
    let behind: Vec<_> = view.chart.points().iter().map(|point| point.behind).collect();
    assert!(behind.len() >= 5 && behind.first() == Some(&50.0) && behind.last() == Some(&90.0), "{behind:?}");

    // what KEDA would get, by the rules of the calls
    source.set("a", Script::Fails(SourceErrorKind::Denied));
    sleep(S(70)).await;
    let view = sampler.view().remove(0);
    let Judged::Failed { error, last_good } = view.judge(&view.callers.shown[1]) else { panic!("{view:?}") };
    assert_eq!((error.kind(), last_good.unwrap().replicas()), (SourceErrorKind::Denied, 9));
    assert!(view.chart.points().last().unwrap().behind.is_nan());

    // one who asks no more is forgotten, though others go on
    for _ in 0..7 {
        sleep(S(100)).await;
        ask(&sampler, &near).await.unwrap_err();
    }
    assert!(sampler.view().remove(0).callers.shown.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reading_is_evaluated_once_and_neither_the_next_one_nor_its_age_is_mistaken() {
    let (source, sampler) = sampler();
    let trigger = trigger("a", &[("lagThreshold", "10")]);
    source.set("a", Script::Lag(50));
    sampler.ask(ScaledObjectKey::new("shop", "orders"), &trigger, PATIENCE).await.unwrap();
    let judged = || {
        let view = sampler.view().remove(0);
        view.judge(&view.callers.shown[0])
    };
    let valued = |judged| if let Judged::Valued(decision) = judged { decision } else { panic!("{judged:?}") };
    let first = valued(judged());
    assert!(Arc::ptr_eq(&first, &valued(judged())));
    source.set("a", Script::Lag(90));
    sleep(S(20)).await;
    assert_eq!((first.replicas(), valued(judged()).replicas()), (5, 9));

    source.set("a", Script::Fails(SourceErrorKind::Denied));
    sleep(S(20)).await;
    assert_eq!(valued(judged()).replicas(), 9);
    sleep(S(60)).await;
    let Judged::Failed { last_good: Some(last), .. } = judged() else { panic!("{:?}", judged()) };
    assert_eq!(last.replicas(), 9);
}

#[tokio::test(start_paused = true)]
async fn operators_see_what_fails_and_since_when() {
    let (source, sampler) = sampler();
    let trigger = trigger("a", &[]);
    ask(&sampler, &trigger).await.unwrap();
    source.set("a", Script::Fails(SourceErrorKind::Denied));
    sleep(S(25)).await;
    let view = sampler.view().remove(0);
    let ViewState::Failing { error, failing_for, last_good, .. } = view.state else { panic!("{view:?}") };
    assert_eq!(error.kind(), SourceErrorKind::Denied);
    assert!(failing_for >= S(10) && last_good.is_some());
}

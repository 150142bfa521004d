//! The worked examples of the docs: what was decided at a moment of a recording, in the words of the decision.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use keda_stream_scaler::lag::{Moment, Observation};
use keda_stream_scaler::recording::Line;
use keda_stream_scaler::scaling::{Decision, Sample, decide};
use keda_stream_scaler::trigger::{Policy, Trigger};

use super::page::{pages, root, updating};

/// `<!-- decision 240 s into docs/examples/a.jsonl -->`, and the block behind it is made here.
const MARKER: &str = "<!-- decision ";

/// What the recorded trigger's policy had decided by then.
fn decision(file: &str, into: Duration) -> Decision {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Line>(line).unwrap());
    let Some(Line::Recording { triggers, .. }) = lines.next() else { panic!("{file} does not begin a recording") };
    let trigger = Trigger::parse(&triggers[0].clone().into_iter().collect()).unwrap();
    let Policy::CatchUp(policy) = &trigger.policy else { panic!("{file} is of another policy") };
    let (mut first, mut sample) = (None, None);
    for line in lines {
        let Line::Reading { at, of } = line else { continue };
        let now = Duration::from_millis(at - *first.get_or_insert(at));
        if now > into {
            break;
        }
        let observation = Observation::try_from(of).unwrap();
        let policies = std::slice::from_ref(policy);
        sample = Some(Sample::after(sample.as_ref(), &trigger.source, observation, policies, Moment::after_epoch(now)));
    }
    let sample = sample.unwrap();
    decide(&trigger.policy, &trigger.source, &sample).unwrap()
}

fn in_words(decision: &Decision) -> String {
    let mut text = String::new();
    for step in &decision.steps {
        writeln!(text, "because    {step}").unwrap();
    }
    let Decision { value, target, active, .. } = decision;
    writeln!(text, "metric     value {value}, target {target}, active {active}").unwrap();
    text
}

fn fresh(page: &str) -> String {
    let mut parts = page.split(MARKER);
    let mut fresh = parts.next().unwrap().to_owned();
    for part in parts {
        let (about, rest) = part.split_once(" -->\n```text\n").expect("a marker is followed by a block");
        let (seconds, file) = about.split_once(" s into ").expect("a marker says when and of what");
        let (_, after) = rest.split_once("```").expect("the block ends");
        let words = in_words(&decision(file, Duration::from_secs(seconds.parse().unwrap())));
        write!(fresh, "{MARKER}{about} -->\n```text\n{words}```{after}").unwrap();
    }
    fresh
}

#[test]
fn worked_examples_are_what_is_decided() {
    for page in pages() {
        if updating() {
            page.rewrite(fresh);
            continue;
        }
        let fresh = fresh(&page.text);
        assert!(page.text == fresh, "UPDATE_GENERATED=1 cargo test --test it docs:: writes {}:\n{fresh}", page.name);
    }
}

//! Which side does better: a pure function of two measured numbers per side.

use std::time::Duration;

/// The busy time that a verdict needs.
pub(super) const ENOUGH: Duration = Duration::from_secs(30);
/// A difference in the share of the time in which the promise was kept counts from here on.
const POINTS: f64 = 0.005;
/// A difference in pod-minutes counts from this share on.
const SHARE: f64 = 0.03;

/// The numbers of one side that decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Numbers {
    /// The share of the busy time in which the promise was kept.
    pub(super) kept: f64,
    /// The sum of the lifetimes of all pods.
    pub(super) pod_minutes: f64,
}

/// How keda-stream-scaler does in comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Too little was measured.
    Wait,
    /// It keeps the promise at least as often and is cheaper, or keeps it more often at no more cost.
    Better,
    /// One number is better and the other is worse.
    Mixed,
    /// Neither number differs.
    Even,
    /// It keeps the promise less often and is not cheaper, or is more expensive and does not keep it more often.
    Worse,
}

/// The verdict, and what led to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) state: State,
    /// The headline, in parts; the emphasized ones carry the numbers of keda-stream-scaler.
    pub(super) headline: Vec<(String, bool)>,
}

/// How a number of ours compares with theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Better,
    Same,
    Worse,
}

impl State {
    /// The name in the page's `data-state` and in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Better => "better",
            Self::Mixed => "mixed",
            Self::Even => "even",
            Self::Worse => "worse",
        }
    }
}

/// Compares how often the promise was kept.
pub(super) fn compare_kept(ours: f64, theirs: f64) -> Comparison {
    of_difference(ours - theirs, POINTS)
}

/// Compares pod-minutes: fewer are better.
pub(super) fn compare_pods(ours: f64, theirs: f64) -> Comparison {
    of_difference(saved(ours, theirs), SHARE)
}

fn of_difference(difference: f64, least: f64) -> Comparison {
    match difference {
        _ if difference >= least => Comparison::Better,
        _ if difference <= -least => Comparison::Worse,
        _ => Comparison::Same,
    }
}

/// The share of the pod-minutes that ours does not need; negative if it needs more.
pub(super) fn saved(ours: f64, theirs: f64) -> f64 {
    if theirs > 0.0 { 1.0 - ours / theirs } else { 0.0 }
}

/// Judges by the numbers of both sides, measured over this much busy time; `rule` is the name of KEDA's.
pub(super) fn judge(ours: Numbers, theirs: Numbers, busy: Duration, rule: &str) -> Verdict {
    use Comparison::{Better, Same, Worse};
    let (our_kept, their_kept) = (share(ours.kept), share(theirs.kept));
    let saved = saved(ours.pod_minutes, theirs.pod_minutes);
    let percent = format!("{:.0} %", saved.abs() * 100.0);
    let plain = |text: String| (text, false);
    let strong = |text: String| (text, true);
    if busy < ENOUGH {
        let left = (ENOUGH - busy).as_secs_f64().ceil();
        let headline = vec![
            plain("Same traffic, two autoscalers. ".to_owned()),
            strong(format!("Verdict after {left:.0} s more traffic")),
        ];
        return Verdict { state: State::Wait, headline };
    }
    let (state, headline) = match (
        compare_kept(ours.kept, theirs.kept),
        compare_pods(ours.pod_minutes, theirs.pod_minutes),
    ) {
        (Better, Better) => (
            State::Better,
            vec![
                strong(format!("{percent} fewer pods")),
                plain(", and the promise kept ".to_owned()),
                strong(format!("{our_kept} of the time")),
                plain(format!(" instead of {their_kept}")),
            ],
        ),
        (Same, Better) => (
            State::Better,
            vec![
                strong(format!("{percent} fewer pods")),
                plain(", and the promise kept as often: ".to_owned()),
                strong(format!("{our_kept} of the time")),
                plain(if our_kept == their_kept { String::new() } else { format!(", and {their_kept}") }),
            ],
        ),
        (Better, Same) => (
            State::Better,
            vec![
                plain("Promise kept ".to_owned()),
                strong(format!("{our_kept} of the time")),
                plain(format!(" instead of {their_kept}, with as many pods")),
            ],
        ),
        (Better, Worse) => (
            State::Mixed,
            vec![
                plain("Promise kept ".to_owned()),
                strong(format!("{our_kept} of the time")),
                plain(format!(" instead of {their_kept}, for {percent} more pods")),
            ],
        ),
        (Worse, Better) => (
            State::Mixed,
            vec![
                strong(format!("{percent} fewer pods")),
                plain(format!(", but the promise kept {our_kept} of the time instead of {their_kept}")),
            ],
        ),
        (Same, Same) => {
            let both = if our_kept == their_kept { our_kept } else { format!("{our_kept} and {their_kept}") };
            (
                State::Even,
                vec![
                    strong("No difference so far".to_owned()),
                    plain(format!(": both kept the promise {both} of the time with as many pods")),
                ],
            )
        }
        (Worse, cost) => {
            let cost = if cost == Same { "as many pods".to_owned() } else { format!("{percent} more pods") };
            (
                State::Worse,
                vec![
                    plain(format!(
                        "The {rule} does better: it kept the promise {their_kept} of the time, keda-stream-scaler "
                    )),
                    strong(our_kept),
                    plain(" with ".to_owned()),
                    strong(cost),
                ],
            )
        }
        (Same, Worse) => (
            State::Worse,
            vec![
                plain(format!(
                    "The {rule} does better: the promise was kept as often, {our_kept} of the time, and keda-stream-scaler needed "
                )),
                strong(format!("{percent} more pods")),
            ],
        ),
    };
    Verdict { state, headline }
}

impl Verdict {
    /// The headline as plain text.
    pub(super) fn text(&self) -> String {
        self.headline.iter().map(|(text, _)| text.as_str()).collect()
    }
}

/// Formats a share in percent; only all of it is 100 %.
pub(super) fn share(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 100.0 { "100 %".to_owned() } else { format!("{:.1} %", percent.min(99.9)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(ours: (f64, f64), theirs: (f64, f64)) -> Verdict {
        let numbers = |(kept, pod_minutes): (f64, f64)| Numbers { kept: kept / 100.0, pod_minutes };
        judge(numbers(ours), numbers(theirs), ENOUGH, "lag threshold")
    }

    #[test]
    fn every_outcome_has_its_state_and_its_headline() {
        let cases = [
            (
                (98.7, 41.0),
                (90.9, 55.3),
                State::Better,
                "26 % fewer pods, and the promise kept 98.7 % of the time instead of 90.9 %",
            ),
            (
                (99.9, 40.0),
                (100.0, 50.0),
                State::Better,
                "20 % fewer pods, and the promise kept as often: 99.9 % of the time, and 100 %",
            ),
            (
                (100.0, 40.0),
                (100.0, 50.0),
                State::Better,
                "20 % fewer pods, and the promise kept as often: 100 % of the time",
            ),
            (
                (99.0, 50.0),
                (95.0, 51.0),
                State::Better,
                "Promise kept 99.0 % of the time instead of 95.0 %, with as many pods",
            ),
            (
                (99.4, 52.0),
                (92.1, 50.0),
                State::Mixed,
                "Promise kept 99.4 % of the time instead of 92.1 %, for 4 % more pods",
            ),
            (
                (95.1, 44.0),
                (96.4, 50.0),
                State::Mixed,
                "12 % fewer pods, but the promise kept 95.1 % of the time instead of 96.4 %",
            ),
            (
                (100.0, 50.0),
                (100.0, 50.0),
                State::Even,
                "No difference so far: both kept the promise 100 % of the time with as many pods",
            ),
            (
                (99.6, 51.0),
                (100.0, 50.0),
                State::Even,
                "No difference so far: both kept the promise 99.6 % and 100 % of the time with as many pods",
            ),
            (
                (95.1, 51.5),
                (96.4, 50.0),
                State::Worse,
                "The lag threshold does better: it kept the promise 96.4 % of the time, keda-stream-scaler 95.1 % with 3 % more pods",
            ),
            (
                (95.1, 50.0),
                (96.4, 50.0),
                State::Worse,
                "The lag threshold does better: it kept the promise 96.4 % of the time, keda-stream-scaler 95.1 % with as many pods",
            ),
            (
                (99.0, 60.0),
                (99.2, 50.0),
                State::Worse,
                "The lag threshold does better: the promise was kept as often, 99.0 % of the time, and keda-stream-scaler needed 20 % more pods",
            ),
        ];
        for (ours, theirs, state, text) in cases {
            let verdict = judged(ours, theirs);
            assert_eq!((verdict.state, &*verdict.text()), (state, text), "{ours:?} against {theirs:?}");
        }
    }

    #[test]
    fn there_is_no_verdict_before_enough_traffic_was_measured() {
        let numbers = Numbers { kept: 1.0, pod_minutes: 1.0 };
        let verdict = judge(numbers, Numbers { kept: 0.1, pod_minutes: 9.0 }, Duration::from_secs(12), "lag threshold");
        assert_eq!(verdict.state, State::Wait);
        assert_eq!(verdict.text(), "Same traffic, two autoscalers. Verdict after 18 s more traffic");
    }

    #[test]
    fn a_share_is_only_all_of_it_when_nothing_is_missing() {
        assert_eq!([1.0, 0.9999, 0.987, 0.0].map(share), ["100 %", "99.9 %", "98.7 %", "0.0 %"]);
    }
}

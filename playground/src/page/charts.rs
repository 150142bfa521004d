//! The charts: one time axis, and fixed vertical axes, so that both sides compare.

use std::time::Duration;

use keda_stream_scaler::page::plot::{Band, Event, Figure, Limit, Line, Measure, Shape};
use maud::{Markup, html};

use super::super::MOST_REPLICAS;
use super::super::score::{COURSE, Score, Second};
use super::super::session::Session;
use super::super::trouble::Made;
use super::{CLASSES, names};

/// The axis of ages ends at this multiple of the promise.
const AGES: f64 = 1.6;
/// The length of the first chart; later it grows.
const FIRST: Duration = Duration::from_secs(180);
/// The number of seconds whose mean is charted as needed pods: single seconds vary with the producer's send interval.
const SMOOTH: usize = 3;
/// A band narrower than this has no name.
const NARROW: f64 = 0.06;

/// Renders both charts.
pub(super) fn card(session: &Session, score: &Score) -> Markup {
    let window = Window::up_to(score.now.at);
    let promise = session.periods.promise.as_secs_f64();
    let (bands, times) = (window.nights(score), window.times());
    let events = window.events(&session.troubles.all());
    let period = format!("over the last {} minutes", window.length.as_secs() / 60);
    let names = names(session.options.scene);
    let both = |of: fn(&Second, usize) -> f64, shape| {
        (0..2).map(move |side| Line {
            name: names[side].to_owned(),
            class: CLASSES[side],
            points: score
                .course
                .iter()
                .filter_map(|second| Some((window.place(second.at)?, of(second, side))))
                .collect(),
            shape,
        })
    };
    let needed = Line { name: "needed".into(), class: "need", points: window.needed(score), shape: Shape::Area };
    let pods: Vec<_> =
        std::iter::once(needed).chain(both(|second, side| f64::from(second.sides[side].pods), Shape::Steps)).collect();
    let ages: Vec<_> = both(|second, side| second.sides[side].age.as_secs_f64(), Shape::Straight).collect();
    let first = Figure {
        title: "Pods",
        note: "running and starting, against the pods that the traffic needs",
        period: &period,
        height: 168,
        top: Some(f64::from(MOST_REPLICAS)),
        bands: &bands,
        events: &events,
        ..Figure::default()
    };
    let bands: Vec<_> = bands.iter().map(|band| Band { name: String::new(), ..band.clone() }).collect();
    let events: Vec<_> = events.iter().map(|event| Event { name: String::new(), ..event.clone() }).collect();
    let second = Figure {
        title: "Oldest waiting record",
        note: "seconds, against the promise",
        period: &period,
        measure: Measure::Seconds,
        height: 136,
        top: Some(promise * AGES),
        limit: Some(Limit { name: "promise", at: promise }),
        times: &times,
        bands: &bands,
        events: &events,
    };
    html! { div.card.charts { (first.of(&pods)) (second.of(&ages)) } }
}

/// The part of the past that is shown: as far back as there is data.
#[derive(Clone, Copy)]
struct Window {
    now: Duration,
    length: Duration,
}

impl Window {
    fn up_to(now: Duration) -> Self {
        Self { now, length: if now <= FIRST { FIRST } else { COURSE } }
    }

    /// Returns the position of a time between 0 and 1.
    fn place(self, at: Duration) -> Option<f64> {
        let ago = self.now.saturating_sub(at);
        (ago <= self.length).then(|| 1.0 - ago.as_secs_f64() / self.length.as_secs_f64())
    }

    fn times(self) -> Vec<(f64, String)> {
        let minutes = self.length.as_secs() / 60;
        let label = |part: u64| {
            let share = Duration::from_secs(part).as_secs_f64() / 3.0;
            let ago = minutes * (3 - part) / 3;
            (share, if ago == 0 { "now".to_owned() } else { format!("−{ago} min") })
        };
        (0..=3).map(label).collect()
    }

    fn nights(self, score: &Score) -> Vec<Band> {
        let mut bands: Vec<Band> = Vec::new();
        let mut was_night = false;
        for second in &score.course {
            if let Some(place) = self.place(second.at).filter(|_| second.night) {
                match bands.last_mut().filter(|_| was_night) {
                    Some(band) => band.to = place,
                    None => bands.push(Band { name: String::new(), from: place, to: place }),
                }
            }
            was_night = second.night;
        }
        for band in bands.iter_mut().filter(|band| band.to - band.from >= NARROW) {
            "night".clone_into(&mut band.name);
        }
        bands
    }

    fn events(self, made: &[Made]) -> Vec<Event> {
        let event = |made: &Made| Some(Event { name: made.trouble.name().to_owned(), at: self.place(made.at)? });
        made.iter().filter_map(event).collect()
    }

    fn needed(self, score: &Score) -> Vec<(f64, f64)> {
        let seconds: Vec<_> = score.course.iter().collect();
        let mean = |seconds: &[&Second]| {
            let sum: f64 = seconds.iter().map(|second| second.needed).sum();
            let place = self.place(seconds.last()?.at)?;
            Some((place, sum / f64::from(u32::try_from(seconds.len()).ok()?)))
        };
        seconds.windows(SMOOTH).filter_map(mean).collect()
    }
}

//! The page of the demo: the answer, the reason, the evidence, and buttons that make trouble.

mod charts;
mod controls;
mod details;
mod sides;
mod slots;

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Redirect, Response};
use axum::routing::get;
use keda_stream_scaler::page::{self, PageStyle, SCRIPT, script};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::scene::Scene;
use super::score::to_float;
use super::session::Session;
use super::trouble::Trouble;
use super::verdict::State as Outcome;

/// The style that the scaler's own pages have too.
static LOOK: LazyLock<PageStyle> = LazyLock::new(|| PageStyle::with(include_str!("playground.css")));

/// The interval at which the page is refreshed.
const EVERY: Duration = Duration::from_secs(1);
/// The CSS classes of both sides.
const CLASSES: [&str; 2] = ["theirs", "ours"];

/// The present run of the demo, and the way to control it.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) current: watch::Receiver<Option<Arc<Session>>>,
    pub(super) send: mpsc::UnboundedSender<Command>,
}

/// A command from the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Makes trouble for both sides.
    Make(Trouble),
    /// Pauses the demo, or lets it run.
    Pause(bool),
    /// Starts the demo from its beginning.
    Restart,
    /// The same, with periods that are this many times shorter than in a cluster.
    Speed(u8),
    /// The same, in this scene.
    Scene(Scene),
}

#[derive(Deserialize)]
struct Request {
    /// Present if only the part that changes is requested.
    fragment: Option<String>,
}

/// Serves the page forever.
pub(super) async fn serve(listener: TcpListener, stage: Stage) -> std::io::Result<()> {
    let router = Router::new()
        .route("/", get(show).post(obey))
        .route("/state", get(state))
        .route(SCRIPT, get(script))
        .with_state(stage);
    axum::serve(listener, router).await
}

async fn show(State(stage): State<Stage>, Query(request): Query<Request>) -> Response {
    let session = stage.current.borrow().clone();
    let (links, lead, live) = match &session {
        Some(session) => (links(session), lead(session), live(session)),
        None => (html! {}, starting(), html! {}),
    };
    let (title, still, every) = ("Demo".to_owned(), html! {}, EVERY);
    page::Page { look: &LOOK, status: StatusCode::OK, title, links, lead, still, live, every }
        .answer(request.fragment.is_some())
}

fn links(session: &Session) -> Markup {
    html! {
        a href="/" aria-current="page" { "Demo" }
        a href={ "http://" (session.http) "/" } { "Targets" }
        a href="/state" { "JSON" }
        a href={ "http://" (session.http) "/metrics" } { "Metrics" }
    }
}

fn starting() -> Markup {
    html! {
        section.verdict data-state="wait" {
            p.eyebrow { "Same traffic, two autoscalers" }
            h1 #verdict { "The demo " b { "starts within a few seconds" } }
            p { "The source and its consumers start, and an hour of history is simulated, so that both sides begin with what they would know by then." }
        }
    }
}

/// Renders the answer and the reasons.
fn lead(session: &Session) -> Markup {
    let (verdict, cause) = session.verdict();
    let (score, promise, scene) = (session.score(), session.periods.promise, session.options.scene);
    html! {
        section.verdict aria-labelledby="verdict" data-state=(verdict.state.name()) {
            p.eyebrow { "Same traffic, two autoscalers" }
            h1 #verdict {
                @for (text, strong) in &verdict.headline { @if *strong { b { (text) } } @else { (text) } }
            }
            @if let Some(cause) = cause { p.because { b { "Why: " } (cause) } }
            p.about {
                "The promise: no record waits longer than " b { (seconds(promise)) } ". "
                @match verdict.state {
                    Outcome::Wait => "Both sides start with what an hour of traffic has taught them. ",
                    _ => {
                        @if let Some((before, after)) = scene.sides().split_once("keda-stream-scaler") {
                            (before) span.nb { "keda-stream-scaler" } (after)
                        }
                        " Measured for " (elapsed(score.busy)) " with traffic. "
                    }
                }
                "Both HPAs have the same settings, and " (scene.key()) " " (session.target)
                @if session.options.target().is_none() { " is the best of six for this traffic." } @else { " was chosen on the command line." }
            }
        }
        (sides::both(session, &score))
    }
}

/// Renders the controls and the evidence.
fn live(session: &Session) -> Markup {
    let score = session.score();
    html! {
        (controls::form(session, &score))
        (charts::card(session, &score))
        (details::below(session, &score))
    }
}

/// Obeys a form, and shows the page again.
async fn obey(State(stage): State<Stage>, headers: HeaderMap, body: String) -> Response {
    if !is_from_here(&headers) {
        return (StatusCode::FORBIDDEN, "this form was sent by another page\n").into_response();
    }
    let Some(command) = command(&body) else {
        return (StatusCode::UNPROCESSABLE_ENTITY, "no such command\n").into_response();
    };
    // without a receiver the demo is about to end
    let _ = stage.send.send(command);
    Redirect::to("/").into_response()
}

/// Parses the one field of a form.
fn command(body: &str) -> Option<Command> {
    match body.trim().split_once('=')? {
        ("trouble", name) => Trouble::of(name).map(Command::Make),
        ("pause", paused) => Some(Command::Pause(paused == "1")),
        ("restart", _) => Some(Command::Restart),
        ("scene", name) => Scene::of(name).map(Command::Scene),
        ("speed", speed @ ("1" | "2" | "5")) => speed.parse().ok().map(Command::Speed),
        _ => None,
    }
}

/// Whether a form comes from this page: browsers send the site of its page, or the origin, with every form. Another site's name may lead
/// to this address, so only addresses and `localhost` are this page's own names.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(host) = text(header::HOST.as_str()) else { return false };
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    let is_own = name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let same = match text("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => text(header::ORIGIN.as_str()).is_none_or(|origin| origin.strip_prefix("http://") == Some(host)),
    };
    is_own && same
}

/// Serves the numbers as JSON.
async fn state(State(stage): State<Stage>) -> Json<Value> {
    let Some(session) = stage.current.borrow().clone() else { return Json(json!({"state": "starting"})) };
    let (score, (verdict, cause)) = (session.score(), session.verdict());
    let now = session.clock.elapsed();
    let side = |(side, world): (usize, &super::world::World)| {
        let (totals, measured, shown) = (score.totals[side], score.now.sides[side], world.shown());
        json!({
            "name": names(session.options.scene)[side],
            "pods": measured.pods,
            "ready": measured.ready,
            "unread": measured.unread,
            "ageSeconds": rounded(measured.age),
            "promiseKept": score.numbers(side).kept,
            "overSeconds": rounded(totals.over),
            "longestWaitSeconds": rounded(totals.longest.0),
            "podMinutes": score.numbers(side).pod_minutes,
            "scaleEvents": totals.scale_events,
            "recordsLost": totals.lost,
            "blockedPods": shown.pods.iter().filter(|pod| pod.blocked).count(),
            "why": shown.reason,
        })
    };
    let scene = session.options.scene;
    let on = scene.troubles().iter().filter(|trouble| session.troubles.is_on(**trouble, now));
    let troubles: Vec<_> = on.map(|trouble| trouble.name()).collect();
    Json(json!({
        "state": if session.clock.is_paused() { "paused" } else { "running" },
        "scene": scene.name(),
        "speed": session.periods.speed,
        "atSeconds": rounded(score.now.at),
        "busySeconds": rounded(score.busy),
        "countedSeconds": rounded(score.counted),
        "stalledSeconds": rounded(score.stalled),
        "arrivalsPerSecond": to_float(score.now.arrived) / score.now.lasted.as_secs_f64().max(f64::MIN_POSITIVE),
        "needed": score.now.needed,
        (scene.key()): session.target,
        "troubles": troubles,
        "verdict": {"state": verdict.state.name(), "text": verdict.text(), "cause": cause},
        "sides": session.worlds.iter().enumerate().map(side).collect::<Vec<_>>(),
    }))
}

/// A small sign beside a word or a number; drawn, because not every font has it.
#[derive(Clone, Copy)]
enum Sign {
    Better,
    Worse,
    To,
}

impl Sign {
    fn drawing(self) -> Markup {
        let path = match self {
            Self::Better => "M1 4.5L4 7.5L9 1.5",
            Self::Worse => "M1 2H9L5 7Z",
            Self::To => "M0 4H9M6 1L9 4L6 7",
        };
        html! {
            svg width="10" height="8" viewBox="0 0 10 8" aria-hidden="true" {
                path d=(path) fill="none" stroke="currentColor" stroke-width="1.5" {}
            }
        }
    }
}

/// Returns the names of both sides in charts and tables.
const fn names(scene: Scene) -> [&'static str; 2] {
    [scene.rule(), "maxAge"]
}

fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

fn seconds(time: Duration) -> String {
    format!("{} s", rounded(time))
}

/// Formats a time in minutes and seconds.
fn elapsed(time: Duration) -> String {
    match (time.as_secs() / 60, time.as_secs() % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_parsed_and_unknown_ones_are_refused() {
        let cases = [
            ("trouble=spike", Some(Command::Make(Trouble::Spike))),
            ("trouble=earthquake", None),
            ("pause=1", Some(Command::Pause(true))),
            ("pause=0", Some(Command::Pause(false))),
            ("restart=1", Some(Command::Restart)),
            ("speed=2", Some(Command::Speed(2))),
            ("speed=3", None),
            ("scene=kinesis", Some(Command::Scene(Scene::Kinesis))),
            ("scene=ocean", None),
            ("trouble=throttle", Some(Command::Make(Trouble::Throttle))),
            ("", None),
        ];
        for (body, expected) in cases {
            assert_eq!(command(body), expected, "{body}");
        }
    }

    #[test]
    fn forms_of_other_pages_are_refused() {
        let cases = [
            ("127.0.0.1:8000", Some("http://127.0.0.1:8000"), None, true),
            ("localhost:8000", Some("http://localhost:8000"), None, true),
            ("[::1]:8000", Some("http://[::1]:8000"), None, true),
            ("127.0.0.1:8000", None, None, true),
            // a form of a page without a referrer
            ("127.0.0.1:8000", Some("null"), Some("same-origin"), true),
            ("127.0.0.1:8000", Some("null"), Some("cross-site"), false),
            ("127.0.0.1:8000", Some("http://127.0.0.1:9000"), Some("same-site"), false),
            ("127.0.0.1:8000", Some("http://127.0.0.1:9000"), None, false),
            ("127.0.0.1:8000", Some("https://example.com"), None, false),
            ("127.0.0.1:8000", Some("null"), None, false),
            // a name of another site that was pointed at this address
            ("example.com:8000", Some("http://example.com:8000"), Some("same-origin"), false),
        ];
        for (host, origin, site, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(is_from_here(&headers), expected, "{host} {origin:?} {site:?}");
        }
    }
}

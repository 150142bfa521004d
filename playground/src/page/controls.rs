//! The buttons: a plain form, which works without a script.

use std::time::Duration;

use maud::{Markup, html};

use super::super::scene::Scene;
use super::super::score::Score;
use super::super::session::Session;
use super::super::trouble::{Made, Trouble};

/// The speeds that can be chosen.
const SPEEDS: [u8; 3] = [1, 2, 5];
/// A trouble that is over is mentioned for this long.
const MENTIONED: Duration = Duration::from_secs(15);

/// Renders the form with the state of the troubles.
pub(super) fn form(session: &Session, score: &Score) -> Markup {
    let (now, paused, scene) = (session.clock.elapsed(), session.clock.is_paused(), session.options.scene);
    html! {
        form.card.bar method="post" action="/" {
            fieldset {
                legend { "Make trouble, for both sides alike" }
                div.row {
                    @for trouble in scene.troubles() {
                        button name="trouble" value=(trouble.name()) title=(trouble.effect(scene)) aria-pressed=(session.troubles.is_on(*trouble, now)) {
                            (trouble.title(scene))
                        }
                    }
                }
            }
            fieldset {
                legend { "Scene (restarts)" }
                div.seg {
                    @for one in Scene::ALL {
                        button name="scene" value=(one.name()) aria-pressed=(scene == one) { (one.title()) }
                    }
                }
            }
            fieldset {
                legend { "Speed (restarts)" }
                div.seg {
                    @for speed in SPEEDS {
                        button name="speed" value=(speed) aria-pressed=(session.periods.speed == speed) { (speed) "×" }
                    }
                }
            }
            fieldset {
                legend { "Demo" }
                div.row {
                    button.plain name="pause" value=(u8::from(!paused)) aria-pressed=(paused) { @if paused { "Resume" } @else { "Pause" } }
                    button.plain name="restart" value="1" { "Restart" }
                }
            }
            output #trouble role="status" { (state(session, score, now, paused)) }
        }
    }
}

/// Says what is unusual now.
fn state(session: &Session, score: &Score, now: Duration, paused: bool) -> Markup {
    let asleep = session.clock.asleep().0;
    html! {
        @if paused {
            p { span.sign.zero {} b { "Paused." } " Producer, consumers and counters stand still." }
        } @else if let Some((arrived, planned)) = score.stall {
            p {
                span.sign.over {} b { "Your machine cannot keep up, or was asleep: " }
                "arrivals are " (format!("{arrived:.0}")) " of " (format!("{planned:.0}")) " records/s. Such seconds are counted for neither side."
            }
        } @else if let Some((made, left)) = session.troubles.last(now).filter(|(made, _)| now < made.at + made.trouble.lasts() + MENTIONED) {
            p { span.sign.over {} (of(session.options.scene, &made, left)) }
        } @else {
            p {
                "No trouble. Press a button to make some."
                @if !score.stalled.is_zero() || !asleep.is_zero() {
                    " " (score.stalled.as_secs()) " s are counted for neither side, because the machine was too slow or asleep."
                }
            }
        }
    }
}

fn of(scene: Scene, made: &Made, left: Duration) -> Markup {
    let trouble = made.trouble;
    let [theirs, ours] = made.lost;
    html! {
        b { (trouble.title(scene)) }
        @if trouble == Trouble::Delete {
            ". " (trouble.effect(scene)) " Unread and lost: " (theirs) " records of the lag threshold's group, " (ours) " of the other."
        } @else if left.is_zero() {
            " is over."
        } @else {
            " for " (left.as_secs() + 1) " s more. " (trouble.effect(scene))
        }
    }
}

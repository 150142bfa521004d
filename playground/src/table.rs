//! The terminal output.

use std::fmt::Write as _;
use std::time::Duration;

use keda_stream_scaler::cli::output;
use tokio::time::{MissedTickBehavior, interval};

use super::periods::{Periods, RECORDS_A_SECOND};
use super::tally::Tally;
use super::world::Plan;
use super::{NAMESPACE, Served, Show, TOPIC};

/// The interval between rows.
const ROW: Duration = Duration::from_secs(5);
/// The number of rows after which the heading is repeated.
const ROWS: usize = 20;

/// Describes the addresses, the demo, and how to send the same request by hand.
pub(super) fn introduction(show: &Show, served: &Served) -> String {
    let Served { grpc, http, page, .. } = served;
    let Periods { speed, sync, down_window, pod_start, poll, objective, commit, .. } = show.periods;
    let [by_lag, by_catch_up] = show.worlds.each_ref().map(|world| &world.plan);
    let told = |plan: &Plan| {
        let own: Vec<_> = plan.own.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        format!("  {:14}{:22}{}", plan.name, plan.title, own.join(", "))
    };
    let metadata: Vec<_> = by_catch_up.metadata.iter().map(|(key, value)| format!("\"{key}\":\"{value}\"")).collect();
    let asked = format!(
        "{{\"scaledObjectRef\":{{\"name\":\"{}\",\"namespace\":\"{NAMESPACE}\",\"scalerMetadata\":{{{}}}}}}}",
        by_catch_up.name,
        metadata.join(",")
    );
    format!(
        "Open http://{page}/ to watch both worlds; the table below shows the same.

The same records for two groups, again and again after {cycle}; a consumer handles {RECORDS_A_SECOND} a second.
{lag}
{catch_up}
No unread record is to be older than {objective}: that is the objective.

{shorter}: the HPA looks each {sync} and goes down after {down_window}, a replica starts within {pod_start},
the scaler reads each {poll}, consumers commit each {commit}, and the objective, which stands for {whole}.
--speed 1 shows the real periods.

The scaler's own pages are at http://{http}/. Ask it yourself; Ctrl-C ends it.
  grpcurl -plaintext -d '{asked}' {grpc} externalscaler.ExternalScaler/GetMetrics
",
        shorter =
            if speed == 1 { "As in a cluster".to_owned() } else { format!("{speed} times shorter than in a cluster") },
        cycle = seconds(show.course.cycle()),
        lag = told(by_lag),
        catch_up = told(by_catch_up),
        objective = seconds(objective),
        sync = seconds(sync),
        down_window = seconds(down_window),
        pod_start = seconds(pod_start),
        poll = seconds(poll),
        commit = seconds(commit),
        whole = seconds(objective * u32::from(speed)),
    )
}

/// Prints rows forever.
pub(super) async fn show(show: &Show) -> anyhow::Result<()> {
    let mut ticks = interval(ROW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = (ticks.tick().await, show.broker.produced(TOPIC));
    for row in 0.. {
        let mut text = if row % ROWS == 0 { heading() } else { String::new() };
        let now = ticks.tick().await;
        let produced = show.broker.produced(TOPIC);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand records")]
        let rate = (produced - before.1) as f64 / (now - before.0).as_secs_f64();
        before = (now, produced);
        let at = seconds(Duration::from_secs((now - show.begun).as_secs()));
        // writing to a string cannot fail
        let _ = write!(text, "{at:>7} {rate:>9.0}");
        for world in &*show.worlds {
            let state = world.state();
            match state.metric {
                Some(Err(error)) => drop(write!(text, " │ {error:<44}")),
                _ => cells(&mut text, &state.tally),
            }
        }
        text.push('\n');
        output::data(&text)?;
    }
    Ok(())
}

fn heading() -> String {
    let columns =
        format!(" │ {:>7} {:>6} {:>9} {:>7} {:>6} {:>5}", "behind", "oldest", "consumers", "over", "paid", "moves");
    let title = |title| format!(" │ {title:<45}");
    format!(
        "\n{:17}{}{}\n{:>7} {:>9}{columns}{columns}\n",
        "",
        title("lag threshold"),
        title("catch-up"),
        "time",
        "arrivals/s"
    )
}

/// Formats one world: its current state and its totals.
fn cells(text: &mut String, tally: &Tally) {
    let Tally { over_objective, consumer_time, scale_events, now, .. } = tally;
    let (behind, age, replicas) = (now.behind, whole(now.age), now.replicas);
    let (over, paid) = (whole(*over_objective), whole(*consumer_time));
    // writing to a string cannot fail
    let _ = write!(text, " │ {behind:>7} {age:>6} {replicas:>9} {over:>7} {paid:>6} {scale_events:>5}");
}

/// Formats the totals at the end.
pub(super) fn summary(show: &Show) -> String {
    let objective = seconds(show.periods.objective);
    let mut text = format!(
        "\n{:28} {:>24} {:>17} {:>12} {:>10}\n",
        "",
        format!("older than {objective}"),
        "consumer-seconds",
        "scale events",
        "oldest"
    );
    for (world, name) in show.worlds.iter().zip(["lag threshold", "catch-up"]) {
        let tally = world.state().tally;
        let over = format!("{} ({:.1} %)", whole(tally.over_objective), tally.over_share() * 100.0);
        let (paid, oldest) = (tally.consumer_time.as_secs(), whole(tally.worst_age));
        // writing to a string cannot fail
        let _ = writeln!(text, "{name:28} {over:>24} {paid:>17} {:>12} {oldest:>10}", tally.scale_events);
    }
    text
}

fn whole(time: Duration) -> String {
    format!("{:.0}s", time.as_secs_f64())
}

fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

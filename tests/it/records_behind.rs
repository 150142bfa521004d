//! One number for one fact: what a group has not read is the same in each place that shows it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use keda_stream_scaler::admin::LiveSeries;
use keda_stream_scaler::lag::{
    CommittedOffset, GroupObservation, Member, MemberIndex, Members, Observation, Offset, PartitionId,
    PartitionObservation, TopicObservation, Watermarks,
};
use keda_stream_scaler::recording::{Line, Reading};
use keda_stream_scaler::telemetry::{Exposition, Metrics};
use serde_json::{Value, json};

use crate::support::process::{Ended, run};
use crate::support::prometheus::series;
use crate::support::scripted::Script;
use crate::support::stage::Stage;

/// A partition's commit, and the first and the next offset of its log.
type Row = (Option<u64>, u64, u64);

/// What each place is to show of partitions such as these.
struct Case {
    name: &'static str,
    rows: &'static [Row],
    /// `None` where no partition has a commit: that is not known to be nothing.
    records_behind: Option<u64>,
    lost: u64,
    without_commit: u64,
    /// By `scaleOn: lag`, where that differs from the records behind, with `compat` fixed and strict.
    lags: [i64; 2],
}

const CASES: [Case; 7] = [
    Case {
        name: "caught-up",
        rows: &[(Some(400), 0, 400), (Some(0), 0, 0)],
        records_behind: Some(0),
        lost: 0,
        without_commit: 0,
        lags: [0, 0],
    },
    Case {
        name: "one-never-read",
        rows: &[(Some(130), 0, 400), (Some(300), 0, 300), (None, 0, 120)],
        records_behind: Some(270),
        lost: 0,
        without_commit: 1,
        lags: [271, 271],
    },
    Case {
        name: "retention",
        rows: &[(Some(100), 5000, 6000)],
        records_behind: Some(1000),
        lost: 4900,
        without_commit: 0,
        lags: [1000, 5900],
    },
    Case {
        name: "retention-of-all",
        rows: &[(Some(100), 6000, 6000), (Some(7), 0, 12)],
        records_behind: Some(5),
        lost: 5900,
        without_commit: 0,
        lags: [5, 5905],
    },
    Case {
        name: "never-read",
        rows: &[(None, 0, 0), (None, 0, 70)],
        records_behind: None,
        lost: 0,
        without_commit: 2,
        lags: [2, 2],
    },
    // a race of leaders at its beginning
    Case {
        name: "past-the-end",
        rows: &[(Some(160), 0, 150), (Some(100), 0, 150)],
        records_behind: Some(50),
        lost: 0,
        without_commit: 0,
        lags: [50, 40],
    },
    // the end markers of transactions have offsets, and no consumer commits past them
    Case {
        name: "markers",
        rows: &[(Some(149), 0, 150), (Some(99), 0, 100)],
        records_behind: Some(2),
        lost: 0,
        without_commit: 0,
        lags: [2, 2],
    },
];

fn observation(rows: &[Row]) -> Observation {
    let partitions = rows.iter().zip(0..).map(|(&(committed, start, end), number)| PartitionObservation {
        partition: PartitionId(number),
        committed: committed.map_or(CommittedOffset::None, |offset| CommittedOffset::At(Offset(offset))),
        watermarks: Watermarks { start: Offset(start), end: Offset(end) },
        owner: Some(MemberIndex(0)),
    });
    let partitions: Vec<_> = partitions.collect();
    let topic = TopicObservation {
        name: "orders".into(),
        id: None,
        partition_count: u32::try_from(partitions.len()).unwrap(),
        partitions,
    };
    let members = Members::Settled(vec![Member { id: "one".into(), client_id: "one".into() }]);
    Observation::Kafka(GroupObservation { topics: vec![topic], members, ..GroupObservation::default() })
}

async fn get(address: SocketAddr, path: &str) -> String {
    reqwest::get(format!("http://{address}{path}")).await.unwrap().text().await.unwrap()
}

/// The steps of one trigger's decision, in words.
fn words(target: &Value) -> Vec<&str> {
    let steps = target["scaledObjects"][0]["stepsInWords"].as_array().unwrap();
    steps.iter().map(|step| step.as_str().unwrap()).collect()
}

#[tokio::test]
async fn each_place_shows_the_same_records_behind() {
    let policies: [&[(&str, &str)]; 3] = [
        &[("allowIdleConsumers", "true")],
        &[("allowIdleConsumers", "true"), ("compat", "strict")],
        &[("scaleOn", "catchUp")],
    ];
    for (policy, changes) in policies.iter().enumerate() {
        tokio::time::pause();
        let mut stage = Stage::new();
        for case in &CASES {
            let capacity = [("capacityPerConsumer", "10")];
            let changes = if policy == 2 { [changes, &capacity[..]].concat() } else { changes.to_vec() };
            stage.kafka(("shop", case.name), case.name, &changes);
            stage.source.set(case.name, Script::Reads(observation(case.rows)));
        }
        stage.ask().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let metrics = Metrics::new("0", "none");
        metrics.add(LiveSeries::new(stage.sampler().clone(), true));
        let scraped = series(&metrics.render(Exposition::Text));
        let charts: Vec<_> = stage.sampler().view();
        tokio::time::resume();
        let (address, _served) = stage.serve().await;
        let list = get(address, "/").await;
        for case in &CASES {
            let about = format!("{} by {changes:?}", case.name);
            let Case { name, rows, records_behind, lost, without_commit, lags } = case;

            let samples: Value =
                serde_json::from_str(&get(address, &format!("/samples?source=group%20{name},")).await).unwrap();
            let target = &samples["targets"][0];
            let reading = &target["reading"];
            assert_eq!(reading["recordsBehind"], json!(records_behind), "{about}: {reading}");
            assert_eq!((&reading["lostRecords"], &reading["withoutCommit"]), (&json!(lost), &json!(without_commit)));
            let of_rows: Vec<_> = reading["partitionRows"].as_array().unwrap().iter().collect();
            let of_rows = of_rows.iter().map(|row| row["recordsBehind"].as_u64());
            assert_eq!(of_rows.clone().flatten().sum::<u64>(), records_behind.unwrap_or(0), "{about}");
            assert_eq!(of_rows.filter(Option::is_none).count() as u64, *without_commit, "{about}");

            let object = format!("scaledObject=\"{name}\",");
            let gauge = |metric: &str, of: &str| {
                let series =
                    scraped.iter().filter(|(series, _)| series.starts_with(&format!("stream_scaler_{metric}{{")));
                let mut values = series.filter(|(series, _)| series.contains(of)).map(|(_, value)| *value).peekable();
                values.peek().is_some().then(|| values.sum::<f64>())
            };
            let float = |count: u64| f64::from(u32::try_from(count).unwrap());
            assert_eq!(gauge("lag_records", &object), records_behind.map(float), "{about}");
            assert_eq!(gauge("lost_records", &object), Some(float(*lost)), "{about}");
            assert_eq!(gauge("partitions_without_commit", &object), Some(float(*without_commit)), "{about}");
            assert_eq!(gauge("partition_lag_records", &format!("consumer=\"{name}\"")), records_behind.map(float));

            let view = charts.iter().find(|view| view.source.to_string().contains(&format!("group {name},"))).unwrap();
            let charted = view.chart.points().last().unwrap().behind;
            assert_eq!((!charted.is_nan()).then_some(f64::from(charted)), records_behind.map(float), "{about}");

            let row = list.split("<tbody").find(|row| row.contains(&format!(">{name}</a>"))).unwrap();
            let behind = row.split("data-label=\"Behind\">").nth(1).unwrap().split(' ').next().unwrap();
            let shown = records_behind.map_or("–".to_owned(), |count| {
                if count < 1000 { count.to_string() } else { format!("{},{:03}", count / 1000, count % 1000) }
            });
            assert_eq!(behind, shown, "{about}");

            let link = row.split("href=\"").nth(1).unwrap().split('"').next().unwrap();
            let page = get(address, link).await;
            let cells = page.split("data-label=\"Behind\">").skip(1).map(|cell| cell.split('<').next().unwrap());
            let cells = cells.map(|cell| cell.replace(',', "").parse::<u64>());
            let (known, unknown): (Vec<_>, Vec<_>) = cells.partition(Result::is_ok);
            assert_eq!(known.into_iter().map(Result::unwrap).sum::<u64>(), records_behind.unwrap_or(0), "{about}");
            assert_eq!(unknown.len() as u64, *without_commit, "{about}");

            let words = words(target);
            let partitions = rows.len();
            match records_behind {
                Some(records) => {
                    let begins = format!("{records} record{} behind in ", if *records == 1 { "" } else { "s" });
                    assert!(words[0].starts_with(&begins), "{about}: {words:?}");
                }
                None => assert_eq!(words[0], format!("no valid commit in {partitions} partitions"), "{about}"),
            }
            let lag = lags[usize::from(policy == 1)];
            let differs = i64::try_from(records_behind.unwrap_or(0)).unwrap() != lag;
            let named = words.iter().find(|word| word.starts_with("lag "));
            assert_eq!(
                named.map(|word| word.starts_with(&format!("lag {lag}: "))),
                differs.then_some(true),
                "{words:?}"
            );
            if policy == 2 {
                let backlog = format!("lag {lag};");
                assert!(words.iter().any(|word| word.contains(&backlog)), "{about}: {words:?}");
            } else {
                assert_eq!(
                    target["scaledObjects"][0]["value"].as_f64().unwrap().to_string(),
                    lag.to_string(),
                    "{about}"
                );
                let last = words.last().unwrap();
                assert!(last.contains(&format!(": lag {lag}, more than 0 is needed")), "{about}: {words:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_replay_shows_the_same_records_behind() {
    for case in &CASES {
        let metadata =
            [("source", "kafka"), ("bootstrapServers", "b:9092"), ("consumerGroup", "g"), ("topic", "orders")];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let begin = Line::Recording {
            version: keda_stream_scaler::recording::VERSION,
            source: "group g".into(),
            triggers: vec![metadata],
        };
        let reading = Line::Reading { at: 1_700_000_000_000, of: Reading::of(&observation(case.rows)).unwrap() };
        let lines = [begin, reading].map(|line| serde_json::to_string(&line).unwrap()).join("\n");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines + "\n").unwrap();
        let Ended { code, stdout, stderr } = run(&["replay", "-o", "json", file.path().to_str().unwrap()]).await;
        assert_eq!(code, Some(0), "{stderr}");
        let table: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(table["rows"][0]["reading"]["recordsBehind"], json!(case.records_behind), "{}: {table}", case.name);
    }
}

/// The same in each answer of one target, whatever is asked how often.
#[tokio::test(start_paused = true)]
async fn what_expires_is_not_shown_as_it_was() {
    let mut stage = Stage::new();
    stage.kafka(("shop", "expires"), "expires", &[]);
    stage.source.set("expires", Script::Reads(observation(&[(Some(130), 0, 400)])));
    stage.ask().await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    stage.source.set("expires", Script::Reads(observation(&[(None, 0, 400)])));
    tokio::time::sleep(Duration::from_secs(15)).await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let list = get(address, "/").await;
    let seen: BTreeSet<_> =
        list.split("data-label=\"Behind\">").skip(1).map(|cell| cell.split(' ').next().unwrap()).collect();
    assert_eq!(seen, BTreeSet::from(["–"]), "the commit is gone, and what was behind it is not known any more");
}

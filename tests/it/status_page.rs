//! The status page, by HTTP and in a real browser.

use std::net::SocketAddr;
use std::time::Duration;

use keda_stream_scaler::lag::{
    CommittedOffset, Observation, Offset, PartitionId, PartitionObservation, SourceErrorKind, Watermarks,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::docs::page::updating;
use crate::support::browser::Browser;
use crate::support::fleet::fleet;
use crate::support::scripted::{Script, lag};
use crate::support::stage::{HOSTILE, Stage, unreachable};

/// What makes a page wider than its window.
const TOO_WIDE: &str =
    "document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]
    .filter((part) => part.getBoundingClientRect().right > innerWidth).map((part) => part.outerHTML.slice(0, 80))";

/// How often the page has asked for something.
const ASKED: &str = "performance.getEntriesByType('resource').length";

/// Makes the page believe that somebody looks at it, or nobody.
fn looked_at(yes: bool) -> String {
    format!(
        "Object.defineProperty(document, 'hidden', {{ value: {}, configurable: true }});
         document.dispatchEvent(new Event('visibilitychange'));
         void (window.since = performance.now())",
        !yes
    )
}

async fn get(address: SocketAddr, path: &str) -> (u16, reqwest::header::HeaderMap, String) {
    let answer = reqwest::get(format!("http://{address}{path}")).await.unwrap();
    (answer.status().as_u16(), answer.headers().clone(), answer.text().await.unwrap())
}

/// The address of the page of the target whose link has this text.
fn target_of(list: &str, name: &str) -> String {
    let link = list.split("<a href=\"").find(|link| link.contains(&format!(">{name}</a>"))).expect("a link");
    link.split('"').next().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn every_target_is_shown_with_its_callers_and_what_they_get() {
    let stage = Stage::company().await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let (status, headers, list) = get(address, "/").await;
    assert_eq!(status, 200);
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'sha256-"), "{policy}");
    for text in [
        "invoices-archive",
        "and shop/invoices",
        "Cluster kafka-1:9092, kafka-2:9092 unreachable since ",
        "No decision possible on kafka-1:9092, kafka-2:9092",
        "1 target: shop/payments. KEDA gets an error, and the HPA keeps its replicas.",
        "Connection refused.",
        "<b>What to do:</b> check bootstrapServers",
        "maxAge: 60s",
        "lagThreshold: 2000",
        "ageThreshold: 60s",
    ] {
        assert!(list.contains(text), "{text} is not in\n{list}");
    }

    let (status, _, page) = get(address, &target_of(&list, "order-service")).await;
    assert_eq!(status, 200);
    let texts =
        ["Oldest waiting record", "predicted", "promise 60 s", "records/s", "order-service-<", "In/s", "Last 30 min"];
    let words =
        ["Commit unchanged for", "Wanted", "Running", "Metric for the HPA", "12 partitions", "4 owners; 0 without"];
    let measured = [">Oldest<", ">In/s<", ">Out/s<", "needed: ", "Promise kept", "of the readings since "];
    for text in texts.into_iter().chain(words).chain(measured) {
        assert!(page.contains(text), "{text} is not in\n{page}");
    }
    let (_, _, by_lag) = get(address, &target_of(&list, "invoices-archive")).await;
    for text in measured {
        assert!(!by_lag.contains(text), "a lag policy measures no {text}:\n{by_lag}");
    }
    for (name, html) in [("list", &list), ("target", &page)] {
        for word in ["behind", "Behind", "told", "asker", "Arrive / s"] {
            assert!(!html.contains(word), "{word} is in the {name}:\n{html}");
        }
    }
    let (status, _, page) = get(address, "/targets/0123456789ab").await;
    assert!(status == 404 && page.contains("No such target"));
    let (_, _, fragment) = get(address, "/?q=SHOP%2Fpay&fragment=1").await;
    assert!(fragment.starts_with("<div id=\"lead\">") && fragment.contains("<div id=\"live\">"), "{fragment}");
    let rows = fragment.split("<tbody").nth(1).unwrap();
    assert!(rows.contains("payments") && !rows.contains("invoices"), "{rows}");
}

#[tokio::test(start_paused = true)]
async fn the_json_has_the_same_decisions() {
    let stage = Stage::company().await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let samples: Value = serde_json::from_str(&get(address, "/samples?source=invoices").await.2).unwrap();
    let objects = &samples["targets"][0]["scaledObjects"];
    let name = |index: usize| objects[index]["name"].as_str().unwrap().to_owned();
    assert_eq!((name(0), name(1)), ("invoices-archive".to_owned(), "invoices".to_owned()));
    assert_eq!((&objects[0]["policy"], &objects[0]["outcome"]), (&"lag".into(), &"valued".into()));
    assert_eq!((&objects[0]["target"], &objects[1]["target"]), (&2000.0.into(), &500.0.into()));
    let words = objects[0]["stepsInWords"].as_array().unwrap();
    let (_, _, list) = get(address, "/").await;
    let (_, _, page) = get(address, &target_of(&list, "invoices-archive")).await;
    assert!(
        !words.is_empty() && words.iter().all(|word| page.contains(&word.as_str().unwrap().replace('>', "&gt;"))),
        "{words:?}"
    );
    let all: Value = serde_json::from_str(&get(address, "/samples").await.2).unwrap();
    let failing = all["targets"].as_array().unwrap().iter().find(|target| target["state"] == "failing").unwrap();
    assert_eq!(failing["scaledObjects"][0]["outcome"], "failed");
    assert_eq!(failing["scaledObjects"][0]["kind"], SourceErrorKind::Unreachable.as_str());
}

#[tokio::test(start_paused = true)]
async fn names_that_are_markup_do_nothing() {
    let stage = Stage::company().await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let (_, _, list) = get(address, &format!("/?q={}", "%3Cscript%3Ewindow.hurt=1%3C/script%3E")).await;
    let (_, _, page) = get(address, &target_of(&list, "hostile")).await;
    for html in [list, page] {
        assert!(!html.contains(HOSTILE) && html.contains("&lt;script&gt;window.hurt"), "{html}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_partitions_the_first_are_shown_and_the_json_has_all() {
    let mut stage = Stage::new();
    stage.kafka(("shop", "wide"), "wide", &[]);
    let Observation::Kafka(mut group) = lag(3) else { panic!("a group") };
    let partition = group.topics[0].partitions[0];
    group.topics[0].partitions =
        (0..250).map(|number| PartitionObservation { partition: PartitionId(number), ..partition }).collect();
    stage.source.set("wide", Script::Reads(Observation::Kafka(group)));
    stage.ask().await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let (_, _, page) = get(address, &target_of(&get(address, "/").await.2, "wide")).await;
    assert_eq!(page.matches("<tr id=\"p").count(), 200);
    let link = page.split("href=\"").find(|link| link.contains(">All of them as JSON<")).unwrap();
    let (status, _, json) = get(address, link.split('"').next().unwrap()).await;
    assert_eq!((status, json.matches("\"committed\"").count()), (200, 250));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_targets_are_paged_quickly_and_found_by_their_objects() {
    let mut stage = Stage::new();
    for number in 0..1000 {
        for object in 0..10 {
            let name = format!("service-{number:04}-{object}");
            let threshold = (10 + object).to_string();
            stage.kafka(
                ("shop", &name),
                &format!("group-{number:04}"),
                &[("lagThreshold", &threshold), ("pollInterval", "30s")],
            );
        }
        stage.source.set(&format!("group-{number:04}"), Script::Lag(number));
    }
    for _ in 0..4 {
        stage.ask().await;
        tokio::time::sleep(Duration::from_secs(450)).await;
    }
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let mut quickest = Duration::MAX;
    for page in 1..=20 {
        let begun = Instant::now();
        let (status, _, html) = get(address, &format!("/?page={page}")).await;
        quickest = quickest.min(begun.elapsed());
        assert_eq!((status, html.matches("<tr id=\"t").count()), (200, 50));
        assert!(html.len() < 500_000, "{} bytes", html.len());
        if page == 20 {
            println!("1,000 targets: a page of {} bytes in {quickest:?}", html.len());
            assert!(
                html.contains("Kafka group group-0000 ") && html.contains("951–1,000 of 1,000, worst first"),
                "{html}"
            );
        }
    }
    let (_, _, found) = get(address, "/?q=service-0123-7").await;
    assert_eq!(found.matches("<tr id=\"t").count(), 1);
    assert!(found.contains("Kafka group group-0123 ") && found.contains(" and 7 more"), "{found}");
}

#[tokio::test(start_paused = true)]
async fn every_page_fits_its_window_in_light_and_dark() {
    let mut browser = Browser::start().await;
    let stage = Stage::company().await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let (_, _, list) = get(address, "/").await;
    let target = |name: &str| target_of(&list, name);
    let pages = [
        ("targets", "/".to_owned()),
        ("target", target("order-service")),
        ("failing", target("payments")),
        ("shards", target("click-counter")),
    ];
    for (name, page) in pages {
        for scheme in ["light", "dark"] {
            for width in [390, 1280] {
                browser.open(&format!("http://{address}{page}"), width, scheme).await;
                let wide = browser.value(TOO_WIDE).await;
                assert_eq!(wide, Value::Array(Vec::new()), "{name} is wider than {width}");
                let glyphs = browser.value("document.querySelector('h1').getBoundingClientRect().width > 20").await;
                assert_eq!(glyphs, true, "the browser has no font");
                let ground = browser.text("getComputedStyle(document.body).backgroundColor").await;
                assert_eq!(ground == "rgb(14, 17, 22)", scheme == "dark", "{ground}");
                assert_eq!(browser.value("window.hurt ?? null").await, Value::Null);
                assert_eq!(browser.report().await.0, Vec::<String>::new());
                let shot = browser.screenshot(&format!("{name}-{scheme}-{width}")).await;
                if updating() && (name, scheme, width) == ("target", "light", 1280) {
                    std::fs::copy(shot, "docs/target-page.png").unwrap();
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_shown_with_its_end() {
    let mut browser = Browser::start().await;
    let stage = Stage::holding().await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let (_, _, list) = get(address, "/").await;
    assert_eq!(rows(&list), [("shop/order-export".to_owned(), "Holding".to_owned())]);
    let target = target_of(&list, "order-export");
    let (_, _, page) = get(address, &target).await;
    let sentence = page.split("<h2 id=\"decision0\">").nth(1).and_then(|rest| rest.split("</h2>").next()).unwrap();
    assert!(sentence.starts_with("Holding 4 replicas until ") && sentence.ends_with(" would be enough"), "{sentence}");
    for (name, path) in [("holding-list", "/"), ("holding", &target)] {
        for scheme in ["light", "dark"] {
            for width in [390, 1280] {
                browser.open(&format!("http://{address}{path}"), width, scheme).await;
                assert_eq!(browser.value(TOO_WIDE).await, Value::Array(Vec::new()), "{name} is wider than {width}");
                browser.screenshot(&format!("{name}-{scheme}-{width}")).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_keyboard_reaches_every_link_in_order() {
    let mut browser = Browser::start().await;
    let stage = Stage::company().await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    browser.open(&format!("http://{address}/"), 1280, "light").await;
    let tiles = ["Targets6", "Failing2", "Over the promise", "Worst age", "Worst lag"];
    let begin = ["Skip to content", "keda-stream-scaler", "Targets", "JSON", "Metrics"];
    let rest = ["Show 1 target", "Show 1 target", "All 6", "Failing 2", "OK 4", "q", "All 5"];
    for name in begin.into_iter().chain(tiles).chain(rest) {
        browser.press("Tab").await;
        let focused = browser.text("document.activeElement.textContent || document.activeElement.id").await;
        assert!(focused.starts_with(name), "{focused} instead of {name}");
        let outline = browser.text("getComputedStyle(document.activeElement).outlineStyle").await;
        assert_eq!(outline, "solid", "what has the focus is seen");
    }
    browser.value("void document.querySelector('tbody a[href$=\"' + [...document.querySelectorAll('tbody a')].find((link) => link.textContent === 'web/click-counter').getAttribute('href') + '\"]').focus()").await;
    browser.press("Enter").await;
    browser.until("document.querySelector('h1')?.textContent === 'web/click-counter'").await;
}

#[tokio::test(start_paused = true)]
async fn what_changes_is_shown_without_a_reload_an_error_or_a_foreign_request() {
    let mut browser = Browser::start().await;
    let stage = Stage::company().await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let home = format!("http://{address}/");
    browser.open(&home, 1280, "light").await;
    browser.value("void (window.loaded = 1, [...document.querySelectorAll('tbody a')].find((link) => link.textContent === 'shop/payments').focus())").await;

    stage.source.set("payments", Script::Lag(4321));
    browser.until("document.body.innerText.includes('4,321') && !document.querySelector('.causes').innerText.includes('payments')").await;
    stage.source.set("payments", Script::FailsWith(unreachable()));
    browser.until("document.querySelector('.causes').innerText.includes('Connection refused')").await;
    browser.until("document.querySelector('.causes').innerText.includes('What to do: check bootstrapServers')").await;
    assert_eq!(browser.value("window.loaded").await, 1);
    assert_eq!(browser.text("document.activeElement.textContent").await, "shop/payments", "the focus goes along");

    // nobody looks, nothing is asked
    browser.value(&looked_at(false)).await;
    let before = browser.value(ASKED).await;
    browser.until("performance.now() - window.since > 4000").await;
    assert_eq!(browser.value(ASKED).await, before);
    browser.value(&looked_at(true)).await;
    browser.until(&format!("{ASKED} > {before}")).await;

    let (errors, requests) = browser.report().await;
    assert_eq!(errors, Vec::<String>::new());
    assert!(requests.len() > 3 && requests.iter().all(|to| to.starts_with(&home) || to == "data:,"), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn without_scripts_the_page_is_whole_and_without_the_scaler_it_says_so() {
    let mut browser = Browser::start().await;
    let stage = Stage::company().await;
    tokio::time::resume();
    let (address, served) = stage.serve().await;
    browser.open_without_script(&format!("http://{address}/")).await;
    assert_eq!(browser.value("document.querySelectorAll('tbody tr').length").await, 6);
    browser.screenshot("without-script").await;

    browser.open(&format!("http://{address}/"), 1280, "dark").await;
    browser.until("document.getElementById('connection').textContent === 'Live'").await;
    served.abort();
    browser.until("document.getElementById('connection').textContent.includes('cannot be reached')").await;
    browser.screenshot("scaler-unreachable").await;
}

/// The number of a tile.
fn tile(html: &str, title: &str) -> String {
    let tiles = html.split("<ul class=\"tiles\"").nth(1).and_then(|rest| rest.split("</ul>").next()).expect("tiles");
    let tile = tiles.split("<li>").find(|tile| tile.contains(title)).expect("the tile");
    let value = tile.split("<b>").nth(1).and_then(|rest| rest.split("</b>").next());
    value.expect("a number").to_owned()
}

/// The targets of the table, by their state, in order.
fn rows(html: &str) -> Vec<(String, String)> {
    let rows = html.split("<tr id=\"t").skip(1);
    let text =
        |html: &str| html.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect::<String>();
    let row = |row: &str| {
        let state = text(row.split("<td class=\"st").nth(1).and_then(|cell| cell.split("</td>").next()).unwrap());
        let name = text(row.split("<a ").nth(1).and_then(|link| link.split("</a>").next()).unwrap());
        (name, state.trim_start_matches(" \" role=\"cell\">").to_owned())
    };
    rows.map(row).collect()
}

#[tokio::test(start_paused = true)]
async fn pages_of_1_12_30_and_1000_targets_fit_every_window() {
    let mut browser = Browser::start().await;
    for targets in [1, 12, 30, 1000] {
        let stage = fleet(targets).await;
        tokio::time::resume();
        let (address, served) = stage.serve().await;
        let (_, _, html) = get(address, "/").await;
        assert_eq!(tile(&html, ">Targets<").replace(',', ""), targets.to_string());
        assert_eq!(rows(&html).len(), targets.min(50));
        for scheme in ["light", "dark"] {
            for width in [390, 1280] {
                browser.open(&format!("http://{address}/"), width, scheme).await;
                let wide = browser.value(TOO_WIDE).await;
                assert_eq!(wide, Value::Array(Vec::new()), "{targets} targets are wider than {width}");
                if width == 390 {
                    assert_eq!(browser.value(HOLES).await, Value::Array(Vec::new()), "{targets} targets");
                }
                assert_eq!(browser.report().await.0, Vec::<String>::new());
                let shot = browser.screenshot(&format!("status-{targets}-{scheme}-{width}")).await;
                if updating() && (targets, scheme, width) == (12, "light", 1280) {
                    std::fs::copy(shot, "docs/status-page.png").unwrap();
                }
            }
        }
        served.abort();
        tokio::time::pause();
    }
}

/// Cells of the table on a phone that leave a hole, or whose label is on the line of its value.
const HOLES: &str = "[...document.querySelectorAll('.targets td, .targets tbody th')].filter((cell) => {
    const { height, width } = cell.getBoundingClientRect();
    const empty = !cell.textContent.trim();
    const none = cell.classList.contains('none');
    if (none || empty) return height > 0 && width > 0;
    return cell.dataset.label && height < 36;
  }).map((cell) => cell.outerHTML.slice(0, 80))";

#[tokio::test(start_paused = true)]
async fn targets_are_counted_filtered_and_sorted() {
    let stage = fleet(30).await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let (_, _, all) = get(address, "/").await;
    let listed = rows(&all);
    let count = |state: &str| listed.iter().filter(|(_, known)| known == state).count();
    assert_eq!(tile(&all, "Failing"), count("Failing").to_string());
    assert_eq!(count("Failing"), 6);
    assert_eq!(tile(&all, "Over the promise"), count("Over promise").to_string());
    assert!(
        count("Over promise") >= 2 && count("Stuck") >= 1 && count("At maximum") >= 1 && count("Zero") == 2,
        "{listed:?}"
    );

    let order = ["Over promise", "At maximum", "Failing", "Stuck", "First reading", "Holding", "OK", "Zero"];
    let places = listed.iter().map(|(_, state)| order.iter().position(|known| known == state).expect("a state"));
    assert!(places.is_sorted(), "{listed:?}");
    assert!(all.contains("aria-sort=\"descending\"><a href=\"/?sort=-state\">State</a>"), "{all}");

    for (filter, expected) in [
        ("state=failing", count("Failing")),
        ("state=zero", count("Zero")),
        ("namespace=billing", 5),
        ("policy=lag", 8),
        ("cluster=kafka-2.prod%3A9092", 4),
        ("cluster=kafka-2.prod%3A9092&state=ok", 0),
        ("q=ledger&namespace=&policy=", 3),
    ] {
        let (status, _, html) = get(address, &format!("/?{filter}")).await;
        assert_eq!((status, rows(&html).len()), (200, expected), "{filter}");
        assert_eq!(tile(&html, ">Targets<"), "30", "the tiles are about all targets");
    }

    let names = |html: &str| rows(html).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let (_, _, by_name) = get(address, "/?sort=name").await;
    assert!(names(&by_name).is_sorted() && by_name.contains("aria-sort=\"ascending\""), "{:?}", names(&by_name));
    let (_, _, reverse) = get(address, "/?sort=-name").await;
    assert!(names(&reverse).iter().rev().is_sorted(), "{:?}", names(&reverse));
    let (_, _, by_lag) = get(address, "/?sort=lag").await;
    let worst = by_lag.split("<span>Worst lag</span>").nth(1).and_then(|rest| rest.split("</a>").next()).unwrap();
    assert!(worst.contains(&names(&by_lag)[0]), "the tile names the first row by lag: {worst}");
    let numbers: Vec<u64> = lags(&by_lag).iter().map(|lag| lag.replace(',', "").parse().unwrap()).collect();
    assert!(numbers.iter().rev().is_sorted(), "{numbers:?}");
}

/// The lags of the table, in order.
fn lags(html: &str) -> Vec<String> {
    let cells = html.split("data-label=\"Lag\"><span class=\"").skip(1);
    cells.map(|cell| cell.split_once('>').unwrap().1.split('<').next().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn three_hundred_targets_of_a_dead_cluster_are_one_cause_and_its_link_shows_them() {
    let mut stage = Stage::new();
    for number in 0..310 {
        let group = format!("group-{number:03}");
        let cluster = if number < 300 { "kafka-2:9092" } else { "kafka-1:9092" };
        stage.kafka(("shop", &group), &group, &[("bootstrapServers", cluster)]);
        stage.source.set(&group, Script::Lag(3));
    }
    stage.ask().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    for number in 0..300 {
        stage.source.set(&format!("group-{number:03}"), Script::FailsWith(unreachable()));
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    stage.ask().await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let (_, _, list) = get(address, "/").await;
    assert_eq!(tile(&list, "Failing"), "300");
    assert_eq!(list.matches("<li id=\"c").count(), 1, "one cause");
    for text in [
        "300 targets failing, 1 cause",
        "Cluster kafka-2:9092 unreachable since ",
        "300 targets: shop/group-000, shop/group-001, shop/group-002 and 297 more. Last values are served until ",
        "Show 300 targets",
    ] {
        assert!(list.contains(text), "{text} is not in {list}");
    }
    assert_eq!(list.matches("Connection refused").count(), 1, "the rows do not repeat the error");
    let link = list.split("href=\"").find(|link| link.contains(">Show 300 targets<")).unwrap();
    let (_, _, found) = get(address, link.split('"').next().unwrap()).await;
    assert!(found.contains("1–50 of 300"), "{found}");
}

#[tokio::test(start_paused = true)]
async fn partitions_without_a_commit_are_no_records() {
    let mut stage = Stage::new();
    stage.kafka(("shop", "fresh"), "fresh", &[("scaleOn", "catchUp"), ("capacityPerConsumer", "100")]);
    let Observation::Kafka(mut group) = lag(0) else { panic!("a group") };
    let partition = group.topics[0].partitions[0];
    group.topics[0].partitions = (0..6)
        .map(|number| PartitionObservation {
            partition: PartitionId(number),
            committed: CommittedOffset::None,
            watermarks: Watermarks { start: Offset(0), end: Offset(0) },
            ..partition
        })
        .collect();
    stage.source.set("fresh", Script::Reads(Observation::Kafka(group)));
    stage.ask().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    stage.ask().await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let (_, _, list) = get(address, "/").await;
    assert!(list.contains("6 partitions without a commit"), "{list}");
    let (_, _, page) = get(address, &target_of(&list, "fresh")).await;
    assert!(page.contains("6 partitions without a commit, counted as 1 each"), "{page}");
    for html in [&list, &page] {
        assert!(!html.contains("6 records") && !html.contains("6 record"), "{html}");
    }
    let samples: Value = serde_json::from_str(&get(address, "/samples?source=fresh").await.2).unwrap();
    let words = samples["targets"][0]["scaledObjects"][0]["stepsInWords"].to_string();
    assert!(
        words.contains("6 partitions without a commit, counted as 1 each") && !words.contains("6 records"),
        "{words}"
    );
}

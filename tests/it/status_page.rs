//! The status page, by HTTP and in a real browser.

use std::net::SocketAddr;
use std::time::Duration;

use keda_stream_scaler::lag::{Observation, PartitionId, PartitionObservation, SourceErrorKind};
use serde_json::Value;
use tokio::time::Instant;

use crate::support::browser::Browser;
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
async fn every_target_is_told_with_who_asks_and_what_they_get() {
    let stage = Stage::company().await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let (status, headers, list) = get(address, "/").await;
    assert_eq!(status, 200);
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'sha256-"), "{policy}");
    for text in [
        "invoices-archive",
        "Unreachable",
        "Connection refused",
        "What to do: ",
        "Failing for ",
        "catchUp",
        "set capacityPerConsumer, or scale on lag",
    ] {
        assert!(list.contains(text), "{text} is not in\n{list}");
    }
    let first = list.find(">payments</a>").unwrap();
    assert!(first < list.find(">invoices</a>").unwrap(), "those that fail come first");

    let (status, _, page) = get(address, &target_of(&list, "order-service")).await;
    assert_eq!(status, 200);
    let ages = ["Oldest unread record", "when more consumers could help", "maxAge <b>60 s</b>"];
    for text in ["records/s", "order-service-3", "Arrive / s", "Last 30 minutes", "consumers"].into_iter().chain(ages) {
        assert!(page.contains(text), "{text} is not in\n{page}");
    }
    let (status, _, page) = get(address, "/targets/0123456789ab").await;
    assert!(status == 404 && page.contains("No such target"));
    let (_, _, fragment) = get(address, "/?q=SHOP%2Fpay&fragment=1").await;
    assert!(fragment.starts_with("<div") && fragment.contains("payments") && !fragment.contains("invoices"));
}

#[tokio::test(start_paused = true)]
async fn the_json_tells_the_same_decisions() {
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
    let (_, _, page) = get(address, &target_of(&list, "invoices")).await;
    assert!(!words.is_empty() && words.iter().all(|word| page.contains(word.as_str().unwrap())), "{words:?}");
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
    let (_, _, page) = get(address, &target_of(&list, "&lt;script&gt;window.hurt=1&lt;/script&gt;")).await;
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
    assert_eq!(page.matches("<th scope=\"row\"").count(), 200);
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
        assert_eq!((status, html.matches("<tbody").count()), (200, 50));
        assert!(html.len() < 500_000, "{} bytes", html.len());
        if page == 20 {
            println!("1,000 targets: a page of {} bytes in {quickest:?}", html.len());
            assert!(html.contains(">group-0999</a>") && html.contains("951–1,000 of 1,000"));
        }
    }
    let (_, _, found) = get(address, "/?q=service-0123-7").await;
    assert_eq!(found.matches("<tbody").count(), 1);
    assert!(found.contains(">group-0123</a>") && found.contains("and 7 more"), "{found}");
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
                assert_eq!(ground == "rgb(18, 21, 26)", scheme == "dark", "{ground}");
                assert_eq!(browser.value("window.hurt ?? null").await, Value::Null);
                assert_eq!(browser.report().await.0, Vec::<String>::new());
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
    let expected = [
        "Skip to content",
        "keda-stream-scaler",
        "Targets",
        "JSON",
        "Metrics",
        "q",
        "Find",
        "payments",
        "click-counter",
    ];
    for name in expected {
        browser.press("Tab").await;
        assert_eq!(browser.text("document.activeElement.textContent || document.activeElement.id").await, name);
        let outline = browser.text("getComputedStyle(document.activeElement).outlineStyle").await;
        assert_eq!(outline, "solid", "what has the focus is seen");
    }
    browser.press("Enter").await;
    browser.until("document.querySelector('h1')?.textContent === 'click-counter'").await;
}

#[tokio::test(start_paused = true)]
async fn what_changes_is_shown_without_a_reload_an_error_or_a_foreign_request() {
    let mut browser = Browser::start().await;
    let stage = Stage::company().await;
    tokio::time::resume();
    let (address, _served) = stage.serve().await;
    let home = format!("http://{address}/");
    browser.open(&home, 1280, "light").await;
    browser.value("void (window.loaded = 1, document.querySelector('tbody a').focus())").await;

    stage.source.set("payments", Script::Lag(4321));
    browser.until("document.body.innerText.includes('4,321') && !document.querySelector('tbody.failing')").await;
    stage.source.set("payments", Script::FailsWith(unreachable()));
    browser.until("document.querySelector('tbody.failing tr.error')?.innerText.includes('Connection refused')").await;
    browser
        .until(
            "document.querySelector('tbody.failing tr.error').innerText.includes('What to do: check bootstrapServers')",
        )
        .await;
    assert_eq!(browser.value("window.loaded").await, 1);
    assert_eq!(browser.text("document.activeElement.textContent").await, "payments", "the focus goes along");

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
    assert_eq!(browser.value("document.querySelectorAll('tbody').length").await, 6);
    browser.screenshot("without-script").await;

    browser.open(&format!("http://{address}/"), 1280, "dark").await;
    browser.until("document.getElementById('connection').textContent === 'Live'").await;
    served.abort();
    browser.until("document.getElementById('connection').textContent.includes('cannot be reached')").await;
    browser.screenshot("scaler-unreachable").await;
}

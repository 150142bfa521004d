//! `replay`: the catch-up policy asked from outside.

use crate::support::process::{Ended, run_with_input};

async fn answers(lines: &[&str]) -> Vec<serde_json::Value> {
    let Ended { code, stdout, stderr } = run_with_input(&["replay", "--protocol"], &(lines.join("\n") + "\n")).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Two consumers of two partitions each do 10 a second of the 20 that arrive in each partition.
fn overloaded(seconds: u32) -> Vec<String> {
    let sample = |t: u32| {
        let (end, committed) = (20 * t + 1000, 10 * t);
        let [ends, commits] = [end, committed].map(|offset| vec![offset; 4]);
        format!(r#"{{"op":"sample","t":{t},"owner":[0,0,1,1],"end":{ends:?},"committed":{commits:?}}}"#)
    };
    (0..=seconds / 10).map(|number| sample(number * 10)).collect()
}

#[tokio::test]
async fn the_protocol_answers_with_the_consumers_that_are_needed() {
    let mut lines = vec![r#"{"op":"reset","kind":"offsets","hpa_window":300.0,"hpa_tol":0.1}"#.to_owned()];
    lines.extend(overloaded(120));
    lines.extend([r#"{"op":"metric","t":121}"#, r#"{"op":"active","t":121}"#].map(str::to_owned));
    let answers = answers(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // 20 a second arrive in a partition and one consumer can do 20: each partition needs its own
    assert_eq!(answers.get(answers.len() - 2), Some(&serde_json::json!({"value": 4.0})));
    assert_eq!(answers.last(), Some(&serde_json::json!({"active": true})));
}

#[tokio::test]
async fn one_sample_alone_asks_for_what_there_is_and_an_old_one_is_an_error() {
    let mut lines = vec![r#"{"op":"reset","kind":"offsets"}"#.to_owned()];
    lines.extend(overloaded(0));
    lines.push(r#"{"op":"metric","t":1}"#.to_owned());
    lines.extend(overloaded(60).into_iter().skip(1));
    lines.extend(
        [r#"{"op":"metric","t":150}"#, r#"{"op":"metric","t":151}"#, r#"{"op":"active","t":151}"#].map(str::to_owned),
    );
    let answers = answers(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let kinds: Vec<_> = answers.iter().filter_map(|answer| answer.as_object()?.keys().next().cloned()).collect();
    assert_eq!(answers.get(2), Some(&serde_json::json!({"value": 2.0})), "rates need two samples");
    assert_eq!(kinds.get(kinds.len() - 3..), Some(&["value".to_owned(), "error".to_owned(), "error".to_owned()][..]));
}

#[tokio::test]
async fn what_is_no_request_is_answered_by_an_error_and_changes_nothing() {
    let answers = answers(&[
        r#"{"op":"metric","t":1}"#,
        "nonsense",
        r#"{"op":"reset","kind":"offsets"}"#,
        r#"{"op":"sample","t":0,"owner":[0],"end":[1,2],"committed":[0]}"#,
        r#"{"op":"sample","t":-1,"owner":[],"end":[],"committed":[]}"#,
        r#"{"op":"reset","kind":"offsets","hpa_tol":-1}"#,
        r#"{"op":"reset","kind":"ages"}"#,
    ])
    .await;
    let errors: Vec<_> = answers.iter().map(|answer| answer["error"].as_str().unwrap_or("none")).collect();
    let expected = [
        "the first request must be a reset",
        "not a request",
        "none",
        "end has 2 values, owner has 1",
        "t: ",
        "hpa_tol",
        "none",
    ];
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{errors:?}");
    }
}

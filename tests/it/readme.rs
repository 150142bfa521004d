//! What the README and the docs say is what the code does.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use keda_stream_scaler::trigger::Trigger;
use keda_stream_scaler::trigger::keys::{KEYS, Owner};

const END: &str = "<!-- end of keys -->";

/// Tables of keys stand between `<!-- keys: SELECTOR -->`, or `<!-- keys -->` for all of them, and `<!-- end of keys -->`.
#[test]
fn each_table_of_keys_in_the_docs_is_the_parsers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let (mut stale, mut tables) = (Vec::new(), 0);
    for path in pages.chain([root.join("README.md")]) {
        let kept = fs::read_to_string(&path).unwrap();
        tables += kept.matches(END).count();
        let fresh = with_fresh_tables(&kept);
        if kept != fresh && std::env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(&path, fresh).unwrap();
        } else if kept != fresh {
            stale.push(path);
        }
    }
    assert!(
        stale.is_empty(),
        "run UPDATE_GENERATED=1 cargo test --test it readme: the tables of keys are stale in {stale:?}"
    );
    assert!(tables > 0, "no page has a table of keys");
}

/// The page with each of its tables made anew.
fn with_fresh_tables(page: &str) -> String {
    let mut parts = page.split("<!-- keys");
    let mut fresh = parts.next().unwrap().to_owned();
    for part in parts {
        let (selector, rest) = part.split_once(" -->\n").expect("a marker ends with its line");
        let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("keys{selector} lacks {END}"));
        let table = table(match selector {
            "" => "all",
            named => named.strip_prefix(": ").unwrap_or_else(|| panic!("keys{selector} is no marker")),
        });
        write!(fresh, "<!-- keys{selector} -->\n{table}{END}{after}").unwrap();
    }
    fresh
}

/// A table of the keys that the selector names.
fn table(selector: &str) -> String {
    let mut table = String::from("| key | values | default | meaning |\n|---|---|---|---|\n");
    for key in KEYS.iter().filter(|key| is_selected(selector, key.owner)) {
        let only = match (selector, key.owner) {
            ("all", Owner::KafkaOnly) => " (`source: kafka`)",
            ("aws-kinesis-stream" | "aws-dynamodb-streams", Owner::Application) => " (`scaleOn: age`, `catchUp`)",
            _ => "",
        };
        writeln!(table, "| `{}` | {} | {} | {}{only} |", key.name, key.values, key.default, key.meaning).unwrap();
    }
    table
}

/// A source's table has the keys that it reads whatever the policy, or with more than one; a policy's those of it alone.
fn is_selected(selector: &str, owner: Owner) -> bool {
    use Owner::{
        Age, Application, Aws, AwsIdentity, CatchUp, Connection, DynamoDb, Everyone, Kafka, KafkaAndAws, KafkaOnly,
        Keda, Kinesis, Lag, ShardCount, Utilization, WriteUtilization,
    };
    match selector {
        "all" => !matches!(owner, Keda | Connection),
        "common" => owner == Everyone,
        "kafka" => matches!(owner, Kafka | KafkaOnly | KafkaAndAws),
        "apache-kafka" => matches!(owner, Kafka | KafkaAndAws),
        "aws-kinesis-stream" => matches!(owner, KafkaAndAws | Aws | Kinesis | AwsIdentity | Application),
        "aws-dynamodb-streams" => matches!(owner, KafkaAndAws | Aws | DynamoDb | AwsIdentity | Application),
        "lag" => owner == Lag,
        "shardCount" => owner == ShardCount,
        "age" => owner == Age,
        "catchUp" => matches!(owner, CatchUp | Utilization),
        "writeUtilization" => matches!(owner, WriteUtilization | Utilization),
        other => panic!("{other} selects no keys"),
    }
}

#[test]
fn each_key_is_in_the_tables_of_sources_of_policies_or_in_the_common_one() {
    const SOURCES: [&str; 4] = ["kafka", "apache-kafka", "aws-kinesis-stream", "aws-dynamodb-streams"];
    const POLICIES: [&str; 5] = ["lag", "shardCount", "age", "catchUp", "writeUtilization"];
    for key in KEYS.iter().filter(|key| is_selected("all", key.owner)) {
        let in_any = |tables: &[&str]| tables.iter().any(|table| is_selected(table, key.owner));
        let places = [in_any(&["common"]), in_any(&SOURCES), in_any(&POLICIES)];
        assert_eq!(places.iter().filter(|place| **place).count(), 1, "{}: {places:?}", key.name);
    }
}

#[test]
fn a_page_keeps_all_but_its_tables() {
    let page = "before\n<!-- keys: lag -->\nstale\n<!-- end of keys -->\nbetween\n<!-- keys: common -->\n<!-- end of keys -->\nafter";
    let fresh = with_fresh_tables(page);
    assert!(fresh.starts_with("before\n<!-- keys: lag -->\n| key |"), "{fresh}");
    assert!(fresh.contains("| `lagThreshold` |") && !fresh.contains("stale"), "{fresh}");
    assert!(fresh.contains("<!-- end of keys -->\nbetween\n<!-- keys: common -->\n| key |"), "{fresh}");
    assert!(fresh.ends_with("<!-- end of keys -->\nafter"), "{fresh}");
    assert_eq!(with_fresh_tables(&fresh), fresh);
}

#[test]
fn the_scaled_object_of_the_quick_start_is_good() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let yaml = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(yaml.lines().count() <= 10, "ten lines");
    let object: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    let metadata: HashMap<String, String> =
        serde_json::from_value(object["spec"]["triggers"][0]["metadata"].clone()).unwrap();
    Trigger::parse(&metadata).unwrap();
}

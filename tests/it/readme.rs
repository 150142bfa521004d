//! What the README says is what the code does.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use keda_stream_scaler::trigger::{Trigger, keys};

const BEGIN: &str = "<!-- keys -->\n";
const END: &str = "<!-- end of keys -->";

#[test]
fn the_table_of_keys_is_the_parsers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let fresh = format!("{before}{BEGIN}{}{END}{after}", keys::markdown_table());
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept == fresh, "the README's table is stale: run UPDATE_GENERATED=1 cargo test --test it readme");
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

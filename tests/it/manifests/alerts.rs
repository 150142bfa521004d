//! The alerts in the chart: on by default as the rules file has them, and each changed by its own values.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::manifests::{documents, helm, only, root};

/// The alerts by name, under these settings.
fn alerts(settings: &[&str]) -> BTreeMap<String, Value> {
    let objects = helm(&[&["--set", "prometheusRule.enabled=true"], settings].concat()).unwrap();
    let rules = only(&objects, "PrometheusRule")["spec"]["groups"][0]["rules"].as_array().unwrap().clone();
    rules.into_iter().map(|rule| (rule["alert"].as_str().unwrap().to_owned(), rule)).collect()
}

#[test]
fn each_alert_is_switched_off_by_its_own_value() {
    let all = alerts(&[]);
    for name in all.keys() {
        let mut others = all.clone();
        others.remove(name);
        assert_eq!(alerts(&["--set", &format!("prometheusRule.rules.{name}.enabled=false")]), others);
    }
}

#[test]
fn threshold_time_and_severity_of_each_alert_are_values() {
    let path = root().join("k8s/chart/ci/alerts-values.yaml");
    let values = documents(&std::fs::read_to_string(&path).unwrap()).remove(0);
    let (before, after) = (alerts(&[]), alerts(&["--values", path.to_str().unwrap()]));
    for (name, changes) in values["prometheusRule"]["rules"].as_object().unwrap() {
        let mut expected = before[name].clone();
        for (key, value) in changes.as_object().unwrap() {
            match &**key {
                "enabled" => assert!(!after.contains_key(name)),
                "for" => expected["for"] = value.clone(),
                "severity" => expected["labels"]["severity"] = value.clone(),
                "threshold" => {
                    let former = expected["annotations"]["threshold"].as_str().unwrap().to_owned();
                    let expr = expected["expr"].as_str().unwrap();
                    assert_eq!(expr.matches(&format!(" {former}")).count(), 1, "{name}: {expr}");
                    expected["expr"] = expr.replace(&format!(" {former}"), &format!(" {value}")).into();
                    expected["annotations"]["threshold"] = value.to_string().into();
                }
                _ => panic!("{key}"),
            }
        }
        assert!(after.get(name).is_none_or(|rule| *rule == expected), "{name}: {:#}", after[name]);
    }
    assert_eq!(values["prometheusRule"]["rules"].as_object().unwrap().len(), before.len());
}

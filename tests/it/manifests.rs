//! The chart and the kustomize base: what they render, and what they refuse. Schemas and linters are `make lint-k8s`.

mod alerts;
mod doctor;
mod examples;
mod values;

use std::collections::BTreeMap;

use serde_json::Value;

use keda_stream_scaler::controller::definition;

use crate::support::manifests::{copy, documents, files, helm, kustomize, only, root, tools};
use crate::support::process::{Ended, run, run_in};

/// The objects by kind and name, without what only Helm has: its labels, and what is there for `helm test`.
fn comparable(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for mut object in objects {
        if object["metadata"]["annotations"].get("helm.sh/hook").is_some() {
            continue;
        }
        let metadata = object["metadata"].as_object_mut().unwrap();
        if metadata["name"] == "kinesisstreams.keda-stream-scaler.io" {
            metadata.retain(|name, _| name == "name");
        }
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.retain(|name, _| name != "helm.sh/chart" && name != "app.kubernetes.io/managed-by");
        }
        for rule in object.pointer_mut("/spec/ingress").and_then(Value::as_array_mut).into_iter().flatten() {
            let peers = rule["from"].as_array_mut().unwrap();
            peers.retain(|peer| peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] != "test");
        }
        let lists = ["containers/0/env", "containers/0/volumeMounts", "volumes"];
        for list in lists.map(|list| format!("/spec/template/spec/{list}")) {
            if let Some(list) = object.pointer_mut(&list).and_then(Value::as_array_mut) {
                list.sort_by_key(|entry| entry["name"].to_string());
            }
        }
        all.insert(format!("{} {}", object["kind"], object["metadata"]["name"]), object);
    }
    all
}

#[test]
fn the_base_and_its_components_are_what_the_chart_renders() {
    let (connections, tls) = ("../components/connections", "../components/tls");
    let controller = "../components/controller";
    let existing = "connections.existingSecret=keda-stream-scaler-connections";
    let cases: [(&[&str], &[&str]); 5] = [
        (&[], &[]),
        (&[connections], &[existing]),
        (&[tls], &["tls.enabled=true"]),
        (&[connections, tls], &[existing, "tls.enabled=true"]),
        (&[connections, controller], &[existing, "controller.enabled=true"]),
    ];
    for (components, settings) in cases {
        let folder = copy();
        let overlay = folder.path().join("k8s/overlay");
        std::fs::create_dir(&overlay).unwrap();
        let text = format!("resources: [../base]\ncomponents: [{}]\n", components.join(", "));
        std::fs::write(overlay.join("kustomization.yaml"), text).unwrap();
        let settings: Vec<_> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
        let (base, chart) = (comparable(kustomize(&overlay)), comparable(helm(&settings).unwrap()));
        assert_eq!(base.keys().collect::<Vec<_>>(), chart.keys().collect::<Vec<_>>());
        for (name, object) in &chart {
            assert_eq!(&base[name], object, "{name} with {components:?}");
        }
    }
}

#[test]
fn the_scaler_and_the_controller_get_the_volumes_that_connections_name() {
    let volume = "extraVolumes[0].name=kafka,extraVolumes[0].secret.secretName=shop-kafka";
    let mount = "extraVolumeMounts[0].name=kafka,extraVolumeMounts[0].mountPath=/run/secrets/kafka";
    let objects = helm(&["--set", "controller.enabled=true", "--set", volume, "--set", mount]).unwrap();
    let deployments: Vec<_> = objects.iter().filter(|object| object["kind"] == "Deployment").collect();
    assert_eq!(deployments.len(), 2);
    for deployment in deployments {
        let pod = &deployment["spec"]["template"]["spec"];
        let has = |list: &Value| list.as_array().is_some_and(|list| list.iter().any(|entry| entry["name"] == "kafka"));
        assert!(has(&pod["volumes"]) && has(&pod["containers"][0]["volumeMounts"]), "{deployment:#}");
    }
}

#[test]
fn the_definition_of_kinesis_streams_is_that_of_the_program() {
    let definition = serde_json::to_string_pretty(&definition().unwrap()).unwrap() + "\n";
    for path in ["k8s/components/controller/kinesisstreams.json", "k8s/chart/files/kinesisstreams.json"]
        .map(|path| root().join(path))
    {
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&path, &definition).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == definition,
            "{} is stale: run UPDATE_GENERATED=1 cargo test --test it manifests",
            path.display()
        );
    }
}

#[test]
fn every_version_is_that_of_the_program() {
    let chart = &documents(&std::fs::read_to_string(root().join("k8s/chart/Chart.yaml")).unwrap())[0];
    let entry = &documents(&std::fs::read_to_string(root().join("k8s/artifacthub/artifacthub-pkg.yml")).unwrap())[0];
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!([&chart["version"], &chart["appVersion"], &entry["version"]], [version; 3]);
    assert!(chart["annotations"]["artifacthub.io/images"].as_str().unwrap().ends_with(&format!(":{version}\n")));
    let objects = kustomize(&root().join("k8s/base"));
    let image = &only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, &format!("ghcr.io/keda-stream-scaler/keda-stream-scaler:{version}"));
}

#[test]
fn a_wrong_value_is_refused_with_its_place() {
    for (setting, told) in [
        ("replicaCount=two", "at '/replicaCount': got string, want integer"),
        ("replicaCount=0", "at '/replicaCount': minimum: got 0, want 1"),
        ("replicas=3", "additional properties 'replicas' not allowed"),
        ("tls.enable=true", "at '/tls': additional properties 'enable' not allowed"),
        ("image.tag=bad tag", "at '/image/tag': 'bad tag' does not match pattern"),
        ("image.digest=sha256:12", "at '/image/digest'"),
        ("image.pullPolicy=Sometimes", "at '/image/pullPolicy': value must be one of"),
        ("listenAddress=localhost", "at '/listenAddress': 'localhost' does not match pattern"),
        ("httpPort=80", "at '/httpPort': minimum: got 80, want 1,024"),
        ("drainSeconds=601", "at '/drainSeconds': maximum: got 601, want 600"),
        ("logFormat=xml", "at '/logFormat': value must be one of 'json', 'text'"),
        ("tls.certManager.issuerRef.name=ca", "at '/tls/certManager/issuerRef': missing property 'kind'"),
        ("tls.certManager.duration=90d", "at '/tls/certManager/duration': '90d' does not match pattern"),
        (
            "connections.config.connections.a.kafka.tls=enable",
            "at '/connections/config/connections/a': missing property 'namespaces'",
        ),
        (
            "connections.config.connection.a=b",
            "at '/connections/config': additional properties 'connection' not allowed",
        ),
        (
            "connections.config.connections.a.namespaces={shop},connections.config.connections.a.kafka.pasword=b",
            "at '/connections/config/connections/a/kafka': additional properties 'pasword' not allowed",
        ),
        ("networkPolicy.httpNamespaces=monitoring", "at '/networkPolicy/httpNamespaces': got string, want array"),
        ("prometheusRule.rules.KedaStreamScalerDown.threshold=1", "additional properties 'threshold' not allowed"),
        ("prometheusRule.rules.ScalerDown.enabled=false", "additional properties 'ScalerDown' not allowed"),
        ("podDisruptionBudget.maxUnavailable=0", "at '/podDisruptionBudget/maxUnavailable'"),
        ("serviceAccount.annotations.a=1", "at '/serviceAccount/annotations/a': got number, want string"),
        ("fullnameOverride=Scaler_1", "at '/fullnameOverride': 'Scaler_1' does not match pattern"),
    ] {
        let refused = helm(&["--set", setting]).expect_err(setting);
        assert!(refused.contains(told), "{setting}: {refused}");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused_with_a_reason() {
    let both = ["--set", "connections.existingSecret=a,connections.config.metadata[0].namespaces={shop}"];
    assert!(helm(&both).unwrap_err().contains("existingSecret and config are both given; only one can hold"));
    for part in ["tls.certManager", "tls.clusterTriggerAuthentication"] {
        let refused = helm(&["--set", &format!("{part}.enabled=true")]).expect_err(part);
        assert!(refused.contains(&format!("{part} needs tls.enabled: true")), "{refused}");
    }
    let elsewhere = ["--namespace", "scalers", "--set", "tls.enabled=true,tls.certManager.enabled=true"];
    assert!(
        helm(&elsewhere).unwrap_err().contains("the chart's own CA is in namespace scalers and cannot issue KEDA's")
    );
}

#[test]
fn settings_of_rolling_updates_are_left_out_with_another_strategy() {
    let objects = helm(&["--set", "strategy.type=Recreate"]).unwrap();
    assert_eq!(only(&objects, "Deployment")["spec"]["strategy"], serde_json::json!({"type": "Recreate"}));
}

#[test]
fn common_annotations_are_on_every_object_beside_its_own() {
    let values = root().join("k8s/chart/ci/everything-values.yaml");
    let objects = helm(&["--values", values.to_str().unwrap()]).unwrap();
    for object in objects.iter().filter(|object| object["metadata"]["name"] != "keda-stream-scaler-extra") {
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(annotations["argocd.argoproj.io/sync-wave"], "1", "{object:#}");
    }
    assert_eq!(only(&objects, "Service")["metadata"]["annotations"]["example.com/note"], "yes");
}

#[test]
fn a_service_monitor_in_another_namespace_selects_that_of_the_scaler() {
    let monitor = |setting| {
        let objects = helm(&["--set", "serviceMonitor.enabled=true", "--set", setting]).unwrap();
        only(&objects, "ServiceMonitor").clone()
    };
    assert!(monitor("serviceMonitor.namespace=")["spec"]["namespaceSelector"].is_null());
    let elsewhere = monitor("serviceMonitor.namespace=observability");
    assert_eq!(elsewhere["metadata"]["namespace"], "observability");
    assert_eq!(elsewhere["spec"]["namespaceSelector"]["matchNames"], serde_json::json!(["keda"]));
}

#[test]
fn prometheus_scrapes_the_controller_too() {
    let objects = helm(&["--set", "serviceMonitor.enabled=true,controller.enabled=true"]).unwrap();
    let of = |kind: &str, component: &str| {
        let is_it = |object: &&Value| {
            object["kind"] == kind && object["metadata"]["labels"]["app.kubernetes.io/component"] == component
        };
        objects.iter().find(is_it).unwrap_or_else(|| panic!("a {kind} of {component}"))
    };
    for component in ["external-scaler", "controller"] {
        let wanted = of("ServiceMonitor", component)["spec"]["selector"]["matchLabels"].as_object().unwrap();
        let service = of("Service", component);
        assert!(wanted.iter().all(|(name, value)| service["metadata"]["labels"][name] == *value), "{component}");
        assert_eq!(service["spec"]["selector"], of("Deployment", component)["spec"]["selector"]["matchLabels"]);
    }
    let kept = &of("ServiceMonitor", "controller")["spec"]["endpoints"][0]["metricRelabelings"][0];
    let kept = regex_lite::Regex::new(&format!("^(?:{})$", kept["regex"].as_str().unwrap())).unwrap();
    assert!(kept.is_match("stream_scaler_kinesis_stream_wanted_shards"));
    assert!(!kept.is_match("stream_scaler_build_info"), "it would hide that no scaler is there");
}

#[test]
fn a_log_filter_overrides_the_log_level() {
    let log = |settings| {
        let objects = helm(&["--set", settings]).unwrap();
        setting(&pod(&objects)["containers"][0], "STREAM_SCALER_LOG").to_owned()
    };
    assert_eq!([log("logLevel=debug"), log("logLevel=debug,logFilter=warn")], ["debug", "warn"]);
}

#[test]
fn a_chart_around_it_may_switch_it_and_share_values() {
    helm(&["--set", "enabled=true,global.other=1"]).unwrap();
}

/// What each ci values file renders, by its name.
fn renderings() -> Vec<(String, Vec<Value>)> {
    let mut all = vec![("default".to_owned(), helm(&[]).unwrap())];
    for path in files("k8s/chart/ci", "-values.yaml") {
        let path = path.to_str().unwrap();
        all.push((path.to_owned(), helm(&["--values", path]).unwrap()));
    }
    all
}

fn pod(objects: &[Value]) -> &Value {
    &only(objects, "Deployment")["spec"]["template"]["spec"]
}

#[test]
fn a_pod_may_take_longer_to_end_than_its_calls() {
    for (name, objects) in renderings() {
        let pod = pod(&objects);
        let container = &pod["containers"][0];
        let slept =
            container.pointer("/lifecycle/preStop/sleep/seconds").map_or(0, |seconds| seconds.as_u64().unwrap());
        let drained: u64 = setting(container, "STREAM_SCALER_DRAIN_SECONDS").parse().unwrap();
        assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() >= slept + drained + 10, "{name}");
    }
}

fn setting<'a>(container: &'a Value, name: &str) -> &'a str {
    let mut settings = container["env"].as_array().unwrap().iter();
    settings.find(|setting| setting["name"] == name).unwrap()["value"].as_str().unwrap()
}

#[tokio::test]
async fn the_program_takes_the_settings_of_its_pod() {
    let Ended { stdout: help, .. } = run(&["serve", "--help"]).await;
    for (name, objects) in renderings() {
        let container = &pod(&objects)["containers"][0];
        let settings = container["env"].as_array().unwrap().iter();
        let mut environment = Vec::new();
        for setting in settings.filter(|setting| setting["name"].as_str().unwrap().starts_with("STREAM_SCALER_")) {
            let (key, value) = (setting["name"].as_str().unwrap(), setting["value"].as_str().unwrap());
            assert!(help.contains(&format!("[env: {key}=")), "{name}: {key}");
            // files are only in the pod
            if !value.starts_with('/') {
                environment.push((key, value));
            }
        }
        // an address of nobody: it gets as far as to listen, so it has taken all others
        let mut arguments: Vec<_> =
            container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        arguments.extend(["--grpc-addr", "192.0.2.1:50051"]);
        arguments.retain(|word| !word.starts_with("--record") && !word.starts_with('/'));
        let Ended { code, stderr, .. } = run_in(&environment, &arguments).await;
        assert_eq!(code, Some(1), "{name}: {stderr}");
        assert!(stderr.contains("listening for gRPC on 192.0.2.1:50051"), "{name}: {stderr}");
    }
}

/// Whether a pod with this label, in this namespace, is let in to the port.
fn lets_in(policy: &Value, namespace: &str, (label, value): (&str, &str), port: &str) -> bool {
    let matches = |selector: &Value, label: &str, value: &str| {
        selector["matchLabels"]
            .as_object()
            .is_none_or(|labels| labels.iter().all(|(name, wanted)| name == label && wanted == value))
    };
    policy["spec"]["ingress"].as_array().unwrap().iter().any(|rule| {
        rule["ports"].as_array().unwrap().iter().any(|to| to["port"] == port)
            && rule["from"].as_array().unwrap().iter().any(|peer| {
                !peer["namespaceSelector"].is_null()
                    && matches(&peer["namespaceSelector"], "kubernetes.io/metadata.name", namespace)
                    && matches(&peer["podSelector"], label, value)
            })
    })
}

#[test]
fn only_kedas_operator_may_call_and_only_monitoring_may_look() {
    for objects in [helm(&[]).unwrap(), kustomize(&root().join("k8s/base"))] {
        let policy = only(&objects, "NetworkPolicy");
        assert_eq!(policy["spec"]["podSelector"], only(&objects, "Deployment")["spec"]["selector"]);
        let operator = ("app", "keda-operator");
        for (namespace, label, port, let_in) in [
            ("keda", operator, "grpc", true),
            ("keda", ("app", "another"), "grpc", false),
            ("shop", operator, "grpc", false),
            ("monitoring", operator, "grpc", false),
            ("monitoring", ("app", "prometheus"), "http", true),
            ("keda", operator, "http", false),
            ("shop", ("app", "prometheus"), "http", false),
        ] {
            assert_eq!(lets_in(policy, namespace, label, port), let_in, "{namespace} {label:?} {port}");
        }
    }
}

#[test]
fn without_namespaces_nobody_reaches_the_http_port() {
    let objects = helm(&["--set", "networkPolicy.httpNamespaces=null"]).unwrap();
    let rules = only(&objects, "NetworkPolicy")["spec"]["ingress"].as_array().unwrap();
    assert!(rules.iter().all(|rule| rule["ports"][0]["port"] == "grpc" && rule["from"].is_array()), "{rules:#?}");
}

#[test]
fn alerts_and_dashboard_come_along_in_the_package() {
    let folder = tempfile::tempdir().unwrap();
    let packaged = std::process::Command::new(tools().join("helm"))
        .args(["package", root().join("k8s/chart").to_str().unwrap(), "--destination", folder.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert!(packaged.status.success(), "{packaged:?}");
    let package = folder.path().join(format!("keda-stream-scaler-{}.tgz", env!("CARGO_PKG_VERSION")));
    let values = root().join("k8s/chart/ci/monitoring-values.yaml");
    let rendered = std::process::Command::new(tools().join("helm"))
        .args(["template", "scaler", package.to_str().unwrap(), "--values", values.to_str().unwrap()])
        .output()
        .unwrap();
    let objects = documents(std::str::from_utf8(&rendered.stdout).unwrap());
    let rules = std::fs::read_to_string(root().join("k8s/chart/files/rules.yaml")).unwrap();
    assert_eq!(only(&objects, "PrometheusRule")["spec"], documents(&rules)[0]);
    let dashboard = std::fs::read_to_string(root().join("k8s/chart/files/dashboard.json")).unwrap();
    let shown = only(&objects, "ConfigMap")["data"]["keda-stream-scaler.json"].as_str().unwrap();
    let [kept, shown] = [&dashboard, shown].map(|text| serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(shown, kept);
}

/// What `helm install` would print and create, as a release `streams`.
fn installed(settings: &[&str]) -> (String, Vec<Value>) {
    let chart = root().join("k8s/chart");
    let installed = std::process::Command::new(tools().join("helm"))
        .args(["install", "streams", chart.to_str().unwrap(), "--namespace", "keda"])
        .args(settings)
        .args(["--dry-run=client", "--output", "json"])
        .output()
        .unwrap();
    let release: Value = serde_json::from_slice(&installed.stdout).unwrap();
    (release["info"]["notes"].as_str().unwrap().to_owned(), documents(release["manifest"].as_str().unwrap()))
}

#[test]
fn the_notes_name_the_namespaces_that_may_scrape() {
    let notes_with = |setting| installed(&["--set", setting]).0.split_whitespace().collect::<Vec<_>>().join(" ");
    let notes = notes_with("networkPolicy.httpNamespaces={monitoring,observability}");
    assert!(notes.contains("from namespaces monitoring, observability only. If Prometheus runs elsewhere"), "{notes}");
    let notes = notes_with("networkPolicy.httpNamespaces=null");
    assert!(notes.contains("so Prometheus cannot scrape them: set networkPolicy.httpNamespaces"), "{notes}");
    let notes = notes_with("networkPolicy.enabled=false");
    assert!(!notes.contains("networkPolicy.httpNamespaces"), "{notes}");
}

#[test]
fn the_notes_name_what_is_there() {
    let values = root().join("k8s/chart/ci/mtls-values.yaml");
    let (notes, objects) = installed(&["--values", values.to_str().unwrap()]);
    let name = |kind| only(&objects, kind)["metadata"]["name"].as_str().unwrap();
    let certificates = objects.iter().filter(|object| object["kind"] == "Certificate");
    let client = certificates.clone().find(|certificate| certificate["spec"]["usages"][0] == "client auth").unwrap();
    for told in [
        format!("scalerAddress: \"{}.keda:50051\"", name("Service")),
        format!("port-forward deployment/{} 8080:8080", name("Deployment")),
        format!(
            "authenticationRef: {{kind: ClusterTriggerAuthentication, name: {}}}",
            name("ClusterTriggerAuthentication")
        ),
        format!("-n keda get secret {} ", client["spec"]["secretName"].as_str().unwrap()),
        "enableTLS: \"true\"".to_owned(),
        "keda-stream-scaler.keda:50051: replace it with streams-keda-stream-scaler.keda:50051".to_owned(),
        "grpcurl -cacert ca.crt -cert tls.crt -key tls.key".to_owned(),
    ] {
        assert!(notes.contains(&told), "{told}: {notes}");
    }
}

#[test]
fn callers_of_the_scaler_find_its_name_in_its_certificate() {
    let objects = helm(&["--set", "tls.enabled=true,tls.certManager.enabled=true"]).unwrap();
    let certificate =
        objects.iter().find(|object| object["kind"] == "Certificate" && object["spec"]["usages"][0] == "server auth");
    let names = certificate.unwrap()["spec"]["dnsNames"].as_array().unwrap();
    for name in ["keda-stream-scaler.keda", "keda-stream-scaler.keda.svc", "keda-stream-scaler.keda.svc.cluster.local"]
    {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}

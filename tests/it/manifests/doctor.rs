//! The pod of `helm test`: the scaler's own image and program, on KEDA's way to the scaler.

use serde_json::Value;

use crate::support::manifests::{helm, only};
use crate::support::process::run;

/// The settings of TLS, and what the pod of the test needs for it: its namespace and the Secret with certificates.
const CASES: [(&str, &str, Option<&str>); 4] = [
    ("tls.enabled=false", "scalers", None),
    ("tls.enabled=true,tls.requireClientCertificate=false", "scalers", Some("keda-stream-scaler-tls")),
    ("tls.enabled=true", "keda", Some("keda-stream-scaler-client-tls")),
    ("tls.enabled=true,tls.clientSecretName=mine", "keda", Some("mine")),
];

fn test_pod(objects: &[Value]) -> &Value {
    objects.iter().find(|object| object["metadata"]["annotations"]["helm.sh/hook"] == "test").unwrap()
}

#[tokio::test]
async fn helm_test_calls_the_scaler_with_its_own_program_and_kedas_certificate() {
    for (setting, namespace, secret) in CASES {
        let objects = helm(&["--namespace", "scalers", "--set", setting]).unwrap();
        let pod = test_pod(&objects);
        let container = &pod["spec"]["containers"][0];
        let scaler = &only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
        assert_eq!((&pod["metadata"]["namespace"], &container["image"]), (&namespace.into(), &scaler["image"]));
        assert_eq!(pod["spec"]["volumes"][0]["secret"]["secretName"].as_str(), secret, "{setting}");
        let arguments: Vec<_> =
            container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        assert_eq!(arguments[..2], ["doctor", "--scaler=keda-stream-scaler.scalers:50051"]);
        let nowhere = ["doctor", "--scaler=127.0.0.1:9"].into_iter().chain(arguments[2..].iter().copied());
        let ended = run(&nowhere.collect::<Vec<_>>()).await;
        assert_eq!(ended.code, Some(1), "it takes the flags, and fails without a scaler or the files: {ended:?}");
    }
}

#[test]
fn the_network_policy_lets_the_pod_of_helm_test_call_the_scaler() {
    for (setting, namespace, _) in CASES {
        let objects = helm(&["--namespace", "scalers", "--set", setting]).unwrap();
        let labels = &test_pod(&objects)["metadata"]["labels"];
        let rules = only(&objects, "NetworkPolicy")["spec"]["ingress"].as_array().unwrap();
        let peers = rules
            .iter()
            .filter(|rule| rule["ports"][0]["port"] == "grpc")
            .flat_map(|rule| rule["from"].as_array().unwrap());
        let lets_in = peers.into_iter().any(|peer| {
            let wanted = peer["podSelector"]["matchLabels"].as_object().unwrap();
            peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == namespace
                && wanted.iter().all(|(name, value)| labels[name] == *value)
        });
        assert!(lets_in, "{setting}");
    }
}

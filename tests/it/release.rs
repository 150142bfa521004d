//! The release workflow against everything that names what it publishes: chart, kustomize base, packages and docs.

mod files;

use std::fs;
use std::process::Command;

use regex_lite::Regex;
use serde_json::Value;

use crate::support::manifests::{helm, kustomize, only, root, tools};
use crate::support::registry::Registry;

const WORKFLOW: &str = ".github/workflows/release.yml";
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The `owner/name` of the repository that the packages name.
fn repository() -> &'static str {
    env!("CARGO_PKG_REPOSITORY").strip_prefix("https://github.com/").expect("a repository on GitHub")
}

/// The release workflow, for one tag.
struct Release {
    workflow: Value,
    tag: String,
}

impl Release {
    fn of(version: &str) -> Self {
        Self { workflow: serde_saphyr::from_str(&read(WORKFLOW)).unwrap(), tag: format!("v{version}") }
    }

    fn steps(&self) -> &[Value] {
        self.workflow["jobs"]["release"]["steps"].as_array().unwrap()
    }

    fn step(&self, id: &str) -> &Value {
        self.steps().iter().find(|step| step["id"] == id).unwrap_or_else(|| panic!("a step {id}"))
    }

    fn using(&self, action: &str) -> &Value {
        let uses = |step: &&Value| step["uses"].as_str().is_some_and(|uses| uses.starts_with(&format!("{action}@")));
        self.steps().iter().find(uses).unwrap_or_else(|| panic!("a step that uses {action}"))
    }

    /// A text with its expressions evaluated.
    fn evaluate(&self, text: &str) -> String {
        let mut parts = text.split("${{");
        let mut evaluated = parts.next().unwrap().to_owned();
        for part in parts {
            let (expression, rest) = part.split_once("}}").unwrap();
            evaluated += &self.value(expression.trim());
            evaluated += rest;
        }
        evaluated
    }

    fn value(&self, expression: &str) -> String {
        match expression.split('.').collect::<Vec<_>>()[..] {
            ["github", "repository"] => repository().to_owned(),
            ["github", "repository_owner"] => repository().split_once('/').unwrap().0.to_owned(),
            ["github", "ref_name"] => self.tag.clone(),
            ["env", name] => self.evaluate(self.workflow["env"][name].as_str().unwrap()),
            ["steps", "tags", "outputs", name] => self.tags(name),
            _ => panic!("{expression} is not known here"),
        }
    }

    /// The script of a step, with the environment that it has.
    fn script(&self, id: &str) -> Command {
        let step = self.step(id);
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", step["run"].as_str().unwrap()]).current_dir(root());
        for (name, value) in [&self.workflow["env"], &step["env"]].into_iter().filter_map(Value::as_object).flatten() {
            command.env(name, self.evaluate(value.as_str().unwrap()));
        }
        command
    }

    /// An output of the step `tags`, which is run for it.
    fn tags(&self, name: &str) -> String {
        output(&mut self.script("tags"), name)
    }

    fn image_tags(&self) -> Vec<String> {
        let tags = self.using("docker/build-push-action")["with"]["tags"].as_str().unwrap();
        self.evaluate(tags).split(',').map(str::to_owned).collect()
    }
}

/// Runs a step's script, and returns the output of this name.
fn output(script: &mut Command, name: &str) -> String {
    let outputs = tempfile::NamedTempFile::new().unwrap();
    let ended = script.env("GITHUB_OUTPUT", outputs.path()).output().unwrap();
    assert!(
        ended.status.success(),
        "{}{}",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
    let outputs = fs::read_to_string(outputs.path()).unwrap();
    let value = outputs.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    value.unwrap_or_else(|| panic!("no {name} in {outputs}")).to_owned()
}

#[test]
fn the_image_is_pushed_by_the_name_and_tag_that_chart_and_base_ask_for() {
    let tags = Release::of(VERSION).image_tags();
    for objects in [helm(&[]).unwrap(), kustomize(&root().join("k8s/base"))] {
        let image =
            only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
        assert!(tags.iter().any(|tag| tag == image), "{image} is not among {tags:?}");
    }
    let (minor, _) = VERSION.rsplit_once('.').unwrap();
    assert_eq!(tags, [VERSION, minor].map(|version| format!("ghcr.io/{}:{version}", repository())));
}

#[test]
fn a_prerelease_leaves_the_tag_of_the_minor_version_alone() {
    assert_eq!(Release::of("1.4.0-rc.1").image_tags(), [format!("ghcr.io/{}:1.4.0-rc.1", repository())]);
}

#[test]
fn the_image_is_for_amd64_and_arm64_with_sbom_and_provenance_and_needs_no_emulation() {
    let release = Release::of(VERSION);
    let with = &release.using("docker/build-push-action")["with"];
    assert_eq!(with["platforms"], "linux/amd64,linux/arm64");
    assert_eq!((&with["push"], &with["sbom"], &with["provenance"]), (&true.into(), &true.into(), &"mode=max".into()));
    let dockerfile = read("Dockerfile");
    let mut stages = dockerfile.split("\nFROM ").skip(1);
    let (build, image) = (stages.next().unwrap(), stages.next().unwrap());
    assert!(build.starts_with("--platform=$BUILDPLATFORM ") && stages.next().is_none());
    assert!(!image.contains("\nRUN "), "a command in the image would run under emulation");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_is_pushed_where_the_docs_install_it_from() {
    let release = Release::of(VERSION);
    let (registry, folder) = (Registry::start().await, tempfile::tempdir().unwrap());
    let helm = |arguments: &[&str]| {
        let ended = Command::new(tools().join("helm")).args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap()
    };
    let packages = folder.path().join("target/release-files");
    helm(&["package", root().join("k8s/chart").to_str().unwrap(), "--destination", packages.to_str().unwrap()]);

    let charts = release.value("env.CHARTS");
    let (host, path) = charts.split_once('/').unwrap();
    assert_eq!(host, "ghcr.io");
    let step = release.step("chart")["run"].as_str().unwrap();
    // the registry of this test has no certificate
    let step = step.replace("target/services/k8s/bin/helm push", "helm push --plain-http");
    let mut push = Command::new("bash");
    push.args(["-euo", "pipefail", "-c", &step]).current_dir(folder.path());
    let search = std::env::join_paths([tools(), "/usr/bin".into(), "/bin".into()]).unwrap();
    push.env("PATH", search).env("VERSION", release.tags("version")).env("CHARTS", registry.named(path));
    let digest = output(&mut push, "digest");
    assert_eq!(
        digest,
        registry.digest(&format!("{path}/keda-stream-scaler"), VERSION),
        "what is signed is what was pushed"
    );

    let docs = read("docs/installing.md");
    let reference = format!("oci://{charts}/keda-stream-scaler");
    assert!(docs.contains(&reference), "docs/installing.md does not name {reference}");
    let here = format!("oci://{}/keda-stream-scaler", registry.named(path));
    let rendered = helm(&["template", "scaler", &here, "--version", VERSION, "--plain-http"]);
    assert!(rendered.contains(&release.image_tags()[0]), "{rendered}");
}

#[test]
fn image_and_chart_are_signed_by_digest_by_the_workflow_that_the_docs_verify() {
    let release = Release::of(VERSION);
    let signing = |reference: &str, id: &str| {
        let signs = |step: &&Value| {
            let run = step["run"].as_str().unwrap_or_default();
            run.starts_with("cosign sign --yes ")
                && run.ends_with(reference)
                && step["env"]["DIGEST"] == format!("${{{{ steps.{id}.outputs.digest }}}}")
        };
        assert!(release.steps().iter().any(|step| signs(&step)), "{reference} is not signed");
    };
    signing("\"$IMAGE@$DIGEST\"", "image");
    signing("\"$CHARTS/keda-stream-scaler@$DIGEST\"", "chart");
    let permissions = &release.workflow["jobs"]["release"]["permissions"];
    assert_eq!([&permissions["id-token"], &permissions["packages"]], ["write"; 2]);
    let docs = read("docs/installing.md");
    let identity = format!("https://github.com/{}/{WORKFLOW}@refs/tags/v{VERSION}\n", repository());
    let chart = format!("{}/keda-stream-scaler:{VERSION}", release.value("env.CHARTS"));
    for verified in [identity, format!("cosign verify {} ", release.image_tags()[0]), format!("cosign verify {chart} ")]
    {
        assert!(docs.contains(&verified), "docs/installing.md does not verify with {verified}");
    }
}

#[test]
fn cargo_installs_the_program_and_every_package_names_the_repository() {
    let mut cargo = Command::new(env!("CARGO"));
    let ended =
        cargo.args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"]).current_dir(root());
    let metadata: Value = serde_json::from_slice(&ended.output().unwrap().stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    for package in packages {
        let address = env!("CARGO_PKG_REPOSITORY");
        assert_eq!([&package["repository"], &package["homepage"]], [address; 2], "{}", package["name"]);
        assert!(package["description"].is_string() && package["license"] == "Apache-2.0", "{}", package["name"]);
    }
    let root = packages.iter().find(|package| package["name"] == "keda-stream-scaler").unwrap();
    let programs = root["targets"].as_array().unwrap().iter().filter(|target| target["kind"][0] == "bin");
    assert_eq!(programs.map(|target| target["name"].as_str().unwrap()).collect::<Vec<_>>(), ["keda-stream-scaler"]);
}

#[test]
fn docs_and_packages_name_this_version() {
    let tags = Release::of(VERSION).image_tags();
    let image = Regex::new(&format!(r"ghcr\.io/{}:[\w.-]*\w", repository())).unwrap();
    let version = Regex::new(r"--(?:version|tag) v?(\d[\w.-]*)").unwrap();
    let mut found = [0, 0];
    for path in [
        "README.md",
        "docs/installing.md",
        "k8s/chart/README.md",
        "k8s/chart/Chart.yaml",
        "k8s/artifacthub/artifacthub-pkg.yml",
    ] {
        let text = read(path);
        for image in image.find_iter(&text) {
            assert!(tags.iter().any(|tag| tag == image.as_str()), "{path}: {}", image.as_str());
            found[0] += 1;
        }
        for named in version.captures_iter(&text) {
            assert_eq!(&named[1], VERSION, "{path}");
            found[1] += 1;
        }
    }
    assert!(found[0] >= 4 && found[1] >= 5, "{found:?}");
}

#[test]
fn every_action_is_pinned_by_commit() {
    let pinned = Regex::new(r"^\s*(- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$").unwrap();
    for workflow in ["ci.yml", "release.yml"] {
        let text = read(&format!(".github/workflows/{workflow}"));
        for line in text.lines().filter(|line| line.contains("uses:")) {
            assert!(pinned.is_match(line), "{workflow}: {line}");
        }
    }
}

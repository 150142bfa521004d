//! The files of a release, made by `release/files.sh` with a stand-in for the compiler, and installed as the docs say.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use super::{VERSION, read};
use crate::support::manifests::{root, tools};

/// Stands for the compiled program.
const PROGRAM: &str = r#"#!/bin/sh
case $1 in
  completions) echo "completions of $2" ;;
  man) mkdir -p "$3" && echo manual >"$3/keda-stream-scaler.1" ;;
  *) echo "keda-stream-scaler for TARGET" ;;
esac
"#;
/// Stands for cargo: `cargo build --release --locked --target TARGET`.
const CARGO: &str = r#"#!/bin/sh
while [ "$1" != --target ]; do shift; done
mkdir -p "target/$2/release" && sed "s/TARGET/$2/" program >"target/$2/release/keda-stream-scaler"
chmod 755 "target/$2/release/keda-stream-scaler"
"#;
const CYCLONEDX: &str = r#"#!/bin/sh
[ "$1" = --version ] && echo 0.5.9 && exit
while [ "$1" != --override-filename ]; do shift; done
echo '{}' >"$2.json" && cp "$2.json" playground
"#;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn bash(folder: &Path, script: &str) -> String {
    let search = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(folder).env("PATH", search);
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{script}\n{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap()
}

/// A repository with what `files.sh` reads, in which nothing is compiled.
fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for name in ["Cargo.toml", "LICENSE", "README.md", "CHANGELOG.md", "release", "k8s"] {
        let from = root().join(name);
        assert!(Command::new("cp").arg("-r").arg(from).arg(path).status().unwrap().success());
    }
    write(&path.join("program"), PROGRAM);
    write(&path.join("bin/cargo"), CARGO);
    for done in ["bin/rustup", "bin/aarch64-linux-gnu-gcc", "tests/services/k8s/fetch.sh", "playground/Cargo.toml"] {
        write(&path.join(done), "#!/bin/sh\n");
    }
    write(&path.join("bin/rustc"), "#!/bin/sh\necho host: x86_64-unknown-linux-gnu\n");
    write(&path.join("release/licences.py"), "print('licences')\n");
    write(&path.join("target/tools/bin/cargo-cyclonedx"), CYCLONEDX);
    fs::create_dir_all(path.join("target/services/k8s")).unwrap();
    symlink(tools(), path.join("target/services/k8s/bin")).unwrap();
    bash(path, "git init -q && git add LICENSE && git -c user.name=a -c user.email=a@b commit -q -m a");
    folder
}

#[test]
fn a_release_has_archives_for_two_platforms_that_install_as_the_docs_say() {
    let folder = repository();
    bash(folder.path(), "release/files.sh out");
    let out = folder.path().join("out");
    let names: BTreeSet<_> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let expected = [
        "-x86_64-unknown-linux-gnu.tar.gz",
        "-aarch64-unknown-linux-gnu.tar.gz",
        ".tgz",
        ".yaml",
        ".schema.json",
        ".connections.schema.json",
        ".cdx.json",
    ];
    let expected = expected.map(|ending| format!("keda-stream-scaler-{VERSION}{ending}"));
    assert_eq!(names, expected.into_iter().chain(["SHA256SUMS".to_owned()]).collect());

    let docs = read("docs/installing.md");
    for command in ["sha256sum --ignore-missing --check SHA256SUMS", "tar -xzf keda-stream-scaler-"] {
        let command = docs.split(['`', '\n']).find(|text| text.starts_with(command)).expect(command);
        bash(&out, command);
    }
    let archive = out.join(format!("keda-stream-scaler-{VERSION}-x86_64-unknown-linux-gnu"));
    let files = "LICENSE README.md CHANGELOG.md THIRD-PARTY-LICENCES.txt completions/keda-stream-scaler.bash man/keda-stream-scaler.1";
    for file in files.split(' ') {
        assert!(archive.join(file).is_file(), "{file}");
    }
    assert_eq!(bash(&archive, "./keda-stream-scaler --version"), "keda-stream-scaler for x86_64-unknown-linux-gnu\n");
    let other = format!(
        "tar --wildcards -xzOf keda-stream-scaler-{VERSION}-aarch64-unknown-linux-gnu.tar.gz '*/keda-stream-scaler' | sh"
    );
    assert_eq!(bash(&out, &other), "keda-stream-scaler for aarch64-unknown-linux-gnu\n");
}

//! Tells the code which commit it is built from.

use std::process::Command;

fn main() {
    // in a worktree .git is a file, and what does not exist would compile everything again each time
    for changed in ["HEAD", "refs/heads"].into_iter().filter_map(|path| git(&["rev-parse", "--git-path", path])) {
        println!("cargo:rerun-if-changed={changed}");
    }
    println!("cargo:rerun-if-env-changed=STREAM_SCALER_COMMIT");
    let given = std::env::var("STREAM_SCALER_COMMIT").ok();
    let commit = given.or_else(|| git(&["rev-parse", "--short=12", "HEAD"])).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=STREAM_SCALER_COMMIT={commit}");
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

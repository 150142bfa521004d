//! Processes that end with this one, and waiting.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::aws_services::guarded;

/// A process under `run-while-stdin-is-open.sh`: it ends when this value is dropped, and when this process ends in any way.
pub struct Process {
    name: String,
    log: PathBuf,
    pid: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `command` with its log and its process id in `directory`.
    pub fn start(directory: &Path, name: &str, command: &[String]) -> Self {
        let (log, pid) = (directory.join(format!("{name}.log")), directory.join(format!("{name}.pid")));
        drop(fs::remove_file(&pid));
        let output = fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut guarded: Command = guarded(&pid);
        guarded.args(command).stdin(Stdio::piped()).stdout(output.try_clone().unwrap()).stderr(output);
        Self { name: name.to_owned(), log, pid, child: guarded.spawn().unwrap() }
    }

    /// Sends a signal; false while the process has no process id yet.
    pub fn signal(&self, signal: &str) -> bool {
        let Ok(pid) = fs::read_to_string(&self.pid) else { return false };
        Command::new("kill").args([&format!("-{signal}"), pid.trim()]).status().unwrap().success()
    }

    /// The process id of the command; `None` before it has one.
    pub fn id(&self) -> Option<u32> {
        fs::read_to_string(&self.pid).ok()?.trim().parse().ok()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Fails with the end of the log if the process has ended.
    pub fn assert_running(&mut self) {
        if self.has_ended() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = log.lines().rev().take(5).collect();
            panic!("{} has ended; the last lines of {}:\n{}", self.name, self.log.display(), lines.join("\n"));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // the script kills the process when its stdin closes
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Checks ten times per second until there is a result; panics with `what` at the deadline.
pub async fn eventually<T>(what: &str, within: Duration, mut check: impl AsyncFnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match check().await {
            Ok(result) => return result,
            Err(last) => assert!(begun.elapsed() < within, "{what}: not within {} s: {last}", within.as_secs()),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

//! Processes that keep every core busy, so that nothing else has enough CPU.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::kafka::root;

const PER_CORE: usize = 3;

/// Running processes; they end with this one, however that ends.
pub struct BusyProcesses {
    processes: Vec<Child>,
    _pids: TempDir,
}

impl BusyProcesses {
    pub fn start() -> Self {
        let pids = tempfile::tempdir().unwrap();
        let start = |number: usize| {
            let mut busy = Command::new(root().join("tests/services/run-while-stdin-is-open.sh"));
            busy.arg(pids.path().join(number.to_string())).args(["sh", "-c", "while :; do :; done"]);
            busy.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
        };
        let count = PER_CORE * std::thread::available_parallelism().unwrap().get();
        Self { processes: (0..count).map(start).collect(), _pids: pids }
    }
}

impl Drop for BusyProcesses {
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.stdin.take());
            process.wait().unwrap();
        }
    }
}

//! Real consumers of a share group, as many as a test wants: a Java process with Kafka's own client.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::kafka;

/// The consumers; they end with this.
pub struct ShareWorkers {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl ShareWorkers {
    /// Consumers that take so long for each record; none runs yet.
    pub fn start(servers: &str, group: &str, topic: &str, milliseconds_per_record: u32) -> Self {
        let source = kafka::root().join("tests/services/kafka/ShareWorkers.java");
        let mut command = kafka::java_source(&source);
        command.args([servers, group, topic, &milliseconds_per_record.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (commands, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, commands, answers }
    }

    /// So many consumers run from now on; returns how many records each has processed.
    pub fn set(&mut self, consumers: u64) -> Vec<u64> {
        writeln!(self.commands.as_mut().unwrap(), "{consumers}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.split_whitespace().map(|number| number.parse().unwrap()).collect()
    }
}

impl Drop for ShareWorkers {
    fn drop(&mut self) {
        drop(self.commands.take());
        drop(self.child.wait());
    }
}

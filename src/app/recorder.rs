//! Writes readings to files, for `replay`: bounded in size, on a thread of its own.
//!
//! A file for each source, begun anew when it is large; of all files the oldest go when they are too large together. What cannot be
//! written is left out and counted: readings and answers never wait for a disk.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use crate::lag::Observation;
use crate::recording::{Line, Metadata, Reading, VERSION, without_secrets};
use crate::sampler::Witness;
use crate::trigger::SourceRef;

/// A file that is larger is gone on with in another one.
const LARGEST_FILE: u64 = 16 << 20;
/// Lines that wait for the disk.
const WAITING: usize = 1024;
/// Different metadata of one source that are written down.
const MOST_TRIGGERS: usize = 64;
const ENDING: &str = "jsonl";

/// Gives lines to the thread that writes them.
pub(super) struct Recorder {
    /// `None` once it has ended.
    queue: Option<SyncSender<Entry>>,
    thread: Option<JoinHandle<()>>,
    /// What was asked, by source: only those are recorded.
    asked: Mutex<HashMap<u64, HashSet<Metadata>>>,
    full: AtomicBool,
}

/// A line of a source.
struct Entry {
    source: String,
    key: u64,
    line: Line,
}

/// The files of a directory.
struct Writer {
    directory: PathBuf,
    most: u64,
    open: HashMap<u64, Open>,
    triggers: HashMap<u64, BTreeSet<Metadata>>,
    /// The number of the next file: names are in the order of time.
    next: u64,
    failing: bool,
}

struct Open {
    file: File,
    path: PathBuf,
    written: u64,
}

impl Recorder {
    /// Records into `directory`, which is made where it is not, at most `most` bytes in all.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub(super) fn start(directory: &Path, most: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let newest = recordings(directory)?.into_iter().filter_map(|path| number(&path)).max();
        let (queue, entries) = sync_channel(WAITING);
        let writer = Writer {
            directory: directory.to_owned(),
            most,
            open: HashMap::new(),
            triggers: HashMap::new(),
            next: newest.map_or(0, |newest| newest + 1),
            failing: false,
        };
        let thread = std::thread::Builder::new().name("recorder".to_owned()).spawn(move || writer.run(&entries))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), asked: Mutex::default(), full: AtomicBool::new(false) })
    }

    fn send(&self, source: &SourceRef, key: u64, line: Line) {
        let Some(queue) = &self.queue else { return };
        match queue.try_send(Entry { source: source.to_string(), key, line }) {
            Ok(()) => {
                if self.full.swap(false, Ordering::Relaxed) {
                    tracing::info!("readings are recorded again");
                }
            }
            Err(TrySendError::Full(_)) => {
                if !self.full.swap(true, Ordering::Relaxed) {
                    tracing::warn!("the disk is too slow: readings are not recorded");
                }
            }
            // the thread has said why it ended
            Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

impl Drop for Recorder {
    /// Waits until what is in the queue is written.
    fn drop(&mut self) {
        self.queue = None;
        // a thread that panicked has said so on stderr
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Witness for Recorder {
    fn asked(&self, source: &SourceRef, metadata: &HashMap<String, String>) {
        let (key, kept) = (key(source), without_secrets(metadata));
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let known = asked.entry(key).or_default();
        if known.len() < MOST_TRIGGERS && known.insert(kept.clone()) {
            drop(asked);
            self.send(source, key, Line::Trigger(kept));
        }
    }

    fn read(&self, source: &SourceRef, observation: &Observation) {
        let key = key(source);
        if !self.asked.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&key) {
            return;
        }
        self.send(source, key, Line::Reading { at: unix_ms(), of: Reading::from(observation) });
    }
}

#[expect(clippy::disallowed_methods, reason = "the time of day is for people, and decides nothing")]
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The same for the same source in every process, so that its files go on with each other.
fn key(source: &SourceRef) -> u64 {
    BuildHasherDefault::<DefaultHasher>::new().hash_one(source)
}

impl Writer {
    fn run(mut self, entries: &Receiver<Entry>) {
        for entry in entries {
            let outcome = self.write(&entry);
            match (&outcome, self.failing) {
                (Err(error), false) => {
                    tracing::error!(%error, directory = %self.directory.display(), "readings cannot be recorded");
                }
                (Ok(()), true) => tracing::info!(directory = %self.directory.display(), "readings are recorded again"),
                _ => {}
            }
            self.failing = outcome.is_err();
        }
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        if let Line::Trigger(metadata) = &entry.line {
            self.triggers.entry(entry.key).or_default().insert(metadata.clone());
        }
        if self.open.get(&entry.key).is_none_or(|open| open.written >= LARGEST_FILE) {
            self.begin(entry)?;
            if matches!(entry.line, Line::Trigger(_)) {
                return Ok(());
            }
        }
        let Some(open) = self.open.get_mut(&entry.key) else { return Ok(()) };
        let written = open.append(&entry.line);
        if written.is_err() {
            // the next line begins another file
            self.open.remove(&entry.key);
        }
        written
    }

    /// Begins a file, and makes room for it.
    fn begin(&mut self, entry: &Entry) -> io::Result<()> {
        self.open.remove(&entry.key);
        self.make_room()?;
        let path = self.directory.join(format!("{:016x}-{:08}.{ENDING}", entry.key, self.next));
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        self.next += 1;
        let triggers = self.triggers.get(&entry.key).into_iter().flatten().cloned().collect();
        let mut open = Open { file, path, written: 0 };
        open.append(&Line::Recording { version: VERSION, source: entry.source.clone(), triggers })?;
        self.open.insert(entry.key, open);
        Ok(())
    }

    /// Deletes the oldest files until one more has room.
    fn make_room(&mut self) -> io::Result<()> {
        let mut files = recordings(&self.directory)?;
        files.sort_by_key(|path| number(path));
        let mut sizes: Vec<u64> = Vec::with_capacity(files.len());
        for file in &files {
            sizes.push(fs::metadata(file)?.len());
        }
        let mut total: u64 = sizes.iter().sum();
        for (file, size) in files.iter().zip(sizes) {
            if total + LARGEST_FILE <= self.most {
                break;
            }
            fs::remove_file(file)?;
            self.open.retain(|_, open| open.path != *file);
            total -= size;
        }
        Ok(())
    }
}

impl Open {
    fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.written += u64::try_from(text.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

/// Our files in a directory; others are left alone.
fn recordings(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
    paths.filter(|path| path.as_ref().is_ok_and(|path| number(path).is_some())).collect()
}

/// The number in the name of one of our files.
fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(&format!(".{ENDING}"))?;
    let (key, number) = name.split_once('-')?;
    (key.len() == 16).then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::ShardsObservation;
    use crate::trigger::Trigger;

    fn metadata(stream: &str) -> HashMap<String, String> {
        let all = [("source", "aws-kinesis-stream"), ("streamName", stream), ("awsRegion", "eu-west-1")];
        all.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    fn writer(directory: &Path, most: u64) -> Writer {
        Writer {
            directory: directory.to_owned(),
            most,
            open: HashMap::new(),
            triggers: HashMap::new(),
            next: 0,
            failing: false,
        }
    }

    fn lines(path: &Path) -> Vec<Line> {
        let text = fs::read_to_string(path).expect("a recording");
        text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect()
    }

    #[test]
    fn only_what_was_asked_about_is_recorded_each_file_with_what_was_asked() {
        let directory = tempfile::tempdir().expect("a directory");
        let recorder = Recorder::start(directory.path(), u64::MAX).expect("it starts");
        let trigger = |stream| Trigger::parse(&metadata(stream)).expect("good").source;
        let observation = Observation::Shards(ShardsObservation { open: 2, closed: 1 });
        recorder.read(&trigger("other"), &observation);
        recorder.asked(&trigger("orders"), &metadata("orders"));
        recorder.asked(&trigger("orders"), &metadata("orders"));
        recorder.read(&trigger("orders"), &observation);
        drop(recorder);
        let files = recordings(directory.path()).expect("files");
        let [file] = files.as_slice() else { panic!("{files:?}") };
        let lines = lines(file);
        assert!(matches!(lines.first(), Some(Line::Recording { triggers, .. }) if triggers.len() == 1), "{lines:?}");
        assert!(matches!(lines.get(1), Some(Line::Reading { .. })), "{lines:?}");
    }

    #[test]
    fn the_oldest_files_make_room_and_strangers_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let stranger = directory.path().join("notes.jsonl");
        fs::write(&stranger, "mine").expect("written");
        let mut writer = writer(directory.path(), LARGEST_FILE + 300);
        let line = Line::Reading { at: 1, of: Reading::Shards { open: 1, closed: 0 } };
        for key in 0..6 {
            let entry = Entry { source: format!("stream {key}"), key, line: line.clone() };
            writer.write(&entry).expect("written");
        }
        let mut files = recordings(directory.path()).expect("files");
        files.sort();
        assert!(stranger.exists());
        assert!((2..6).contains(&files.len()), "{files:?}");
        assert!(files.last().is_some_and(|path| path.to_string_lossy().contains("-00000005")), "the newest stays");
        assert!(!files.iter().any(|path| path.to_string_lossy().contains("-00000000.")), "the oldest went");
    }
}

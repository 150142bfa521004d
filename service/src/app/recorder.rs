//! Writes readings to files for `replay`, with a bounded size and on a thread of its own.
//!
//! Each source has its own file, which is rotated when it is large; when all files together are too large, the oldest are deleted.
//! Lines that cannot be written are dropped and counted: readings and answers never wait for a disk.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::lag::Observation;
use crate::recording::{Line, Metadata, Reading, VERSION, without_secrets};
use crate::sampler::ReadingObserver;
use crate::trigger::SourceRef;

/// Files are rotated at this size in bytes.
const LARGEST_FILE: u64 = 16 << 20;
/// The maximum number of lines that wait for the disk.
const WAITING: usize = 1024;
/// The maximum number of distinct trigger metadata recorded per source.
const MOST_TRIGGERS: usize = 64;
/// A source is forgotten this long after its last query or reading; the sampler forgets it sooner.
const FORGET_AFTER: Duration = Duration::from_secs(900);
/// The interval between checks for sources to forget.
const TIDY_EVERY: Duration = Duration::from_secs(60);
const ENDING: &str = "jsonl";
/// The largest number in a file name that counts as written by a scaler.
const LARGEST_NUMBER: u64 = u64::MAX / 2;

/// Sends lines to the thread that writes them.
pub(super) struct Recorder {
    /// The queue to the thread; `None` once the recorder has ended.
    queue: Option<SyncSender<Entry>>,
    thread: Option<JoinHandle<()>>,
    asked: Mutex<RecordedSources>,
    full: AtomicBool,
}

/// The queried sources with their trigger metadata: only these are recorded.
struct RecordedSources {
    sources: HashMap<u64, RecordedSource>,
    tidied: Instant,
}

struct RecordedSource {
    metadata: HashSet<Metadata>,
    /// The time of the last query or reading.
    last: Instant,
}

/// A message to the writer thread.
enum Entry {
    /// A line to write to the file of a source.
    Line { source: String, key: u64, line: Line },
    /// The source is forgotten: no further line follows unless it is queried again.
    Forgotten { key: u64 },
}

/// Writes the files of one directory.
struct Writer {
    directory: PathBuf,
    most: u64,
    open: HashMap<u64, Open>,
    triggers: HashMap<u64, BTreeSet<Metadata>>,
    /// The number of the next file: file names sort by time.
    next: u64,
    failing: bool,
}

/// A file that is still appended to. It is opened for each line: there may be more sources than a process may have open files.
struct Open {
    path: PathBuf,
    written: u64,
}

impl Recorder {
    /// Starts recording into `directory`, which is created if it does not exist, with at most `most` bytes in total.
    ///
    /// # Errors
    /// Fails if the directory cannot be created or read.
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
        let asked = RecordedSources { sources: HashMap::new(), tidied: Instant::now() };
        Ok(Self { queue: Some(queue), thread: Some(thread), asked: Mutex::new(asked), full: AtomicBool::new(false) })
    }

    fn send(&self, source: &SourceRef, key: u64, line: Line) {
        let Some(queue) = &self.queue else { return };
        match queue.try_send(Entry::Line { source: source.to_string(), key, line }) {
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
            // the thread has logged why it ended
            Err(TrySendError::Disconnected(_)) => {}
        }
    }

    /// Returns whether the thread has been notified that the source is forgotten.
    fn forgotten(&self, key: u64) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue.try_send(Entry::Forgotten { key }).is_ok())
    }
}

impl Drop for Recorder {
    /// Waits until the thread has written the whole queue.
    fn drop(&mut self) {
        self.queue = None;
        // a thread that panicked has reported it on stderr
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl ReadingObserver for Recorder {
    fn asked(&self, source: &SourceRef, metadata: &HashMap<String, String>) {
        let (key, kept) = (key(source), without_secrets(metadata));
        let now = Instant::now();
        let mut asked = self.asked.lock();
        if now.duration_since(asked.tidied) >= TIDY_EVERY {
            asked.tidied = now;
            asked.sources.retain(|key, of| now.duration_since(of.last) < FORGET_AFTER || !self.forgotten(*key));
        }
        let known = asked.sources.entry(key).or_insert_with(|| RecordedSource { metadata: HashSet::new(), last: now });
        known.last = now;
        if known.metadata.len() < MOST_TRIGGERS && known.metadata.insert(kept.clone()) {
            drop(asked);
            self.send(source, key, Line::Trigger(kept));
        }
    }

    fn read(&self, source: &SourceRef, observation: &Observation) {
        let key = key(source);
        match self.asked.lock().sources.get_mut(&key) {
            Some(known) => known.last = Instant::now(),
            None => return,
        }
        if let Some(of) = Reading::of(observation) {
            self.send(source, key, Line::Reading { at: unix_ms(), of });
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the time of day is for people, and decides nothing")]
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a key that is the same for a source in every process, so that a file can be continued.
fn key(source: &SourceRef) -> u64 {
    BuildHasherDefault::<DefaultHasher>::new().hash_one(source)
}

impl Writer {
    fn run(mut self, entries: &Receiver<Entry>) {
        for entry in entries {
            let outcome = match entry {
                Entry::Line { source, key, line } => self.write(&source, key, &line),
                Entry::Forgotten { key } => {
                    self.open.remove(&key);
                    self.triggers.remove(&key);
                    continue;
                }
            };
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

    fn write(&mut self, source: &str, key: u64, line: &Line) -> io::Result<()> {
        if let Line::Trigger(metadata) = line {
            self.triggers.entry(key).or_default().insert(metadata.clone());
        }
        if self.open.get(&key).is_none_or(|open| open.written >= LARGEST_FILE) {
            self.begin(source, key)?;
            if matches!(line, Line::Trigger(_)) {
                return Ok(());
            }
        }
        let Some(open) = self.open.get_mut(&key) else { return Ok(()) };
        let written = open.append(line);
        if written.is_err() {
            // the next line starts another file
            self.open.remove(&key);
        }
        written
    }

    /// Starts a file, and deletes old files to make room for it.
    fn begin(&mut self, source: &str, key: u64) -> io::Result<()> {
        self.open.remove(&key);
        self.make_room()?;
        let path = self.create(key)?;
        let triggers = self.triggers.get(&key).into_iter().flatten().cloned().collect();
        let mut open = Open { path, written: 0 };
        open.append(&Line::Recording { version: VERSION, source: source.to_owned(), triggers })?;
        self.open.insert(key, open);
        Ok(())
    }

    /// Creates a file under the next free name: another scaler may write into the same directory.
    fn create(&mut self, key: u64) -> io::Result<PathBuf> {
        loop {
            let path = self.directory.join(format!("{key:016x}-{:08}.{ENDING}", self.next));
            self.next += 1;
            match File::create_new(&path) {
                Ok(_) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Deletes the oldest files until there is room for one more.
    fn make_room(&mut self) -> io::Result<()> {
        let mut files = recordings(&self.directory)?;
        files.sort_by_key(|path| number(path));
        let mut sizes: Vec<u64> = Vec::with_capacity(files.len());
        for file in &files {
            sizes.push(unless_gone(fs::metadata(file).map(|of| of.len()))?);
        }
        let mut total: u64 = sizes.iter().sum();
        for (file, size) in files.iter().zip(sizes) {
            if total + LARGEST_FILE <= self.most {
                break;
            }
            unless_gone(fs::remove_file(file))?;
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
        OpenOptions::new().append(true).open(&self.path)?.write_all(&text)?;
        self.written += u64::try_from(text.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

/// Lists the scaler's files in a directory; other files are ignored.
fn recordings(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
    paths.filter(|path| path.as_ref().is_ok_and(|path| number(path).is_some())).collect()
}

/// Returns the number in the name of one of the scaler's files.
fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(&format!(".{ENDING}"))?;
    let (key, number) = name.split_once('-')?;
    // a file with a larger number was not written by a scaler
    (key.len() == 16).then(|| number.parse().ok().filter(|number| *number <= LARGEST_NUMBER))?
}

/// Ignores a missing file: another scaler may have deleted it first in a shared directory.
fn unless_gone<T: Default>(outcome: io::Result<T>) -> io::Result<T> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        outcome => outcome,
    }
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

    #[tokio::test(start_paused = true)]
    async fn a_source_that_nobody_asks_about_or_reads_any_more_is_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        let recorder = Recorder::start(directory.path(), u64::MAX).expect("it starts");
        let trigger = |stream| Trigger::parse(&metadata(stream)).expect("good").source;
        let observation = Observation::Shards(ShardsObservation { open: 2, closed: 1 });
        recorder.asked(&trigger("dropped"), &metadata("dropped"));
        recorder.asked(&trigger("read"), &metadata("read"));
        for _ in 0..2 {
            tokio::time::advance(FORGET_AFTER - Duration::from_secs(1)).await;
            recorder.read(&trigger("read"), &observation);
        }
        recorder.asked(&trigger("new"), &metadata("new"));
        let mut known: Vec<_> = recorder.asked.lock().sources.keys().copied().collect();
        known.sort_unstable();
        let mut expected = [key(&trigger("read")), key(&trigger("new"))];
        expected.sort_unstable();
        assert_eq!(known, expected);
    }

    #[test]
    fn a_file_that_is_large_is_gone_on_with_in_another_that_says_again_what_was_asked() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut writer = writer(directory.path(), u64::MAX);
        let reading = |at| Line::Reading { at, of: Reading::Shards { open: 1, closed: 0 } };
        let source = "stream orders";
        writer.write(source, 1, &Line::Trigger(without_secrets(&metadata("orders")))).expect("written");
        writer.write(source, 1, &reading(1)).expect("written");
        writer.open.get_mut(&1).expect("it is open").written = LARGEST_FILE;
        writer.write(source, 1, &reading(2)).expect("written");
        let mut files = recordings(directory.path()).expect("files");
        files.sort();
        let [first, second] = files.as_slice() else { panic!("{files:?}") };
        for (file, begun) in [(first, 1), (second, 2)] {
            let lines = lines(file);
            let [Line::Recording { triggers, .. }, Line::Reading { at, .. }] = lines.as_slice() else {
                panic!("{lines:?}")
            };
            assert_eq!((triggers.len(), *at), (1, begun));
        }
    }

    #[test]
    fn a_name_that_another_scaler_took_in_a_shared_directory_is_passed_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut writer = writer(directory.path(), u64::MAX);
        let line = |at| Line::Reading { at, of: Reading::Shards { open: 1, closed: 0 } };
        for number in 0..5 {
            fs::write(directory.path().join(format!("{:016x}-{number:08}.{ENDING}", 7)), "other").expect("written");
        }
        for at in 1..=3 {
            writer.write("stream orders", 7, &line(at)).expect("written");
            writer.open.get_mut(&7).expect("it is open").written = LARGEST_FILE;
            fs::write(directory.path().join(format!("{:016x}-{:08}.{ENDING}", 7, writer.next)), "other")
                .expect("written");
        }
        let files = recordings(directory.path()).expect("files");
        let others = files.iter().filter(|path| fs::read_to_string(path).expect("text") == "other").count();
        assert_eq!((files.len(), others), (5 + 3 + 3, 5 + 3), "nothing of another scaler is overwritten");
    }

    #[test]
    fn a_file_that_is_named_beyond_every_number_stops_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(format!("{:016x}-{}.{ENDING}", 7, u64::MAX)), "mine").expect("written");
        let recorder = Recorder::start(directory.path(), u64::MAX).expect("it starts");
        let source = Trigger::parse(&metadata("orders")).expect("good").source;
        recorder.asked(&source, &metadata("orders"));
        drop(recorder);
        assert_eq!(fs::read_dir(directory.path()).expect("files").count(), 2);
    }

    #[test]
    fn the_oldest_files_make_room_and_strangers_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let stranger = directory.path().join("notes.jsonl");
        fs::write(&stranger, "mine").expect("written");
        let mut writer = writer(directory.path(), LARGEST_FILE + 300);
        let line = Line::Reading { at: 1, of: Reading::Shards { open: 1, closed: 0 } };
        for key in 0..6 {
            writer.write(&format!("stream {key}"), key, &line).expect("written");
        }
        let mut files = recordings(directory.path()).expect("files");
        files.sort();
        assert!(stranger.exists());
        assert!((2..6).contains(&files.len()), "{files:?}");
        assert!(files.last().is_some_and(|path| path.to_string_lossy().contains("-00000005")), "the newest stays");
        assert!(!files.iter().any(|path| path.to_string_lossy().contains("-00000000.")), "the oldest went");
    }
}

//! Reads recordings from files.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use crate::lag::Observation;
use crate::recording::{Line, Metadata, VERSION};

/// The recording of one source.
pub(super) struct Recording {
    pub(super) source: String,
    /// The metadata of the triggers that queried the source.
    pub(super) triggers: BTreeSet<Metadata>,
    /// The readings in the order of time, each with its time in milliseconds since 1970.
    pub(super) readings: Vec<(u64, Observation)>,
}

/// Reads the files of one source, in any order.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Recording> {
    let mut all: Option<Recording> = None;
    for file in files {
        let recording = read_file(file).with_context(|| format!("reading {}", file.display()))?;
        match &mut all {
            None => all = Some(recording),
            Some(all) => {
                let Recording { source, triggers, readings } = recording;
                ensure!(
                    source == all.source,
                    "{} is about {source}, the files before it about {}",
                    file.display(),
                    all.source
                );
                all.triggers.extend(triggers);
                all.readings.extend(readings);
            }
        }
    }
    let mut recording = all.context("no file")?;
    recording.readings.sort_by_key(|(at, _)| *at);
    ensure!(!recording.readings.is_empty(), "there is no reading of {}", recording.source);
    Ok(recording)
}

fn read_file(file: &Path) -> anyhow::Result<Recording> {
    let mut lines = BufReader::new(File::open(file)?).lines().enumerate().peekable();
    let (_, first) = lines.next().context("it is empty")?;
    let first = serde_json::from_str(&first?).context("line 1 is no line of a recording")?;
    let Line::Recording { version, source, triggers } = first else { bail!("line 1 does not begin a recording") };
    ensure!(version == VERSION, "version {version} of the format is not known, only {VERSION}");
    let mut recording = Recording { source, triggers: triggers.into_iter().collect(), readings: Vec::new() };
    while let Some((index, line)) = lines.next() {
        let line = match serde_json::from_str(&line?) {
            Ok(line) => line,
            // the last line may be incomplete
            Err(_) if lines.peek().is_none() => break,
            Err(error) => return Err(error).with_context(|| format!("line {} is no line of a recording", index + 1)),
        };
        match line {
            Line::Recording { .. } => bail!("line {} begins another recording", index + 1),
            Line::Trigger(metadata) => drop(recording.triggers.insert(metadata)),
            Line::Reading { at, of } => {
                let observation = of.try_into().with_context(|| format!("line {}", index + 1))?;
                recording.readings.push((at, observation));
            }
        }
    }
    Ok(recording)
}

//! `man`: the manual, with one page for the command and one for each of its subcommands.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;

use super::{Verdict, output};

/// The arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keda-stream-scaler man | man -l -
  keda-stream-scaler man --directory /usr/local/share/man/man1

Exit code 0: the pages were written; 1: they could not be; 2: wrong usage.")]
pub(super) struct Arguments {
    /// Write every page into this directory, which is created if it does not exist; without it the first page goes to stdout
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Verdict> {
    // the long version has several lines, which a page's title cannot have
    let mut command = super::Arguments::command().version(env!("CARGO_PKG_VERSION"));
    command.build();
    match &arguments.directory {
        None => output::data(&page(&command)?)?,
        Some(directory) => write_all(&command, directory)?,
    }
    Ok(Verdict::Good)
}

fn write_all(command: &Command, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    for command in [command].into_iter().chain(shown) {
        let path = directory.join(Man::new(command.clone()).get_filename());
        fs::write(&path, page(command)?).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn page(command: &Command) -> anyhow::Result<String> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    Ok(String::from_utf8(page)?)
}

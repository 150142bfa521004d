//! `completions`: prints the script with which a shell completes this command.

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::{Verdict, output};

/// The arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keda-stream-scaler completions bash > /etc/bash_completion.d/keda-stream-scaler
  keda-stream-scaler completions zsh > ~/.zfunc/_keda-stream-scaler
  keda-stream-scaler completions fish > ~/.config/fish/completions/keda-stream-scaler.fish

Exit code 0: it was printed; 1: it could not be; 2: wrong usage.")]
pub(super) struct Arguments {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Verdict> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut super::Arguments::command(), "keda-stream-scaler", &mut script);
    output::data(&String::from_utf8(script)?)?;
    Ok(Verdict::Good)
}

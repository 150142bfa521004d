//! What the command says of itself: help, completions, manual.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::process::{Ended, run, run_in};

/// The commands, as the first page of the help lists them.
async fn commands() -> Vec<String> {
    let Ended { code, stdout, .. } = run(&["--help"]).await;
    assert_eq!(code, Some(0));
    let list = stdout.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
    // what is indented further continues a description
    let named = list.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let commands: Vec<_> = named.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert!(commands.len() >= 9 && commands.contains(&"serve".to_owned()), "{commands:?}");
    commands
}

async fn help(arguments: &[&str]) -> String {
    let Ended { code, stdout, .. } = run(&[arguments, &["--help"]].concat()).await;
    assert_eq!(code, Some(0));
    stdout
}

/// The long flags that a help page explains.
fn flags(help: &str) -> BTreeSet<String> {
    let explained = help.lines().filter(|line| line.trim_start().starts_with('-'));
    let words = explained.flat_map(|line| line.split([' ', ',', '=', '[']).filter(|word| word.starts_with("--")));
    words.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_command_has_examples_and_tells_its_exit_codes() {
    for command in commands().await {
        let text = help(&[&command]).await;
        assert!(text.contains(&format!("Examples:\n  keda-stream-scaler {command}")), "{text}");
        let codes = text.rsplit_once("Exit code 0: ").unwrap_or_else(|| panic!("{text}")).1.replace('\n', " ");
        assert!(codes.contains("; 1: ") && codes.contains("; 2: wrong usage."), "{command}: {codes}");
    }
    let text = help(&[]).await;
    assert!(text.contains("Examples:\n") && text.contains("Exit code 0: "), "{text}");
}

#[tokio::test]
async fn no_color_is_heeded_and_a_pipe_gets_none() {
    for environment in [&[("NO_COLOR", "1")][..], &[]] {
        let Ended { stdout, stderr, .. } = run_in(environment, &["validate", "--help"]).await;
        assert!(!stdout.contains('\u{1b}') && !stderr.contains('\u{1b}'), "{stdout}{stderr}");
        let Ended { stderr, .. } = run_in(environment, &["dance"]).await;
        assert!(stderr.starts_with("error: ") && !stderr.contains('\u{1b}'), "{stderr}");
    }
}

#[tokio::test]
async fn bash_reads_its_completions_and_completes_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("completions");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let Ended { code, stdout, .. } = run(&["completions", shell]).await;
        assert_eq!(code, Some(0));
        assert!(commands().await.iter().all(|command| stdout.contains(command.as_str())), "{shell}");
        if shell == "bash" {
            std::fs::write(&path, &stdout).unwrap();
        }
    }
    assert!(Command::new("bash").arg("-n").arg(&path).status().unwrap().success());
    let complete = "source \"$1\"; COMP_WORDS=(keda-stream-scaler mig); COMP_CWORD=1; \
        $(complete -p keda-stream-scaler | sed 's/.* -F \\([^ ]*\\) .*/\\1/') keda-stream-scaler mig keda-stream-scaler; echo \"${COMPREPLY[@]}\"";
    let ended = Command::new("bash").args(["-c", complete, "-"]).arg(&path).output().unwrap();
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), "migrate\n", "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(run(&["completions", "tcsh"]).await.code, Some(2));
}

#[tokio::test]
async fn the_manual_has_a_page_for_each_command_with_all_that_its_help_has() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("man1");
    let Ended { code, stdout, stderr } = run(&["man", "--directory", directory.to_str().unwrap()]).await;
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
    let mut expected = BTreeSet::from(["keda-stream-scaler.1".to_owned()]);
    expected.extend(commands().await.iter().map(|command| format!("keda-stream-scaler-{command}.1")));
    let pages: BTreeSet<_> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(pages, expected);
    for page in pages {
        let text = std::fs::read_to_string(directory.join(&page)).unwrap();
        let command = page.trim_start_matches("keda-stream-scaler").trim_matches(['-', '.', '1']).to_owned();
        let help = help(&[command.as_str()].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>()).await;
        let flags = flags(&help);
        assert!(flags.contains("--help"), "{help}");
        for flag in flags {
            assert!(text.contains(&flag.replace('-', "\\-")), "{page} lacks {flag}");
        }
        assert!(text.contains("Examples:") && text.contains("Exit code 0: "), "{page}: {text}");
        is_clean(&directory.join(page));
    }
    let Ended { code, stdout, .. } = run(&["man"]).await;
    assert_eq!((code, stdout), (Some(0), std::fs::read_to_string(directory.join("keda-stream-scaler.1")).unwrap()));
    let Ended { code, stderr, .. } = run(&["man", "--directory", "/dev/null/man"]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("error: making /dev/null/man: "), "{stderr}");
}

/// What groff has to say of a page, with all of its warnings.
fn is_clean(page: &Path) {
    let groff = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(page).stderr(Stdio::piped()).output();
    let groff = groff.expect("groff, which the system's manual needs too");
    assert!(groff.status.success() && groff.stderr.is_empty(), "{}", String::from_utf8_lossy(&groff.stderr));
}

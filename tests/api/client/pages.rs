//! Completions and manual pages.

use std::process::Command;

use super::{Cli, assert_says, write};

const COMMANDS: &[&str] = &[
    "serve",
    "check",
    "switch",
    "batch",
    "get-coinbase",
    "update-coinbase",
    "status",
    "verify",
    "history",
    "undo",
    "whoami",
    "user",
    "doctor",
    "health",
    "completions",
    "man",
];

#[tokio::test]
async fn completions_know_every_command_and_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Cli::new("completions").arg(shell).ends_with(0).await.stdout;
        assert_says(&script, COMMANDS);
        assert_says(&script, &["payout-addr", "progress-file"]);
        if shell == "bash" {
            let file = write(folder.path(), "completions", &script);
            for (words, expected) in [
                (&["upd"][..], "update-coinbase"),
                (&["user", "to"], "token"),
                (&["user", "token", "--ro"], "--roles"),
                (&["get-coinbase", "--token"], "--token-file"),
            ] {
                assert_eq!(completed(&file, words), expected, "{words:?}");
            }
        }
    }
    Cli::new("completions tcsh").ends_with(2).await;
}

/// Bash's completions of the last word, by that script.
fn completed(script: &str, words: &[&str]) -> String {
    let asked = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
        _switcher__api__server \"$1\" \"${COMP_WORDS[-1]}\" \"${COMP_WORDS[-2]}\"; echo \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["-c", asked, "bash", script, "switcher-api-server"]).args(words);
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn manual_pages_have_the_content_of_the_help() {
    let page = Cli::new("man").ends_with(0).await.stdout;
    assert_says(&page, &[".TH switcher-api-server 1", "ZKSwitcherWatchDir", "outcome is unknown"]);
    let folder = tempfile::tempdir().unwrap();
    Cli::new("man --out-dir").arg(folder.path()).ends_with(0).await;
    for command in COMMANDS {
        let file = folder.path().join(format!("switcher-api-server-{command}.1"));
        let page = std::fs::read_to_string(&file).unwrap();
        assert_says(&page, &[".TH switcher-api-server-", ".SH SYNOPSIS"]);
        // The footer.
        let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap();
        assert_says(title, &["\"switcher-api-server 0.1.0\""]);
    }
    for nested in ["history-verify", "user-hash", "user-token"] {
        assert!(folder.path().join(format!("switcher-api-server-{nested}.1")).exists(), "{nested}");
    }
    let batch = std::fs::read_to_string(folder.path().join("switcher-api-server-batch.1")).unwrap();
    assert_says(&batch, &["FILE.progress", "outcome is unknown"]);
    let told = Cli::new("man --out-dir /no/such").ends_with(73).await;
    assert_says(&told.stderr, &["/no/such", "No such file"]);
}

#[tokio::test]
async fn help_names_commands_and_exit_statuses() {
    let help = Cli::new("--help").ends_with(0).await.stdout;
    assert_says(&help, COMMANDS);
    for command in [
        "switch",
        "batch",
        "get-coinbase",
        "update-coinbase",
        "status",
        "verify",
        "history",
        "undo",
        "doctor",
    ] {
        let own = Cli::new(command).arg("--help").ends_with(0).await.stdout;
        for status in [0, 1, 2, 65, 66, 69, 70, 73, 74, 75, 76, 77, 78] {
            let line = format!("\n  {status:<4}");
            assert!(own.contains(&line) && help.contains(&line), "{command} {status}");
        }
    }
    let guide = include_str!("../../../docs/guide/cli.md");
    for status in [0, 1, 2, 65, 66, 69, 70, 73, 74, 75, 76, 77, 78] {
        assert!(guide.contains(&format!("\n| {status} | ")), "docs/guide/cli.md: {status}");
    }
}

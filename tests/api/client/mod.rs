//! The client commands: the real program as an operator or a script runs it, against a real daemon, ZooKeeper,
//! and simulated backends and jobmakers.

mod batch;
mod batch_files;
pub mod doctor;
mod doctor_lists;
mod health;
mod history;
mod https;
mod pages;
mod puppet;
mod recorded;
mod secrets;
mod status;
mod sub_pools;
mod switch;
pub mod terminal;
mod undo;
mod upstream_tls;
mod users;
mod verify;

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::daemon::{Daemon, Finished, PASSWORD, USER, program};
use crate::support::seconds;

/// A command line.
#[derive(Clone, Default)]
pub struct Cli {
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, String)>,
    stdin: Vec<u8>,
}

impl Cli {
    /// `words` are separated by blanks.
    pub fn new(words: &str) -> Self {
        Self::default().words(words)
    }

    fn words(mut self, words: &str) -> Self {
        self.arguments.extend(words.split_whitespace().map(OsString::from));
        self
    }

    fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub fn config(self, file: impl Into<OsString>) -> Self {
        self.arg("--config").arg(file)
    }

    /// Calls a daemon with the right credentials.
    fn at(self, daemon: &Daemon) -> Self {
        self.at_address(daemon.base())
    }

    /// Calls an address with the usual credentials.
    fn at_address(self, address: &str) -> Self {
        self.words(&format!("--server {address} --user {USER} --password {PASSWORD}"))
    }

    fn environment(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    fn stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.stdin = content.into();
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.args(&self.arguments).envs(self.environment.iter().cloned());
        command.current_dir("/").kill_on_drop(true);
        command
    }

    /// Runs the command to its end, without a terminal.
    pub async fn run(&self) -> Finished {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that does not read standard input may have ended.
        let _ = stdin.write_all(&self.stdin).await;
        drop(stdin);
        let output = tokio::time::timeout(seconds(180), child.wait_with_output());
        let output = output.await.unwrap_or_else(|_| panic!("{:?} ends", self.arguments)).unwrap();
        Finished {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the command and checks the exit status.
    async fn ends_with(&self, code: i32) -> Finished {
        let finished = self.run().await;
        assert_eq!(finished.code, Some(code), "{:?}: {finished:?}", self.arguments);
        finished
    }

    /// Runs the command with `--json` and returns the document, which must hold the exit status.
    async fn json(&self, code: i32) -> Value {
        let finished = self.clone().arg("--json").ends_with(code).await;
        assert_eq!(finished.stderr, "", "all is in the document");
        let document: Value = serde_json::from_str(&finished.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", finished.stdout));
        assert_eq!(document["exit_status"], code, "{document}");
        assert_eq!(document["command"], self.arguments[0].to_str().unwrap(), "{document}");
        document
    }
}

/// Panics unless the text has all `parts`.
fn assert_says(text: &str, parts: &[&str]) {
    let missing: Vec<_> = parts.iter().filter(|part| !text.contains(**part)).collect();
    assert!(missing.is_empty(), "no {missing:?} in:\n{text}");
}

/// Writes a file and returns its path as text.
fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let file = folder.join(name);
    std::fs::write(&file, content).unwrap();
    file.to_str().unwrap().to_owned()
}

//! Result of a client command, as text or as JSON, and its exit status.

use std::{io, process::ExitCode};

use serde_json::{Map, Value, json};
use switcher_actors::escape_json;
use thiserror::Error;

/// Exit statuses of the client commands, for the help text; those of `sysexits.h` where it has one.
pub const EXIT_STATUSES: &str = "\
Exit status of the client commands:
  0   done
  1   a check found something: a sub-account without znode, drift, a problem, an unhealthy daemon, a fault of
      the history; or the user did not confirm an update or an undo
  2   bad argument, or no terminal to confirm on
  65  the file, a name, or the request is invalid or was refused; nothing was written
  66  a file cannot be read
  69  the daemon, ZooKeeper or the upstream is not available; nothing was written: try again
  70  internal failure
  73  a file cannot be written
  74  standard output cannot be written
  75  the outcome is unknown: it may have been written or not
  76  another program answers at that address; if it is a proxy, the outcome is unknown
  77  the credentials are missing or refused
  78  invalid configuration
Of a batch, \"nothing was written\" is about the chunk that failed: the chunks before are written. Of an undo, 69
and 75 also mean that some entries were not put back, or that their outcome is unknown; the results list them.";

/// Reason why a command did not do its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    NotConfirmed,
    Usage,
    /// The request is wrong; nothing was written.
    Refused,
    /// A file cannot be read.
    NoInput,
    /// A server is not available; nothing was written.
    Unavailable,
    Internal,
    /// A file cannot be written.
    NoOutputFile,
    /// The request may have been written or not.
    Unknown,
    /// Standard output cannot be written.
    NoOutput,
    /// Another program answers.
    Protocol,
    Credentials,
    Configuration,
}

impl FailureKind {
    /// Exit status, and name in JSON.
    fn code(self) -> (u8, &'static str) {
        match self {
            Self::NotConfirmed => (1, "not confirmed"),
            Self::Usage => (2, "usage"),
            Self::Refused => (65, "refused"),
            Self::NoInput => (66, "no input"),
            Self::Unavailable => (69, "unavailable"),
            Self::Internal => (70, "internal"),
            Self::NoOutputFile => (73, "no output file"),
            Self::NoOutput => (74, "no output"),
            Self::Unknown => (75, "outcome unknown"),
            Self::Protocol => (76, "protocol"),
            Self::Credentials => (77, "credentials"),
            Self::Configuration => (78, "configuration"),
        }
    }

    /// A failure that is not the daemon's.
    pub fn failure(self, text: impl Into<String>) -> CommandFailure {
        CommandFailure { kind: self, text: text.into(), err_no: None }
    }
}

/// A command's failure: what happened, to which value, and the remedy. Fit for a terminal, and without secrets.
#[derive(Clone, Debug, Error)]
#[error("{text}")]
pub struct CommandFailure {
    pub kind: FailureKind,
    pub text: String,
    /// The daemon's number, if the daemon refused.
    pub err_no: Option<i64>,
}

/// Result of a command.
pub type CommandResult = Result<CommandReport, CommandFailure>;

/// A command's result: lines for people, fields for scripts.
#[derive(Debug, Default)]
pub struct CommandReport {
    lines: Vec<String>,
    fields: Map<String, Value>,
    found_something: bool,
    failure: Option<CommandFailure>,
    is_printed: bool,
}

impl CommandReport {
    /// Report of a command that has printed its result already.
    pub fn printed() -> Self {
        Self { is_printed: true, ..Self::default() }
    }

    /// Adds a line for people.
    pub fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Adds a field for scripts.
    pub fn field(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    /// Records that a check found something: exit status 1.
    pub fn found_something(&mut self) {
        self.found_something = true;
    }

    /// Records a failure after a part was done.
    pub fn fail(&mut self, failure: CommandFailure) {
        self.failure = Some(failure);
    }

    fn exit_status(&self) -> u8 {
        match &self.failure {
            Some(failure) => failure.kind.code().0,
            None => u8::from(self.found_something),
        }
    }

    fn document(mut self, command: &str) -> Value {
        self.field("command", command);
        self.field("exit_status", self.exit_status());
        if let Some(CommandFailure { kind, text, err_no }) = &self.failure {
            let error = json!({"kind": kind.code().1, "text": text, "err_no": err_no});
            self.field("error", error);
        }
        Value::Object(self.fields)
    }
}

impl From<CommandFailure> for CommandReport {
    fn from(failure: CommandFailure) -> Self {
        Self { failure: Some(failure), ..Self::default() }
    }
}

/// Prints a report and returns its exit status. A reader that closes the pipe early is no failure.
pub fn show(
    report: CommandReport,
    command: &str,
    as_json: bool,
    mut output: impl io::Write,
    mut errors: impl io::Write,
) -> ExitCode {
    let exit_status = report.exit_status();
    let written = if report.is_printed {
        Ok(())
    } else if as_json {
        writeln!(output, "{}", escape_json(&report.document(command).to_string()))
    } else {
        let text: String = report.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        let written = output.write_all(text.as_bytes());
        if let Some(failure) = &report.failure {
            let _ = writeln!(errors, "error: {failure}");
        }
        written
    };
    match written.and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(errors, "error: standard output cannot be written: {error}");
            74.into()
        }
        _ => exit_status.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_status_is_in_the_help() {
        for kind in [
            FailureKind::NotConfirmed,
            FailureKind::Usage,
            FailureKind::Refused,
            FailureKind::NoInput,
            FailureKind::Unavailable,
            FailureKind::Internal,
            FailureKind::NoOutputFile,
            FailureKind::NoOutput,
            FailureKind::Unknown,
            FailureKind::Protocol,
            FailureKind::Credentials,
            FailureKind::Configuration,
        ] {
            let status = format!("\n  {:<4}", kind.code().0);
            assert!(EXIT_STATUSES.contains(&status), "{kind:?}");
        }
    }

    #[test]
    fn json_moves_no_cursor_and_keeps_the_values() {
        let value = json!({"用户": "\u{9b}2J\u{202e}\u{7f}\n\u{1b}\u{e0001}\u{3164}é"});
        let mut report = CommandReport::default();
        report.field("value", value.clone());
        let mut output = Vec::new();
        show(report, "status", true, &mut output, io::sink());
        let shown = String::from_utf8(output).unwrap();
        assert!(!shown.trim_end().contains(switcher_actors::is_invisible), "{shown:?}");
        assert!(shown.contains("用户") && shown.contains('é'), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["value"], value);
    }

    #[test]
    fn a_reader_that_closes_the_pipe_is_no_failure() {
        struct Gone(io::ErrorKind);
        impl io::Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let shown = |kind| {
            let mut report = CommandReport::default();
            report.line("x");
            let mut errors = Vec::new();
            let code = show(report, "status", false, Gone(kind), &mut errors);
            (format!("{code:?}"), String::from_utf8(errors).unwrap())
        };
        let success = format!("{:?}", ExitCode::SUCCESS);
        assert_eq!(shown(io::ErrorKind::BrokenPipe), (success, String::new()));
        let (code, errors) = shown(io::ErrorKind::StorageFull);
        assert_eq!(code, format!("{:?}", ExitCode::from(74)));
        assert!(errors.contains("standard output"), "{errors}");
    }
}

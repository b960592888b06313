//! What a client command has to say, as text or as JSON, and its exit status.

use std::{fmt, io, process::ExitCode};

use serde_json::{Map, Value, json};
use switcher_actors::escape_json;
use thiserror::Error;

/// The client commands' exit statuses, for the help text; those of `sysexits.h` where it has one.
pub const EXIT_STATUSES: &str = "\
Exit status of the client commands:
  0   done
  1   looked, and something is amiss: a sub-account without znode, drift, a problem, a daemon that is not
      healthy; or not confirmed
  2   bad argument, or a question could not be asked
  65  the file, a name, or the request cannot be used, or was refused; nothing of it was written
  66  a file cannot be read
  69  the daemon, ZooKeeper or the upstream is not available; nothing was written: try again
  70  internal failure
  73  a file cannot be written
  74  standard output cannot be written
  75  the outcome is unknown: it may have been written or not
  76  what answers there is not this daemon; if it is a proxy, the outcome is unknown
  77  the credentials are missing or refused
  78  bad configuration";

/// Why a command did not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The operator did not confirm.
    NotConfirmed,
    /// The operator has to say more.
    Usage,
    /// What is asked for is wrong, and nothing of it was written.
    Refused,
    /// A file cannot be read.
    NoInput,
    /// Somebody who is needed is away; nothing was written.
    Unavailable,
    /// Something is wrong with the machine.
    Internal,
    /// A file cannot be written.
    NoOutputFile,
    /// It may have been written or not.
    Unknown,
    /// Another program answers.
    Protocol,
    /// The credentials are missing or wrong.
    Credentials,
    /// The configuration is wrong.
    Configuration,
}

impl Kind {
    fn exit_status(self) -> u8 {
        match self {
            Self::NotConfirmed => 1,
            Self::Usage => 2,
            Self::Refused => 65,
            Self::NoInput => 66,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::NoOutputFile => 73,
            Self::Unknown => 75,
            Self::Protocol => 76,
            Self::Credentials => 77,
            Self::Configuration => 78,
        }
    }

    /// The name in JSON.
    fn name(self) -> &'static str {
        match self {
            Self::NotConfirmed => "not confirmed",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::NoInput => "no input",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::NoOutputFile => "no output file",
            Self::Unknown => "outcome unknown",
            Self::Protocol => "protocol",
            Self::Credentials => "credentials",
            Self::Configuration => "configuration",
        }
    }
}

/// What went wrong: what happened, to which value, and what to do. Fit for a terminal, and without secrets.
#[derive(Clone, Debug, Error)]
#[error("{text}")]
pub struct Failure {
    /// Which sort.
    pub kind: Kind,
    /// The whole of it, in words.
    pub text: String,
    /// The daemon's number for it, if it was the daemon that refused.
    pub err_no: Option<i64>,
}

impl Failure {
    /// One that has no number.
    pub fn new(kind: Kind, text: impl fmt::Display) -> Self {
        Self { kind, text: text.to_string(), err_no: None }
    }
}

/// What a command tells at its end.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<String>,
    fields: Map<String, Value>,
    is_amiss: bool,
    failure: Option<Failure>,
}

impl Report {
    /// Adds a line for people.
    pub fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Adds a field for scripts.
    pub fn field(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    /// Takes note that what was looked at is not as it should be.
    pub fn amiss(&mut self) {
        self.is_amiss = true;
    }

    /// Takes note of a failure that came after something had been done.
    pub fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    fn exit_status(&self) -> u8 {
        match &self.failure {
            Some(failure) => failure.kind.exit_status(),
            None => u8::from(self.is_amiss),
        }
    }

    fn document(mut self, command: &str) -> Value {
        self.field("command", command);
        self.field("exit_status", self.exit_status());
        if let Some(Failure { kind, text, err_no }) = &self.failure {
            let error = json!({"kind": kind.name(), "text": text, "err_no": err_no});
            self.field("error", error);
        }
        Value::Object(self.fields)
    }
}

impl From<Failure> for Report {
    fn from(failure: Failure) -> Self {
        Self { failure: Some(failure), ..Self::default() }
    }
}

/// Writes what a command has to say, and turns it into an exit status. A reader who has gone away has seen what
/// it wanted to see.
pub fn show(
    report: Report,
    command: &str,
    as_json: bool,
    mut output: impl io::Write,
    mut errors: impl io::Write,
) -> ExitCode {
    let exit_status = report.exit_status();
    let written = if as_json {
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
            Kind::NotConfirmed,
            Kind::Usage,
            Kind::Refused,
            Kind::NoInput,
            Kind::Unavailable,
            Kind::Internal,
            Kind::NoOutputFile,
            Kind::Unknown,
            Kind::Protocol,
            Kind::Credentials,
            Kind::Configuration,
        ] {
            let status = format!("\n  {:<4}", kind.exit_status());
            assert!(EXIT_STATUSES.contains(&status), "{kind:?}");
        }
    }

    #[test]
    fn json_moves_no_cursor_and_says_the_same() {
        let value = json!({"用户": "\u{9b}2J\u{202e}\u{7f}\n\u{1b}\u{e0001}\u{3164}é"});
        let mut report = Report::default();
        report.field("value", value.clone());
        let mut output = Vec::new();
        show(report, "status", true, &mut output, io::sink());
        let shown = String::from_utf8(output).unwrap();
        assert!(!shown.trim_end().contains(switcher_actors::is_invisible), "{shown:?}");
        assert!(shown.contains("用户") && shown.contains('é'), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["value"], value);
    }

    #[test]
    fn a_reader_who_has_gone_is_no_failure() {
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
            let mut report = Report::default();
            report.line("x");
            let mut errors = Vec::new();
            let code = show(report, "status", false, Gone(kind), &mut errors);
            (format!("{code:?}"), String::from_utf8(errors).unwrap())
        };
        let success = format!("{:?}", ExitCode::SUCCESS);
        assert_eq!(shown(io::ErrorKind::BrokenPipe), (success, String::new()));
        let (code, told) = shown(io::ErrorKind::StorageFull);
        assert_eq!(code, format!("{:?}", ExitCode::from(74)));
        assert!(told.contains("standard output"), "{told}");
    }
}

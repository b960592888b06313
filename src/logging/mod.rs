//! The log: slog records as lines on standard error or in a file.
//!
//! Lines are formatted where they are logged, gathered in a [`buffer`], and written in one go by a thread
//! of its own; what happens when the disk or the pipe does not keep up is told there. The libraries' own
//! records (`log`, `tracing`) come through the same drain.
//!
//! * `levels`: what is logged;
//! * `line`: a record as a line; `format`: for people, or as JSON;
//! * `buffer`: gathers lines; its thread writes them;
//! * `output`: standard error, or anything that takes lines; `file`: a file that is rotated.

mod buffer;
mod file;
mod format;
mod levels;
mod line;
mod output;

use std::{
    io::{self, IsTerminal},
    path::Path,
    str::FromStr,
};

use prometheus_client::metrics::counter::Counter;
use signal_hook::consts::SIGUSR1;
use slog::{Drain, Logger, o};
use switcher_actors::Quoted;
use thiserror::Error;

use buffer::LogBuffer;
use file::LogFile;
use format::Face;
use line::Lines;
use output::Stream;

pub use file::Rotation;
pub use format::write_rfc_3339;
pub use levels::{Levels, LogLevel, ModuleVerbosity, Verbosity};

/// The log file's name under the log directory.
pub const LOG_FILE: &str = "switcher-api-server.log";

/// What the configuration says of the log.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// `LogFormat`
    pub format: LogFormat,
    /// `LogLevel`
    pub level: LogLevel,
    /// `LogFileSize` and `LogFileCount`
    pub rotation: Rotation,
}

/// What lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, else for programs.
    Auto,
    /// For people.
    Human,
    /// For programs: a JSON object a line.
    Json,
}

/// Why a text is no [`LogFormat`].
#[derive(Debug, Error)]
#[error("is {}, expected auto, human or json", Quoted(.0))]
pub struct LogFormatError(String);

impl FromStr for LogFormat {
    type Err = LogFormatError;

    fn from_str(text: &str) -> Result<Self, LogFormatError> {
        match text {
            "" | "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(LogFormatError(text.to_owned())),
        }
    }
}

impl LogFormat {
    fn face(self, is_terminal: bool) -> Face {
        match self {
            Self::Auto if is_terminal => Face::Human,
            Self::Human => Face::Human,
            Self::Auto | Self::Json => Face::Json,
        }
    }
}

/// Keeps the log going; when it is dropped, everything that was logged has been written, as far as the
/// output takes it within two seconds.
pub struct Telemetry {
    /// The root of all loggers.
    pub log: Logger,
    levels: Levels,
    rotation_failures: Counter,
    spool: LogBuffer,
    _libraries: slog_scope::GlobalLoggerGuard,
}

impl Telemetry {
    /// Starts logging: into `directory` (appending; made if it is missing), or to standard error.
    /// `flags` is what the command line says. From now on SIGUSR1 has the file opened again, and on standard error
    /// does nothing.
    pub fn start(
        directory: Option<&Path>,
        settings: &LogSettings,
        flags: Verbosity,
    ) -> io::Result<Self> {
        let rotation_failures = Counter::default();
        let face = settings.format.face(directory.is_none() && io::stderr().is_terminal());
        let spool = match directory {
            Some(directory) => {
                let (path, failures) = (directory.join(LOG_FILE), rotation_failures.clone());
                LogBuffer::start(LogFile::open(path, settings.rotation, face, failures)?, face)?
            }
            None => LogBuffer::start(Stream::new(io::stderr()), face)?,
        };
        signal_hook::flag::register(SIGUSR1, spool.reopen())?;
        let levels = Levels::new(flags);
        let log = {
            let levels = levels.clone();
            let drain = Lines::new(spool.clone(), face).filter(move |record| levels.admits(record));
            Logger::root(drain.fuse(), o!())
        };
        let _libraries = bridge_libraries(Lines::new(spool.clone(), face), levels.clone());
        let telemetry = Self { log, levels, rotation_failures, spool, _libraries };
        telemetry.levels().set(&settings.level);
        Ok(telemetry)
    }

    /// What is logged, which may be changed.
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// How many lines were dropped, since the output did not keep up.
    pub fn dropped(&self) -> Counter {
        self.spool.dropped()
    }

    /// How often the log file could not be renamed or opened.
    pub fn rotation_failures(&self) -> Counter {
        self.rotation_failures.clone()
    }

    /// Has a panic anywhere logged before it ends the process.
    pub fn log_panics(&self) {
        let log = self.log.clone();
        let spool = self.spool.clone();
        std::panic::set_hook(Box::new(move |panic| {
            slog::crit!(log, "a thread failed, so the daemon ends; its supervisor starts it again";
                "cause" => %panic);
            spool.flush();
        }));
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.spool.flush();
    }
}

/// Brings what the libraries log into ours.
fn bridge_libraries(lines: Lines<LogBuffer>, levels: Levels) -> slog_scope::GlobalLoggerGuard {
    let drain = lines.filter(move |record| levels.admits_library(record));
    let guard = slog_scope::set_global_logger(Logger::root(drain.fuse(), o!()));
    // Fails only if somebody else has taken the libraries' log, which nobody does. The level is set by `Levels`.
    let _ = slog_stdlog::init_with_level(log::Level::Error);
    guard
}

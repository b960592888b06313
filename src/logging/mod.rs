//! The log: slog records as lines on standard error or in a file.
//!
//! The logging thread formats a line; the [`buffer`]'s own thread writes many lines at once. Records of the libraries
//! (`log`, `tracing`) take the same way.
//!
//! * `levels`: filter by level and module;
//! * `line`: a record as a line; `format`: for people, or as JSON;
//! * `buffer`: gathers lines, writes them, drops lines if the output does not keep up;
//! * `output`: standard error; `file`: a file with rotation.

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
use format::LogFormat;
use line::Lines;
use output::Stream;

pub use file::Rotation;
pub use format::write_rfc_3339;
pub use levels::{Levels, LogLevel, ModuleVerbosity, Verbosity};

/// The log file's name under the log directory.
pub const LOG_FILE: &str = "switcher-api-server.log";

/// Settings of the log.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// `LogFormat`
    pub format: LogFormatSetting,
    /// `LogLevel`
    pub level: LogLevel,
    /// `LogFileSize` and `LogFileCount`
    pub rotation: Rotation,
}

/// The key `LogFormat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormatSetting {
    /// `Human` on a terminal, otherwise `Json`.
    Auto,
    Human,
    Json,
}

#[derive(Debug, Error)]
#[error("is {}, expected auto, human or json", Quoted(.0))]
pub struct LogFormatSettingError(String);

impl FromStr for LogFormatSetting {
    type Err = LogFormatSettingError;

    fn from_str(text: &str) -> Result<Self, LogFormatSettingError> {
        match text {
            "" | "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(LogFormatSettingError(text.to_owned())),
        }
    }
}

impl LogFormatSetting {
    fn format(self, is_terminal: bool) -> LogFormat {
        match self {
            Self::Auto if is_terminal => LogFormat::Human,
            Self::Human => LogFormat::Human,
            Self::Auto | Self::Json => LogFormat::Json,
        }
    }
}

/// The running log. Dropping it waits until the output has taken all lines, at most two seconds.
pub struct Logging {
    /// Root of all loggers.
    pub log: Logger,
    levels: Levels,
    rotation_failures: Counter,
    buffer: LogBuffer,
    _libraries: slog_scope::GlobalLoggerGuard,
}

impl Logging {
    /// Starts logging to a file in `directory` (created if it is missing; appends), or to standard error. From then on
    /// SIGUSR1 reopens the file; it has no effect on standard error.
    pub fn start(
        directory: Option<&Path>,
        settings: &LogSettings,
        flags: Verbosity,
    ) -> io::Result<Self> {
        let rotation_failures = Counter::default();
        let format = settings.format.format(directory.is_none() && io::stderr().is_terminal());
        let buffer = match directory {
            Some(directory) => {
                let (path, failures) = (directory.join(LOG_FILE), rotation_failures.clone());
                LogBuffer::start(LogFile::open(path, settings.rotation, format, failures)?, format)?
            }
            None => LogBuffer::start(Stream::new(io::stderr()), format)?,
        };
        signal_hook::flag::register(SIGUSR1, buffer.reopen())?;
        let levels = Levels::new(flags);
        let log = {
            let levels = levels.clone();
            let drain =
                Lines::new(buffer.clone(), format).filter(move |record| levels.admits(record));
            Logger::root(drain.fuse(), o!())
        };
        let _libraries = bridge_libraries(Lines::new(buffer.clone(), format), levels.clone());
        let logging = Self { log, levels, rotation_failures, buffer, _libraries };
        logging.levels().set(&settings.level);
        Ok(logging)
    }

    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Number of dropped lines.
    pub fn dropped(&self) -> Counter {
        self.buffer.dropped()
    }

    /// Number of failures to rename or open the log file.
    pub fn rotation_failures(&self) -> Counter {
        self.rotation_failures.clone()
    }

    /// From now on a panic in any thread is logged and aborts the process.
    pub fn log_panics(&self) {
        let log = self.log.clone();
        let buffer = self.buffer.clone();
        std::panic::set_hook(Box::new(move |panic| {
            slog::crit!(log, "a thread failed, so the daemon ends; its supervisor starts it again";
                "cause" => %panic);
            buffer.flush();
            // A build that unwinds, as for tests, ends here too.
            std::process::abort();
        }));
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.buffer.flush();
    }
}

/// Adds the records of the libraries.
fn bridge_libraries(lines: Lines<LogBuffer>, levels: Levels) -> slog_scope::GlobalLoggerGuard {
    let drain = lines.filter(move |record| levels.admits_library(record));
    let guard = slog_scope::set_global_logger(Logger::root(drain.fuse(), o!()));
    // Fails only if another logger is installed, which is not the case. `Levels` sets the level.
    let _ = slog_stdlog::init_with_level(log::Level::Error);
    guard
}

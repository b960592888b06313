//! The log: slog records as lines on standard error or in a file.
//!
//! Lines are formatted where they are logged, gathered in a [`spool`], and written in one go by a thread
//! of its own; what happens when the disk or the pipe does not keep up is told there. The libraries' own
//! records (`log`, `tracing`) come through the same drain.

mod line;
mod spool;

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
};

use prometheus_client::metrics::counter::Counter;
use slog::{Drain, Level, Logger, o};

use line::Lines;
use spool::Spool;

/// The log file's name under the log directory.
pub const LOG_FILE: &str = "switcher-api-server.log";

/// From this `-v` on, debugging lines are logged, those of the libraries too.
const DEBUGGING: i64 = 3;

/// Keeps the log going; when it is dropped, everything that was logged has been written, as far as the
/// output takes it within two seconds.
pub struct Telemetry {
    /// The root of all loggers.
    pub log: Logger,
    spool: Spool,
    _libraries: slog_scope::GlobalLoggerGuard,
}

impl Telemetry {
    /// Starts logging: into `directory` (appending; made if it is missing), or to standard error.
    /// `verbosity` is the command line's `-v`.
    pub fn start(directory: Option<&Path>, verbosity: i64) -> io::Result<Self> {
        let level = if verbosity >= DEBUGGING { Level::Debug } else { Level::Info };
        let spool = match directory {
            Some(directory) => {
                fs::create_dir_all(directory)?;
                let path = directory.join(LOG_FILE);
                Spool::start(OpenOptions::new().create(true).append(true).open(path)?)?
            }
            None => Spool::start(io::stderr())?,
        };
        let drain = Lines::new(spool.clone()).filter_level(level);
        let log = Logger::root(drain.fuse(), o!());
        Ok(Self { _libraries: bridge_libraries(&log, verbosity), log, spool })
    }

    /// How many lines were dropped, since the output did not keep up.
    pub fn dropped(&self) -> Counter {
        self.spool.dropped()
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

/// The libraries tell of every attempt to reconnect and of every malformed request, which anybody can send.
/// The operator wants each outage once, which the actors log themselves. So only other errors pass, unless
/// somebody is debugging.
fn bridge_libraries(log: &Logger, verbosity: i64) -> slog_scope::GlobalLoggerGuard {
    let debugging = verbosity >= DEBUGGING;
    let drain =
        log.clone().filter(move |record| debugging || !record.tag().starts_with("actix_http"));
    let guard = slog_scope::set_global_logger(Logger::root(drain.fuse(), o!()));
    let level = if debugging { log::Level::Debug } else { log::Level::Error };
    // Fails only if somebody else has taken the libraries' log, which nobody does.
    let _ = slog_stdlog::init_with_level(level);
    guard
}

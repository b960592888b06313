//! From arguments to exit status: a client command, or the daemon.
//!
//! * `run`: start, run, drain;
//! * `tls`: TLS of the listeners, and the ends of all certificates as a metric;
//! * `listeners`: binds and serves the API, the user lists and the admin pages;
//! * `signals`: stop and reload;
//! * `history`: opens the history;
//! * `reload`: applies a changed configuration, or none of it;
//! * `service_manager`: notifications to systemd;
//! * `metrics`: the registry of all metrics; `process`: those of the process;
//! * `failure`: reasons why the daemon cannot run.
//!
//! Exit statuses are those of `sysexits.h`; `--help` lists them.

use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use slog::{error, info, warn};
use switcher_actors::{Quoted, Shown};

mod failure;
mod history;
mod listeners;
mod metrics;
mod process;
mod reload;
mod run;
mod service_manager;
mod signals;
mod tls;

use self::run::Prepared;
use crate::{
    cli::{self, Arguments, Command},
    client,
    config::{self, Checked, FileContents, Rejected},
    logging::Logging,
};

/// `EX_CONFIG`: the configuration is invalid; a restart does not help.
const BAD_CONFIGURATION: u8 = 78;
/// `EX_CANTCREAT`: the log cannot be written.
const NO_LOG: u8 = 73;

/// Runs the command that the process's arguments name; returns the exit status.
pub fn run() -> ExitCode {
    let arguments = Arguments::read(env::args_os());
    let file = arguments.config.clone().or_else(default_file);
    match &arguments.command {
        None | Some(Command::Serve) => {
            let prepared = match Prepared::new() {
                Ok(prepared) => prepared,
                Err(failure) => {
                    print(io::stderr(), [failure.to_string()]);
                    return failure.exit_status().into();
                }
            };
            with_configuration(file.as_deref(), |checked, contents| {
                serve(prepared, &arguments, file.clone(), (checked, contents))
            })
        }
        Some(Command::Check) => {
            with_configuration(file.as_deref(), |it, _| check(it.doubt_file_mode(file.as_deref())))
        }
        Some(Command::Client(command)) => client::run(command, file.as_deref()),
        Some(Command::Completions { shell }) => cli::completions(*shell),
        Some(Command::Man { out_dir }) => cli::manual(out_dir.as_deref()),
    }
}

/// Calls `act` with the configuration if it is valid; otherwise prints all problems.
fn with_configuration(
    file: Option<&Path>,
    act: impl FnOnce(Checked, FileContents) -> ExitCode,
) -> ExitCode {
    match config::load(file, |name| env::var_os(name)).and_then(Checked::read_files) {
        Ok((checked, contents)) => act(checked, contents),
        Err(Rejected { problems, warnings, .. }) => {
            let head = format!("bad configuration ({} and environment):", shown(file));
            let problems = problems.iter().map(ToString::to_string);
            let lines = std::iter::once(head).chain(problems).chain(prefixed(warnings));
            print(io::stderr(), lines);
            BAD_CONFIGURATION.into()
        }
    }
}

fn check(Checked { warnings, listing, .. }: Checked) -> ExitCode {
    print(io::stdout(), listing.into_iter().chain(prefixed(warnings)));
    print(io::stdout(), ["configuration is good".to_owned()]);
    ExitCode::SUCCESS
}

fn prefixed(warnings: Vec<String>) -> impl Iterator<Item = String> {
    warnings.into_iter().map(|warning| format!("warning: {warning}"))
}

/// The Go daemon's default. Without the file, the environment is the whole configuration.
fn default_file() -> Option<PathBuf> {
    let file = PathBuf::from("config.json");
    file.exists().then_some(file)
}

fn serve(
    prepared: Prepared,
    arguments: &Arguments,
    file: Option<PathBuf>,
    (checked, contents): (Checked, FileContents),
) -> ExitCode {
    let directory = arguments.log_dir();
    let logging = match Logging::start(directory, &checked.settings.log, arguments.levels()) {
        Ok(logging) => logging,
        Err(error) => {
            let place = directory.map_or("standard error".to_owned(), |it| shown(Some(it)));
            let line = format!("cannot log to {place}: {error}; check the directory and its owner");
            print(io::stderr(), [line]);
            return NO_LOG.into();
        }
    };
    logging.log_panics();
    let log = &logging.log;
    info!(log, "starting"; "version" => env!("CARGO_PKG_VERSION"), "commit" => env!("SWITCHER_COMMIT"));
    for warning in &checked.warnings {
        warn!(log, "configuration: {}", warning);
    }
    if arguments.alsologtostderr.is_some()
        || arguments.stderrthreshold.is_some()
        || arguments.log_backtrace_at.is_some()
    {
        warn!(log, "flags -alsologtostderr, -stderrthreshold and -log_backtrace_at have no effect");
    }
    if !arguments.ignored.is_empty() {
        let words =
            arguments.ignored.iter().map(|word| Quoted(&word.to_string_lossy()).to_string());
        let words = words.collect::<Vec<_>>().join(" ");
        warn!(log, "arguments after the flags are ignored, remove them: {}", words);
    }
    match prepared.run(file, (checked, contents), &logging) {
        Ok(()) => {
            info!(log, "stopped");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            error!(log, "{}", failure);
            failure.exit_status().into()
        }
    }
}

fn shown(file: Option<&Path>) -> String {
    file.map_or("no file".to_owned(), |file| Shown(&file.to_string_lossy()).to_string())
}

/// Ignores errors: a closed output is no reason to fail.
fn print(mut output: impl Write, lines: impl IntoIterator<Item = String>) {
    for line in lines {
        let _ = writeln!(output, "{line}");
    }
}

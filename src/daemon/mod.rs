//! From the arguments to the exit status: arguments → configuration → log → [`app`], or to a [`client`] command.
//! The exit statuses are those of `sysexits.h`, and the help text names them.

use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use slog::{error, info, warn};
use switcher_actors::Shown;

mod app;
mod metrics;
mod process;
mod reload;
mod service_manager;

pub use self::app::Failure;
use self::app::Prepared;
use crate::{
    cli::{self, Arguments, Command},
    client,
    config::{self, Checked, Rejected},
    logging::Telemetry,
};

/// `EX_CONFIG`: the operator has to mend the configuration; starting again will not help.
const BAD_CONFIGURATION: u8 = 78;
/// `EX_CANTCREAT`: there is no place for the log.
const NO_LOG: u8 = 73;

/// Does what this process's arguments ask for, and tells its exit status.
pub fn run() -> ExitCode {
    let arguments = Arguments::read(env::args_os());
    let file = arguments.config.clone().or_else(default_file);
    match &arguments.command {
        None | Some(Command::Serve) => {
            // First of all: a SIGHUP must not end a process that only has not come to it yet.
            let prepared = match Prepared::new() {
                Ok(prepared) => prepared,
                Err(failure) => {
                    say(io::stderr(), std::iter::once(failure.to_string()));
                    return failure.exit_status().into();
                }
            };
            with_configuration(file.as_deref(), |checked| {
                serve(prepared, &arguments, file.clone(), checked)
            })
        }
        Some(Command::Check) => with_configuration(file.as_deref(), check),
        Some(Command::Client(command)) => client::run(command, file.as_deref()),
        Some(Command::Completions { shell }) => cli::completions(*shell),
        Some(Command::Man { out_dir }) => cli::manual(out_dir.as_deref()),
    }
}

/// Does something with the configuration, if it is good, and else tells all that is wrong with it.
fn with_configuration(file: Option<&Path>, act: impl FnOnce(Checked) -> ExitCode) -> ExitCode {
    match config::load(file, |name| env::var_os(name)) {
        Ok(checked) => act(checked),
        Err(Rejected { problems, warnings, .. }) => {
            let head = format!("bad configuration ({} and environment):", shown(file));
            let problems = problems.iter().map(ToString::to_string);
            let lines = std::iter::once(head).chain(problems).chain(warnings_of(warnings));
            say(io::stderr(), lines);
            BAD_CONFIGURATION.into()
        }
    }
}

fn check(Checked { warnings, listing, .. }: Checked) -> ExitCode {
    say(io::stdout(), listing.into_iter().chain(warnings_of(warnings)));
    say(io::stdout(), std::iter::once("configuration is good".to_owned()));
    ExitCode::SUCCESS
}

fn warnings_of(warnings: Vec<String>) -> impl Iterator<Item = String> {
    warnings.into_iter().map(|warning| format!("warning: {warning}"))
}

/// Where today's daemon looks when it is told nothing. Its absence leaves the environment.
fn default_file() -> Option<PathBuf> {
    let file = PathBuf::from("config.json");
    file.exists().then_some(file)
}

fn serve(
    prepared: Prepared,
    arguments: &Arguments,
    file: Option<PathBuf>,
    checked: Checked,
) -> ExitCode {
    let directory = arguments.log_dir();
    let telemetry = match Telemetry::start(directory, &checked.settings.log, arguments.levels()) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            let place = directory.map_or("standard error".to_owned(), |it| shown(Some(it)));
            let line = format!("cannot log to {place}: {error}; check the directory and its owner");
            say(io::stderr(), std::iter::once(line));
            return NO_LOG.into();
        }
    };
    telemetry.log_panics();
    let log = &telemetry.log;
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
    match prepared.run(file, checked, &telemetry) {
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

/// Nobody listening is no reason to fail.
fn say(mut output: impl Write, lines: impl Iterator<Item = String>) {
    for line in lines {
        let _ = writeln!(output, "{line}");
    }
}

//! Arguments: the modern spelling, and the one-dash flags that supervisors start the daemon with today
//! (contract, section 6).

use std::{ffi::OsString, path::PathBuf};

use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    client::{ClientCommand, EXIT_STATUSES},
    config,
    telemetry::{ModuleVerbosity, Verbosity},
};

/// The version with the commit it was built from.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("SWITCHER_COMMIT"), ")");

/// Moves a mining pool's miners between coins: takes switches over HTTP and writes them to ZooKeeper,
/// where the stratum servers watch one znode per sub-account. Reads and changes what a sub-pool's blocks
/// carry and whom they pay, by asking its jobmaker through ZooKeeper.
///
/// Without a command it is the daemon. The client commands call a daemon (switch, batch, get-coinbase,
/// update-coinbase), ask whether it is well (health), or look at what it depends on (status, verify, doctor).
///
/// Every configuration key can also be given as an environment variable of the same name, which wins
/// over the file. SIGHUP has both read again, and taken over whole or not at all. Exit status of the daemon: 0 after an orderly stop, 2 for a bad argument, 69 if an address
/// cannot be listened on, 70 after an internal failure or a second signal, 73 if there is no place for the
/// log, 78 for a bad configuration. SIGTERM and SIGINT end it in order, SIGUSR1 has its log file opened again.
#[derive(Debug, Parser)]
#[command(name = "switcher-api-server", version = VERSION)]
pub struct Arguments {
    /// What to do; without it, serve
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The configuration file (JSON) [default: config.json here, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Write the log to DIR/switcher-api-server.log instead of standard error
    #[arg(long, global = true, value_name = "DIR", alias = "log_dir")]
    pub log_dir: Option<PathBuf>,

    /// How much to log: up to 2 every switch and state change, 3 or more for debugging
    #[arg(
        short,
        long,
        global = true,
        value_name = "LEVEL",
        alias = "v",
        default_value_t = 2,
        allow_negative_numbers = true
    )]
    pub verbosity: i64,

    /// How much to log of modules, as -v has it: zk_writer=3,http=3. A module is named by any part of its path,
    /// with * and ?, a library by its crate; the first that matches counts
    #[arg(long, global = true, value_name = "PATTERN=LEVEL,…")]
    pub vmodule: Option<ModuleVerbosity>,

    /// Log to standard error even if a log directory is given
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    pub logtostderr: bool,

    /// Flags of the logging library of the daemon that this one replaces; taken and without effect.
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = ArgAction::Set)]
    pub alsologtostderr: Option<bool>,

    #[arg(long, global = true, hide = true)]
    pub stderrthreshold: Option<String>,

    #[arg(long, global = true, hide = true, alias = "log_backtrace_at")]
    pub log_backtrace_at: Option<String>,
}

/// What the program can do.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the daemon (the default)
    Serve,
    /// Check the configuration, print it with its secrets masked, and end
    Check,
    #[command(flatten)]
    Client(ClientCommand),
    /// Print a shell's completions of commands and flags
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Print the manual page, or write it and one for each command into a directory
    Man {
        /// Write the pages into this directory, which must exist
        #[arg(long, value_name = "DIR")]
        out_dir: Option<PathBuf>,
    },
}

impl Arguments {
    /// How much to log, as far as the arguments say.
    pub fn levels(&self) -> Verbosity {
        Verbosity { all: self.verbosity, modules: self.vmodule.clone().unwrap_or_default() }
    }

    /// Reads the process's arguments; on `--help`, `--version` or a mistake it answers and ends.
    pub fn read(arguments: impl Iterator<Item = OsString>) -> Self {
        let matches = definition().get_matches_from(modernise(arguments));
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// All that `--help` tells, completions and manual pages too: the arguments, the exit statuses, the keys.
pub fn definition() -> clap::Command {
    let keys = config::describe_keys();
    let definition = Arguments::command().after_long_help(format!("{EXIT_STATUSES}\n\n{keys}"));
    definition.mut_subcommands(|command| {
        if ClientCommand::has_subcommand(command.get_name()) {
            command.after_long_help(EXIT_STATUSES)
        } else {
            command
        }
    })
}

/// Long flags that may be spelled with one dash, as Go programs take them.
const ONE_DASH: &[&str] = &[
    "config",
    "log_dir",
    "log-dir",
    "logtostderr",
    "alsologtostderr",
    "stderrthreshold",
    "vmodule",
    "log_backtrace_at",
    "help",
    "version",
];

/// Gives every flag of [`ONE_DASH`] its second dash, for the parser to know it.
fn modernise(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    arguments
        .map(|argument| {
            let flag = argument.to_str().and_then(|text| text.strip_prefix('-'));
            let name = flag.map(|flag| flag.split_once('=').map_or(flag, |(name, _)| name));
            if name.is_some_and(|name| ONE_DASH.contains(&name)) {
                let mut modern = OsString::from("-");
                modern.push(argument);
                modern
            } else {
                argument
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Arguments {
        let words = std::iter::once("switcher-api-server").chain(line.split_whitespace());
        Arguments::try_parse_from(modernise(words.map(OsString::from))).expect(line)
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn supervisors_lines_of_today_are_understood() {
        for line in [
            "-config=/p/c.json -log_dir=/p/log -v 2",
            "--config=/p/c.json --log_dir=/p/log --v=2",
            "-config /p/c.json -log_dir /p/log -v=2",
            "--config /p/c.json --log-dir /p/log --verbosity 2",
            "-v 2 -logtostderr=false -config=/p/c.json -log_dir=/p/log serve",
            "-alsologtostderr -stderrthreshold=INFO -config=/p/c.json -log_dir=/p/log --v 2",
        ] {
            let arguments = parse(line);
            assert_eq!(arguments.config, Some("/p/c.json".into()), "{line}");
            assert_eq!(arguments.log_dir, Some("/p/log".into()), "{line}");
            assert_eq!(arguments.verbosity, 2, "{line}");
            assert!(!arguments.logtostderr, "{line}");
        }
        for line in ["-vmodule=zk_writer=3,http=3", "--vmodule zk_writer=3,http=3 -v 2"] {
            assert_eq!(parse(line).vmodule, "zk_writer=3,http=3".parse().ok(), "{line}");
        }
        assert_eq!(parse("-vmodule=").levels().modules, ModuleVerbosity::default());
        assert_eq!(parse("-v 300").verbosity, 300);
        assert_eq!(parse("-v -1").verbosity, -1);
        for line in ["-logtostderr", "--logtostderr", "-logtostderr=true", "-logtostderr -v 3"] {
            assert!(parse(line).logtostderr, "{line}");
        }
    }

    #[test]
    fn without_a_command_it_serves() {
        assert_eq!(parse("").command, None);
        assert_eq!(parse("check -config=x").command, Some(Command::Check));
        assert_eq!(parse("-config=x check").command, Some(Command::Check));
    }
}

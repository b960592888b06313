//! Arguments: the modern spelling, and the one-dash flags that supervisors start the daemon with today
//! (contract, section 6).

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};

use clap::{
    ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser},
};
use clap_complete::Shell;
use switcher_actors::is_invisible;

use crate::{
    client::{ClientCommand, EXIT_STATUSES},
    config,
    logging::{ModuleVerbosity, Verbosity},
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
    #[arg(long, global = true, value_name = "FILE", overrides_with = "config", value_parser = path())]
    pub config: Option<PathBuf>,

    /// Write the log to DIR/switcher-api-server.log instead of standard error; an empty DIR counts as none
    #[arg(long, global = true, value_name = "DIR", alias = "log_dir", overrides_with = "log_dir",
          value_parser = path_or_none())]
    log_dir: Option<PathBuf>,

    /// How much to log: up to 2 every switch and state change, 3 or more for debugging
    #[arg(
        short,
        long,
        global = true,
        value_name = "LEVEL",
        alias = "v",
        overrides_with = "verbosity",
        default_value_t = 2,
        allow_negative_numbers = true
    )]
    pub verbosity: i64,

    /// How much to log of modules, as -v has it: zk_writer=3,http=3. A module is named by any part of its path,
    /// with * and ?, a library by its crate; the first that matches counts
    #[arg(long, global = true, value_name = "PATTERN=LEVEL,…", overrides_with = "vmodule")]
    pub vmodule: Option<ModuleVerbosity>,

    /// Log to standard error even if a log directory is given
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = false, action = ArgAction::Set,
          value_parser = go_bool, overrides_with = "logtostderr")]
    logtostderr: bool,

    /// Flags of the logging library of the daemon that this one replaces; taken and without effect.
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool,
          overrides_with = "alsologtostderr")]
    pub alsologtostderr: Option<bool>,

    #[arg(long, global = true, hide = true, overrides_with = "stderrthreshold")]
    pub stderrthreshold: Option<String>,

    #[arg(
        long,
        global = true,
        hide = true,
        alias = "log_backtrace_at",
        overrides_with = "log_backtrace_at"
    )]
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
    /// The log directory; `None` for standard error.
    pub fn log_dir(&self) -> Option<&Path> {
        let is_set = |dir: &&Path| !dir.as_os_str().is_empty();
        self.log_dir.as_deref().filter(is_set).filter(|_| !self.logtostderr)
    }

    /// How much to log, as far as the arguments say.
    pub fn levels(&self) -> Verbosity {
        Verbosity { all: self.verbosity, modules: self.vmodule.clone().unwrap_or_default() }
    }

    /// Reads the process's arguments; on `--help`, `--version` or a mistake it answers and ends.
    pub fn read(arguments: impl Iterator<Item = OsString>) -> Self {
        let arguments = modernise(arguments);
        let read = definition().try_get_matches_from(&arguments);
        read.and_then(|matches| Self::from_arg_matches(&matches)).unwrap_or_else(|error| {
            match visible(&error, &arguments) {
                Some(text) => {
                    // Where standard error cannot be written, the exit status has to do.
                    let _ = write!(io::stderr(), "{text}");
                    process::exit(error.exit_code());
                }
                None => error.exit(),
            }
        })
    }
}

/// The error as a text in which the arguments' line ends and unseen characters are escaped; `None` if they have none.
/// A supervisor's file that was edited on Windows ends its last flag in `\r`, which a terminal does not show.
fn visible(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let odd = arguments.iter().map(|argument| argument.to_string_lossy());
    let odd: Vec<_> = odd.filter(|argument| argument.contains(is_invisible)).collect();
    if odd.is_empty() || !error.use_stderr() {
        return None;
    }
    let mut text = error.render().to_string();
    for argument in &odd {
        // Line ends of the arguments; those of the text itself stay.
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        for part in [argument, name, value] {
            if part.contains(is_invisible) {
                text = text.replace(part, &escaped(part, |_| false));
            }
        }
        // Of a flag that it does not know, the parser shows one letter. No value is shown, as it may be a password.
        let flag = escaped(name, |_| false);
        if name.starts_with('-') && name.contains(is_invisible) && !text.contains(&flag) {
            text.push_str(&format!("note: a flag is written {flag}\n"));
        }
    }
    Some(escaped(&text, |c| c == '\n'))
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) && !stays(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// A path without control characters: with one it is the end of a line of another system, and a directory of that
/// name would be made.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    path_or_none()
        .try_map(|path| if path.as_os_str().is_empty() { Err("expected a path") } else { Ok(path) })
}

fn path_or_none() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|text| {
        if text.to_string_lossy().contains(char::is_control) {
            return Err("it contains a control character, like the end of a line of a file from Windows (\\r)");
        }
        Ok(PathBuf::from(text))
    })
}

/// The spellings that Go's `strconv.ParseBool` takes.
fn go_bool(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("expected true or false (or 1, 0, t, f, T, F, True, False, TRUE, FALSE)"),
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

    fn with_program(words: &[&str]) -> Vec<OsString> {
        modernise(
            std::iter::once("switcher-api-server").chain(words.iter().copied()).map(OsString::from),
        )
    }

    fn parse_words(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(with_program(words))
    }

    fn parse(line: &str) -> Arguments {
        parse_words(&line.split_whitespace().collect::<Vec<_>>()).expect(line)
    }

    fn refused(line: &str) -> String {
        let words: Vec<_> = line.split_whitespace().collect();
        parse_words(&words).expect_err(line).to_string()
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
            assert_eq!(arguments.log_dir(), Some("/p/log".as_ref()), "{line}");
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
    fn booleans_are_spelt_as_in_go() {
        for dashes in ["-", "--"] {
            for text in ["1", "t", "T", "true", "True", "TRUE"] {
                let line = format!("{dashes}logtostderr={text} {dashes}alsologtostderr={text}");
                assert!(parse(&line).logtostderr && parse(&line).alsologtostderr == Some(true));
            }
            for text in ["0", "f", "F", "false", "False", "FALSE"] {
                let line = format!("{dashes}logtostderr={text} {dashes}alsologtostderr={text}");
                assert!(!parse(&line).logtostderr && parse(&line).alsologtostderr == Some(false));
            }
            for text in ["", "yes", "tRUE", "2", "on"] {
                let told = refused(&format!("{dashes}logtostderr={text}"));
                assert!(told.contains("logtostderr"), "{told}");
            }
        }
    }

    #[test]
    fn of_repeated_flags_the_last_counts() {
        for (one, other) in [("-", "-"), ("--", "--"), ("-", "--"), ("--", "-")] {
            let parse = |first: &str, last: &str| parse(&format!("{one}{first} {other}{last}"));
            for last in ["config=/b", "config /b"] {
                assert_eq!(parse("config=/a", last).config, Some("/b".into()));
                assert_eq!(parse("config /a", last).config, Some("/b".into()));
            }
            assert_eq!(parse("log_dir=/a", "log_dir=/b").log_dir(), Some("/b".as_ref()));
            assert_eq!(parse("log_dir=/a", "log_dir /b").log_dir(), Some("/b".as_ref()));
            assert_eq!(parse("log_dir=/a", "log_dir=").log_dir(), None);
            assert_eq!(parse("v=1", "v 3").verbosity, 3);
            assert_eq!(parse("v 3", "v=-1").verbosity, -1);
            assert_eq!(parse("vmodule=a=1", "vmodule=b=2").vmodule, "b=2".parse().ok());
            assert!(!parse("logtostderr", "logtostderr=f").logtostderr);
            assert!(parse("logtostderr=0", "logtostderr").logtostderr);
            assert_eq!(parse("alsologtostderr", "alsologtostderr=F").alsologtostderr, Some(false));
            let threshold = parse("stderrthreshold=INFO", "stderrthreshold ERROR").stderrthreshold;
            assert_eq!(threshold.as_deref(), Some("ERROR"));
            let place = parse("log_backtrace_at=a.go:1", "log_backtrace_at=").log_backtrace_at;
            assert_eq!(place.as_deref(), Some(""));
        }
        for line in
            ["-config=/a check -config=/b", "check -config=/a -config=/b", "serve -config=/b"]
        {
            assert_eq!(parse(line).config, Some("/b".into()), "{line}");
        }
        // Of two payout addresses, no rule may choose one.
        let told =
            refused("update-coinbase btc p --coinbase-info x --payout-addr a --payout-addr b");
        assert!(told.contains("cannot be used multiple times"), "{told}");
    }

    #[test]
    fn an_empty_log_directory_is_none() {
        for line in ["-log_dir=", "--log_dir=", "--log-dir=", "-log_dir= -v 2"] {
            assert_eq!(parse(line).log_dir(), None, "{line}");
        }
        assert_eq!(parse_words(&["-log_dir", "", "-v", "2"]).unwrap().log_dir(), None);
        assert_eq!(parse("-log_dir=/a -logtostderr").log_dir(), None);
        assert!(parse_words(&["-config="]).is_err());
    }

    #[test]
    fn a_line_end_in_a_value_is_seen() {
        for words in [
            &["-v=2\r"][..],
            &["-v", "2\r"],
            &["-config=/p/c.json\r"],
            &["-config", "/p/c.json\r"],
            &["-log_dir=/p/log\r"],
            &["-log_dir", "/p/log\n"],
            &["-logtostderr=true\r"],
            &["-alsologtostderr=\r"],
            &["-vmodule=a=x\r"],
            &["--nosuchflag\r"],
            &["-logtostderr\r"],
            &["-nosuchflag\r"],
            &["serve\r"],
            &["health", "--timeout=2\r"],
            &["batch", "--chunk", "5\n", "x"],
            &["-v=2\u{200b}"],
        ] {
            let arguments: Vec<_> = with_program(words);
            let error = parse_words(words).expect_err("a line end");
            let told = visible(&error, &arguments).unwrap();
            let escape = ["\\r", "\\n", "\\u{200b}"].iter().any(|escape| told.contains(escape));
            assert!(escape && !told.replace('\n', "").contains(is_invisible), "{told:?}");
            assert!(told.lines().all(|line| line.matches('\'').count() % 2 == 0), "{told}");
        }
        let error = parse_words(&["-v=x"]).expect_err("no number");
        assert_eq!(visible(&error, &with_program(&["-v=x"])), None);
    }

    #[test]
    fn without_a_command_it_serves() {
        assert_eq!(parse("").command, None);
        assert_eq!(parse("check -config=x").command, Some(Command::Check));
        assert_eq!(parse("-config=x check").command, Some(Command::Check));
    }
}

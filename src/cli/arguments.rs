//! Commands and flags, including the one-dash flags with which supervisors start the Go daemon (contract, section 6).

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
use switcher_actors::{is_invisible, push_escaped};

use crate::{
    client::{ClientCommand, EXIT_STATUSES},
    config,
    logging::{ModuleVerbosity, Verbosity},
};

/// Version and commit.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("SWITCHER_COMMIT"), ")");

/// Moves a mining pool's miners between coins: accepts switches over HTTP and writes them to ZooKeeper, where the
/// stratum servers watch one znode per sub-account. Reads and changes a sub-pool's coinbase text and payout address
/// through a request/ack exchange with its jobmaker, also over ZooKeeper.
///
/// Without a command, the daemon runs. Client commands call a daemon (switch, batch, get-coinbase, update-coinbase,
/// history, undo), check its health (health), or check the services that it depends on (status, verify, doctor).
///
/// An environment variable with the name of a configuration key overrides the file.
///
/// Signals: SIGTERM and SIGINT finish accepted requests and stop the daemon. SIGHUP reloads file and environment; an
/// invalid configuration is rejected and the old one stays active. SIGUSR1 reopens the log file.
///
/// Exit status of the daemon: 0 after an orderly stop, 2 for an invalid argument, 69 if it cannot listen on an
/// address, 70 after an internal failure or a second signal, 73 if the log or the history cannot be opened,
/// 78 for an invalid configuration.
#[derive(Debug, Parser)]
#[command(name = "switcher-api-server", version = VERSION)]
pub struct Arguments {
    /// Command; default: serve
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Configuration file (JSON) [default: config.json in the working directory, if it exists]
    #[arg(long, global = true, value_name = "FILE", overrides_with = "config", value_parser = path())]
    pub config: Option<PathBuf>,

    /// Write the log to DIR/switcher-api-server.log instead of standard error; an empty DIR means standard error
    #[arg(long, global = true, value_name = "DIR", alias = "log_dir", overrides_with = "log_dir",
          value_parser = path_or_none())]
    log_dir: Option<PathBuf>,

    /// Verbosity of the log: 0 to 2 = as the key LogLevel says, 3 or more = debug lines, too
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

    /// Verbosity of modules: zk_writer=3,http=3. A pattern with * and ? matches any part of a module's path, or the
    /// crate of a library; the first match counts
    #[arg(long, global = true, value_name = "PATTERN=LEVEL,…", overrides_with = "vmodule")]
    pub vmodule: Option<ModuleVerbosity>,

    /// Log to standard error, also with a log directory
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = false, action = ArgAction::Set,
          value_parser = go_bool, overrides_with = "logtostderr")]
    logtostderr: bool,

    /// Flags of the Go daemon's logging library: accepted, without effect.
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

    /// Arguments after the daemon's flags, from the first that is neither a flag nor a command.
    #[arg(skip)]
    pub ignored: Vec<OsString>,
}

#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the daemon (the default)
    Serve,
    /// Check the configuration and print it, with secrets masked
    Check,
    #[command(flatten)]
    Client(Box<ClientCommand>),
    /// Print shell completions
    Completions {
        /// Shell
        shell: Shell,
    },
    /// Print the manual page, or write the manual pages of all commands into a directory
    Man {
        /// Directory for the manual pages; it must exist
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

    pub fn levels(&self) -> Verbosity {
        Verbosity { all: self.verbosity, modules: self.vmodule.clone().unwrap_or_default() }
    }

    /// Parses the process's arguments. On `--help`, `--version` or an error it prints and ends the process.
    pub fn read(arguments: impl Iterator<Item = OsString>) -> Self {
        let arguments = modernise(arguments);
        Self::parse(&arguments).unwrap_or_else(|error| {
            match visible(&error, &arguments) {
                Some(text) => {
                    // Without standard error, the exit status has to suffice.
                    let _ = write!(io::stderr(), "{text}");
                    process::exit(error.exit_code());
                }
                None => error.exit(),
            }
        })
    }

    /// Parses the program's name and arguments with two dashes.
    fn parse(arguments: &[OsString]) -> Result<Self, clap::Error> {
        let matches = definition().try_get_matches_from(arguments);
        let parsed = matches.and_then(|matches| Self::from_arg_matches(&matches));
        parsed.or_else(|error| Self::parse_until_a_word(arguments).ok_or(error))
    }

    /// Parses the daemon's flags. As in the Go daemon, they end at the first argument that is none, and the rest is
    /// ignored (user-list contract, section 9). `None` if there is no such argument, or it is a misspelt command: it
    /// stands before all flags, or has an invisible character.
    fn parse_until_a_word(arguments: &[OsString]) -> Option<Self> {
        let first = arguments.get(1)?.as_encoded_bytes();
        if !first.starts_with(b"-") {
            return None;
        }
        let lenient = definition().allow_external_subcommands(true);
        let mut matches = lenient.try_get_matches_from(arguments).ok()?;
        let (word, rest) =
            matches.remove_subcommand().filter(|(word, _)| !word.contains(is_invisible))?;
        let rest = rest.try_get_many::<OsString>("").ok()?.into_iter().flatten().cloned();
        let ignored = std::iter::once(word.into()).chain(rest).collect();
        Some(Self { ignored, ..Self::from_arg_matches(&matches).ok()? })
    }
}

/// The error's text with invisible characters of the arguments escaped; `None` if there are none. A supervisor file
/// that was edited on Windows ends its last flag in `\r`, which a terminal does not show.
fn visible(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let odd = arguments.iter().map(|argument| argument.to_string_lossy());
    let odd: Vec<_> = odd.filter(|argument| argument.contains(is_invisible)).collect();
    if odd.is_empty() || !error.use_stderr() {
        return None;
    }
    let mut text = error.render().to_string();
    for argument in &odd {
        // Line ends of the text itself stay.
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        for part in [argument, name, value] {
            if part.contains(is_invisible) {
                text = text.replace(part, &escaped(part, |_| false));
            }
        }
        // The parser shows only one letter of an unknown flag. A value may be a password and is not shown.
        let flag = escaped(name, |_| false);
        if name.starts_with('-') && name.contains(is_invisible) && !text.contains(&flag) {
            text.push_str(&format!("note: a flag is written {flag}\n"));
        }
    }
    Some(escaped(&text, |c| c == '\n'))
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    let needs_escape = |c| is_invisible(c) && !stays(c);
    push_escaped(&mut escaped, text, needs_escape, |escaped, c| escaped.extend(c.escape_default()));
    escaped
}

/// A path without control characters, which come from line ends of another system. The daemon would create a directory
/// of that name.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    path_or_none()
        .try_map(|path| if path.as_os_str().is_empty() { Err("expected a path") } else { Ok(path) })
}

fn path_or_none() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|text| {
        if text.to_string_lossy().contains(char::is_control) {
            return Err("it contains a control character, such as the line end of a file from Windows (\\r)");
        }
        Ok(PathBuf::from(text))
    })
}

/// The spellings of Go's `strconv.ParseBool`.
fn go_bool(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("expected true or false (or 1, 0, t, f, T, F, True, False, TRUE, FALSE)"),
    }
}

/// Definition of the arguments for `--help`, completions and manual pages, with exit statuses and keys.
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

/// Long flags that may have one dash, as in Go programs.
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

/// Adds the second dash to flags of [`ONE_DASH`].
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
        Arguments::parse(&with_program(words))
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
    fn arguments_of_existing_supervisor_entries_are_accepted() {
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
            &["-v", "2", "serve\r"],
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
    fn words_after_the_flags_end_them() {
        for (line, ignored) in [
            ("-config=/c foo -nosuch", &["foo", "-nosuch"][..]),
            ("-config /c -logtostderr false -v x", &["false", "-v", "x"]),
            ("-config=/c - check", &["-", "check"]),
            ("-config=/c -- -x --help", &["-x", "--help"]),
            ("--config=/c -v 2 chekc --json", &["chekc", "--json"]),
        ] {
            let arguments = parse(line);
            assert_eq!(arguments.ignored, ignored, "{line}");
            assert_eq!(arguments.config, Some("/c".into()), "{line}");
            assert_eq!(arguments.command, None, "{line}");
        }
        assert_eq!(parse("- x").ignored, ["-", "x"]);
        assert_eq!(parse("-- -x").ignored, ["-x"]);
        assert!(parse("-v 2 --").ignored.is_empty());
        for line in ["chekc", "chekc -config=/c", "check foo", "serve foo", "-config=/c check foo"]
        {
            refused(line);
        }
        assert!(refused("chekc").contains("'check'"), "{}", refused("chekc"));
        for line in ["-config=/c -nosuch", "-nosuch foo", "-v foo", "-config=/c -nosuch -- foo"] {
            refused(line);
        }
    }

    #[test]
    fn without_a_command_it_serves() {
        assert_eq!(parse("").command, None);
        assert_eq!(parse("check -config=x").command, Some(Command::Check));
        assert_eq!(parse("-config=x check").command, Some(Command::Check));
    }
}

//! What is logged: a level for all, and others for single modules. It is asked before a line is made, and may
//! change while the daemon runs.
//!
//! | who says it | what | how it is combined |
//! | --- | --- | --- |
//! | `-vmodule` | modules | counts first, in its order |
//! | `LogLevel` | modules | counts next, in its order |
//! | `-v 3` and more | all the rest | debugging lines, whatever `LogLevel` says |
//! | `LogLevel` | all the rest | up to `-v 2`, which asks for no more than what is logged anyway |

use std::{str::FromStr, sync::Arc};

use arc_swap::ArcSwap;
use slog::{Level, Record};
use switcher_actors::Quoted;
use thiserror::Error;
use wildmatch::WildMatch;

/// From this `-v` on, debugging lines are logged, those of the libraries too.
const DEBUGGING: i64 = 3;

/// The level of the modules that a pattern names.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    pattern: WildMatch,
    level: Level,
}

/// A value of `LogLevel`: `info`, or `info,zk_writer=debug`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLevel {
    level: Level,
    modules: Vec<Rule>,
}

/// A value of `-vmodule`: `zk_writer=3,http=2`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModuleVerbosity(Vec<Rule>);

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Verbosity {
    /// `-v`
    pub all: i64,
    /// `-vmodule`
    pub modules: ModuleVerbosity,
}

/// Why a text is no [`LogLevel`] or [`ModuleVerbosity`].
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LevelError {
    /// A word that is none of the levels.
    #[error("{} is no level: expected error, warn, info or debug", Quoted(.0))]
    Level(String),
    /// Two levels for all modules.
    #[error("{} is a second level for all modules: give it a module, as in zk_writer={}", Quoted(.0), .0)]
    Second(String),
    /// A level without a module's name.
    #[error("{} names no module: expected one and its level, like {}", Quoted(.0), .1)]
    Module(String, &'static str),
    /// No number where there must be one.
    #[error(
        "{} has no number from 0 on after its equals sign: expected one like zk_writer=3",
        Quoted(.0)
    )]
    Number(String),
}

impl Default for LogLevel {
    fn default() -> Self {
        Self { level: Level::Info, modules: Vec::new() }
    }
}

impl FromStr for LogLevel {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        let (mut all, mut modules) = (None, Vec::new());
        for item in items(text) {
            match item.split_once('=') {
                Some((pattern, level)) => {
                    let pattern = pattern_of(pattern, item, "zk_writer=debug")?;
                    modules.push(Rule { pattern, level: level_of(level)? });
                }
                None if all.replace(level_of(item)?).is_some() => {
                    return Err(LevelError::Second(item.to_owned()));
                }
                None => {}
            }
        }
        Ok(Self { level: all.unwrap_or(Self::default().level), modules })
    }
}

impl FromStr for ModuleVerbosity {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        let rule = |item| {
            let number = || LevelError::Number(String::from(item));
            let (pattern, verbosity) = str::split_once(item, '=').ok_or_else(number)?;
            let pattern = pattern_of(pattern, item, "zk_writer=3")?;
            let verbosity = verbosity.trim().parse::<u32>().map_err(|_| number())?;
            Ok(Rule { pattern, level: level_of_verbosity(verbosity.into()) })
        };
        items(text).map(rule).collect::<Result<_, _>>().map(Self)
    }
}

/// The parts between commas; empty ones are passed over, as the Go daemon's flags do.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn pattern_of(pattern: &str, item: &str, like: &'static str) -> Result<WildMatch, LevelError> {
    let pattern = pattern.trim();
    if pattern.is_empty() {
        return Err(LevelError::Module(item.to_owned(), like));
    }
    Ok(WildMatch::new(pattern))
}

fn level_of(word: &str) -> Result<Level, LevelError> {
    match word.trim().to_ascii_lowercase().as_str() {
        "error" => Ok(Level::Error),
        "warn" | "warning" => Ok(Level::Warning),
        "info" => Ok(Level::Info),
        "debug" => Ok(Level::Debug),
        _ => Err(LevelError::Level(word.trim().to_owned())),
    }
}

fn level_of_verbosity(verbosity: i64) -> Level {
    if verbosity >= DEBUGGING { Level::Debug } else { Level::Info }
}

/// What is logged. Clones share it.
#[derive(Clone)]
pub struct Levels(Arc<Shared>);

struct Shared {
    flags: Verbosity,
    rules: ArcSwap<Rules>,
}

/// Flags and key combined. Of two levels, the more verbose is the greater.
struct Rules {
    all: Level,
    all_libraries: Level,
    /// The first that matches counts.
    modules: Vec<Rule>,
    /// What passes in any of our modules, so that a line of it needs no further look.
    everywhere: Level,
    /// What passes in one module at least.
    somewhere: Level,
    /// What passes in one library at least.
    in_a_library: Level,
}

impl Levels {
    /// Those of the command line, and of a `LogLevel` that says nothing.
    pub fn new(flags: Verbosity) -> Self {
        let rules = ArcSwap::from_pointee(Rules::new(&flags, &LogLevel::default()));
        Self(Arc::new(Shared { flags, rules }))
    }

    /// Goes on with another value of `LogLevel`; the flags stay what they are. Lines that are being made are not
    /// affected.
    pub fn set(&self, key: &LogLevel) {
        self.0.rules.store(Arc::new(Rules::new(&self.0.flags, key)));
        self.limit_libraries();
    }

    /// Whether a record of ours is logged.
    pub(super) fn admits(&self, record: &Record<'_>) -> bool {
        self.0.rules.load().admits(record.level(), record.module())
    }

    /// Whether a library's record is, which came through `log` or `tracing`.
    pub(super) fn admits_library(&self, record: &Record<'_>) -> bool {
        let target = if record.tag().is_empty() { record.module() } else { record.tag() };
        self.0.rules.load().admits_library(record.level(), target)
    }

    /// Spares the libraries what nobody will see.
    fn limit_libraries(&self) {
        log::set_max_level(match self.0.rules.load().in_a_library {
            Level::Critical | Level::Error => log::LevelFilter::Error,
            Level::Warning => log::LevelFilter::Warn,
            Level::Info => log::LevelFilter::Info,
            Level::Debug | Level::Trace => log::LevelFilter::Debug,
        });
    }
}

impl Rules {
    fn new(flags: &Verbosity, key: &LogLevel) -> Self {
        let all = if flags.all >= DEBUGGING { Level::Debug } else { key.level };
        let all_libraries = if all >= Level::Debug { all } else { Level::Error };
        let modules: Vec<Rule> = flags.modules.0.iter().chain(&key.modules).cloned().collect();
        let named = || modules.iter().map(|rule| rule.level);
        let (least, most) = (named().min().unwrap_or(all), named().max().unwrap_or(all));
        let (everywhere, somewhere) = (least.min(all), most.max(all));
        let in_a_library = named().fold(all_libraries, Level::max);
        Self { all, all_libraries, modules, everywhere, somewhere, in_a_library }
    }

    fn admits(&self, level: Level, module: &str) -> bool {
        if level <= self.everywhere {
            return true;
        }
        if level > self.somewhere {
            return false;
        }
        let named = |rule: &&Rule| module.split("::").any(|name| rule.pattern.matches(name));
        level <= self.modules.iter().find(named).map_or(self.all, |rule| rule.level)
    }

    /// A library is named by its crate alone. The libraries tell of every attempt to reconnect and of every
    /// malformed request, which anybody can send. The operator wants each outage once, which the actors log
    /// themselves. So only other errors pass, unless somebody is debugging.
    fn admits_library(&self, level: Level, target: &str) -> bool {
        let crate_name = target.split("::").next().unwrap_or_default();
        let rule = self.modules.iter().find(|rule| rule.pattern.matches(crate_name));
        match rule {
            Some(rule) => level <= rule.level,
            None => {
                level <= self.all_libraries
                    && (crate_name != "actix_http" || self.all >= Level::Debug)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITER: &str = "switcher_actors::zk_writer::actor::session";
    const GUARD: &str = "switcher_api_server::http::guard";

    fn rules(v: i64, vmodule: &str, key: &str) -> Rules {
        let flags = Verbosity { all: v, modules: vmodule.parse().unwrap() };
        Rules::new(&flags, &key.parse().unwrap())
    }

    /// The most verbose level that passes.
    fn most(rules: &Rules, module: &str) -> Level {
        let all = [Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Critical];
        all.into_iter().find(|level| rules.admits(*level, module)).expect("critical passes")
    }

    #[test]
    fn flags_and_key_are_combined_as_documented() {
        for (v, vmodule, key, writer, guard) in [
            (2, "", "", Level::Info, Level::Info),
            (0, "", "warn", Level::Warning, Level::Warning),
            (3, "", "warn", Level::Debug, Level::Debug),
            (2, "", "debug", Level::Debug, Level::Debug),
            (2, "", "info,zk_writer=debug", Level::Debug, Level::Info),
            (3, "", "zk_writer=error", Level::Error, Level::Debug),
            (2, "zk_writer=3", "", Level::Debug, Level::Info),
            (2, "zk_writer=3", "zk_writer=error", Level::Debug, Level::Info),
            (3, "zk_writer=0", "", Level::Info, Level::Debug),
            (2, "session=3", "", Level::Debug, Level::Info),
            (2, "http=9", "", Level::Info, Level::Debug),
            (2, "switcher_*=3,guard=1", "", Level::Debug, Level::Debug),
            (2, "guard=1,switcher_*=3", "", Level::Debug, Level::Info),
            (2, "zk_?riter=3,gua*=3", "", Level::Debug, Level::Debug),
            (2, "zk=3,writer=3,/http=3", "", Level::Info, Level::Info),
        ] {
            let rules = rules(v, vmodule, key);
            let found = (most(&rules, WRITER), most(&rules, GUARD));
            assert_eq!(found, (writer, guard), "-v {v} -vmodule={vmodule} {key}");
        }
    }

    #[test]
    fn libraries_are_named_by_their_crate_and_silent_otherwise_but_for_errors() {
        let passes = |rules: &Rules, target| rules.admits_library(Level::Debug, target);
        let quiet = rules(2, "http=3", "debug_info=debug");
        for target in ["h2::http", "actix_http::h1", "rustls::conn"] {
            assert!(!passes(&quiet, target), "{target}");
        }
        assert!(quiet.admits_library(Level::Error, "h2::proto"));
        assert!(!quiet.admits_library(Level::Warning, "h2::proto"));
        assert!(!quiet.admits_library(Level::Error, "actix_http::h1"));
        let loud = rules(2, "rustls=3", "actix_http=warn");
        assert!(passes(&loud, "rustls::conn") && !passes(&loud, "h2::proto"));
        assert!(loud.admits_library(Level::Warning, "actix_http::h1"));
        assert!(passes(&rules(3, "", ""), "actix_http::h1"));
    }

    #[test]
    fn another_key_counts_from_then_on_and_the_flags_stay() {
        let flags = Verbosity { all: 2, modules: "zk_writer=3".parse().unwrap() };
        let levels = Levels::new(flags);
        let most_of = |module| most(&levels.0.rules.load(), module);
        assert_eq!((most_of(WRITER), most_of(GUARD)), (Level::Debug, Level::Info));
        levels.clone().set(&"error,guard=warn".parse().unwrap());
        assert_eq!((most_of(WRITER), most_of(GUARD)), (Level::Debug, Level::Warning));
        assert_eq!(most_of("switcher_api_server::app"), Level::Error);
    }

    #[test]
    fn what_is_wrong_with_a_value_is_told() {
        let key = |text: &str| LogLevel::from_str(text).unwrap_err().to_string();
        assert_eq!(key("loud"), r#""loud" is no level: expected error, warn, info or debug"#);
        assert!(key("info,debug").contains("zk_writer=debug"));
        assert!(key("=debug").contains("names no module"));
        assert!(key("http=3").contains(r#""3" is no level"#));
        let flag = |text: &str| ModuleVerbosity::from_str(text).unwrap_err().to_string();
        for text in ["zk_writer", "zk_writer=", "zk_writer=-1", "zk_writer=x", "a=1,b"] {
            assert!(flag(text).contains("no number"), "{text}");
        }
        assert!(flag("=3").contains("names no module"));
        for text in ["", ",", " a=1 , b = 2 ,", "a/b=2"] {
            assert!(ModuleVerbosity::from_str(text).is_ok(), "{text}");
        }
    }
}

//! The log's filter: one level for all modules, and other levels for single modules. A reload may change it.
//!
//! | source | modules | precedence |
//! | --- | --- | --- |
//! | `-vmodule` | those of its patterns | first, in its order |
//! | `LogLevel` | those of its patterns | second, in its order |
//! | `-v 3` and more | all others | debug lines, whatever `LogLevel` is |
//! | `LogLevel` | all others | up to `-v 2` |

use std::{str::FromStr, sync::Arc};

use arc_swap::ArcSwap;
use slog::{Level, Record};
use switcher_actors::Quoted;
use thiserror::Error;
use wildmatch::WildMatch;

/// From this `-v` on, debug lines are logged, also those of the libraries.
const DEBUGGING: i64 = 3;

/// Level of the modules that match a pattern.
#[derive(Clone, Debug, PartialEq)]
struct ModuleLevel {
    pattern: WildMatch,
    level: Level,
}

/// A value of `LogLevel`: `info`, or `info,zk_writer=debug`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLevel {
    level: Level,
    modules: Vec<ModuleLevel>,
}

/// A value of `-vmodule`: `zk_writer=3,http=2`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModuleVerbosity(Vec<ModuleLevel>);

/// Verbosity on the command line.
#[derive(Clone, Debug, Default)]
pub struct Verbosity {
    /// `-v`
    pub all: i64,
    /// `-vmodule`
    pub modules: ModuleVerbosity,
}

/// Errors of [`LogLevel`] and [`ModuleVerbosity`].
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LevelError {
    #[error("{} is no level: expected error, warn, info or debug", Quoted(.0))]
    Level(String),
    #[error("{} is a second level for all modules: give it a module, as in zk_writer={}", Quoted(.0), .0)]
    Second(String),
    #[error("{} names no module: expected one and its level, like {}", Quoted(.0), .1)]
    Module(String, &'static str),
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
                    modules.push(ModuleLevel { pattern, level: level_of(level)? });
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
            Ok(ModuleLevel { pattern, level: level_of_verbosity(verbosity.into()) })
        };
        items(text).map(rule).collect::<Result<_, _>>().map(Self)
    }
}

/// Parts between commas, without empty ones, as in the Go daemon's flags.
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

/// The filter. Clones share it.
#[derive(Clone)]
pub struct Levels(Arc<SharedFilter>);

struct SharedFilter {
    flags: Verbosity,
    filter: ArcSwap<Filter>,
}

/// Flags and key combined. Of two levels, the more verbose one is greater.
struct Filter {
    all: Level,
    all_libraries: Level,
    /// The first match counts.
    modules: Vec<ModuleLevel>,
    /// Passes in each of our modules, so that a line needs no look at its module.
    everywhere: Level,
    /// Passes in at least one module.
    somewhere: Level,
    /// Passes in at least one library.
    in_a_library: Level,
}

impl Levels {
    pub fn new(flags: Verbosity) -> Self {
        let filter = ArcSwap::from_pointee(Filter::new(&flags, &LogLevel::default()));
        Self(Arc::new(SharedFilter { flags, filter }))
    }

    /// Replaces the value of `LogLevel`; the flags stay.
    pub fn set(&self, key: &LogLevel) {
        self.0.filter.store(Arc::new(Filter::new(&self.0.flags, key)));
        self.limit_libraries();
    }

    pub(super) fn admits(&self, record: &Record<'_>) -> bool {
        self.0.filter.load().admits(record.level(), record.module())
    }

    /// For a library's record, which came through `log` or `tracing`.
    pub(super) fn admits_library(&self, record: &Record<'_>) -> bool {
        let target = if record.tag().is_empty() { record.module() } else { record.tag() };
        self.0.filter.load().admits_library(record.level(), target)
    }

    /// Keeps the libraries from making records that the filter drops.
    fn limit_libraries(&self) {
        log::set_max_level(match self.0.filter.load().in_a_library {
            Level::Critical | Level::Error => log::LevelFilter::Error,
            Level::Warning => log::LevelFilter::Warn,
            Level::Info => log::LevelFilter::Info,
            Level::Debug | Level::Trace => log::LevelFilter::Debug,
        });
    }
}

impl Filter {
    fn new(flags: &Verbosity, key: &LogLevel) -> Self {
        let all = if flags.all >= DEBUGGING { Level::Debug } else { key.level };
        let all_libraries = if all >= Level::Debug { all } else { Level::Error };
        let modules: Vec<ModuleLevel> =
            flags.modules.0.iter().chain(&key.modules).cloned().collect();
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
        let named = |rule: &&ModuleLevel| module.split("::").any(|name| rule.pattern.matches(name));
        level <= self.modules.iter().find(named).map_or(self.all, |rule| rule.level)
    }

    /// The pattern of a library matches its crate. The libraries log each attempt to reconnect and each malformed
    /// request; the actors log each outage once. So without debugging only errors pass, and none of `actix_http`.
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
    const MIDDLEWARE: &str = "switcher_api_server::http::middleware";

    fn filter(v: i64, vmodule: &str, key: &str) -> Filter {
        let flags = Verbosity { all: v, modules: vmodule.parse().unwrap() };
        Filter::new(&flags, &key.parse().unwrap())
    }

    fn most(filter: &Filter, module: &str) -> Level {
        let all = [Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Critical];
        all.into_iter().find(|level| filter.admits(*level, module)).expect("critical passes")
    }

    #[test]
    fn flags_and_key_are_combined_as_documented() {
        for (v, vmodule, key, writer, middleware) in [
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
            (2, "switcher_*=3,middleware=1", "", Level::Debug, Level::Debug),
            (2, "middleware=1,switcher_*=3", "", Level::Debug, Level::Info),
            (2, "zk_?riter=3,middle*=3", "", Level::Debug, Level::Debug),
            (2, "zk=3,writer=3,/http=3", "", Level::Info, Level::Info),
        ] {
            let filter = filter(v, vmodule, key);
            let found = (most(&filter, WRITER), most(&filter, MIDDLEWARE));
            assert_eq!(found, (writer, middleware), "-v {v} -vmodule={vmodule} {key}");
        }
    }

    #[test]
    fn libraries_are_named_by_their_crate_and_silent_otherwise_but_for_errors() {
        let passes = |filter: &Filter, target| filter.admits_library(Level::Debug, target);
        let quiet = filter(2, "http=3", "debug_info=debug");
        for target in ["h2::http", "actix_http::h1", "rustls::conn"] {
            assert!(!passes(&quiet, target), "{target}");
        }
        assert!(quiet.admits_library(Level::Error, "h2::proto"));
        assert!(!quiet.admits_library(Level::Warning, "h2::proto"));
        assert!(!quiet.admits_library(Level::Error, "actix_http::h1"));
        let loud = filter(2, "rustls=3", "actix_http=warn");
        assert!(passes(&loud, "rustls::conn") && !passes(&loud, "h2::proto"));
        assert!(loud.admits_library(Level::Warning, "actix_http::h1"));
        assert!(passes(&filter(3, "", ""), "actix_http::h1"));
    }

    #[test]
    fn another_key_counts_from_then_on_and_the_flags_stay() {
        let flags = Verbosity { all: 2, modules: "zk_writer=3".parse().unwrap() };
        let levels = Levels::new(flags);
        let most_of = |module| most(&levels.0.filter.load(), module);
        assert_eq!((most_of(WRITER), most_of(MIDDLEWARE)), (Level::Debug, Level::Info));
        levels.clone().set(&"error,middleware=warn".parse().unwrap());
        assert_eq!((most_of(WRITER), most_of(MIDDLEWARE)), (Level::Debug, Level::Warning));
        assert_eq!(most_of("switcher_api_server::daemon"), Level::Error);
    }

    #[test]
    fn errors_name_the_faulty_part() {
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

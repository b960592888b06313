//! What the operator decides: keys, where their values come from, and the settings made of them.
//!
//! * `keys`: the list of keys;
//! * `host`: a host, as a browser names it;
//! * `problem`: what is wrong with a value;
//! * `found`: values as found, of any type; `load`: file and environment into such values;
//! * `check`: raw values into [`Settings`], or all that is wrong with them at once;
//! * `values`: what has changed since it was read last;
//! * `access`: the few of them that a client of the API needs;
//! * `properties`: what holds for any file and environment, for tests and fuzz targets.

mod access;
mod check;
mod found;
mod host;
mod keys;
mod layers;
mod load;
mod problem;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod values;

use std::{ffi::OsString, fmt, path::Path, time::Duration};

use switcher_actors::{Coins, PollerSettings, SubPoolSettings, WriterLimits, WriterSettings};

use crate::logging::{LogLevel, LogSettings};

pub use access::{Access, access};
pub use host::{Host, HostName};
pub use problem::Problem;
pub use values::{Change, Values};

/// The whole configuration, checked.
#[derive(Debug)]
pub struct Settings {
    /// The HTTP API, if it is on.
    pub api: Option<ApiSettings>,
    /// The admin listener, if it is on.
    pub admin: Option<AdminSettings>,
    /// Who may ask for what, of the API and of the admin listener.
    pub callers: CallerSettings,
    /// How switches reach ZooKeeper.
    pub writer: WriterSettings,
    /// The sub-pools; `None` if their API is off.
    pub sub_pools: Option<SubPoolSettings>,
    /// How the user-coin map is pulled, if it is.
    pub poller: Option<PollerSettings>,
    /// From the first signal to the end of the process.
    pub shutdown_grace: Duration,
    /// What is logged, and how.
    pub log: LogSettings,
}

impl Settings {
    /// Whether names are written in lower case (`StratumServerCaseInsensitive`).
    pub fn lower_case(&self) -> bool {
        self.callers.lower_case
    }

    /// The part that can change while the daemon runs. What is left out here needs a restart.
    pub fn reloadable(self) -> Reloadable {
        let Self { api: _, admin: _, callers, writer, sub_pools, poller, shutdown_grace, log } =
            self;
        let LogSettings { format: _, level: log_level, rotation: _ } = log;
        let WriterSettings { zookeeper: _, watch_dir: _, limits } = writer;
        let ack_timeout = sub_pools.map(|SubPoolSettings { base_dir: _, ack_timeout }| ack_timeout);
        Reloadable { callers, limits, ack_timeout, poller, shutdown_grace, log_level }
    }
}

/// The part of the configuration that can change while the daemon runs. It holds keys that cannot, too, which are
/// then as they were ([`Change::is_reloadable`]).
#[derive(Debug)]
pub struct Reloadable {
    /// Who may ask for what.
    pub callers: CallerSettings,
    /// How long and how many callers may wait.
    pub limits: WriterLimits,
    /// For a jobmaker's ack; `None` if the sub-pool API is off.
    pub ack_timeout: Option<Duration>,
    /// How the user-coin map is pulled, if it is.
    pub poller: Option<PollerSettings>,
    /// From the first signal to the end of the process.
    pub shutdown_grace: Duration,
    /// What is logged.
    pub log_level: LogLevel,
}

/// What the HTTP actor needs.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Where to listen: `host:port`, or `:port` for every address.
    pub listen: String,
    /// For a request's head.
    pub head_timeout: Duration,
}

/// Who may ask for what. The same holds for the API and for the admin listener.
#[derive(Clone, Debug)]
pub struct CallerSettings {
    /// Who may call; `None` if there is no one, since the API is off and has no credentials.
    pub credentials: Option<Credentials>,
    /// Who may look at the figures and do nothing else (`MetricsUser`, `MetricsPassword`), if somebody may.
    pub scraper: Option<Credentials>,
    /// Hosts under which the admin listener answers, apart from its own.
    pub admin_hosts: Vec<Host>,
    /// What may be switched to.
    pub coins: Coins,
    /// Whether names are written in lower case.
    pub lower_case: bool,
    /// Bytes of a coinbase text that jobmakers keep.
    pub coinbase_max: usize,
    /// Bytes of the largest body.
    pub body_limit: usize,
    /// For a request's body.
    pub body_timeout: Duration,
}

/// What the admin listener needs.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// Where to listen, as for the API.
    pub listen: String,
    /// Whether the operator has asked for that address. Otherwise the daemon does without rather than not start.
    pub is_given: bool,
}

/// User name and password. Never printed.
#[derive(Clone)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// A configuration that passed, with what the operator should look at nevertheless.
#[derive(Debug)]
pub struct Checked {
    /// What the daemon runs with.
    pub settings: Settings,
    /// Suspicious, but no reason not to start.
    pub warnings: Vec<String>,
    /// Every key with its value (secrets masked) and where it comes from.
    pub listing: Vec<String>,
    /// Every key's value, to be compared with those of another time.
    pub values: Values,
}

/// The list of keys, for the help text.
pub fn describe_keys() -> String {
    let line = |key: &keys::Key| {
        let default = match key.default {
            None => String::new(),
            Some("") => " [default: empty]".to_owned(),
            Some(default) => format!(" [default: {default}]"),
        };
        let reload = if key.is_reloadable { " [reload]" } else { "" };
        format!("  {}: {}{default}{reload}\n", key.name, key.meaning)
    };
    let lines: String = keys::KEYS.iter().map(line).collect();
    format!(
        "Configuration keys (JSON file, or environment variables of the same names); SIGHUP has another value of \
         those with [reload] taken over, others need a restart:\n{lines}"
    )
}

/// A configuration that the daemon does not start with.
#[derive(Debug)]
pub struct Rejected {
    /// Everything that is wrong with it.
    pub problems: Vec<Problem>,
    /// What may explain it, like a misspelt key.
    pub warnings: Vec<String>,
    /// Every key's value as found; `None` if the file could not be read.
    pub values: Option<Values>,
}

/// Reads and checks the configuration.
pub fn load(
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Checked, Rejected> {
    check::check(load::load(file, environment))
}

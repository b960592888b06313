//! The configuration: its keys, their values, and the settings that follow.
//!
//! * `keys`: the list of keys;
//! * `host`, `addresses`, `network`: hosts and ports, networks of clients;
//! * `value`: raw values, and which place wins; `load`: the file and the environment;
//! * `check`: raw values to [`Settings`], or every problem at once; `problem`: one of them;
//! * `snapshot`: the changes since the last load;
//! * `history`: settings of the history, and checks of its files' places;
//! * `files`: contents of the files that the configuration names; `users`, `tls`: read and check them;
//! * `access`: the keys that a client of the API reads;
//! * `properties`: what holds for any file and environment, for tests and fuzz targets.

mod access;
mod addresses;
mod check;
mod files;
mod history;
mod host;
mod keys;
mod load;
mod network;
mod problem;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod snapshot;
mod tls;
mod users;
mod value;

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use switcher_actors::{
    Coins, PollerSettings, RegistrationSettings, SubPoolSettings, UserListSettings, WriterLimits,
    WriterSettings,
};

use crate::{
    logging::{LogLevel, LogSettings},
    users::Roles,
};

pub use access::{Access, access};
pub use addresses::{local_address, split_host_port};
pub use files::FileContents;
pub use history::{HistorySettings, HistorySync, directory, usual_key_file};
pub use host::{Host, HostName};
pub use network::Network;
pub use problem::Problem;
pub use snapshot::{KeyChange, Snapshot};
pub use tls::{CertificateEnd, TlsSettings, ZkTlsFiles};

/// The whole configuration, valid; `None` for a part that is switched off.
#[derive(Debug)]
pub struct Settings {
    pub api: Option<ApiSettings>,
    pub admin: Option<AdminSettings>,
    /// `None` if the lists have no listener of their own.
    pub list_api: Option<ListApiSettings>,
    /// TLS of the listeners; `None` without.
    pub tls: Option<TlsSettings>,
    /// Files for TLS to ZooKeeper; `None` without.
    pub zookeeper_tls: Option<ZkTlsFiles>,
    pub callers: CallerSettings,
    pub writer: WriterSettings,
    pub sub_pools: Option<SubPoolSettings>,
    pub poller: Option<PollerSettings>,
    pub user_lists: Option<UserListSettings>,
    pub registration: Option<RegistrationSettings>,
    pub history: Option<HistorySettings>,
    /// Time from the first signal to the end of the process.
    pub shutdown_grace: Duration,
    pub log: LogSettings,
}

impl Settings {
    /// Whether names are written in lower case (`StratumServerCaseInsensitive`).
    pub fn lower_case(&self) -> bool {
        self.callers.lower_case
    }

    /// The part that a reload applies. Everything else needs a restart.
    pub fn reloadable(self) -> Reloadable {
        let Self {
            api: _,
            admin: _,
            list_api: _,
            tls: _,
            zookeeper_tls: _,
            callers,
            writer,
            sub_pools,
            poller,
            user_lists: _,
            registration: _,
            history: _,
            shutdown_grace,
            log,
        } = self;
        let LogSettings { format: _, level: log_level, rotation: _ } = log;
        let WriterSettings {
            zookeeper: _,
            watch_dir: _,
            index: _,
            held_dir: _,
            safety_period: _,
            limits,
        } = writer;
        let ack_timeout = sub_pools.map(|SubPoolSettings { base_dir: _, ack_timeout }| ack_timeout);
        Reloadable { callers, limits, ack_timeout, poller, shutdown_grace, log_level }
    }
}

/// The part of the settings that a reload applies, together with [`FileContents`]. Keys in it that need a restart have
/// their old values ([`KeyChange::is_reloadable`]).
#[derive(Debug)]
pub struct Reloadable {
    pub callers: CallerSettings,
    pub limits: WriterLimits,
    /// Time to wait for a jobmaker's ack; `None` if the sub-pool API is off.
    pub ack_timeout: Option<Duration>,
    pub poller: Option<PollerSettings>,
    /// Time from the first signal to the end of the process.
    pub shutdown_grace: Duration,
    pub log_level: LogLevel,
}

/// Settings of the API's listener.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Address to listen on: `host:port`, or `:port` for every address.
    pub listen: String,
    pub head_timeout: Duration,
}

/// Rules for callers, shared by the API and the admin listener.
#[derive(Clone, Debug)]
pub struct CallerSettings {
    /// Credentials for everything; `None` if the API is off and none are set: then no caller has access.
    pub credentials: Option<Credentials>,
    /// `APIRoles`: roles of `APIUser`.
    pub api_roles: Roles,
    /// `UsersFile`.
    pub users_file: Option<PathBuf>,
    /// `TrustedProxies`: networks of proxies; their `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Network>,
    /// Credentials for the metrics alone (`MetricsUser`, `MetricsPassword`), if set.
    pub scraper: Option<Credentials>,
    pub list_access: ListAccess,
    /// Hosts of the admin listener besides its own address.
    pub admin_hosts: Vec<Host>,
    pub coins: Coins,
    pub lower_case: bool,
    /// Bytes at which jobmakers cut a coinbase text.
    pub coinbase_max: usize,
    /// In bytes.
    pub body_limit: usize,
    pub body_timeout: Duration,
}

/// Rules for clients of the list API.
#[derive(Clone, Debug, Default)]
pub struct ListAccess {
    /// Networks of the clients; empty admits all.
    pub allow: Vec<Network>,
    /// `None` if the lists need no credentials.
    pub credentials: Option<Credentials>,
}

/// Settings of a listener for the user lists alone.
#[derive(Clone, Debug)]
pub struct ListApiSettings {
    pub listen: String,
    pub head_timeout: Duration,
}

/// Settings of the admin listener.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    pub listen: String,
    /// Whether the operator has set that address. If the default is in use by another program, the daemon runs without
    /// admin pages.
    pub is_given: bool,
}

/// User name and password. Never printed.
#[derive(Clone)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// A valid configuration.
#[derive(Debug)]
pub struct Checked {
    pub settings: Settings,
    /// Suspicious values; no reason not to start.
    pub warnings: Vec<String>,
    /// Every key with its value (secrets masked) and its origin.
    pub listing: Vec<String>,
    /// Every key's value, to compare with a later load.
    pub values: Snapshot,
}

/// Lists the keys for the help text.
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
        "Configuration keys (JSON file, or environment variables of the same names); SIGHUP applies new values of \
         those with [reload], others need a restart:\n{lines}"
    )
}

/// An invalid configuration: the daemon does not start with it.
#[derive(Debug)]
pub struct Rejected {
    pub problems: Vec<Problem>,
    /// Possible explanations, like a misspelt key.
    pub warnings: Vec<String>,
    /// Every key's value as found; `None` if the file could not be read.
    pub values: Option<Snapshot>,
}

/// Loads and checks the configuration.
pub fn load(
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Checked, Rejected> {
    check::check(load::load(file, environment))
}

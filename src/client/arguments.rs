//! The client commands' arguments.
//!
//! * `history`: those of searches and undos;
//! * `users`: those about users, and about the person and the reason behind a change.

mod history;
mod users;

use std::{fmt, path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};

use crate::config::{local_address, split_host_port};

pub use history::{
    HistoryArguments, HistoryCommand, HistoryVerifyArguments, SearchArguments, UndoArguments,
};
pub use users::{
    ChangeArguments, HashArguments, PersonArguments, TokenArguments, UserArguments, UserCommand,
};

/// A client command.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum ClientCommand {
    /// Switch one sub-account to a coin
    Switch(SwitchArguments),
    /// Switch many sub-accounts, listed in a file
    ///
    /// A file that starts with `{` is the JSON of the API, {"usercoins":[{"coin":C,"punames":[U,…]},…]}. Any other
    /// file is CSV with a line `sub-account,coin` for each switch, quoted where necessary, with or without a first
    /// line `user,coin`. The whole file is checked before anything is sent, and then sent in chunks. The daemon
    /// writes a chunk whole or refuses it whole.
    ///
    /// The resume file, FILE.progress, holds the progress until all entries are acknowledged. A second run with the
    /// same file and server continues after the last acknowledged chunk. A run never repeats a chunk of unknown
    /// outcome; the next run sends that chunk again, and reports it.
    Batch(BatchArguments),
    /// Show the coinbase text and payout address of a sub-pool, as its jobmaker reports them
    GetCoinbase(GetCoinbaseArguments),
    /// Change the coinbase text and payout address of a sub-pool, after showing old and new and asking
    UpdateCoinbase(UpdateCoinbaseArguments),
    /// Show the coins of sub-accounts in ZooKeeper, and switches that are held, without the daemon
    ///
    /// A held switch is shown with the time at which its coin is due to be written. Needs the daemon's configuration. Exit status 1 if a sub-account has no znode.
    Status(StatusArguments),
    /// Compare the user-coin map (UserCoinMapURL) and the lists (UserListAPI) with ZooKeeper, and print the differences
    ///
    /// Needs the daemon's configuration, but no EnableCronJob. Exit status 1 if a coin differs from the map, or a
    /// sub-account of a list has no znode or index entry. Ignores all other sub-accounts. Writes nothing.
    Verify(OutputArguments),
    /// Search the daemon's history of switches and of coinbase updates, or verify its file
    ///
    /// Calls the admin listener. The newest changes come first; times are in UTC. A TIME is 2026-11-28T10:00:00Z,
    /// 2026-11-28 (midnight in UTC), seconds since 1970, or an age: 30s, 30m, 2h, 3d. `history -- verify` searches a
    /// sub-account of the name `verify`.
    #[command(disable_help_subcommand = true)]
    History(Box<HistoryArguments>),
    /// Take a request back: put back each znode that is still as that request left it
    ///
    /// First shows the entries that would change, and asks. All other znodes are left alone, and listed with the cause. An
    /// undo is a request with an id of its own, and can be undone. Exit status 0 only if every entry was put back or left
    /// alone, and one at least was put back.
    Undo(Box<UndoArguments>),
    /// Show the user and the roles that the daemon sees behind the credentials
    ///
    /// Calls the admin listener.
    Whoami(WhoamiArguments),
    /// Make an entry for UsersFile, without the daemon
    User(UserArguments),
    /// Check that the daemon on this machine is alive; for containers and scripts
    ///
    /// Gets /healthz, or with --ready /readyz, at AdminListenAddr of the environment or the configuration, with TLS if the
    /// admin listener has it; accepts any certificate unless --ca-file is given. Needs no credentials. Exit status 0 if
    /// healthy, 1 if unhealthy or without an answer, 78 if AdminListenAddr is off.
    Health(HealthArguments),
    /// Check the configuration and everything that the daemon depends on; each finding has a remedy
    ///
    /// Exit status 1 if there is a problem; warnings do not count. Writes nothing.
    Doctor(DoctorArguments),
}

impl ClientCommand {
    /// The command's word, and the format of its result.
    pub fn output(&self) -> (&'static str, &OutputArguments) {
        match self {
            Self::Switch(it) => ("switch", &it.api.output),
            Self::Batch(it) => ("batch", &it.api.output),
            Self::GetCoinbase(it) => ("get-coinbase", &it.api.output),
            Self::UpdateCoinbase(it) => ("update-coinbase", &it.api.output),
            Self::Status(it) => ("status", &it.output),
            Self::Verify(output) => ("verify", output),
            Self::History(it) => match &it.command {
                Some(HistoryCommand::Verify(verify)) if verify.output.json => {
                    ("history", &verify.output)
                }
                _ => ("history", &it.api.output),
            },
            Self::Undo(it) => ("undo", &it.api.output),
            Self::Whoami(it) => ("whoami", &it.api.output),
            Self::User(it) => ("user", it.command.output()),
            Self::Health(it) => ("health", &it.output),
            Self::Doctor(it) => ("doctor", &it.api.output),
        }
    }
}

/// Format of the result.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputArguments {
    /// Print one JSON document instead of text, for failures too; only a bad argument is reported as text. A search of
    /// the history prints one for each row
    #[arg(long)]
    pub json: bool,
}

/// Address of the daemon's API, and the credentials.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ApiArguments {
    /// The daemon's address [default: ListenAddr of the configuration, on this machine; AdminListenAddr for history,
    /// undo and whoami]; with the prefix https:// the call uses TLS
    #[arg(long, value_name = "HOST:PORT")]
    pub server: Option<ServerAddress>,

    /// User name [default: APIUser of the environment or the configuration]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Password; visible in the list of this machine's processes
    #[arg(long, value_name = "PASSWORD", conflicts_with = "password_file")]
    pub password: Option<Secret>,

    /// File whose first line is the password [default: APIPassword of the environment or the configuration]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// File whose first line is a user's token, in place of user name and password
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "password", "password_file"])]
    pub token_file: Option<PathBuf>,

    #[command(flatten)]
    pub tls: TlsArguments,

    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,

    #[command(flatten)]
    pub output: OutputArguments,
}

/// Certificates of a call with TLS.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsArguments {
    /// PEM file with the certificate authorities of the daemon, or its own certificate, for https [default: the
    /// certificate of TLSCertificateFile if the address is that of the configuration, else the system's authorities]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// PEM file with a client certificate, if the daemon asks for one (TLSClientCAFile)
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,

    /// PEM file with the private key of --cert-file
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
}

#[derive(Args, Debug, PartialEq, Eq)]
pub struct SwitchArguments {
    /// Sub-account
    #[arg(value_name = "USER")]
    pub sub_account: String,
    /// Coin that the sub-account mines from now on
    pub coin: String,
    #[command(flatten)]
    pub change: ChangeArguments,
    #[command(flatten)]
    pub api: ApiArguments,
}

#[derive(Args, Debug, PartialEq, Eq)]
pub struct BatchArguments {
    /// JSON or CSV; `-` is standard input. Without --progress-file, standard input and pipes cannot be resumed
    pub file: PathBuf,
    /// Entries in one request
    #[arg(long, value_name = "ENTRIES", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=500_000))]
    pub chunk: u32,
    /// Resume file [default: FILE.progress]
    #[arg(long, value_name = "FILE")]
    pub progress_file: Option<PathBuf>,
    /// Start at the first entry, and ignore an earlier run's resume file
    #[arg(long)]
    pub restart: bool,
    #[command(flatten)]
    pub change: ChangeArguments,
    #[command(flatten)]
    pub api: ApiArguments,
}

#[derive(Args, Debug, PartialEq, Eq)]
pub struct GetCoinbaseArguments {
    #[command(flatten)]
    pub sub_pool: SubPoolArguments,
    #[command(flatten)]
    pub api: ApiArguments,
}

/// Coin and name of a sub-pool.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct SubPoolArguments {
    /// Coin of the sub-pool
    pub coin: String,
    /// Name of the sub-pool
    pub pool: String,
}

#[derive(Args, Debug, PartialEq, Eq)]
pub struct UpdateCoinbaseArguments {
    #[command(flatten)]
    pub sub_pool: SubPoolArguments,
    /// Address that the sub-pool's blocks pay from now on
    #[arg(long, value_name = "ADDRESS")]
    pub payout_addr: String,
    /// Text in the coinbase of the sub-pool's blocks; may be empty ('')
    #[arg(long, value_name = "TEXT")]
    pub coinbase_info: String,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub change: ChangeArguments,
    #[command(flatten)]
    pub api: ApiArguments,
}

#[derive(Args, Debug, PartialEq, Eq)]
pub struct StatusArguments {
    /// Sub-accounts
    #[arg(value_name = "USER", required = true)]
    pub sub_accounts: Vec<String>,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Args, Debug, PartialEq, Eq)]
pub struct WhoamiArguments {
    #[command(flatten)]
    pub api: ApiArguments,
}

#[derive(Args, Debug, PartialEq, Eq)]
pub struct HealthArguments {
    /// Check that the daemon is ready to serve, and print the reasons if not
    #[arg(long)]
    pub ready: bool,
    #[command(flatten)]
    pub tls: TlsArguments,
    /// Seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Args, Debug, PartialEq, Eq)]
pub struct DoctorArguments {
    /// Also request the registration of this sub-account, as after a restart of the daemon, and check the backend's answer;
    /// nothing is requested unless a list of UserListAPI has it
    #[arg(long, value_name = "USER")]
    pub registration: Option<String>,
    #[command(flatten)]
    pub api: ApiArguments,
}

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Address of a listener of a daemon: `host:port`, or `https://host:port` with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress(String);

impl ServerAddress {
    const HTTPS: &str = "https://";

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_https(&self) -> bool {
        self.0.starts_with(Self::HTTPS)
    }

    /// `host:port`.
    pub fn host_and_port(&self) -> &str {
        self.0.strip_prefix(Self::HTTPS).unwrap_or(&self.0)
    }

    /// Name or address.
    pub fn host(&self) -> &str {
        let address = self.host_and_port();
        split_host_port(address).map_or(address, |(host, _)| host)
    }

    /// Address at which this machine reaches a listener of its own ([`local_address`]).
    pub fn of_listener(listen: &str, is_https: bool) -> Option<Self> {
        let scheme = if is_https { Self::HTTPS } else { "" };
        local_address(listen).map(|address| Self(format!("{scheme}{address}")))
    }
}

impl FromStr for ServerAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, bare) = match text.strip_prefix(Self::HTTPS) {
            Some(bare) => (Self::HTTPS, bare),
            None => ("", text.strip_prefix("http://").unwrap_or(text)),
        };
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        match split_host_port(bare) {
            Some((host, port)) if !host.is_empty() && port != 0 => {
                Ok(Self(format!("{scheme}{bare}")))
            }
            _ => Err("expected host:port, like 127.0.0.1:8082, or https://host:port"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_a_port() {
        for (text, address) in [
            ("h:80", "h:80"),
            ("http://10.0.0.1:8082/", "10.0.0.1:8082"),
            ("[::1]:8082", "[::1]:8082"),
            ("https://h:443/", "https://h:443"),
        ] {
            assert_eq!(text.parse::<ServerAddress>().unwrap().as_str(), address);
        }
        for bad in
            ["", "h", "h:", ":80", "h:0", "h:99999", "https://h", "u@h:80", "h:80/x", "::1:80"]
        {
            assert!(bad.parse::<ServerAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret("s3cr3t".to_owned())), "Secret(…)");
    }
}

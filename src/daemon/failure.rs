//! Reasons why the daemon cannot run, with their exit statuses.

use std::{io, path::PathBuf};

use switcher_history::OpenError;
use thiserror::Error;

/// Key of the API's address.
pub const LISTEN_ADDR: &str = "ListenAddr";
/// Key of the admin listener's address.
pub const ADMIN_LISTEN_ADDR: &str = "AdminListenAddr";

/// Key of the address of the user lists alone.
pub const USER_LIST_ADDR: &str = "UserListAddr";

/// Why the daemon could not run, or did not stop in order.
#[derive(Debug, Error)]
pub enum Failure {
    /// The address is in use, or not an address of this machine.
    #[error(
        "cannot listen on {address}: {source}; is another daemon running there, or is {key} wrong?{}",
        hint(.key)
    )]
    Listen { key: &'static str, address: String, source: io::Error },
    /// A second signal came while the daemon was stopping.
    #[error("second signal ({signal}): ended at once, with requests unfinished")]
    Interrupted { signal: &'static str },
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] io::Error),
    #[error("cannot start a thread: {0}; raise the limit of processes (ulimit -u, TasksMax)")]
    Thread(#[source] io::Error),
    /// The history cannot be opened, for example since another daemon uses it.
    #[error("cannot open the history '{}' (HistoryFile): {cause}", file.display())]
    History { file: PathBuf, cause: OpenError },
}

fn hint(key: &str) -> &'static str {
    match key {
        ADMIN_LISTEN_ADDR => {
            " Each daemon on a machine needs its own address; an empty value turns the admin pages off"
        }
        _ => " The admin pages of another daemon may be there, too",
    }
}

impl Failure {
    pub fn listen(key: &'static str, address: impl ToString, source: io::Error) -> Self {
        Self::Listen { key, address: address.to_string(), source }
    }

    /// Exit status of the process, from `sysexits.h`.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Listen { .. } => 69,
            Self::History { .. } => 73,
            Self::Interrupted { .. } | Self::Signals(_) | Self::Thread(_) => 70,
        }
    }
}

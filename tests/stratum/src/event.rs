//! Events of a miner.

use std::fmt;

/// One event of one miner, named by its sub-account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It mines a coin from now on. `from` is the coin before, if any.
    Moved {
        /// Sub-account.
        miner: String,
        /// The coin before.
        from: Option<String>,
        /// The coin from now on.
        to: String,
    },
    /// Its znode names a coin whose list lacks it: it stays where it is.
    Stays {
        /// Sub-account.
        miner: String,
        /// The coin that its znode names.
        coin: String,
    },
    /// Its sub-account is unknown; the registration is requested.
    Requested {
        /// Sub-account.
        miner: String,
    },
    /// Its sub-account is still unknown after the request was removed, or the request was not removed in time.
    Refused {
        /// Sub-account.
        miner: String,
    },
    /// A list has new sub-accounts.
    Learned {
        /// The list's coin.
        coin: String,
        /// Number of new sub-accounts.
        sub_accounts: usize,
    },
    /// A list or ZooKeeper failed; it is tried again.
    Failed(String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved { miner, from: None, to } => write!(f, "miner {miner} mines {to}"),
            Self::Moved { miner, from: Some(from), to } => {
                write!(f, "miner {miner} moves from {from} to {to}")
            }
            Self::Stays { miner, coin } => {
                write!(f, "miner {miner} stays: the list of {coin} does not have it yet")
            }
            Self::Requested { miner } => {
                write!(f, "miner {miner} is unknown: registration requested")
            }
            Self::Refused { miner } => write!(f, "miner {miner} is refused: it is unknown"),
            Self::Learned { coin, sub_accounts } => {
                write!(f, "the list of {coin} has {sub_accounts} new sub-accounts")
            }
            Self::Failed(cause) => f.write_str(cause),
        }
    }
}

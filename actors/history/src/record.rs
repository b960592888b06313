//! Entries of the history.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Number of a request; answers and the log show it as 16 hexadecimal digits.
pub type RequestNumber = u64;

/// Kind of an entry.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A sub-account's coin.
    Switch,
    /// A sub-pool's coinbase.
    Update,
    /// The configuration.
    Reload,
    /// A decision about a waiting update. No entry has this kind yet.
    Approval,
    /// A change by another program. No entry has this kind yet.
    Elsewhere,
}

/// Way by which a change reached the daemon.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A client of the API.
    Api,
    /// The user-coin map.
    Poll,
    /// A signed-in user of the console.
    Console,
    /// An undo.
    Undo,
    /// A registration.
    Registration,
    /// A signal to the daemon.
    Signal,
}

/// Origin of a request: its author and its way to the daemon. All its entries share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Number of the request.
    pub request: RequestNumber,
    /// Its way to the daemon.
    pub source: Source,
    /// Address of the client; `None` for the daemon's own requests.
    pub client: Option<IpAddr>,
    /// The user; `None` for polls and signals.
    pub actor: Option<String>,
    /// The person for whom a backend acts; not verified.
    pub on_behalf_of: Option<String>,
    /// The user's reason.
    pub comment: Option<String>,
    /// The request that an undo takes back.
    pub undo_of: Option<RequestNumber>,
}

/// Outcome of a change.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Committed by ZooKeeper or done by the jobmaker.
    Applied,
    /// Without effect.
    NotApplied,
    /// It may have had its effect, or may have it later.
    Unknown,
    /// Accepted; takes effect at its due time.
    Held,
}

/// Value of a znode before a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Old {
    /// Not proven.
    NotKnown,
    /// There was no znode.
    Absent,
    /// The znode's text.
    Value(String),
}

/// State of a znode: the transaction that created it, and its version. Both together occur once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// `czxid`.
    pub created: i64,
    /// Number of writes since the creation.
    pub version: i32,
}

/// A switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The sub-account.
    pub sub_account: String,
    /// The coin before.
    pub old: Old,
    /// The requested coin; `None` if an undo deleted the znode.
    pub new: Option<String>,
    /// The coin of a newer switch that was written instead.
    pub superseded_by: Option<String>,
    /// Due time of a held switch, in milliseconds since 1970.
    pub due: Option<u64>,
    /// State of the znode after the switch, if known; of a held switch, at its acceptance.
    pub state: Option<State>,
}

/// Text and payout address of a sub-pool.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Coinbase {
    /// The coinbase transaction's text.
    pub coinbase_info: String,
    /// The payout address.
    pub payout_addr: String,
}

/// An update of a sub-pool's coinbase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The coin.
    pub coin: String,
    /// The sub-pool.
    pub sub_pool: String,
    /// The values before, if known.
    pub old: Option<Coinbase>,
    /// The requested values; after the outcome, those that the jobmaker has reported.
    pub new: Coinbase,
}

/// The requested change. Switches expire after months; all others are notes, which last for years and form the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A sub-account's coin.
    Switch(Switch),
    /// A sub-pool's coinbase.
    Update(Update),
    /// The configuration.
    Reload {
        /// Names of the keys with new values.
        keys: Vec<String>,
    },
}

impl Entry {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Switch(_) => Kind::Switch,
            Self::Update(_) => Kind::Update,
            Self::Reload { .. } => Kind::Reload,
        }
    }
}

/// A change to append.
#[derive(Clone, Debug)]
pub struct Change {
    /// Time at which the outcome was known, in milliseconds since 1970.
    pub time: i64,
    /// Origin, shared by all entries of the request.
    pub origin: Arc<Origin>,
    /// The requested change.
    pub entry: Entry,
    /// The outcome.
    pub outcome: Outcome,
    /// Reason why it was not applied, or why the outcome is unknown.
    pub cause: Option<String>,
}

macro_rules! stored {
    ($type:ident: $($variant:ident = $number:literal $word:literal,)*) => {
        impl $type {
            /// The word in answers and queries.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The value with this word.
            pub fn of_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            pub(crate) fn number(self) -> i64 {
                match self { $(Self::$variant => $number,)* }
            }

            pub(crate) fn of_number(number: i64) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

stored! { Kind: Switch = 0 "switch", Update = 1 "update", Reload = 2 "reload", Approval = 3 "approval", Elsewhere = 4 "elsewhere", }
stored! { Source: Api = 0 "api", Poll = 1 "poll", Console = 2 "console", Undo = 3 "undo", Registration = 4 "registration", Signal = 5 "signal", }
stored! { Outcome: Applied = 0 "applied", NotApplied = 1 "not_applied", Unknown = 2 "unknown", Held = 3 "held", }

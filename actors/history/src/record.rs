//! Entries of the history.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Number of a request; 16 hexadecimal digits everywhere outside.
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
    /// A decision about an update that waits.
    Approval,
    /// A change that is none of this daemon's.
    Elsewhere,
}

/// How a change came to the daemon.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A client of the API.
    Api,
    /// The user-coin map.
    Poll,
    /// A user who is signed in to the console.
    Console,
    /// An undo.
    Undo,
    /// A registration.
    Registration,
    /// A signal to the daemon.
    Signal,
}

/// Author and way of a change. All entries of one request have the same origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The request.
    pub request: RequestNumber,
    /// How it came.
    pub source: Source,
    /// Address of the client.
    pub client: Option<IpAddr>,
    /// The user.
    pub actor: Option<String>,
    /// The person for whom a backend acts.
    pub on_behalf_of: Option<String>,
    /// The user's reason.
    pub comment: Option<String>,
    /// The request that this one takes back.
    pub undo_of: Option<RequestNumber>,
}

/// End of a change.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// ZooKeeper has it.
    Applied,
    /// It had no effect.
    NotApplied,
    /// Nothing is known.
    Unknown,
    /// Accepted, to be applied at its due time.
    Held,
}

/// Value of a znode before a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Old {
    /// Not proven.
    NotKnown,
    /// There was no znode.
    Absent,
    /// This text.
    Value(String),
}

/// State of a znode after a write: the transaction that created it, and its version. Both together occur once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// `czxid`.
    pub created: i64,
    /// Number of writes since.
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
    /// Due time of a held switch, in seconds since 1970.
    pub due: Option<u64>,
    /// The znode after our write, if the server returned it.
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
    /// The requested values, or those that the jobmaker has since then.
    pub new: Coinbase,
}

/// The requested change. Switches expire after months; the others are notes, which last for years and form the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A sub-account's coin.
    Switch(Switch),
    /// A sub-pool's coinbase.
    Update(Update),
    /// The configuration.
    Reload {
        /// The keys with new values.
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

/// A change as it is handed over.
#[derive(Clone, Debug)]
pub struct Change {
    /// When its outcome was known, in milliseconds since 1970.
    pub time: i64,
    /// Its origin, shared by all entries of the request.
    pub origin: Arc<Origin>,
    /// The change.
    pub entry: Entry,
    /// Its end.
    pub outcome: Outcome,
    /// Why it was not applied, or is unknown.
    pub cause: Option<String>,
}

macro_rules! stored {
    ($type:ident: $($variant:ident = $number:literal $word:literal,)*) => {
        impl $type {
            /// The word in answers.
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

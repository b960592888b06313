//! The field's own words as types that are valid by construction: whoever holds a [`Puname`] or a
//! [`Coin`] needs no further check before it becomes a znode.

mod coin;
mod invisible;
mod outcome;
mod path;
mod previous_value;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod puname;
mod punctuation;
mod seconds;
mod shown;
mod source;
mod sub_pool;
mod switch_rules;
mod switches;

pub use coin::{Coin, Coins, CoinsError};
pub use invisible::{INVISIBLE, escape_json, is_invisible, push_json_escape};
pub use outcome::{OutcomeKind, SwitchOutcome, SwitchResult};
pub(crate) use path::component_fault;
pub use path::{ZnodeDir, ZnodeDirError};
pub use previous_value::PreviousValue;
pub use puname::{Puname, PunameError};
pub use punctuation::{QUOTES, is_quote, is_separator};
pub use seconds::seconds;
pub use shown::{Escaped, Quoted, Shown};
pub use source::{RequestId, Source};
pub use sub_pool::{Coinbase, CoinbaseUpdate, CoinbaseUpdateError, SubPool};
pub use switch_rules::SwitchRules;
pub use switches::{SwitchEntry, Switches, SwitchesBuilder};

/// One switch: this sub-account mines that coin from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The sub-account, which names the znode.
    pub puname: Puname,
    /// The coin, which becomes the znode's data.
    pub coin: Coin,
}

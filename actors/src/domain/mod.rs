//! The domain's terms as types that are valid by construction: a [`Puname`] or a [`Coin`] needs no further check
//! before a write.
//!
//! * `coin`, `puname`, `path`, `sub_pool`: names and paths, each with its rules;
//! * `switch_rules`, `switches`: which switches are valid, and those of one request;
//! * `previous_value`: a znode's data before a write;
//! * `outcome`: how a switch ended;
//! * `source`: the origin of a request;
//! * `text`, `invisible`: foreign text for the log: cut and escaped;
//! * `punctuation`: quotes and list separators;
//! * `properties`: properties of names, for tests and fuzz targets.

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
mod source;
mod sub_pool;
mod switch_rules;
mod switches;
mod text;

pub use coin::{Coin, Coins, CoinsError};
pub use invisible::{INVISIBLE, is_invisible};
pub use outcome::{OutcomeKind, SwitchOutcome, SwitchResult};
pub(crate) use path::component_fault;
pub use path::{ZnodeDir, ZnodeDirError};
pub use previous_value::PreviousValue;
pub(crate) use puname::lower_case;
pub use puname::{Puname, PunameError};
pub use punctuation::{QUOTES, is_quote, is_separator};
pub use seconds::{rfc_3339, rfc_3339_millis, seconds};
pub use source::{
    COMMENT_BYTES, ON_BEHALF_OF_BYTES, Origin, RequestId, RequestIds, Source, SourceKind,
};
pub use sub_pool::{Coinbase, CoinbaseUpdate, CoinbaseUpdateError, SubPool};
pub use switch_rules::SwitchRules;
pub use switches::{SwitchEntry, Switches, SwitchesBuilder};
pub use text::{Escaped, Quoted, Shown, clip, cut, escape_json, push_escaped, push_json_escape};
pub(crate) use text::{fit, fit_name};

/// One switch: from now on this sub-account mines that coin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The sub-account: the znode's name.
    pub puname: Puname,
    /// The coin: the znode's new data.
    pub coin: Coin,
}

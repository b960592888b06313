//! Coins, and the set of coins that an operator allows.

use std::{
    borrow::Borrow,
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use foldhash::{HashSet, HashSetExt};
use thiserror::Error;

use super::{Quoted, is_invisible, is_quote, is_separator};

/// Stratum servers read no more of a znode (contract, section 1).
const MAX_COIN_BYTES: usize = 64;

/// A coin of the operator's list: the exact bytes of a znode's data.
///
/// Made by [`Coins`] only. The text is kept until the process ends: a switch copies its coin several times, and threads
/// would contend for a count of the copies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coin(&'static str);

/// The names of all coins that were ever configured, each once.
static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

impl Coin {
    /// The coin's name.
    pub fn as_str(&self) -> &str {
        self.0
    }

    /// A coin whose name was checked.
    fn valid(name: &str) -> Self {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        Self(names.get(name).copied().unwrap_or_else(|| {
            let name = Box::leak(name.into());
            names.insert(name);
            name
        }))
    }
}

impl Borrow<str> for Coin {
    fn borrow(&self) -> &str {
        self.0
    }
}

impl fmt::Display for Coin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The coins that may be switched to (`AvailableCoins`), in the operator's order.
///
/// Cloning is cheap; clones share the set.
#[derive(Clone)]
pub struct Coins(Arc<CoinSet>);

struct CoinSet {
    listed: Vec<Coin>,
    by_name: HashSet<Coin>,
}

impl fmt::Debug for Coins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(Coin::as_str)).finish()
    }
}

impl PartialEq for Coins {
    /// Whether both allow the same coins, in any order.
    fn eq(&self, other: &Self) -> bool {
        self.0.by_name == other.0.by_name
    }
}

/// Why a list of coins is invalid.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CoinsError {
    /// The list is empty: every switch would be refused.
    #[error("is empty")]
    NoCoin,
    /// One name cannot be a coin.
    #[error("its coin {} {fault}", Quoted(coin))]
    Coin {
        /// The name at fault.
        coin: String,
        /// The fault.
        fault: &'static str,
    },
}

impl Coins {
    /// Checks the operator's list: at least one coin, each of 1 to 64 bytes without control characters, blanks, quotes,
    /// brackets and list separators.
    pub fn new<S: AsRef<str>>(names: &[S]) -> Result<Self, CoinsError> {
        if names.is_empty() {
            return Err(CoinsError::NoCoin);
        }
        let coins = names.iter().map(|name| {
            let name = name.as_ref();
            let fault = if name.is_empty() {
                "is empty"
            } else if name.len() > MAX_COIN_BYTES {
                "is longer than the 64 bytes that stratum servers read"
            } else if let Some(fault) = name.chars().find_map(character_fault) {
                fault
            } else {
                return Ok(Coin::valid(name));
            };
            Err(CoinsError::Coin { coin: name.to_owned(), fault })
        });
        let listed = coins.collect::<Result<Vec<_>, _>>()?;
        let mut by_name = HashSet::with_capacity(listed.len());
        by_name.extend(listed.iter().cloned());
        Ok(Self(Arc::new(CoinSet { listed, by_name })))
    }

    /// The coin of this name; exact and case-sensitive (contract, error 104).
    pub fn get(&self, name: &str) -> Option<&Coin> {
        self.0.by_name.get(name)
    }

    /// All coins in the operator's order.
    pub fn iter(&self) -> impl Iterator<Item = &Coin> {
        self.0.listed.iter()
    }
}

/// Why a coin's name must not contain this character. Allowed: letters and digits of any script, and ASCII except
/// quotes, brackets, separators and the beginning of a variable.
fn character_fault(c: char) -> Option<&'static str> {
    match c {
        c if c.is_control() => Some("contains a control character"),
        c if is_invisible(c) || c.is_whitespace() => {
            Some("contains a blank or an invisible character")
        }
        c if is_quote(c) => Some("contains a quote"),
        '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' => Some("contains a bracket"),
        ':' | '/' | '\\' | '&' | '=' => Some("contains a separator of lists"),
        c if is_separator(c) => Some("contains a separator of lists"),
        '$' => Some("contains a dollar sign, like a variable that was not replaced by its value"),
        c if c.is_ascii() || c.is_alphanumeric() => None,
        _ => Some("contains a character that is neither a letter nor a digit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coin_is_found_by_its_exact_name() {
        let coins = Coins::new(&["btc", "bcc", "auto"]).expect("valid");
        assert_eq!(coins.get("bcc").map(Coin::as_str), Some("bcc"));
        for name in ["BTC", "btc ", "", "ltc"] {
            assert!(coins.get(name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn a_list_that_could_not_be_written_is_refused() {
        assert_eq!(Coins::new::<&str>(&[]).err(), Some(CoinsError::NoCoin));
        for name in [String::new(), "x".repeat(65), "b\ntc".to_owned()] {
            assert!(matches!(Coins::new(&[name]), Err(CoinsError::Coin { .. })));
        }
        for name in [
            "btc,bcc",
            "btc bcc",
            "btc;bcc",
            "btc，bcc",
            "btc、bcc",
            "btc|bcc",
            "btc/bcc",
            "btc\tbcc",
            "btc ",
            " btc",
            "\"btc\"",
            "'btc'",
            "“btc”",
            "[\"btc\"]",
            "btc\n",
            "btc\u{3000}bcc",
            "btc\u{200b}",
            "btc\u{3164}",
            "$COINS",
        ] {
            let refused = Coins::new(&["ltc", name]);
            assert!(matches!(refused, Err(CoinsError::Coin { .. })), "{name}");
        }
        for name in
            ["btc", "BTC", "btc_1", "btc-main", "btc.main", "btc+rsk", "比特币", "ÐOGE", "auto"]
        {
            assert!(Coins::new(&[name]).is_ok(), "{name}");
        }
        assert!(Coins::new(&["x".repeat(64)]).is_ok());
    }
}

//! Sub-pools, their coinbases, and requests to change a coinbase (contract, sections 2 and 3).

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::component_fault;

/// Longer than any real name, far below ZooKeeper's limit of a request.
const MAX_COMPONENT_BYTES: usize = 1000;

/// Jobmakers read no more of a request, and cannot parse a longer one (contract, section 3).
const MAX_REQUEST_BYTES: usize = 8192;

/// A sub-pool's coin and name, each a single component of a znode's path.
///
/// Cloning is cheap; clones share the texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SubPool {
    coin: Arc<str>,
    name: Arc<str>,
}

impl SubPool {
    /// Checks a coin's and a sub-pool's name; `None` if one is no valid name of a znode. The coin may be one that
    /// `AvailableCoins` lacks.
    pub fn parse(coin: &str, name: &str) -> Option<Self> {
        let is_component =
            |text: &str| text.len() <= MAX_COMPONENT_BYTES && component_fault(text).is_none();
        (is_component(coin) && is_component(name))
            .then(|| Self { coin: coin.into(), name: name.into() })
    }

    /// The coin's name.
    pub fn coin(&self) -> &str {
        &self.coin
    }

    /// The sub-pool's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for SubPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.coin, self.name)
    }
}

/// The text and the payout address of a sub-pool's blocks. The fields have the order of the answers.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Hash, Serialize)]
pub struct Coinbase {
    /// The coinbase transaction's text.
    pub coinbase_info: String,
    /// The payout address.
    pub payout_addr: String,
}

/// A request to change a sub-pool's coinbase, checked to be one that a jobmaker can read and answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinbaseUpdate {
    coinbase: Coinbase,
    request: Arc<[u8]>,
}

/// Why a jobmaker could not answer a request (contract, section 3).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CoinbaseUpdateError {
    /// The jobmaker would not read the end of this request of so many bytes.
    #[error(
        "the request has {0} bytes, and jobmakers read 8192: shorten coinbase_info or payout_addr"
    )]
    TooLong(usize),
    /// The jobmaker would apply the text, cut after so many bytes, but write no ack, since that would contain half a
    /// character.
    #[error(
        "coinbase_info has more than {0} bytes, and jobmakers would cut it within a character: shorten it"
    )]
    CutsCharacter(usize),
}

/// The JSON in the sub-pool's znode.
#[derive(Serialize)]
struct RequestJson<'a> {
    coin: &'a str,
    subpool_name: &'a str,
    coinbase_info: &'a str,
    payout_addr: &'a str,
}

impl CoinbaseUpdate {
    /// Checks the request against the jobmaker's limits: 8192 bytes in all, `coinbase_max` bytes of the text.
    pub fn new(
        sub_pool: &SubPool,
        coinbase: Coinbase,
        coinbase_max: usize,
    ) -> Result<Self, CoinbaseUpdateError> {
        let request = as_go_writes_it(&RequestJson {
            coin: sub_pool.coin(),
            subpool_name: sub_pool.name(),
            coinbase_info: &coinbase.coinbase_info,
            payout_addr: &coinbase.payout_addr,
        });
        if request.len() > MAX_REQUEST_BYTES {
            return Err(CoinbaseUpdateError::TooLong(request.len()));
        }
        let text = &coinbase.coinbase_info;
        if text.len() > coinbase_max && !text.is_char_boundary(coinbase_max) {
            return Err(CoinbaseUpdateError::CutsCharacter(coinbase_max));
        }
        Ok(Self { coinbase, request: request.into_bytes().into() })
    }

    /// The requested coinbase.
    pub fn coinbase(&self) -> &Coinbase {
        &self.coinbase
    }

    /// The sub-pool's znode's new data.
    pub(crate) fn request(&self) -> Arc<[u8]> {
        Arc::clone(&self.request)
    }
}

/// The same bytes as from the previous daemon: Go escapes the characters that could end a script in HTML.
fn as_go_writes_it(request: &RequestJson<'_>) -> String {
    let json = serde_json::to_string(request).unwrap_or_default();
    // These occur within JSON strings only.
    let escapes = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    escapes.iter().fold(json, |json, (character, escape)| json.replace(*character, escape))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(coinbase_info: &str) -> Result<CoinbaseUpdate, CoinbaseUpdateError> {
        let pool = SubPool::parse("btc", "pool3").unwrap();
        let coinbase =
            Coinbase { coinbase_info: coinbase_info.to_owned(), payout_addr: "addr".to_owned() };
        CoinbaseUpdate::new(&pool, coinbase, 30)
    }

    fn request(coinbase_info: &str) -> String {
        String::from_utf8(update(coinbase_info).unwrap().request().to_vec()).unwrap()
    }

    #[test]
    fn both_names_must_be_components() {
        assert_eq!(SubPool::parse("btc", "pool3").unwrap().to_string(), "btc/pool3");
        for (coin, name) in
            [("btc", "a/b"), ("btc", ".."), ("..", "pool3"), ("btc", ""), ("", "x"), ("a\n", "x")]
        {
            assert_eq!(SubPool::parse(coin, name), None, "{coin:?} {name:?}");
        }
        assert!(SubPool::parse("btc", &"x".repeat(1000)).is_some());
        assert!(SubPool::parse("btc", &"x".repeat(1001)).is_none());
    }

    #[test]
    fn the_request_has_the_four_fields_in_their_order() {
        let plain = r#"{"coin":"btc","subpool_name":"pool3","coinbase_info":"矿池\"","payout_addr":"addr"}"#;
        assert_eq!(request("矿池\""), plain);
        assert!(request("<&>\u{2028}").contains(r#""\u003c\u0026\u003e\u2028""#));
    }

    #[test]
    fn a_request_that_a_jobmaker_would_not_answer_is_refused() {
        let around = request("").len();
        let long = "x".repeat(MAX_REQUEST_BYTES - around);
        assert!(update(&long).is_ok());
        assert_eq!(update(&(long + "x")), Err(CoinbaseUpdateError::TooLong(8193)));

        let text = |bytes: usize| format!("{}é", "x".repeat(bytes));
        assert!(update(&text(28)).is_ok(), "ends at the cut");
        assert_eq!(update(&text(29)), Err(CoinbaseUpdateError::CutsCharacter(30)));
        assert!(update(&text(30)).is_ok(), "is cut before the character");
    }
}

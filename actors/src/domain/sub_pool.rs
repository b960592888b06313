//! Sub-pools, their coinbases, and requests to change a coinbase (contract, sections 2 and 3).

use std::{fmt, io, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, Serializer};
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
        let json = RequestJson {
            coin: sub_pool.coin(),
            subpool_name: sub_pool.name(),
            coinbase_info: &coinbase.coinbase_info,
            payout_addr: &coinbase.payout_addr,
        };
        let mut request = Request::default();
        let written = json.serialize(&mut Serializer::with_formatter(&mut request, GoFormatter));
        written.expect("texts are valid JSON, and a request takes all bytes");
        if request.length > MAX_REQUEST_BYTES {
            return Err(CoinbaseUpdateError::TooLong(request.length));
        }
        let text = &coinbase.coinbase_info;
        if text.len() > coinbase_max && !text.is_char_boundary(coinbase_max) {
            return Err(CoinbaseUpdateError::CutsCharacter(coinbase_max));
        }
        Ok(Self { coinbase, request: request.bytes.into() })
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

/// Characters that could end a script in HTML.
const ESCAPED_BY_GO: [char; 5] = ['<', '>', '&', '\u{2028}', '\u{2029}'];

/// Writes the same bytes as the previous daemon.
struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        for part in fragment.split_inclusive(ESCAPED_BY_GO) {
            let plain = part.trim_end_matches(ESCAPED_BY_GO);
            writer.write_all(plain.as_bytes())?;
            for character in part[plain.len()..].chars() {
                write!(writer, "\\u{:04x}", u32::from(character))?;
            }
        }
        Ok(())
    }
}

/// The first bytes of a request, as many as a jobmaker reads, and the length of the whole: a text of megabytes costs
/// no memory here.
#[derive(Default)]
struct Request {
    bytes: Vec<u8>,
    length: usize,
}

impl io::Write for Request {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let room = MAX_REQUEST_BYTES.saturating_sub(self.length);
        self.bytes.extend_from_slice(&part[..part.len().min(room)]);
        self.length += part.len();
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
        assert!(request("a<b\u{2029}\n&c").contains(r#""a\u003cb\u2029\n\u0026c""#));
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

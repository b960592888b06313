//! The query of a search: filters, order, page and format.

use std::{collections::BTreeSet, net::IpAddr};

use switcher_actors::{RequestId, clip};
use switcher_history::{Filter, Kind, Order, Outcome, Source};
use thiserror::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::api::pairs;

/// Default of `limit`.
const USUAL_ROWS: usize = 100;

/// Maximum of `limit`.
const MOST_ROWS: usize = 1_000;

/// Maximum characters of a quoted text in an error.
const SHOWN: usize = 40;

/// Last second of the year 9999, in seconds since 1970.
const LAST_SECOND: i64 = 253_402_300_799;

const NAMES: &str = "sub_account, prefix, coin, sub_pool, actor, source, client, request, kind, \
     outcome, from, to, order, limit, cursor, format";

/// A search.
#[derive(Clone, Debug)]
pub struct Query {
    pub filter: Filter,
    pub order: Order,
    /// Maximum number of rows.
    pub limit: usize,
    /// Continue after the row with this number.
    pub after: Option<i64>,
    pub format: Format,
}

/// Format of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    Csv,
}

/// Reason why a query is refused. The text is the answer.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum QueryError {
    #[error("unknown parameter {0:?}; there are {NAMES}")]
    Unknown(String),
    #[error("parameter {0} is given twice")]
    Repeated(String),
    #[error("{0:?} has a malformed escape")]
    Malformed(String),
    #[error("{name} is {value:?}, expected {expected}")]
    Value { name: &'static str, value: String, expected: &'static str },
    #[error("prefix needs sub_account")]
    PrefixAlone,
    #[error(
        "cursor is {value:?}, which does not belong to order={order}: use the order of its page"
    )]
    Cursor { value: String, order: &'static str },
}

/// Values of the parameters so far.
#[derive(Default)]
struct Parts {
    filter: Filter,
    order: Order,
    limit: Option<usize>,
    cursor: Option<Cursor>,
    format: Format,
}

/// Position after a row. It contains the order, so that a search in the other order refuses it.
///
/// As text: the number of the row, with a minus for newest first. So the number of any row is a cursor, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    order: Order,
    number: i64,
}

impl Cursor {
    pub fn new(order: Order, number: i64) -> Self {
        Self { order, number }
    }

    pub fn text(self) -> String {
        let sign = if self.order == Order::Newest { "-" } else { "" };
        format!("{sign}{}", self.number)
    }

    fn parse(text: &str) -> Option<Self> {
        let (order, digits) = match text.strip_prefix('-') {
            Some(digits) => (Order::Newest, digits),
            None => (Order::Oldest, text),
        };
        let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| is_number)?;
        Some(Self { order, number })
    }
}

impl Query {
    /// # Errors
    /// The first unknown, repeated or wrong parameter.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        let mut parts = Parts::default();
        let mut seen = BTreeSet::new();
        for pair in pairs(query) {
            let (name, value) = pair.map_err(|pair| QueryError::Malformed(clipped(pair)))?;
            parts.take(&name, &value)?;
            if !seen.insert(name.clone()) {
                return Err(QueryError::Repeated(name.into_owned()));
            }
        }
        if seen.contains("prefix") && !seen.contains("sub_account") {
            return Err(QueryError::PrefixAlone);
        }
        let Parts { filter, order, limit, cursor, format } = parts;
        if let Some(cursor) = cursor.filter(|cursor| cursor.order != order) {
            let order = if order == Order::Newest { "newest" } else { "oldest" };
            return Err(QueryError::Cursor { value: cursor.text(), order });
        }
        let after = cursor.map(|cursor| cursor.number);
        Ok(Self { filter, order, limit: limit.unwrap_or(USUAL_ROWS), after, format })
    }
}

impl Parts {
    fn take(&mut self, name: &str, value: &str) -> Result<(), QueryError> {
        let filter = &mut self.filter;
        match name {
            "sub_account" => filter.sub_account = Some(text("sub_account", value)?),
            "prefix" => filter.is_prefix = flag("prefix", value)?,
            "coin" => filter.coin = Some(text("coin", value)?),
            "sub_pool" => filter.sub_pool = Some(text("sub_pool", value)?),
            "actor" => filter.actor = Some(text("actor", value)?),
            "source" => {
                let expected = "api, poll, console, undo, registration or signal";
                filter.source = Some(word("source", value, Source::of_word, expected)?);
            }
            "client" => {
                let address = |text: &str| text.parse::<IpAddr>().ok();
                let client = word("client", value, address, "an IP address")?;
                filter.client = Some(client.to_string());
            }
            "request" => {
                let expected = "the 16 hexadecimal digits of X-Request-Id";
                filter.request = Some(word("request", value, RequestId::parse, expected)?.0);
            }
            "kind" => {
                let expected = "switch, update, reload, approval or elsewhere";
                filter.kind = Some(word("kind", value, Kind::of_word, expected)?);
            }
            "outcome" => {
                let expected = "applied, not_applied, unknown or held";
                filter.outcome = Some(word("outcome", value, Outcome::of_word, expected)?);
            }
            "from" => filter.from = Some(time("from", value)?),
            "to" => filter.to = Some(time("to", value)?),
            "order" => self.order = word("order", value, order, "newest or oldest")?,
            "limit" => {
                let rows = |text: &str| text.parse().ok().filter(|it| (1..=MOST_ROWS).contains(it));
                let expected = "a whole number from 1 to 1000";
                self.limit = Some(word("limit", value, rows, expected)?);
            }
            "cursor" => {
                let expected = "next of an earlier answer";
                self.cursor = Some(word("cursor", value, Cursor::parse, expected)?);
            }
            "format" => self.format = word("format", value, format, "json or csv")?,
            _ => return Err(QueryError::Unknown(clipped(name))),
        }
        Ok(())
    }
}

fn order(word: &str) -> Option<Order> {
    match word {
        "newest" => Some(Order::Newest),
        "oldest" => Some(Order::Oldest),
        _ => None,
    }
}

fn format(word: &str) -> Option<Format> {
    match word {
        "json" => Some(Format::Json),
        "csv" => Some(Format::Csv),
        _ => None,
    }
}

fn word<T>(
    name: &'static str,
    value: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    expected: &'static str,
) -> Result<T, QueryError> {
    parse(value).ok_or_else(|| QueryError::Value { name, value: clipped(value), expected })
}

fn text(name: &'static str, value: &str) -> Result<String, QueryError> {
    word(name, value, |text| (!text.is_empty()).then(|| text.to_owned()), "a text")
}

fn flag(name: &'static str, value: &str) -> Result<bool, QueryError> {
    let flag = |text: &str| match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    };
    word(name, value, flag, "true or false")
}

/// Milliseconds since 1970, rounded up: records have no finer times.
fn time(name: &'static str, value: &str) -> Result<i64, QueryError> {
    let expected = "a time as 2026-11-28T10:00:00Z, with a + written as %2B, or seconds since 1970";
    word(name, value, |text| unix_seconds(text).or_else(|| rfc_3339(text)), expected)
}

fn unix_seconds(text: &str) -> Option<i64> {
    let is_number = text.bytes().all(|digit| digit.is_ascii_digit());
    let seconds = text.parse::<i64>().ok().filter(|_| is_number)?;
    (seconds <= LAST_SECOND).then(|| seconds * 1_000)
}

fn rfc_3339(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from((time.unix_timestamp_nanos() + 999_999).div_euclid(1_000_000)).ok()
}

fn clipped(text: &str) -> String {
    let (text, more) = clip(text, SHOWN);
    format!("{text}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> String {
        match Query::parse(query) {
            Err(error) => error.to_string(),
            Ok(query) => panic!("accepted: {query:?}"),
        }
    }

    #[test]
    fn without_parameters_the_newest_hundred_are_found() {
        let Query { filter, order, limit, after, format } = Query::parse("").unwrap();
        assert_eq!((order, limit, after, format), (Order::Newest, 100, None, Format::Json));
        assert_eq!(format!("{filter:?}"), format!("{:?}", Filter::default()));
    }

    #[test]
    fn all_parameters_are_taken() {
        let query = "sub_account=%E7%94%A8+%25_&prefix=true&coin=btc&sub_pool=p&actor=wang&source=poll\
            &client=::ffff&request=00a1B2c3d4e5f607&kind=update&outcome=held&from=1790000000\
            &to=2026-11-28T18:00:00.5%2B08:00&order=oldest&limit=1000&cursor=17&format=csv";
        let Query { filter, order, limit, after, format } = Query::parse(query).unwrap();
        assert_eq!((order, limit, after, format), (Order::Oldest, 1_000, Some(17), Format::Csv));
        assert_eq!((filter.sub_account.as_deref(), filter.is_prefix), (Some("用 %_"), true));
        assert_eq!((filter.coin.as_deref(), filter.sub_pool.as_deref()), (Some("btc"), Some("p")));
        assert_eq!((filter.actor.as_deref(), filter.source), (Some("wang"), Some(Source::Poll)));
        assert_eq!(filter.client.as_deref(), Some("::ffff"));
        assert_eq!((filter.request, filter.kind), (Some(0xa1_b2c3_d4e5_f607), Some(Kind::Update)));
        assert_eq!(filter.outcome, Some(Outcome::Held));
        assert_eq!((filter.from, filter.to), (Some(1_790_000_000_000), Some(1_795_860_000_500)));
    }

    #[test]
    fn unknown_repeated_and_wrong_parameters_are_refused_by_name() {
        for (query, named) in [
            ("user=a", "unknown parameter \"user\"; there are sub_account, "),
            ("Coin=a", "unknown parameter \"Coin\""),
            ("=a", "unknown parameter \"\""),
            ("coin=a&coin=a", "parameter coin is given twice"),
            ("coin=a&c%6Fin=b", "parameter coin is given twice"),
            ("coin=%zz", "\"coin=%zz\" has a malformed escape"),
            ("coin=", "coin is \"\""),
            ("coin", "coin is \"\""),
            ("prefix=true", "prefix needs sub_account"),
            ("sub_account=a&prefix=yes", "prefix is \"yes\", expected true or false"),
            ("source=API", "source is \"API\", expected api, poll"),
            ("client=localhost", "client is \"localhost\", expected an IP address"),
            ("request=a1", "request is \"a1\", expected the 16 hexadecimal digits"),
            ("kind=registration", "kind is \"registration\", expected switch, "),
            ("outcome=not+applied", "outcome is \"not applied\", expected applied, not_applied"),
            ("from=yesterday", "from is \"yesterday\", expected a time as 2026-11-28T10:00:00Z"),
            ("to=2026-11-28T10:00:00+08:00", "with a + written as %2B"),
            ("order=desc", "order is \"desc\", expected newest or oldest"),
            ("format=xml", "format is \"xml\", expected json or csv"),
        ] {
            let text = refused(query);
            assert!(text.starts_with(named) || text.contains(named), "{query}: {text}");
        }
        for limit in ["0", "1001", "-1", "1e2", "99999999999999999999", ""] {
            let text = refused(&format!("limit={limit}"));
            assert_eq!(text, format!("limit is {limit:?}, expected a whole number from 1 to 1000"));
        }
        let long = refused(&format!("order={}", "x".repeat(1_000)));
        assert!(long.len() < 120, "{long}");
    }

    #[test]
    fn a_cursor_continues_its_own_order_only() {
        for (order, name) in [(Order::Newest, "newest"), (Order::Oldest, "oldest")] {
            let cursor = Cursor::new(order, 17).text();
            let query = Query::parse(&format!("order={name}&cursor={cursor}")).unwrap();
            assert_eq!((query.order, query.after), (order, Some(17)));
        }
        assert!(refused("cursor=17").contains("does not belong to order=newest"));
        assert!(refused("cursor=-17&order=oldest").contains("does not belong to order=oldest"));
        for garbage in ["", "-", "--1", "+1", "1.5", "x", "0x1", "99999999999999999999", "1%00"] {
            let text = refused(&format!("cursor={garbage}"));
            assert!(text.starts_with("cursor is ") && text.contains("expected next"), "{text}");
        }
    }

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        for (text, millis) in [
            ("0", 0),
            ("1790000000", 1_790_000_000_000),
            ("253402300799", 253_402_300_799_000),
            ("1970-01-01T00:00:00.0001Z", 1),
            ("1970-01-01T00:00:00.001Z", 1),
            ("2026-11-28T10:00:00-01:30", 1_795_865_400_000),
            ("1969-12-31T23:59:59.9995Z", 0),
        ] {
            assert_eq!(time("from", text), Ok(millis), "{text}");
        }
        for bad in [
            "",
            "-1",
            "+1",
            "1.5",
            "253402300800",
            "2026-11-28",
            "2026-11-28T10:00",
            "10:00",
            "2026-02-30T10:00:00Z",
            "2026-11-28T25:00:00Z",
            "99999999999999999999",
        ] {
            assert!(time("from", bad).is_err(), "{bad}");
        }
    }
}

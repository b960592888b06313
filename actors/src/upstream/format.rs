//! Trait of an answer's parser, which each user of this module implements, and the faults that a parser reports.

use std::{cell::Cell, fmt, io::Read, ops::RangeInclusive};

use serde::de::{Error, MapAccess};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{domain::fit, go_json::Text};

/// Bytes of one value that is read as a whole. A larger one is no name, number or coin.
const VALUE_LIMIT: usize = 256 * 1024;

/// Bytes left for the one value that the parser is collecting; the reader counts them down. `None` between such values.
pub(crate) type Budget = Cell<Option<usize>>;

/// Format of an upstream's answer.
pub(crate) trait AnswerFormat: Clone + Send + 'static {
    /// An answer that is a success.
    type Parsed: Send + 'static;

    /// Name with its article, for errors.
    const NAME: &'static str;

    /// Status codes of a success.
    const SUCCESS: RangeInclusive<u16>;

    /// Parses an answer to its end. `body` fails if a value exceeds the budget.
    fn parse(self, body: impl Read, budget: &Budget) -> Result<Self::Parsed, AnswerFault>;
}

/// Fault of an answer that is no success. Its texts are fit for the log.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum AnswerFault {
    /// It is not JSON, or JSON of another shape.
    #[error("is not {name}: {fault}")]
    Malformed { name: &'static str, fault: String },
    /// The upstream reports an error.
    #[error("says err_no {err_no}, err_msg '{err_msg}'")]
    ErrNo { err_no: i64, err_msg: String },
}

impl AnswerFault {
    /// `name` is the format's.
    pub(crate) fn malformed(name: &'static str, fault: impl fmt::Display) -> Self {
        // The parser quotes the text.
        Self::Malformed { name, fault: fit(&fault.to_string()) }
    }
}

/// Reads a value of any type as a whole; fails if it is larger than [`VALUE_LIMIT`].
pub(crate) fn whole<'de, M: MapAccess<'de>>(
    map: &mut M,
    budget: &Budget,
) -> Result<Box<RawValue>, M::Error> {
    budget.set(Some(VALUE_LIMIT));
    let value = map.next_value();
    budget.set(None);
    value
}

/// Reads the value of `err_no`, an integer as Go's decoder takes it: `-0`, too. `null` is `None`.
pub(crate) fn err_no<'de, M: MapAccess<'de>>(
    map: &mut M,
    budget: &Budget,
) -> Result<Option<i64>, M::Error> {
    match whole(map, budget)?.get() {
        "null" => Ok(None),
        number => number.parse().map(Some).map_err(|_| Error::custom("err_no is not an integer")),
    }
}

/// The text of a JSON string; `None` for a value of another type.
pub(crate) fn text(raw: &RawValue) -> Option<Text<'_>> {
    if raw.get().starts_with('"') { serde_json::from_str(raw.get()).ok() } else { None }
}

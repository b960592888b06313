//! The upstream's JSON (contract, section 4), read as it comes in and as Go's decoder would read it.
//!
//! | `data` | what it is |
//! | --- | --- |
//! | `{"user_coin":{…},"now_date":N}` | the documented shape |
//! | `{"user_coin":[],…}`, or `null` for the list | the same without entries, as PHP writes it |
//! | `{"user1":"btc",…}` or `[]` | the shape of the documented sample: the map itself, no `now_date` |
//!
//! The fields may come in any order, so an answer is judged at its end: an `err_no` behind the map voids
//! the map, and a `user_coin` behind other texts makes those mere unknown fields.

use std::{cell::Cell, fmt, io::Read};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use thiserror::Error as ThisError;

use super::{
    journal::fit,
    user_coin_map::{Rules, Settled, UserCoinMap, Value},
};
use crate::go_json::{Text, is_field};

/// Bytes of one value that is read as a whole. What is larger cannot be a coin.
const VALUE_LIMIT: usize = 256 * 1024;

/// How many bytes the reader may still bring while the parser holds on to what it reads; `None` while it
/// holds nothing.
pub(super) type Budget = Cell<Option<usize>>;

/// An answer that is a success.
#[derive(Debug)]
pub(super) struct Answer {
    /// The entries, each sub-account once.
    pub(super) map: Settled,
    /// What to ask from next, as the upstream has it.
    pub(super) now_date: Option<i64>,
    /// What the operator should mend, though it works.
    pub(super) remark: Option<Remark>,
}

/// What is not as it is documented, though understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Remark {
    /// `"user_coin":[]` or `null`.
    EmptyIsNoObject,
    /// `data` is the map itself.
    SampleShape,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyIsNoObject => {
                "user_coin is a list or null, taken as no change: an empty object {} would be right"
            }
            Self::SampleShape => {
                "data is the map itself: the documented shape, data.user_coin with data.now_date, \
                 is better, since all sub-accounts are pulled each time now"
            }
        })
    }
}

/// Why an answer is no success. The texts of others are fit for the log.
#[derive(Debug, ThisError, PartialEq, Eq)]
pub(super) enum AnswerFault {
    /// It is not JSON, or JSON of another shape.
    #[error("is not a user-coin map: {0}")]
    NotAMap(String),
    /// The upstream says so itself.
    #[error("says err_no {err_no}, err_msg '{err_msg}'")]
    ErrNo {
        /// Its `err_no`.
        err_no: i64,
        /// Its `err_msg`.
        err_msg: String,
    },
}

impl AnswerFault {
    fn not_a_map(fault: impl fmt::Display) -> Self {
        // The parser quotes what it found.
        Self::NotAMap(fit(&fault.to_string()))
    }
}

/// Reads an answer to its end. `body` has to keep to the budget.
pub(super) fn parse(body: impl Read, rules: Rules, budget: &Budget) -> Result<Answer, AnswerFault> {
    let mut reading = Reading::new(rules, budget);
    let mut json = serde_json::Deserializer::from_reader(body);
    Whole(&mut reading).deserialize(&mut json).map_err(AnswerFault::not_a_map)?;
    json.end().map_err(AnswerFault::not_a_map)?;
    reading.judged()
}

/// What was read so far.
struct Reading<'a> {
    budget: &'a Budget,
    err_no: i64,
    err_msg: String,
    shape: Shape,
    map: UserCoinMap,
    now_date: Date,
}

#[derive(Debug, PartialEq, Eq)]
enum Shape {
    NoData,
    /// Whatever else there is.
    Wrong(&'static str),
    Sample,
    Documented {
        remark: Option<Remark>,
    },
}

#[derive(Debug, PartialEq, Eq)]
enum Date {
    Absent,
    At(i64),
    Wrong,
}

impl<'a> Reading<'a> {
    fn new(rules: Rules, budget: &'a Budget) -> Self {
        Self {
            budget,
            err_no: 0,
            err_msg: String::new(),
            shape: Shape::NoData,
            map: UserCoinMap::new(rules),
            now_date: Date::Absent,
        }
    }

    fn is_documented(&self) -> bool {
        matches!(self.shape, Shape::Documented { .. })
    }

    /// Takes note of what the answer is, unless it is known to be wrong.
    fn take_for(&mut self, shape: Shape) {
        if !matches!(self.shape, Shape::Wrong(_)) {
            self.shape = shape;
        }
    }

    /// Takes note of a `user_coin` that is a map, or stands for an empty one.
    fn document(&mut self, remark: Option<Remark>) {
        if !self.is_documented() || remark.is_some() {
            self.map.clear();
        }
        self.take_for(Shape::Documented { remark });
    }

    /// Takes note of a `data` that may be the map itself.
    fn take_for_sample(&mut self) {
        if !self.is_documented() {
            self.take_for(Shape::Sample);
        }
    }

    /// Adds what is an entry only in the sample's shape.
    fn add_sample(&mut self, name: &str, value: &Value<'_>) {
        if !self.is_documented() {
            self.map.add(name, value);
        }
    }

    /// Reads a value of any type as a whole, if it is not too large.
    fn whole<'de, M: MapAccess<'de>>(&self, map: &mut M) -> Result<Box<RawValue>, M::Error> {
        self.budget.set(Some(VALUE_LIMIT));
        let value = map.next_value();
        self.budget.set(None);
        value
    }

    fn judged(self) -> Result<Answer, AnswerFault> {
        if self.err_no != 0 {
            return Err(AnswerFault::ErrNo { err_no: self.err_no, err_msg: self.err_msg });
        }
        let (now_date, remark) = match (self.shape, self.now_date) {
            (Shape::NoData, _) => return Err(AnswerFault::not_a_map("it has no data")),
            (Shape::Wrong(fault), _) => return Err(AnswerFault::not_a_map(fault)),
            (Shape::Documented { .. }, Date::Wrong) => {
                return Err(AnswerFault::not_a_map("its now_date is not a whole number"));
            }
            (Shape::Documented { remark }, Date::At(date)) => (Some(date), remark),
            (Shape::Documented { remark }, Date::Absent) => (None, remark),
            (Shape::Sample, Date::At(_)) if self.map.entries() == 0 => {
                return Err(AnswerFault::not_a_map("its data has no user_coin"));
            }
            (Shape::Sample, _) => (None, Some(Remark::SampleShape)),
        };
        Ok(Answer { map: self.map.settled(), now_date, remark })
    }
}

/// The value's text, if it is one.
fn text(raw: &RawValue) -> Option<Text<'_>> {
    if raw.get().starts_with('"') { serde_json::from_str(raw.get()).ok() } else { None }
}

/// Reads a value whose type is not sure.
trait Find<'de>: Sized {
    fn map<M: MapAccess<'de>>(self, map: M) -> Result<(), M::Error>;
    fn empty_list(self);
    fn null(self);
    fn text(self, text: &str);
    fn other(self);
}

struct Found<F>(F);

impl<'de, F: Find<'de>> DeserializeSeed<'de> for Found<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: Find<'de>> Visitor<'de> for Found<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<(), M::Error> {
        self.0.map(map)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        if list.next_element::<IgnoredAny>()?.is_none() {
            self.0.empty_list();
            return Ok(());
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.0.other();
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.null();
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.text(text);
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.0.other();
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.0.other();
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.0.other();
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.0.other();
        Ok(())
    }
}

/// The whole answer.
struct Whole<'a, 'b>(&'a mut Reading<'b>);

impl<'de> DeserializeSeed<'de> for Whole<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with err_no and data")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let reading = self.0;
        while let Some(Text(field)) = map.next_key()? {
            if is_field(&field, "err_no") {
                if let Some(err_no) = map.next_value()? {
                    reading.err_no = err_no;
                }
            } else if is_field(&field, "err_msg") {
                let raw = reading.whole(&mut map)?;
                reading.err_msg = text(&raw).map_or_else(String::new, |text| fit(&text.0));
            } else if is_field(&field, "data") {
                map.next_value_seed(Found(Data(reading)))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// `data`.
struct Data<'a, 'b>(&'a mut Reading<'b>);

impl Data<'_, '_> {
    fn wrong(self, fault: &'static str) {
        self.0.take_for(Shape::Wrong(fault));
    }
}

impl<'de> Find<'de> for Data<'_, '_> {
    fn map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let reading = self.0;
        reading.take_for_sample();
        while let Some(Text(field)) = map.next_key()? {
            if is_field(&field, "user_coin") {
                map.next_value_seed(Found(UserCoin { name: &field, reading }))?;
            } else if is_field(&field, "now_date") {
                let raw = reading.whole(&mut map)?;
                reading.now_date = match raw.get() {
                    "null" => Date::Absent,
                    number => number.parse().map_or(Date::Wrong, Date::At),
                };
                // A sub-account may have that name, where all names are sub-accounts'.
                if let Some(Text(coin)) = text(&raw) {
                    reading.add_sample(&field, &Value::Text(&coin));
                }
            } else if reading.is_documented() {
                map.next_value::<IgnoredAny>()?;
            } else {
                let raw = reading.whole(&mut map)?;
                let text = text(&raw);
                let value = text.as_ref().map_or(Value::NoText, |text| Value::Text(&text.0));
                reading.add_sample(&field, &value);
            }
        }
        Ok(())
    }

    fn empty_list(self) {
        self.0.take_for_sample();
    }

    /// As if it were absent.
    fn null(self) {}

    fn text(self, _: &str) {
        self.other();
    }

    fn other(self) {
        self.wrong("its data is not an object");
    }
}

/// `data.user_coin`, or the coin of a sub-account of that name.
struct UserCoin<'a, 'b> {
    name: &'a str,
    reading: &'a mut Reading<'b>,
}

impl<'de> Find<'de> for UserCoin<'_, '_> {
    fn map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        self.reading.document(None);
        while let Some(Text(name)) = map.next_key()? {
            let raw = self.reading.whole(&mut map)?;
            let text = text(&raw);
            let value = text.as_ref().map_or(Value::NoText, |text| Value::Text(&text.0));
            self.reading.map.add(&name, &value);
        }
        Ok(())
    }

    fn empty_list(self) {
        self.reading.document(Some(Remark::EmptyIsNoObject));
    }

    fn null(self) {
        self.reading.document(Some(Remark::EmptyIsNoObject));
    }

    fn text(self, text: &str) {
        self.reading.add_sample(self.name, &Value::Text(text));
    }

    fn other(self) {
        self.reading.take_for(Shape::Wrong("its user_coin is not an object"));
    }
}

#[cfg(test)]
mod tests;

//! The upstream's JSON (contract, section 4), parsed as it comes in and as Go's decoder would parse it.
//!
//! | `data` | meaning |
//! | --- | --- |
//! | `{"user_coin":{…},"now_date":N}` | the documented shape |
//! | `{"user_coin":[],…}`, or `null` for the list | the same without entries, as PHP writes it |
//! | `{"user1":"btc",…}` or `[]` | the shape of the documented sample: the map itself, no `now_date` |
//!
//! Fields may come in any order, so an answer is judged at its end: an `err_no` behind the map voids
//! the map, and a `user_coin` behind other texts makes them mere unknown fields.

use std::{fmt, io::Read, ops::RangeInclusive};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::user_coin_map::{SettledMap, UserCoinMap};
use crate::{
    domain::{SwitchRules, fit},
    go_json::{Text, is_field},
    upstream::{AnswerFault, AnswerFormat, Budget, err_no, text, whole},
};

/// Answer that is a success.
#[derive(Debug)]
pub(crate) struct FetchedMap {
    pub(crate) map: SettledMap,
    /// The `last_date` for the next poll, as the upstream suggests.
    pub(super) now_date: Option<i64>,
    pub(super) warning: Option<ShapeWarning>,
}

/// Deviation from the documented shape in an answer that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ShapeWarning {
    /// `"user_coin":[]` or `null`.
    EmptyIsNoObject,
    /// `data` is the map itself.
    SampleShape,
}

impl fmt::Display for ShapeWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyIsNoObject => {
                "user_coin is a list or null, read as no change; the documented shape has an empty object {}"
            }
            Self::SampleShape => {
                "data is the map itself, so each poll fetches all sub-accounts; with the documented shape, \
                 data.user_coin and data.now_date, it fetches changes only"
            }
        })
    }
}

/// The user-coin map, as these rules read it.
#[derive(Clone, Debug)]
pub(crate) struct MapFormat(pub(crate) SwitchRules);

impl AnswerFormat for MapFormat {
    type Parsed = FetchedMap;

    const NAME: &'static str = "a user-coin map";

    const SUCCESS: RangeInclusive<u16> = 200..=200;

    fn parse(self, body: impl Read, budget: &Budget) -> Result<FetchedMap, AnswerFault> {
        parse(body, self.0, budget)
    }
}

fn not_a_map(fault: impl fmt::Display) -> AnswerFault {
    AnswerFault::malformed(MapFormat::NAME, fault)
}

/// Parses an answer to its end. `body` has to keep to the budget.
fn parse(body: impl Read, rules: SwitchRules, budget: &Budget) -> Result<FetchedMap, AnswerFault> {
    let mut parsed = Parsed {
        budget,
        err_no: 0,
        err_msg: String::new(),
        shape: DataShape::Absent,
        map: UserCoinMap::new(rules),
        now_date: DateField::Absent,
    };
    let mut json = serde_json::Deserializer::from_reader(body);
    Root(&mut parsed).deserialize(&mut json).map_err(not_a_map)?;
    json.end().map_err(not_a_map)?;
    parsed.judge()
}

/// The fields so far.
struct Parsed<'a> {
    budget: &'a Budget,
    err_no: i64,
    err_msg: String,
    shape: DataShape,
    map: UserCoinMap,
    now_date: DateField,
}

#[derive(Debug, PartialEq, Eq)]
enum DataShape {
    Absent,
    /// Stays wrong, whatever follows.
    Wrong(&'static str),
    Sample,
    Documented(Option<ShapeWarning>),
}

#[derive(Debug, PartialEq, Eq)]
enum DateField {
    Absent,
    At(i64),
    Wrong,
}

impl Parsed<'_> {
    fn is_documented(&self) -> bool {
        matches!(self.shape, DataShape::Documented(_))
    }

    fn set_shape(&mut self, shape: DataShape) {
        if !matches!(self.shape, DataShape::Wrong(_)) {
            self.shape = shape;
        }
    }

    /// Notes a `user_coin` that is a map, or stands for an empty one.
    fn set_documented(&mut self, warning: Option<ShapeWarning>) {
        if !self.is_documented() || warning.is_some() {
            self.map.clear();
        }
        self.set_shape(DataShape::Documented(warning));
    }

    /// Notes a `data` that may be the map itself.
    fn set_sample(&mut self) {
        if !self.is_documented() {
            self.set_shape(DataShape::Sample);
        }
    }

    /// Adds an entry of the sample's shape.
    fn add_sample(&mut self, name: &str, coin: Option<&str>) {
        if !self.is_documented() {
            self.map.add(name, coin);
        }
    }

    fn data<'de, M: MapAccess<'de>>(&mut self, mut map: M) -> Result<(), M::Error> {
        self.set_sample();
        while let Some(Text(field)) = map.next_key()? {
            if is_field(&field, "user_coin") {
                map.next_value_seed(AnyValue {
                    parsed: self,
                    place: ValuePlace::UserCoin(&field),
                })?;
            } else if is_field(&field, "now_date") {
                let raw = whole(&mut map, self.budget)?;
                self.now_date = match raw.get() {
                    "null" => DateField::Absent,
                    number => number.parse().map_or(DateField::Wrong, DateField::At),
                };
                // In the sample's shape, a sub-account may have that name.
                if let Some(Text(coin)) = text(&raw) {
                    self.add_sample(&field, Some(&coin));
                }
            } else if self.is_documented() {
                map.next_value::<IgnoredAny>()?;
            } else {
                let raw = whole(&mut map, self.budget)?;
                self.add_sample(&field, text(&raw).as_ref().map(|coin| &*coin.0));
            }
        }
        Ok(())
    }

    fn user_coin<'de, M: MapAccess<'de>>(&mut self, mut map: M) -> Result<(), M::Error> {
        self.set_documented(None);
        while let Some(Text(name)) = map.next_key()? {
            let raw = whole(&mut map, self.budget)?;
            self.map.add(&name, text(&raw).as_ref().map(|coin| &*coin.0));
        }
        Ok(())
    }

    fn judge(self) -> Result<FetchedMap, AnswerFault> {
        if self.err_no != 0 {
            return Err(AnswerFault::ErrNo { err_no: self.err_no, err_msg: self.err_msg });
        }
        let (now_date, warning) = match (self.shape, self.now_date) {
            (DataShape::Absent, _) => return Err(not_a_map("it has no data")),
            (DataShape::Wrong(fault), _) => return Err(not_a_map(fault)),
            (DataShape::Documented(_), DateField::Wrong) => {
                return Err(not_a_map("its now_date is not a whole number"));
            }
            (DataShape::Documented(warning), DateField::At(date)) => (Some(date), warning),
            (DataShape::Documented(warning), DateField::Absent) => (None, warning),
            (DataShape::Sample, DateField::At(_)) if self.map.entries() == 0 => {
                return Err(not_a_map("its data has no user_coin"));
            }
            (DataShape::Sample, _) => (None, Some(ShapeWarning::SampleShape)),
        };
        Ok(FetchedMap { map: self.map.settled(), now_date, warning })
    }
}

/// The whole answer.
struct Root<'a, 'b>(&'a mut Parsed<'b>);

impl<'de> DeserializeSeed<'de> for Root<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with err_no and data")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let parsed = self.0;
        while let Some(Text(field)) = map.next_key()? {
            if is_field(&field, "err_no") {
                parsed.err_no = err_no(&mut map, parsed.budget)?.unwrap_or(parsed.err_no);
            } else if is_field(&field, "err_msg") {
                let raw = whole(&mut map, parsed.budget)?;
                parsed.err_msg = text(&raw).map_or_else(String::new, |text| fit(&text.0));
            } else if is_field(&field, "data") {
                map.next_value_seed(AnyValue { parsed, place: ValuePlace::Data })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Value of any type, in a place where the type counts.
struct AnyValue<'a, 'b> {
    parsed: &'a mut Parsed<'b>,
    place: ValuePlace<'a>,
}

enum ValuePlace<'a> {
    Data,
    /// `data.user_coin`, or in the sample's shape a sub-account of that name.
    UserCoin(&'a str),
}

impl AnyValue<'_, '_> {
    fn wrong_type<E>(self) -> Result<(), E> {
        self.parsed.set_shape(DataShape::Wrong(match self.place {
            ValuePlace::Data => "its data is not an object",
            ValuePlace::UserCoin(_) => "its user_coin is not an object",
        }));
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for AnyValue<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<(), M::Error> {
        match self.place {
            ValuePlace::Data => self.parsed.data(map),
            ValuePlace::UserCoin(_) => self.parsed.user_coin(map),
        }
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        if list.next_element::<IgnoredAny>()?.is_some() {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return self.wrong_type();
        }
        match self.place {
            ValuePlace::Data => self.parsed.set_sample(),
            ValuePlace::UserCoin(_) => {
                self.parsed.set_documented(Some(ShapeWarning::EmptyIsNoObject))
            }
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        // `data` counts as absent.
        if let ValuePlace::UserCoin(_) = self.place {
            self.parsed.set_documented(Some(ShapeWarning::EmptyIsNoObject));
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if let ValuePlace::UserCoin(name) = self.place {
            self.parsed.add_sample(name, Some(text));
            return Ok(());
        }
        self.wrong_type()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.wrong_type()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.wrong_type()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.wrong_type()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.wrong_type()
    }
}

#[cfg(test)]
mod tests;

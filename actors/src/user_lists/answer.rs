//! The upstream's JSON of a list (user-list contract, section 3), parsed as it arrives, by the rules of Go's decoder.
//!
//! Fields may come in any order, so an answer is judged at its end: an `err_no` after the list voids the list.

use std::{cmp::Reverse, fmt, io::Read, ops::RangeInclusive};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use thiserror::Error;

use crate::{
    domain::{Puname, PunameError, fit, fit_name},
    go_json::{Text, is_field},
    upstream::{AnswerFault, AnswerFormat, Budget, err_no, text, whole},
};

/// Bad entries that are logged by name; further ones are counted.
pub(super) const BAD_SHOWN: usize = 20;

/// Largest puid: sserver reads 32 bits with a sign.
const LARGEST_PUID: u32 = i32::MAX as u32;

/// A list as its upstream sends it.
#[derive(Clone, Debug)]
pub(super) struct ListFormat {
    /// Whether znodes' names are in lower case.
    pub(super) lower_case: bool,
}

/// Answer that is a success.
#[derive(Debug, Default)]
pub(super) struct PulledList {
    /// By rising puid, each once.
    pub(super) entries: Vec<PulledEntry>,
    /// Names that are not listed, since a later one has their puid; they get first coins all the same.
    pub(super) superseded: Vec<PulledEntry>,
    pub(super) bad: BadEntries,
    /// Whether an entry has an unreadable puid, which the upstream may correct: N must not pass it.
    pub(super) is_unreadable: bool,
}

/// An entry whose name and puid are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PulledEntry {
    pub(super) puid: u32,
    /// As the list spells it, without its suffix.
    pub(super) name: Box<str>,
}

/// Entries that can never be listed.
#[derive(Clone, Debug, Default)]
pub(super) struct BadEntries {
    pub(super) count: usize,
    /// Name and fault of the first ones, fit for the log.
    pub(super) shown: Vec<(String, String)>,
}

impl AnswerFormat for ListFormat {
    type Parsed = PulledList;

    const NAME: &'static str = "a list of sub-accounts";

    const SUCCESS: RangeInclusive<u16> = 200..=299;

    fn parse(self, body: impl Read, budget: &Budget) -> Result<PulledList, AnswerFault> {
        let mut parsed = Parsed {
            budget,
            format: self,
            err_no: 0,
            err_msg: String::new(),
            fault: None,
            members: Vec::new(),
            bad: BadEntries::default(),
        };
        let mut json = serde_json::Deserializer::from_reader(body);
        Root(&mut parsed).deserialize(&mut json).map_err(no_list)?;
        json.end().map_err(no_list)?;
        parsed.judge()
    }
}

fn no_list(fault: impl fmt::Display) -> AnswerFault {
    AnswerFault::malformed(ListFormat::NAME, fault)
}

/// A list's name without its suffix: all from the last `_` on. The znode's name is checked by the rule of a switch.
pub(super) fn listed_name(name: &str, lower_case: bool) -> Result<&str, PunameError> {
    let name = name.rsplit_once('_').map_or(name, |(start, _)| start);
    znode_name(name, lower_case)?;
    Ok(name)
}

/// The name of the znode of a listed name.
pub(super) fn znode_name(name: &str, lower_case: bool) -> Result<Puname, PunameError> {
    if lower_case { Puname::parse_lower_case(name) } else { Puname::parse(name) }
}

/// The fields so far.
struct Parsed<'a> {
    budget: &'a Budget,
    format: ListFormat,
    err_no: i64,
    err_msg: String,
    /// Fault of a field; repeating the field does not remove it.
    fault: Option<&'static str>,
    /// In the answer's order.
    members: Vec<Member>,
    bad: BadEntries,
}

/// A member of `data`: a name, its puid or why it is none, and its place in the answer.
struct Member {
    name: Box<str>,
    puid: Result<u32, BadPuid>,
    place: u32,
}

impl Parsed<'_> {
    fn data<'de, M: MapAccess<'de>>(&mut self, mut map: M) -> Result<(), M::Error> {
        while let Some(Text(name)) = map.next_key()? {
            let raw = whole(&mut map, self.budget)?;
            let puid = match text(&raw) {
                Some(Text(text)) => decimal(&text),
                None => puid(raw.get()),
            };
            // Four billion members exceed the limit on an answer's size.
            let place = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
            self.members.push(Member { name: name.into(), puid, place });
        }
        Ok(())
    }

    fn add_bad(&mut self, name: &str, fault: String) {
        self.bad.count += 1;
        if self.bad.shown.len() < BAD_SHOWN {
            self.bad.shown.push((fit_name(name), fault));
        }
    }

    fn judge(mut self) -> Result<PulledList, AnswerFault> {
        if self.err_no != 0 {
            return Err(AnswerFault::ErrNo { err_no: self.err_no, err_msg: self.err_msg });
        }
        if let Some(fault) = self.fault {
            return Err(no_list(fault));
        }
        let mut members = std::mem::take(&mut self.members);
        // Of a name's members, the last counts.
        members.sort_unstable_by(|a, b| a.name.cmp(&b.name).then(b.place.cmp(&a.place)));
        members.dedup_by(|later, first| later.name == first.name);
        // Of a puid's names, the last counts, too.
        members.sort_unstable_by_key(|it| (it.puid.ok(), Reverse(it.place)));
        let (mut superseded, mut is_unreadable) = (Vec::new(), false);
        let mut entries: Vec<PulledEntry> = Vec::with_capacity(members.len());
        for Member { name, puid, .. } in members {
            match (puid, listed_name(&name, self.format.lower_case)) {
                (Ok(puid), Ok(listed)) => {
                    let is_superseded = entries.last().is_some_and(|last| last.puid == puid);
                    let name = if listed.len() == name.len() { name } else { listed.into() };
                    let entries = if is_superseded { &mut superseded } else { &mut entries };
                    entries.push(PulledEntry { puid, name });
                }
                (Err(fault), _) => {
                    is_unreadable |=
                        !matches!(fault, BadPuid::Null | BadPuid::NotPositive | BadPuid::TooLarge);
                    self.add_bad(&name, format!("the puid {fault}"));
                }
                (_, Err(fault)) => self.add_bad(&name, format!("the name {fault}")),
            }
        }
        Ok(PulledList { entries, superseded, bad: self.bad, is_unreadable })
    }
}

/// Why a value is no puid.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
enum BadPuid {
    #[error("is null")]
    Null,
    #[error("is not a number")]
    NoNumber,
    #[error("is a text, and no decimal number")]
    NoDecimal,
    #[error("is a fraction")]
    Fraction,
    #[error("is not positive")]
    NotPositive,
    #[error("is {} or more", LARGEST_PUID + 1)]
    TooLarge,
}

/// The puid of a JSON value that is no text: an integer, or a fraction without a rest.
fn puid(json: &str) -> Result<u32, BadPuid> {
    if json == "null" {
        return Err(BadPuid::Null);
    }
    if !json.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Err(BadPuid::NoNumber);
    }
    match json.parse::<f64>() {
        Ok(number) if number.fract() != 0.0 => Err(BadPuid::Fraction),
        Ok(number) if number < 1.0 => Err(BadPuid::NotPositive),
        Ok(number) if number <= f64::from(LARGEST_PUID) => Ok(number as u32),
        _ => Err(BadPuid::TooLarge),
    }
}

/// The puid of a text: a decimal number.
fn decimal(text: &str) -> Result<u32, BadPuid> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadPuid::NoDecimal);
    }
    puid(text)
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
                match text(&raw) {
                    Some(text) => parsed.err_msg = fit(&text.0),
                    None if raw.get() == "null" => {}
                    None => parsed.fault = Some("its err_msg is neither a text nor null"),
                }
            } else if is_field(&field, "data") {
                map.next_value_seed(Data(parsed))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The value of `data`: an object; `null` and PHP's `[]` are empty ones.
struct Data<'a, 'b>(&'a mut Parsed<'b>);

impl Data<'_, '_> {
    fn wrong_type<E>(self) -> Result<(), E> {
        self.0.fault = Some("its data is not an object");
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Data<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Data<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<(), M::Error> {
        self.0.data(map)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        // PHP's empty map.
        if list.next_element::<IgnoredAny>()?.is_none() {
            return Ok(());
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.wrong_type()
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.wrong_type()
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.wrong_type()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.wrong_type()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.wrong_type()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.wrong_type()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<PulledList, AnswerFault> {
        ListFormat { lower_case: false }.parse(body.as_bytes(), &Budget::new(None))
    }

    fn entries(data: &str) -> (String, usize) {
        let list = read(&format!("{{\"err_no\":0,\"err_msg\":null,\"data\":{data}}}"))
            .unwrap_or_else(|fault| panic!("{data}: {fault}"));
        let entries: Vec<_> =
            list.entries.iter().map(|entry| format!("{}={}", entry.name, entry.puid)).collect();
        (entries.join(" "), list.bad.count)
    }

    #[test]
    fn entries_come_by_rising_puid_without_their_suffix() {
        for (data, expected) in [
            (r#"{"carol":3,"alice":1,"bob_btc":2}"#, "alice=1 bob=2 carol=3"),
            (r#"{"a_b_c":1,"x_":2,"__":3}"#, "a_b=1 x=2 _=3"),
            (r#"{"a":7.0,"b":"8","c":1e1}"#, "a=7 b=8 c=10"),
            (r#"{"a":1,"b":1}"#, "b=1"),
            (r#"{"b":1,"a":1}"#, "a=1"),
            (r#"{"a":1,"a":2}"#, "a=2"),
            (r#"{"a":1,"a_x":2}"#, "a=1 a=2"),
            (r#"{"a":2147483647}"#, "a=2147483647"),
            ("{}", ""),
            ("[]", ""),
            ("null", ""),
        ] {
            assert_eq!(entries(data), (expected.to_owned(), 0), "{data}");
        }
    }

    #[test]
    fn a_repeated_name_has_the_place_of_its_last_value() {
        // More than once: the order of a hash map varies.
        for _ in 0..50 {
            assert_eq!(entries(r#"{"a":1,"b":2,"a":3,"c":3}"#).0, "b=2 c=3");
            assert_eq!(entries(r#"{"a":1,"b":2,"c":3,"a":3}"#).0, "b=2 a=3");
        }
    }

    #[test]
    fn one_bad_entry_leaves_the_others() {
        for bad in [
            "\"b\":0",
            "\"b\":-1",
            "\"b\":2147483648",
            "\"b\":7.5",
            "\"b\":null",
            "\"b\":{}",
            "\"b\":[1]",
            "\"b\":true",
            "\"b\":\"x\"",
            "\"b\":\"\"",
            "\"b\":\"1.0\"",
            "\"b\":\" 1\"",
            "\"b\":\"-3\"",
            "\"b\":1e300",
            "\"b\":99999999999999999999",
            "\"\":5",
            "\"_x\":5",
            "\"a/b\":5",
            "\"..\":5",
            "\"\\u0007\":5",
        ] {
            let data = format!("{{\"a\":1,{bad},\"c\":9}}");
            assert_eq!(entries(&data), ("a=1 c=9".to_owned(), 1), "{data}");
        }
        let long = "x".repeat(201);
        assert_eq!(entries(&format!("{{\"{long}\":5,\"{long}_a\":6}}")), (String::new(), 2));
    }

    #[test]
    fn an_answer_that_is_no_list_has_its_fault() {
        for (body, expected) in [
            ("", "EOF"),
            ("<html>", "expected value"),
            ("[]", "invalid type"),
            ("\u{feff}{}", "expected value"),
            ("{\"data\":{\"a\":1}} x", "trailing"),
            ("{\"data\":{\"a\":1}", "EOF"),
            ("{\"data\":[1]}", "not an object"),
            ("{\"data\":5}", "not an object"),
            ("{\"data\":\"\"}", "not an object"),
            ("{\"err_no\":7,\"err_msg\":\"x\\n\",\"data\":{}}", "says err_no 7, err_msg 'x\\n'"),
            ("{\"data\":{\"a\":1},\"err_no\":7}", "says err_no 7"),
            ("{\"err_no\":\"0\",\"data\":{}}", "err_no is not an integer"),
            ("{\"err_no\":0.5,\"data\":{}}", "err_no is not an integer"),
            ("{\"err_no\":9223372036854775808,\"data\":{}}", "err_no is not an integer"),
            ("{\"err_msg\":5,\"data\":{}}", "err_msg"),
        ] {
            let fault = read(body).map(|_| ()).unwrap_err().to_string();
            assert!(fault.contains(expected), "{body}: {fault}");
        }
        assert!(read("{}").unwrap().entries.is_empty(), "absent data is nothing new");
        assert_eq!(read("{\"err_no\":-0,\"data\":{\"a\":1}}").unwrap().entries.len(), 1);
        let merged = read("{\"DATA\":{\"a\":1},\"x\":[],\"data\":{\"b\":2},\"Err_No\":null}");
        assert_eq!(merged.unwrap().entries.len(), 2);
    }
}

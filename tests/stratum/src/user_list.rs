//! The sub-accounts of one coin, as a consumer with a cursor sees them.

use std::{collections::HashMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use thiserror::Error;

/// The list of one coin. It never asks again for a puid below the largest that it has seen.
#[derive(Clone, Debug, Default)]
pub struct UserList {
    puids: HashMap<String, u32>,
    last_id: u32,
}

/// Fault of an answer. The list stays as it was.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ListError {
    /// The answer is not JSON.
    #[error("the list is not JSON")]
    NotJson,
    /// There is no `data`, or it is neither an object nor empty.
    #[error("the list has no data")]
    NoData,
}

impl UserList {
    /// The cursor of the next request.
    pub fn last_id(&self) -> u32 {
        self.last_id
    }

    /// The number of a sub-account, if the list has it.
    pub fn puid(&self, name: &str) -> Option<u32> {
        self.puids.get(name).copied()
    }

    /// The number of sub-accounts.
    pub fn len(&self) -> usize {
        self.puids.len()
    }

    /// Whether the list has no sub-account.
    pub fn is_empty(&self) -> bool {
        self.puids.is_empty()
    }

    /// All sub-accounts with their numbers, in any order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.puids.iter().map(|(name, puid)| (name.as_str(), *puid))
    }

    /// Takes an answer in; returns the number of new sub-accounts. The first puid of a name is kept, also of two in one
    /// answer, and a puid of 0 or less is no puid.
    pub fn take(&mut self, answer: &[u8]) -> Result<usize, ListError> {
        let shape: Value = serde_json::from_slice(answer).map_err(|_| ListError::NotJson)?;
        match shape.get("data") {
            Some(Value::Object(_)) => {}
            Some(Value::Null) => return Ok(0),
            Some(Value::Array(entries)) if entries.is_empty() => return Ok(0),
            _ => return Err(ListError::NoData),
        }
        let Answer { data: Entries(entries) } =
            serde_json::from_slice(answer).map_err(|_| ListError::NotJson)?;
        let before = self.puids.len();
        for (name, puid) in entries {
            let puid = puid.as_i64().and_then(|puid| u32::try_from(puid).ok()).unwrap_or(0);
            if puid > 0 {
                self.puids.entry(name).or_insert(puid);
                self.last_id = self.last_id.max(puid);
            }
        }
        Ok(self.puids.len() - before)
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Entries,
}

/// Entries in the order of the text, which may have a name twice.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(data: D) -> Result<Self, D::Error> {
        data.deserialize_map(Self(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(entry) = map.next_entry()? {
            self.0.push(entry);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_follows_the_largest_puid_and_a_name_keeps_its_first_one() {
        let mut list = UserList::default();
        assert_eq!(list.take(br#"{"data":{"a":3,"b":7,"zero":0,"minus":-1}}"#), Ok(2));
        assert_eq!(list.take(br#"{"err_no":0,"data":{"a":9}}"#), Ok(0));
        assert_eq!((list.last_id(), list.puid("a"), list.puid("zero")), (9, Some(3), None));
        assert_eq!(list.take(br#"{"data":{"c":11,"d":12,"c":13}}"#), Ok(2));
        assert_eq!(
            (list.last_id(), list.puid("c")),
            (13, Some(11)),
            "the first of two in one answer"
        );
    }

    #[test]
    fn an_empty_answer_is_no_fault_and_a_bad_one_changes_nothing() {
        let mut list = UserList::default();
        assert_eq!(
            [&b"{\"data\":[]}"[..], b"{\"data\":null}"].map(|it| list.take(it)),
            [Ok(0), Ok(0)]
        );
        for answer in ["{}", r#"{"data":[1]}"#, r#"{"data":"a"}"#, r#"{"data":7}"#] {
            assert_eq!(list.take(answer.as_bytes()), Err(ListError::NoData), "{answer}");
        }
        assert_eq!(list.take(b"<html>"), Err(ListError::NotJson));
        assert!(list.is_empty() && list.last_id() == 0);
    }
}

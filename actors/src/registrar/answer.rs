//! The backend's answer: `{"status":"success","message":"…","data":{"puid":1001}}`, of which only `data.puid` counts
//! (user-list contract, section 5).

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use thiserror::Error;

use crate::go_json::{is_field, utf8, without_half_pairs};

/// An answer that registers nothing.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum AnswerFault {
    /// The backend refuses the name, with this message.
    #[error("the backend refused: {0}")]
    Refused(String),
    /// It is no answer to a registration.
    #[error("{0}")]
    Unusable(String),
}

/// The puid of an answer that is a success.
pub(super) fn parse(body: &[u8]) -> Result<u32, AnswerFault> {
    let json = utf8(body);
    let json = without_half_pairs(json.as_bytes());
    let answer: Option<Fields> = serde_json::from_slice(&json)
        .map_err(|error| AnswerFault::Unusable(format!("is no JSON object: {error}")))?;
    let (mut message, mut puid) = (String::new(), Value::Null);
    for (name, value) in answer.map(|it| it.0).unwrap_or_default() {
        if is_field(&name, "data") {
            let data: Option<Fields> = serde_json::from_value(value)
                .map_err(|_| AnswerFault::Unusable("has a data that is no object".to_owned()))?;
            let fields = data.map(|it| it.0).unwrap_or_default().into_iter();
            // As in Go, the last one counts, and null changes nothing.
            puid = fields
                .filter(|(name, value)| is_field(name, "puid") && !value.is_null())
                .map(|(_, value)| value)
                .next_back()
                .unwrap_or(puid);
        } else if is_field(&name, "status") || is_field(&name, "message") {
            match value {
                Value::String(text) if is_field(&name, "message") => message = text,
                Value::String(_) | Value::Null => {}
                _ => return Err(AnswerFault::Unusable(format!("has a {name} that is no text"))),
            }
        }
    }
    match number(&puid) {
        Some(number) => u32::try_from(number)
            .ok()
            .filter(|&puid| puid > 0 && puid <= i32::MAX as u32)
            .ok_or(if number > 0 {
                AnswerFault::Unusable(format!("has the puid {number}, which exceeds 2147483647"))
            } else {
                AnswerFault::Refused(message)
            }),
        None if puid.is_null() => Err(AnswerFault::Refused(message)),
        None => Err(AnswerFault::Unusable(format!("has a puid that is no integer: {puid}"))),
    }
}

/// An integer, or the decimal text of one.
fn number(puid: &Value) -> Option<i64> {
    match puid {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// Fields of an object, in their order, repeated ones included.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(message: &str) -> Result<u32, AnswerFault> {
        Err(AnswerFault::Refused(message.to_owned()))
    }

    #[test]
    fn only_a_positive_puid_counts() {
        for (answer, expected) in [
            (r#"{"status":"success","message":"success","data":{"puid":1001}}"#, Ok(1001)),
            (r#"{"status":"failed","message":"x","data":{"puid":7}}"#, Ok(7)),
            (r#"{"err_no":500,"data":{"puid":7}}"#, Ok(7)),
            (r#"{"STATUS":null,"Data":{"x":[],"PUID":"7"},"message":null}"#, Ok(7)),
            (r#"{"data":{"puid":5},"data":null}"#, Ok(5)),
            (r#"{"data":{"puid":5},"data":{"puid":6}}"#, Ok(6)),
            (r#"{"data":{"puid":5},"data":{"x":6}}"#, Ok(5)),
            (r#"{"data":{"puid":2147483647}}"#, Ok(2_147_483_647)),
            (
                r#"{"message":"name \ud800 taken","data":{"puid":0}}"#,
                refused("name \u{fffd} taken"),
            ),
            (r#"{"message":"x","data":{"puid":-4}}"#, refused("x")),
            (r#"{"message":"x","data":{"puid":"0"}}"#, refused("x")),
            (
                r#"{"message":"sub_name cannot be empty","data":null}"#,
                refused("sub_name cannot be empty"),
            ),
            (r#"{"message":"x"}"#, refused("x")),
            ("null", refused("")),
        ] {
            assert_eq!(parse(answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn any_other_answer_is_unusable() {
        for answer in [
            "",
            "<html>",
            "[]",
            "7",
            r#"{"data":{"puid":1}} x"#,
            r#"{"data":{"puid":1}"#,
            r#"{"data":[]}"#,
            r#"{"data":7}"#,
            r#"{"data":{"puid":7.0}}"#,
            r#"{"data":{"puid":7e0}}"#,
            r#"{"data":{"puid":"+7"}}"#,
            r#"{"data":{"puid":"7.0"}}"#,
            r#"{"data":{"puid":""}}"#,
            r#"{"data":{"puid":true}}"#,
            r#"{"data":{"puid":2147483648}}"#,
            r#"{"data":{"puid":4294967303}}"#,
            r#"{"data":{"puid":99999999999999999999}}"#,
            r#"{"status":1,"data":{"puid":1}}"#,
            r#"{"data":{"puid":1},"message":{}}"#,
        ] {
            let fault = parse(answer.as_bytes()).unwrap_err();
            assert!(matches!(fault, AnswerFault::Unusable(_)), "{answer}: {fault:?}");
        }
        assert_eq!(parse(b"{\"data\":{\"puid\":3},\"x\":\"\xff\"}"), Ok(3));
    }
}

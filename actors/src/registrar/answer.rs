//! The backend's answer: `{"status":"success","message":"…","data":{"puid":1001}}`, of which only `data.puid` counts
//! (user-list contract, section 5).

use std::{
    fmt::{self, Display},
    io::Read,
    ops::RangeInclusive,
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use crate::{
    go_json::{is_field, without_half_pairs},
    upstream::{AnswerFault, AnswerFormat, Budget},
};

/// The backend refuses the name, with this message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) String);

/// Format of the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct RegistrationFormat;

impl AnswerFormat for RegistrationFormat {
    /// The puid, positive.
    type Parsed = Result<u32, Refusal>;

    const NAME: &'static str = "a registration's";

    /// A redirect that leads nowhere may have a puid.
    const SUCCESS: RangeInclusive<u16> = 200..=399;

    /// The answer is small, see the limit of the fetch.
    fn parse(self, mut body: impl Read, _: &Budget) -> Result<Self::Parsed, AnswerFault> {
        let mut json = Vec::new();
        body.read_to_end(&mut json).map_err(unusable)?;
        parse(&json)
    }
}

fn unusable(fault: impl Display) -> AnswerFault {
    AnswerFault::malformed(RegistrationFormat::NAME, fault)
}

fn parse(json: &[u8]) -> Result<Result<u32, Refusal>, AnswerFault> {
    let json = without_half_pairs(json);
    let answer: Option<Fields> = serde_json::from_slice(&json)
        .map_err(|error| unusable(format!("no JSON object: {error}")))?;
    let (mut message, mut puid) = (String::new(), Value::Null);
    for (name, value) in answer.map(|it| it.0).unwrap_or_default() {
        if is_field(&name, "data") {
            let data: Option<Fields> =
                serde_json::from_value(value).map_err(|_| unusable("data is no object"))?;
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
                _ => return Err(unusable(format!("{name} is no text"))),
            }
        }
    }
    match number(&puid) {
        None if puid.is_null() => Ok(Err(Refusal(message))),
        None => Err(unusable(format!("the puid is no integer: {puid}"))),
        Some(..=0) => Ok(Err(Refusal(message))),
        Some(number) => u32::try_from(number)
            .ok()
            .filter(|&puid| puid <= i32::MAX as u32)
            .map(Ok)
            .ok_or_else(|| unusable(format!("the puid {number} exceeds 2147483647"))),
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

    fn refused(message: &str) -> Result<u32, Refusal> {
        Err(Refusal(message.to_owned()))
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
            assert_eq!(parse(answer.as_bytes()), Ok(expected), "{answer}");
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
            assert!(matches!(fault, AnswerFault::Malformed { .. }), "{answer}: {fault:?}");
        }
    }
}

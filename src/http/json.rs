//! Requests in JSON, read as Go's decoder reads them, so that every client of today is understood.
//!
//! Field names match whatever their case, unknown fields are ignored, the last of repeated fields wins,
//! `null` equals an absent field, and each byte that is not UTF-8 becomes U+FFFD, as does each escaped half of a
//! surrogate pair (no znode's name may contain that, so a switch is refused with its own error, 102, instead of the
//! whole body).

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use switcher_actors::go_json::{Guard, Text, is_field, utf8};

use super::answer::ApiError;

/// One group of a batch: these sub-accounts to that coin. Nothing of it is validated yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Group<'a> {
    /// The coin's name.
    pub coin: Cow<'a, str>,
    /// The sub-accounts' names.
    pub punames: Vec<Cow<'a, str>>,
}

/// Reads `{"usercoins":[{"coin":C,"punames":[U,…]},…]}`.
pub fn parse_batch(body: &[u8]) -> Result<Vec<Group<'_>>, ApiError> {
    check_strings_and_depth(body)?;
    match utf8(body) {
        Cow::Borrowed(text) => read_batch(text),
        Cow::Owned(text) => Ok(read_batch(&text)?.into_iter().map(Group::into_owned).collect()),
    }
}

fn read_batch(text: &str) -> Result<Vec<Group<'_>>, ApiError> {
    let Batch(groups) = serde_json::from_str(text).map_err(ApiError::wrong_json)?;
    Ok(groups)
}

impl Group<'_> {
    fn into_owned(self) -> Group<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Group { coin: owned(self.coin), punames: self.punames.into_iter().map(owned).collect() }
    }
}

/// Reads an object of texts: the values of `fields`, in that order; empty where the body has none.
pub fn parse_texts<'a, const N: usize>(
    body: &'a [u8],
    fields: [&'static str; N],
) -> Result<[Cow<'a, str>; N], ApiError> {
    check_strings_and_depth(body)?;
    match utf8(body) {
        Cow::Borrowed(text) => read_texts(text, fields),
        Cow::Owned(text) => Ok(read_texts(&text, fields)?.map(|text| text.into_owned().into())),
    }
}

fn read_texts<'a, const N: usize>(
    text: &'a str,
    fields: [&'static str; N],
) -> Result<[Cow<'a, str>; N], ApiError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let texts = Texts { fields, values: [const { Cow::Borrowed("") }; N] };
    let texts = texts.deserialize(&mut json).map_err(ApiError::wrong_json)?;
    json.end().map_err(ApiError::wrong_json)?;
    Ok(texts)
}

/// An object of which some fields are texts.
struct Texts<'a, const N: usize> {
    fields: [&'static str; N],
    values: [Cow<'a, str>; N],
}

impl<'de, const N: usize> DeserializeSeed<'de> for Texts<'de, N> {
    type Value = [Cow<'de, str>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Ok(deserializer.deserialize_any(Fields(self))?.values)
    }
}

impl<'de, const N: usize> Fill<'de> for Texts<'de, N> {
    const EXPECTED: &'static str = "an object";

    fn field<M: MapAccess<'de>>(&mut self, name: &str, map: &mut M) -> Result<(), M::Error> {
        match self.fields.iter().position(|field| is_field(name, field)) {
            Some(index) => {
                if let Some(Text(text)) = map.next_value()? {
                    self.values[index] = text;
                }
                Ok(())
            }
            None => map.next_value::<IgnoredAny>().map(drop),
        }
    }
}

fn check_strings_and_depth(body: &[u8]) -> Result<(), ApiError> {
    Guard::new(usize::MAX).look_at(body).map_err(ApiError::wrong_json)
}

/// The body's groups.
struct Batch<'a>(Vec<Group<'a>>);

impl<'de> Deserialize<'de> for Batch<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Fields(Self(Vec::new())))
    }
}

/// A list of groups. Those that name nobody ask for nothing and are not kept, as there may be millions; but
/// the first is: a list of such groups alone is not an empty one.
struct Groups<'a>(Vec<Group<'a>>);

impl<'de> Deserialize<'de> for Groups<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Groups(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Groups<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of groups")
    }

    fn visit_seq<S: SeqAccess<'de>>(mut self, mut list: S) -> Result<Self, S::Error> {
        while let Some(group) = list.next_element::<Group<'de>>()? {
            if self.0.is_empty() || !group.punames.is_empty() {
                self.0.push(group);
            }
        }
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for Group<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Fields(Self::default()))
    }
}

/// An object that is filled field by field.
trait Fill<'de>: Sized {
    const EXPECTED: &'static str;

    /// Takes the value of the field called `name`, or skips it.
    fn field<M: MapAccess<'de>>(&mut self, name: &str, map: &mut M) -> Result<(), M::Error>;
}

impl<'de> Fill<'de> for Batch<'de> {
    const EXPECTED: &'static str = r#"an object with "usercoins""#;

    fn field<M: MapAccess<'de>>(&mut self, name: &str, map: &mut M) -> Result<(), M::Error> {
        if is_field(name, "usercoins") {
            self.0 =
                map.next_value::<Option<Groups<'de>>>()?.map(|groups| groups.0).unwrap_or_default();
            Ok(())
        } else {
            map.next_value::<IgnoredAny>().map(drop)
        }
    }
}

impl<'de> Fill<'de> for Group<'de> {
    const EXPECTED: &'static str = r#"an object with "coin" and "punames""#;

    fn field<M: MapAccess<'de>>(&mut self, name: &str, map: &mut M) -> Result<(), M::Error> {
        if is_field(name, "coin") {
            if let Some(Text(coin)) = map.next_value()? {
                self.coin = coin;
            }
        } else if is_field(name, "punames") {
            let names: Option<Vec<Option<Text<'de>>>> = map.next_value()?;
            let names = names.unwrap_or_default().into_iter();
            self.punames =
                names.map(|name| name.map_or(Cow::Borrowed(""), |text| text.0)).collect();
        } else {
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Visits an object's fields in order; `null` is an object without any.
struct Fields<T>(T);

impl<'de, T: Fill<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(self.0)
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<T, M::Error> {
        while let Some(Text(name)) = map.next_key()? {
            self.0.field(&name, &mut map)?;
        }
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(body: &str) -> Vec<(String, Vec<String>)> {
        let owned = |names: &[Cow<'_, str>]| names.iter().map(|name| name.to_string()).collect();
        let groups = parse_batch(body.as_bytes()).expect(body);
        groups.iter().map(|group| (group.coin.to_string(), owned(&group.punames))).collect()
    }

    fn group(coin: &str, punames: &[&str]) -> (String, Vec<String>) {
        (coin.to_owned(), punames.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn fields_are_found_as_go_finds_them() {
        let expected = vec![group("bcc", &["alice"])];
        for body in [
            r#"{"usercoins":[{"coin":"bcc","punames":["alice"]}]}"#,
            r#" {"UserCoins":[{"COIN":"bcc","PuNames":["alice"],"z":null}],"x":{"y":[1]}} "#,
            r#"{"u\u017fercoins":[{"coin":"bcc","punameſ":["alice"]}]}"#,
            r#"{"usercoins":[{"coin":"btc"}],"usercoins":[{"coin":"bcc","punames":["alice"]}]}"#,
            r#"{"usercoins":[{"coin":"btc","coin":"bcc","coin":null,"punames":["x"],"punames":["alice"]}]}"#,
        ] {
            assert_eq!(groups(body), expected, "{body}");
        }
    }

    #[test]
    fn groups_that_name_nobody_are_not_kept_but_for_the_first() {
        assert_eq!(groups(r#"{"usercoins":[{},{},{"coin":"btc"}]}"#), vec![group("", &[])]);
        let body = r#"{"usercoins":[{"punames":["a"]},{},{"punames":["b"]},{"punames":[]}]}"#;
        assert_eq!(groups(body), vec![group("", &["a"]), group("", &["b"])]);
    }

    #[test]
    fn null_equals_an_absent_field() {
        assert_eq!(groups("null"), vec![]);
        assert_eq!(groups("{}"), vec![]);
        assert_eq!(groups(r#"{"usercoins":null}"#), vec![]);
        assert_eq!(groups(r#"{"usercoins":[null]}"#), vec![group("", &[])]);
        assert_eq!(groups(r#"{"usercoins":[{"coin":null,"punames":null}]}"#), vec![group("", &[])]);
        assert_eq!(groups(r#"{"usercoins":[{"punames":[null]}]}"#), vec![group("", &[""])]);
    }

    #[test]
    fn what_is_not_unicode_becomes_a_character_that_no_name_may_contain() {
        let body = r#"{"usercoins":[{"punames":["\ud800","a\udc00b","\ud83d\ude00"]}]}"#;
        assert_eq!(groups(body)[0].1, ["\u{fffd}", "a\u{fffd}b", "\u{1f600}"]);
        let batch = parse_batch(b"{\"usercoins\":[{\"punames\":[\"a\xffb\"]}]}").expect("read");
        assert_eq!(batch[0].punames[0], "a\u{fffd}b");
        // Half a character that is not escaped is as many bad bytes; in a field's name it makes another name.
        let body =
            b"{\"coin\":\"\xed\xa0\xbd\\ud83d\xe4\xbd\",\"coin\xff\":\"b\",\"coin\\udc00\":\"c\"}";
        let [coin] = parse_texts(body, ["coin"]).expect("read");
        assert_eq!(coin, "\u{fffd}".repeat(6));
    }

    #[test]
    fn half_a_character_has_three_bytes() {
        // 26 letters and half an emoji are within the 30 bytes that jobmakers keep.
        let body = format!(r#"{{"coinbase_info":"{}\ud83d"}}"#, "x".repeat(26));
        let [info] = parse_texts(body.as_bytes(), ["coinbase_info"]).expect("read");
        assert_eq!(info.len(), 29);
    }

    #[test]
    fn what_is_not_this_json_is_refused() {
        for body in [
            "",
            "[]",
            "1",
            "true",
            r#""x""#,
            "{",
            r#"{"usercoins":[]} x"#,
            r#"{'usercoins':[]}"#,
            r#"{"usercoins":[],}"#,
            r#"{"usercoins":"x"}"#,
            r#"{"usercoins":[[]]}"#,
            r#"{"usercoins":[{"coin":1}]}"#,
            r#"{"usercoins":[{"punames":"a"}]}"#,
            r#"{"usercoins":[{"punames":[1]}]}"#,
            r#"{"usercoins":[{"punames":[["a"]]}]}"#,
            "{\"usercoins\":[{\"punames\":[\"a\nb\"]}]}",
            r#"{"usercoins":[{"punames":["\x"]}]}"#,
        ] {
            let refused = parse_batch(body.as_bytes());
            assert!(matches!(refused, Err(ApiError::WrongJson(_))), "{body}");
        }
    }

    #[test]
    fn texts_are_found_by_their_fields() {
        let read = |body: &'static str| {
            parse_texts(body.as_bytes(), ["coin", "subpool_name"])
                .map(|texts| texts.map(Cow::into_owned))
        };
        let texts = |coin: &str, name: &str| Ok([coin.to_owned(), name.to_owned()]);
        assert_eq!(read(r#"{"subpool_name":"p","coin":"c","payout_addr":5}"#), texts("c", "p"));
        assert_eq!(read(r#"{"Coin":"a","COIN":"c","coin":null}"#), texts("c", ""));
        assert_eq!(read(" null "), texts("", ""));
        assert_eq!(read("{}"), texts("", ""));
        for bad in [
            "",
            "[]",
            "1",
            r#""x""#,
            r#"{"coin":1}"#,
            r#"{"coin":["a"]}"#,
            "{} {}",
            "{\"coin\":\"a",
        ] {
            assert!(matches!(read(bad), Err(ApiError::WrongJson(_))), "{bad}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_whatever_it_is_in() {
        let nested =
            |levels: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(parse_batch(nested(60).as_bytes()).is_ok());
        assert!(parse_batch(nested(1_000_000).as_bytes()).is_err());
        assert!(parse_batch(br#"{"x":"[[[[[[[[\"[[[["}"#).is_ok());
    }
}

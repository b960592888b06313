//! Requests in JSON, decoded by the rules of Go's decoder, so that every client of today is understood.
//!
//! Field names match in any case, unknown fields are ignored, the last of repeated fields counts, `null` equals an
//! absent field, and each byte outside UTF-8 becomes U+FFFD, as does each escaped half of a surrogate pair. No znode's
//! name may contain U+FFFD, so such a switch is refused with its own error, 102, instead of the whole body.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use switcher_actors::go_json::{DepthCheck, Text, is_field, utf8};

use super::answer::ApiError;

/// Limit of nested brackets. Documented requests have four levels.
const DEPTH_LIMIT: usize = 64;

/// A batch as it was sent, without any validation.
///
/// Millions of names are kept in one text, with four more bytes for each.
#[derive(Debug, Default)]
pub struct RawBatch<'a> {
    groups: Vec<Group<'a>>,
    /// The names of all groups, concatenated.
    names: String,
    /// The end of each name.
    ends: Vec<u32>,
}

/// One group of a batch: a coin and sub-accounts.
#[derive(Debug)]
struct Group<'a> {
    coin: Cow<'a, str>,
    /// Index of the batch's first name behind this group.
    end: usize,
}

impl RawBatch<'_> {
    /// Each group's coin and names, in the batch's order.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&str, impl Iterator<Item = &str>)> {
        let mut start = 0;
        self.groups.iter().map(move |group| {
            let names = (start..group.end).map(|index| self.name(index));
            start = group.end;
            (&*group.coin, names)
        })
    }

    fn into_owned(self) -> RawBatch<'static> {
        let owned =
            |group: Group<'_>| Group { coin: group.coin.into_owned().into(), end: group.end };
        let groups = self.groups.into_iter().map(owned).collect();
        RawBatch { groups, names: self.names, ends: self.ends }
    }

    fn name(&self, index: usize) -> &str {
        let end = |index: usize| self.ends.get(index).map_or(0, |end| *end as usize);
        let start = index.checked_sub(1).map_or(0, end);
        self.names.get(start..end(index)).unwrap_or_default()
    }

    fn push(&mut self, name: &str) {
        self.names.push_str(name);
        // A body has at most 1 GiB.
        self.ends.push(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
    }

    /// Drops all names but the first `count`.
    fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.names.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }
}

/// Decodes `{"usercoins":[{"coin":C,"punames":[U,…]},…]}`.
pub fn parse_batch(body: &[u8]) -> Result<RawBatch<'_>, ApiError> {
    check_strings_and_depth(body)?;
    match utf8(body) {
        Cow::Borrowed(text) => decode(text, RawBatch::default()),
        Cow::Owned(text) => Ok(decode(&text, RawBatch::default())?.into_owned()),
    }
}

/// Decodes an object of texts: the values of `fields`, in that order; empty where the body has none.
pub fn parse_texts<'a, const N: usize>(
    body: &'a [u8],
    fields: [&'static str; N],
) -> Result<[Cow<'a, str>; N], ApiError> {
    check_strings_and_depth(body)?;
    let texts = Texts { fields, values: [const { Cow::Borrowed("") }; N] };
    match utf8(body) {
        Cow::Borrowed(text) => Ok(decode(text, texts)?.values),
        Cow::Owned(text) => Ok(decode(&text, texts)?.values.map(|text| text.into_owned().into())),
    }
}

fn check_strings_and_depth(body: &[u8]) -> Result<(), ApiError> {
    DepthCheck::new(DEPTH_LIMIT, usize::MAX).look_at(body).map_err(ApiError::wrong_json)
}

fn decode<'a, T: FromObject<'a>>(text: &'a str, empty: T) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let decoded = Object(empty).deserialize(&mut json).map_err(ApiError::wrong_json)?;
    json.end().map_err(ApiError::wrong_json)?;
    Ok(decoded)
}

/// A value that is filled field by field.
trait FromObject<'de>: Sized {
    const EXPECTED: &'static str;

    /// Takes the value of the field called `name`, or skips it.
    fn field<M: MapAccess<'de>>(&mut self, name: &str, map: &mut M) -> Result<(), M::Error>;
}

/// Visits an object's fields in order; `null` is an object without fields.
struct Object<T>(T);

impl<'de, T: FromObject<'de>> DeserializeSeed<'de> for Object<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: FromObject<'de>> Visitor<'de> for Object<T> {
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

/// A value that takes the items of a list.
trait FromList<'de> {
    const EXPECTED: &'static str;

    fn items<S: SeqAccess<'de>>(self, list: S) -> Result<(), S::Error>;
}

/// Visits a list; `null` is an empty one.
struct List<T>(T);

impl<'de, T: FromList<'de>> DeserializeSeed<'de> for List<T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, T: FromList<'de>> Visitor<'de> for List<T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, list: S) -> Result<(), S::Error> {
        self.0.items(list)
    }
}

/// An object with some fields that are texts.
struct Texts<'a, const N: usize> {
    fields: [&'static str; N],
    values: [Cow<'a, str>; N],
}

impl<'de, const N: usize> FromObject<'de> for Texts<'de, N> {
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

impl<'de> FromObject<'de> for RawBatch<'de> {
    const EXPECTED: &'static str = r#"an object with "usercoins""#;

    fn field<M: MapAccess<'de>>(&mut self, name: &str, map: &mut M) -> Result<(), M::Error> {
        if is_field(name, "usercoins") {
            self.groups.clear();
            self.truncate(0);
            map.next_value_seed(List(Groups(self)))
        } else {
            map.next_value::<IgnoredAny>().map(drop)
        }
    }
}

/// The groups of a batch. Those without names have no effect and are not kept, since there may be millions, except for
/// the first: a list of such groups alone is not an empty list.
struct Groups<'b, 'a>(&'b mut RawBatch<'a>);

impl<'de> FromList<'de> for Groups<'_, 'de> {
    const EXPECTED: &'static str = "a list of groups";

    fn items<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        let Self(batch) = self;
        loop {
            let start = batch.ends.len();
            let group = UnfinishedGroup { coin: Cow::Borrowed(""), start, batch };
            let Some(coin) = list.next_element_seed(Object(group))?.map(|group| group.coin) else {
                return Ok(());
            };
            let end = batch.ends.len();
            if batch.groups.is_empty() || end > start {
                batch.groups.push(Group { coin, end });
            }
        }
    }
}

struct UnfinishedGroup<'b, 'a> {
    coin: Cow<'a, str>,
    /// Number of the batch's names before this group.
    start: usize,
    batch: &'b mut RawBatch<'a>,
}

impl<'de> FromObject<'de> for UnfinishedGroup<'_, 'de> {
    const EXPECTED: &'static str = r#"an object with "coin" and "punames""#;

    fn field<M: MapAccess<'de>>(&mut self, name: &str, map: &mut M) -> Result<(), M::Error> {
        if is_field(name, "coin") {
            if let Some(Text(coin)) = map.next_value()? {
                self.coin = coin;
            }
        } else if is_field(name, "punames") {
            self.batch.truncate(self.start);
            map.next_value_seed(List(Names(self.batch)))?;
        } else {
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// The names of a group, which are added to the batch.
struct Names<'b, 'a>(&'b mut RawBatch<'a>);

impl<'de> FromList<'de> for Names<'_, 'de> {
    const EXPECTED: &'static str = "a sequence";

    fn items<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        while let Some(name) = list.next_element::<Option<Text<'de>>>()? {
            self.0.push(name.as_ref().map_or("", |Text(name)| name));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(body: &str) -> Vec<(String, Vec<String>)> {
        let batch = parse_batch(body.as_bytes()).expect(body);
        let groups = batch.groups();
        groups.map(|(coin, names)| (coin.to_owned(), names.map(str::to_owned).collect())).collect()
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
    fn groups_without_names_are_not_kept_except_for_the_first() {
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
    fn bytes_outside_unicode_become_a_character_that_no_name_may_contain() {
        let body = r#"{"usercoins":[{"punames":["\ud800","a\udc00b","\ud83d\ude00"]}]}"#;
        assert_eq!(groups(body)[0].1, ["\u{fffd}", "a\u{fffd}b", "\u{1f600}"]);
        let batch = parse_batch(b"{\"usercoins\":[{\"punames\":[\"a\xffb\"]}]}").expect("read");
        assert_eq!(batch.name(0), "a\u{fffd}b");
        // An unescaped half of a character becomes one character per byte; in a field's name it makes another name.
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
    fn other_json_is_refused() {
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
    fn deep_nesting_is_refused_everywhere() {
        let nested =
            |levels: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(parse_batch(nested(60).as_bytes()).is_ok());
        assert!(parse_batch(nested(1_000_000).as_bytes()).is_err());
        assert!(parse_batch(br#"{"x":"[[[[[[[[\"[[[["}"#).is_ok());
    }
}

//! Properties that hold for any request, however hostile: the same functions for property tests and fuzz targets.
//! Each panics where a property does not hold.

use std::borrow::Cow;

use actix_web::web::Bytes;
use arbitrary::{Result, Unstructured};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::de::IgnoredAny;
use serde_json::json;

use super::{
    answer::ApiError,
    form::{Parameters, media_type},
    json::{parse_batch, parse_texts},
};
use crate::{config::Credentials, http::BasicAuth};

type Groups = Vec<(String, Vec<String>)>;

/// Any bytes as a JSON body.
///
/// A body that is decoded is JSON. It has the same meaning with blanks around it, and after it is encoded again. The text
/// of an error is short and cannot forge a line.
pub fn json_body(body: &[u8]) {
    let padded = [b" \n", body, b"\t\r"].concat();
    let read = batch(body);
    // An error contains its position.
    assert_eq!(read.as_ref().ok(), batch(&padded).as_ref().ok(), "blanks matter");
    match read {
        Ok(groups) => {
            assert_is_json(body);
            let encoded =
                groups.iter().map(|(coin, names)| json!({"coin": coin, "punames": names}));
            let encoded = json!({ "usercoins": encoded.collect::<Vec<_>>() }).to_string();
            assert_eq!(batch(encoded.as_bytes()), Ok(groups));
        }
        Err(error) => assert_is_fit_for_the_log(&error),
    }
    let fields = ["coin", "subpool_name", "payout_addr", "coinbase_info"];
    match parse_texts(body, fields) {
        Ok(texts) => {
            assert_is_json(body);
            let texts = texts.map(Cow::into_owned);
            let encoded = fields.iter().zip(&texts).map(|(field, text)| (*field, text));
            let encoded = json!(encoded.collect::<std::collections::BTreeMap<_, _>>()).to_string();
            let again =
                parse_texts(encoded.as_bytes(), fields).map(|texts| texts.map(Cow::into_owned));
            assert_eq!(again, Ok(texts));
        }
        Err(error) => assert_is_fit_for_the_log(&error),
    }
}

fn batch(body: &[u8]) -> std::result::Result<Groups, ApiError> {
    let batch = parse_batch(body)?;
    let groups = batch.groups();
    Ok(groups.map(|(coin, names)| (coin.to_owned(), names.map(str::to_owned).collect())).collect())
}

fn assert_is_json(body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    let json = serde_json::from_str::<IgnoredAny>(&text);
    assert!(json.is_ok(), "{json:?} is decoded: {text}");
}

fn assert_is_fit_for_the_log(error: &ApiError) {
    assert!(matches!(error, ApiError::WrongJson(_)), "{error:?}");
    let text = error.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(text.chars().count() < 250, "{text}");
}

/// A batch drawn from `choices`, written in any of the ways that Go's decoder understands.
///
/// The last of repeated fields counts, in any case of their names; `null` is an absent text or an empty list; other
/// fields have no effect.
pub fn json_body_by_choices(choices: &[u8]) {
    let mut choices = Unstructured::new(choices);
    let (body, expected) = written_batch(&mut choices).expect("a choice can always be made");
    assert_eq!(batch(body.as_bytes()), Ok(expected), "{body}");
}

fn written_batch(choices: &mut Unstructured<'_>) -> Result<(String, Groups)> {
    let mut groups = Groups::new();
    let mut fields = Vec::new();
    for _ in 0..choices.int_in_range(0..=3)? {
        match choices.int_in_range(0..=3)? {
            0 => fields.push(unknown_field(choices)?),
            1 => {
                groups.clear();
                fields.push(format!("{}:null", field_name("usercoins", choices)?));
            }
            _ => {
                let mut written = Vec::new();
                groups.clear();
                for _ in 0..choices.int_in_range(0..=3)? {
                    let (text, group) = written_group(choices)?;
                    written.push(text);
                    if groups.is_empty() || !group.1.is_empty() {
                        groups.push(group);
                    }
                }
                fields.push(format!(
                    "{}:[{}]",
                    field_name("usercoins", choices)?,
                    written.join(blank(choices)?)
                ));
            }
        }
    }
    Ok((object(&fields, choices)?, groups))
}

fn written_group(choices: &mut Unstructured<'_>) -> Result<(String, (String, Vec<String>))> {
    let (mut coin, mut names) = (String::new(), Vec::new());
    if choices.ratio(1, 8)? {
        return Ok(("null".to_owned(), (coin, names)));
    }
    let mut fields = Vec::new();
    for _ in 0..choices.int_in_range(0..=4)? {
        let field = match choices.int_in_range(0..=4)? {
            0 => unknown_field(choices)?,
            1 => format!("{}:null", field_name("coin", choices)?),
            2 => {
                coin = any_text(choices)?;
                format!("{}:{}", field_name("coin", choices)?, quoted(&coin, choices)?)
            }
            3 => {
                names.clear();
                format!("{}:null", field_name("punames", choices)?)
            }
            _ => {
                names.clear();
                let mut written = Vec::new();
                for _ in 0..choices.int_in_range(0..=3)? {
                    let name = if choices.ratio(1, 6)? { None } else { Some(any_text(choices)?) };
                    written.push(match &name {
                        None => "null".to_owned(),
                        Some(name) => quoted(name, choices)?,
                    });
                    names.push(name.unwrap_or_default());
                }
                let names = written.join(blank(choices)?);
                format!("{}:[{names}]", field_name("punames", choices)?)
            }
        };
        fields.push(field);
    }
    Ok((object(&fields, choices)?, (coin, names)))
}

/// The separator between two items of a list or an object.
fn blank(choices: &mut Unstructured<'_>) -> Result<&'static str> {
    choices.choose(&[",", " ,\t", "\r\n,", ", "]).copied()
}

fn object(fields: &[String], choices: &mut Unstructured<'_>) -> Result<String> {
    Ok(format!("{{{}}}", fields.join(blank(choices)?)))
}

fn unknown_field(choices: &mut Unstructured<'_>) -> Result<String> {
    let name = choices.choose(&["", "coins", "punames ", "k\\u0000", "usercoin", "coin\\n"])?;
    let value =
        choices.choose(&["1e999", "-0", "[[{\"coin\":[]}]]", "\"\\ud800\"", "null", "{}"])?;
    Ok(format!("\"{name}\":{value}"))
}

/// A field's name in any case, with the two letters beyond ASCII that Go folds into it, maybe escaped.
fn field_name(name: &str, choices: &mut Unstructured<'_>) -> Result<String> {
    let mut written = String::from("\"");
    for letter in name.chars() {
        match choices.int_in_range(0..=5)? {
            0..=2 => written.push(letter),
            3 => written.push(letter.to_ascii_uppercase()),
            4 => written.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => written.push(match letter {
                's' => '\u{17f}',
                'k' => '\u{212a}',
                letter => letter,
            }),
        }
    }
    written.push('"');
    Ok(written)
}

fn any_text(choices: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::new();
    for _ in 0..choices.int_in_range(0..=6)? {
        let letters = [
            'a',
            'Z',
            '"',
            '\\',
            '/',
            '\n',
            '\u{1b}',
            '\u{0}',
            '用',
            '\u{2028}',
            '\u{1f419}',
            '\u{fffd}',
        ];
        text.push(*choices.choose(&letters)?);
    }
    Ok(text)
}

/// The text in quotes, each character as it is where JSON lets it, or escaped. U+FFFD may be the escaped half of a
/// surrogate pair: a high one only where no low one follows.
fn quoted(text: &str, choices: &mut Unstructured<'_>) -> Result<String> {
    let mut written = String::from("\"");
    for letter in text.chars() {
        if letter == '\u{fffd}' && choices.ratio(2, 3)? {
            let is_after_high = written.ends_with("\\ud83d");
            let halves = if is_after_high { &["\\ud83d"][..] } else { &["\\ud83d", "\\uDE00"] };
            written.push_str(choices.choose(halves)?);
            continue;
        }
        if letter.is_control() || matches!(letter, '"' | '\\') || choices.ratio(1, 3)? {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                written.push_str(&format!("\\u{unit:04X}"));
            }
        } else {
            written.push(letter);
        }
    }
    written.push('"');
    Ok(written)
}

/// Any bytes as a query, and cut in two as a form and a query.
///
/// A pair lies between two `&`, and its escapes are decoded. The first value of a name counts, a form's first.
pub fn form(text: &[u8]) {
    let (form, query) = text.split_at(text.len() / 2);
    for parts in [&[text][..], &[form, query]] {
        let mut parameters = Parameters::new(NAMES);
        for part in parts {
            parameters.add_urlencoded(part);
        }
        let pairs: Vec<_> = parts.iter().flat_map(|part| pairs(part)).collect();
        let first = |name| pairs.iter().find(|(found, _)| found == name);
        let expected = NAMES.map(|name| first(name).map_or("", |(_, value)| value));
        assert_eq!(parameters.first(), expected);
    }

    let escaped: String = text.iter().map(|byte| format!("%{byte:02x}")).collect();
    let escaped = format!("x=%26&puname={escaped}&{escaped}={escaped}&coin={escaped}");
    let mut parameters = Parameters::new(NAMES);
    parameters.add_urlencoded(escaped.as_bytes());
    let [puname, coin, _] = parameters.first();
    let plain = String::from_utf8_lossy(text);
    assert!(puname == plain && coin == plain, "{puname:?} {coin:?}");
}

/// The parameters of a switch, and one of no name.
const NAMES: [&str; 3] = ["puname", "coin", ""];

/// Names and values as Go's `url.ParseQuery` finds them, without the ones that it refuses.
fn pairs(text: &[u8]) -> Vec<(String, String)> {
    let well_formed = text.split(|&byte| byte == b'&').filter(|pair| {
        let is_escape = |at: usize| {
            pair.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        let escapes = pair.iter().enumerate().filter(|(_, byte)| **byte == b'%');
        !pair.is_empty()
            && !pair.contains(&b';')
            && escapes.into_iter().all(|(at, _)| is_escape(at))
    });
    let plain = |text: &[u8]| {
        let mut parts = text.split(|&byte| byte == b'%');
        let mut plain = parts.next().unwrap_or_default().to_vec();
        plain.iter_mut().filter(|byte| **byte == b'+').for_each(|byte| *byte = b' ');
        for part in parts {
            let digits = String::from_utf8_lossy(&part[..2]);
            plain.push(u8::from_str_radix(&digits, 16).expect("two digits"));
            plain.extend(part[2..].iter().map(|&byte| if byte == b'+' { b' ' } else { byte }));
        }
        String::from_utf8_lossy(&plain).into_owned()
    };
    let halves = well_formed.map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        (&pair[..equals], pair.get(equals + 1..).unwrap_or_default())
    });
    halves.map(|(name, value)| (plain(name), plain(value))).collect()
}

/// Any bytes as a multipart form: the header up to the first line's end, then the body; and as values of
/// a well-formed one.
pub fn multipart_form(text: &[u8]) {
    let line = text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len());
    let content_type = String::from_utf8_lossy(&text[..line]);
    let body = text.get(line + 1..).unwrap_or_default();
    let kind = media_type(&content_type);
    assert!(!kind.contains(';') && kind.trim() == kind, "{kind:?}");
    for content_type in [&*content_type, "multipart/form-data; boundary=B"] {
        let mut parameters = Parameters::new(NAMES);
        parameters.add_urlencoded(b"puname=query");
        parameters.add_multipart(content_type, Bytes::copy_from_slice(body));
        assert_eq!(parameters.first()[0], "query", "the query wins");
    }

    let value = String::from_utf8_lossy(body).replace("--", "");
    let part = "Content-Disposition: form-data; name=\"puname\"\r\n\r\n";
    let whole = format!("--B\r\n{part}{value}\r\n--B\r\n{part}second\r\n--B--\r\n");
    let mut parameters = Parameters::new(NAMES);
    parameters.add_multipart("multipart/form-data; boundary=B", whole.into());
    assert_eq!(parameters.first(), [&*value, "", ""]);
}

/// User name, password and header, one per line of `text`.
///
/// A header is accepted if and only if it is `Basic`, in any case, and the base64 of exactly the right
/// credentials, where bits behind the last byte may be set.
pub fn authorization(text: &[u8]) {
    let mut lines = text.splitn(3, |&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let user = String::from_utf8_lossy(line()).replace(':', "");
    let password = String::from_utf8_lossy(line()).into_owned();
    let header = line();
    let right = STANDARD.encode(format!("{user}:{password}"));
    let auth =
        BasicAuth::new(Some(&Credentials { user: user.clone(), password: password.clone() }));

    let is_right = header.len() > 6
        && header[..6].eq_ignore_ascii_case(b"basic ")
        && with_stray_bits(&header[6..], 0) == right.as_bytes();
    assert_eq!(auth.admits(Some(header)), is_right, "{user:?} {password:?} {header:?}");
    assert!(auth.admits(Some(format!("bAsIc {right}").as_bytes())));
    let stray = with_stray_bits(right.as_bytes(), 1);
    assert!(auth.admits(Some(&[b"Basic ", &*stray].concat())), "{stray:?}");
    assert!(!auth.admits(None));
    for wrong in [
        format!("{user}:{password}x"),
        format!("x{user}:{password}"),
        format!("{user}{password}"),
        format!("{password}:{user}:"),
    ] {
        let header = format!("Basic {}", STANDARD.encode(&wrong));
        let is_right = wrong == format!("{user}:{password}");
        assert_eq!(auth.admits(Some(header.as_bytes())), is_right, "{wrong:?}");
    }
}

/// The base64 text with `bits` for those of its last letter that belong to no byte.
fn with_stray_bits(text: &[u8], bits: usize) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = text.to_vec();
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let mask = match padding {
        1 => 0b11,
        2 => 0b1111,
        _ => return text,
    };
    if let Some(last) = text.len().checked_sub(padding + 1)
        && let Some(value) = LETTERS.iter().position(|&letter| letter == text[last])
    {
        text[last] = LETTERS[value & !mask | bits];
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Texts that come near to what is meant, and bytes that do not.
    fn hostile(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            8 => prop::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => vec(any::<u8>(), 0..4),
        ];
        vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_json_is_read_or_refused_by_the_rules(body in hostile(&[
            "{", "}", "[", "]", ":", ",", "null", "\"", "\\", "\\ud800", "1", "-1e9", "\n", "\u{1b}[2J",
            "\"usercoins\":", "\"UserCoins\":[", "{\"coin\":\"btc\",\"punames\":[\"a\"]}", "\"coin\"",
            "\"punames\":[", "\"subpool_name\":\"p\"", "\"payout_addr\":", "\"a\"",
        ])) {
            json_body(&body);
        }

        #[test]
        fn a_batch_is_read_as_go_reads_it(choices in vec(any::<u8>(), 0..400)) {
            json_body_by_choices(&choices);
        }

        #[test]
        fn parameters_are_found_as_go_finds_them(text in hostile(&[
            "puname", "coin", "=", "&", ";", "%", "%41", "%7", "%zz", "%ff", "+", "a", "用",
        ])) {
            form(&text);
        }

        #[test]
        fn a_multipart_form_is_read_whole_or_not_at_all(text in hostile(&[
            "multipart/form-data; boundary=B\n", "boundary=", "--B", "\r\n", "--", "\n", ";", "\"",
            "Content-Disposition: form-data; name=\"puname\"", "\r\n\r\n", "; filename=\"f\"", "a", "\r",
        ])) {
            multipart_form(&text);
        }

        #[test]
        fn only_the_right_credentials_are_let_in(text in hostile(&[
            "admin\n", "admin:admin\n", "Basic ", "basic ", "YWRtaW46YWRtaW4=", "YWRtaW46YWRtaW5=", "=",
            "YTo=", "a\n", "Og==", "Oh==", ":", "\n", "\0", "é",
        ])) {
            authorization(&text);
        }
    }
}

//! Properties of any answer of an upstream, as functions for property tests and fuzz targets. Each panics where a
//! property does not hold.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use arbitrary::{Result, Unstructured};
use flate2::{Compression, write::GzEncoder};
use serde::de::IgnoredAny;

use super::answer::{FetchedMap, MapFormat};
use crate::{
    domain::{Coins, Puname, SwitchRules},
    upstream::{self, BadBody, BodyFault, Encoding, FetchLimits},
};

const PARTS: usize = 7;

const LIMIT: u64 = 64 * 1024;

/// Content of an answer, as it is understood.
#[derive(Debug, PartialEq, Eq)]
struct Understood {
    switches: BTreeMap<String, String>,
    entries: usize,
    bad: usize,
    now_date: Option<i64>,
}

/// Any bytes as an answer, plain and as gzip; the first byte says in which parts they come.
///
/// The parts and the packing make no difference; an answer that is understood is JSON; nothing
/// of it that is logged could forge a line.
pub fn user_coin_map(bytes: &[u8]) {
    let (size, bytes) = bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest));
    // Of several faults, which is found first depends on the parts.
    let whole = read(&[bytes], Encoding::Plain).ok();
    let size = usize::from(size).max(bytes.len().div_ceil(PARTS)).max(1);
    let parts: Vec<&[u8]> = bytes.chunks(size).collect();
    assert_eq!(read(&parts, Encoding::Plain).ok(), whole, "in parts of {size} bytes");
    let packed = gzip(bytes);
    assert_eq!(read(&[&packed], Encoding::Gzip).ok(), whole, "packed");
    let cut = &packed[..packed.len() - 1];
    assert!(read(&[cut], Encoding::Gzip).is_err(), "it was cut off");
    // These are no gzip, or by chance one.
    let _ = read(&parts, Encoding::Gzip);
    if whole.is_some() {
        let text = String::from_utf8_lossy(bytes);
        assert!(serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{text}");
    }
}

/// An answer drawn from `choices`, as backends write it.
///
/// The last of several entries for a sub-account counts; bad ones are counted and leave the others alone.
pub fn user_coin_map_by_choices(choices: &[u8]) {
    let mut choices = Unstructured::new(choices);
    let (body, expected) = written(&mut choices).expect("a choice can always be made");
    let parts = choices.int_in_range(1..=PARTS).expect("a choice can always be made");
    let parts: Vec<&[u8]> = body.as_bytes().chunks(body.len().div_ceil(parts)).collect();
    assert_eq!(read(&parts, Encoding::Plain), Ok(expected), "{body}");
}

fn written(choices: &mut Unstructured<'_>) -> Result<(String, Understood)> {
    let long = "x".repeat(201);
    let names =
        ["alice", "Bob", "用户", "a b", "a/b", "..", "", "a\u{1b}", "\u{1f419}", "\u{fffd}", &long];
    let mut understood =
        Understood { switches: BTreeMap::new(), entries: 0, bad: 0, now_date: Some(1_513_239_055) };
    let mut fields = Vec::new();
    for _ in 0..choices.int_in_range(0..=8)? {
        let name = *choices.choose(&names)?;
        let coin = *choices.choose(&[
            "\"btc\"",
            "\"b\\u0063c\"",
            "\"ltc\"",
            "5",
            "{\"a\":[\"b\"]}",
            "null",
        ])?;
        fields.push(format!("{}:{coin}", serde_json::json!(name)));
        understood.entries += 1;
        let good = ["alice", "Bob", "用户", "a b"].contains(&name);
        let known = match coin {
            "\"btc\"" => Some("btc"),
            "\"b\\u0063c\"" => Some("bcc"),
            _ => None,
        };
        understood.bad += usize::from(!good || known.is_none());
        match known.filter(|_| good) {
            Some(coin) => understood.switches.insert(name.to_owned(), coin.to_owned()),
            None => understood.switches.remove(name),
        };
    }
    let map = fields.join(choices.choose(&[",", " ,\r\n"])?);
    let mut data = [format!("\"user_coin\":{{{map}}}"), "\"now_date\":1513239055".to_owned()];
    let mut whole = [
        *choices.choose(&["\"err_no\":0", "\"Err_No\":null", "\"x\":{\"err_no\":5}"])?,
        *choices.choose(&["\"err_msg\":\"\\n\"", "\"err_msg\":null", "\"err_msg\":{}"])?,
        "",
    ];
    if choices.ratio(1, 2)? {
        data.swap(0, 1);
    }
    let data = format!("\"{}\":{{{}}}", choices.choose(&["data", "DATA"])?, data.join(","));
    whole[2] = &data;
    let turn = choices.int_in_range(0..=2)?;
    whole.rotate_left(turn);
    Ok((format!("{{{}}}", whole.join(",")), understood))
}

/// Content of an answer that comes in these parts; of a bad one, its fault.
fn read(parts: &[&[u8]], encoding: Encoding) -> std::result::Result<Understood, BodyFault> {
    let coins = Coins::new(&["btc", "bcc"]).expect("valid");
    let deadline = Instant::now() + Duration::from_secs(60);
    let limits = FetchLimits { bytes: LIMIT, deadline };
    let body = Pieces::new(parts, true);
    let format = MapFormat(SwitchRules { coins, lower_case: false });
    match upstream::read(body, encoding, limits, format) {
        Ok(answer) => Ok(understood(answer)),
        Err(BadBody { fault, start, .. }) => {
            assert!(start.len() <= upstream::SHOWN_BYTES);
            if let BodyFault::Answer(fault) = &fault {
                assert!(!fault.to_string().contains(char::is_control), "{fault:?}");
            }
            Err(fault)
        }
    }
}

/// A body that comes in pieces, and is cut off behind them unless it is whole.
pub(crate) struct Pieces<'a> {
    pieces: Vec<&'a [u8]>,
    is_whole: bool,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(pieces: &[&'a [u8]], is_whole: bool) -> Self {
        Self { pieces: pieces.iter().rev().copied().collect(), is_whole }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.pieces.pop_if(|piece| piece.is_empty()).is_some() {}
        match self.pieces.last_mut() {
            Some(piece) => piece.read(buffer),
            None if self.is_whole => Ok(0),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn understood(answer: FetchedMap) -> Understood {
    let FetchedMap { map, now_date, warning: _ } = answer;
    for (name, fault) in &map.bad().shown {
        assert!(!name.contains(char::is_control) && !fault.contains(char::is_control));
        assert!(name.len() + fault.len() < 16 * 1024, "it floods the log");
    }
    let (entries, bad) = (map.entries(), map.bad().count);
    let switches: BTreeMap<String, String> = map
        .part(0, usize::MAX)
        .into_iter()
        .map(|entry| (entry.puname.as_str().to_owned(), entry.coin.as_str().to_owned()))
        .collect();
    assert_eq!(switches.len(), map.len(), "a sub-account is in it twice");
    assert!(switches.keys().all(|name| Puname::parse(name).is_ok()));
    assert!(switches.len() + bad <= entries);
    Understood { switches, entries, bad, now_date }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes it")
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_map_is_read_as_backends_mean_it(choices in vec(any::<u8>(), 0..120)) {
            user_coin_map_by_choices(&choices);
        }

        #[test]
        fn it_makes_no_difference_how_an_answer_comes(size in any::<u8>(), pieces in vec(prop_oneof![
            6 => prop::sample::select(&[
                "{", "}", "[", "]", ",", ":", "\"", "\\", "\"err_no\":", "0", "7", "\"data\":{", "\"err_msg\":\"\\n\"",
                "\"user_coin\":{", "\"alice\":\"btc\"", "\"now_date\":1", "\"a\u{1b}[2J\"", "\"\\u001b\":5", "null", "用",
                "{\"err_no\":0,\"data\":{\"user_coin\":{\"alice\":\"btc\"},\"now_date\":5}}", "{\"data\":[]}",
            ][..]).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => vec(any::<u8>(), 0..4),
        ], 0..16)) {
            user_coin_map(&[vec![size], pieces.concat()].concat());
        }
    }
}

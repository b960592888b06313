//! Body of an answer, from the network to the parser: unpacked, counted, checked.
//!
//! Memory stays at one buffer and the one value that the parser reads, whatever the upstream sends: gzip is unpacked
//! as the parser reads.

use std::{
    io::{self, BufReader, Cursor, Read},
    time::Instant,
};

use flate2::read::MultiGzDecoder;

use super::format::{AnswerFault, AnswerFormat, Budget};
use crate::go_json::{DepthCheck, utf8};

/// Bytes that are unpacked and checked in one go.
const BUFFER: usize = 64 * 1024;

/// Bytes of a bad answer that an error shows.
pub(crate) const SHOWN_BYTES: usize = 200;

/// Largest string of an answer, in bytes. Names and coins are far shorter.
const STRING_LIMIT: usize = 64 * 1024;

/// Limit of nested brackets: that of Go's decoder. The parser skips nested values without recursion.
const DEPTH_LIMIT: usize = 10_000;

/// First bytes of every gzip stream.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Packing of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Gzip,
    /// Its first bytes decide.
    GzipOrPlain,
}

/// Body that is no success.
#[derive(Debug)]
pub(crate) struct BadBody {
    pub(crate) fault: BodyFault,
    /// First bytes of the body, unpacked as far as that is possible.
    pub(crate) start: Vec<u8>,
    /// Bytes that came over the network.
    pub(crate) received: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyFault {
    /// Unpacked, it exceeds the limit.
    TooLarge,
    /// The deadline passed.
    TooSlow,
    /// The connection ended before the body did.
    BrokenOff(String),
    /// Labelled as gzip, it is none.
    NotGzip,
    /// It cannot be unpacked.
    Unreadable(String),
    /// It was read to its end, or to the fault in its text.
    Answer(AnswerFault),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchLimits {
    /// Unpacked bytes.
    pub(crate) bytes: u64,
    /// When to give up, even if bytes still come in: few on the wire may be many to unpack.
    pub(crate) deadline: Instant,
}

/// Reads an answer; blocks.
pub(crate) fn read<F: AnswerFormat>(
    body: impl Read,
    encoding: Encoding,
    limits: FetchLimits,
    format: F,
) -> Result<F::Parsed, BadBody> {
    let mut wire = Wire { source: body, received: 0, start: Vec::new(), fault: None };
    let mut start = Vec::new();
    let answer = unpacked(Box::new(&mut wire), encoding)
        .map_err(|error| BodyFault::Unreadable(error.to_string()))
        .and_then(|source| {
            let budget = Budget::new(None);
            let mut checked = CheckedBody {
                source,
                limits,
                budget: &budget,
                name: F::NAME,
                depth: DepthCheck::new(DEPTH_LIMIT, STRING_LIMIT),
                start: Vec::new(),
                fault: None,
                raw: Vec::new(),
                ready: Cursor::default(),
                is_over: false,
            };
            let answer = format.parse(BufReader::with_capacity(BUFFER, &mut checked), &budget);
            start = checked.start;
            answer.map_err(|fault| checked.fault.unwrap_or(BodyFault::Answer(fault)))
        });
    let Wire { received, start: packed, fault: broken, .. } = wire;
    answer.map_err(|fault| {
        let fault = match (fault, broken) {
            (_, Some(cause)) => BodyFault::BrokenOff(cause),
            (BodyFault::Unreadable(_), None)
                if encoding == Encoding::Gzip && !packed.starts_with(&GZIP) =>
            {
                BodyFault::NotGzip
            }
            (fault, None) => fault,
        };
        let is_packed = matches!(fault, BodyFault::NotGzip | BodyFault::Unreadable(_));
        BadBody {
            fault,
            start: if is_packed && start.is_empty() { packed } else { start },
            received,
        }
    })
}

/// Unpacks a body as it is read.
fn unpacked<'a>(
    mut body: Box<dyn Read + 'a>,
    encoding: Encoding,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match encoding {
        Encoding::Plain => body,
        Encoding::Gzip => Box::new(MultiGzDecoder::new(body)),
        Encoding::GzipOrPlain => {
            let mut start = Vec::new();
            body.by_ref().take(GZIP.len() as u64).read_to_end(&mut start)?;
            let encoding = if start == GZIP { Encoding::Gzip } else { Encoding::Plain };
            unpacked(Box::new(Cursor::new(start).chain(body)), encoding)?
        }
    })
}

/// First bytes of a body that was not read further, unpacked as far as that is possible.
pub(super) fn shown_start(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    // A body with a wrong label is shown as it is.
    let encoding = match encoding {
        Encoding::Gzip => Encoding::GzipOrPlain,
        other => other,
    };
    let mut start = Vec::new();
    // A body that was cut ends with an error.
    let _ = unpacked(Box::new(bytes), encoding)
        .and_then(|body| body.take(SHOWN_BYTES as u64).read_to_end(&mut start));
    start
}

/// Appends to the start of a body that an error shows.
fn append_shown(start: &mut Vec<u8>, bytes: &[u8]) {
    let room = SHOWN_BYTES.saturating_sub(start.len()).min(bytes.len());
    start.extend_from_slice(&bytes[..room]);
}

/// Body as it comes over the network.
struct Wire<R> {
    source: R,
    received: u64,
    start: Vec<u8>,
    fault: Option<String>,
}

impl<R: Read> Read for Wire<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count =
            self.source.read(buffer).inspect_err(|error| self.fault = Some(error.to_string()))?;
        self.received += count as u64;
        append_shown(&mut self.start, &buffer[..count]);
        Ok(count)
    }
}

/// Unpacked bytes: counted, checked, and valid UTF-8.
struct CheckedBody<'a, R> {
    source: R,
    /// For the rest of the body.
    limits: FetchLimits,
    budget: &'a Budget,
    /// The format's, for errors.
    name: &'static str,
    depth: DepthCheck,
    start: Vec<u8>,
    fault: Option<BodyFault>,
    /// Bytes from the source, after the beginning of a character that they end.
    raw: Vec<u8>,
    ready: Cursor<Vec<u8>>,
    is_over: bool,
}

impl<R: Read> CheckedBody<'_, R> {
    /// Makes the next bytes ready; none if they only begin a character.
    fn refill(&mut self) -> Result<(), BodyFault> {
        if Instant::now() >= self.limits.deadline {
            return Err(BodyFault::TooSlow);
        }
        let kept = self.raw.len();
        self.raw.resize(kept + BUFFER, 0);
        let count = self.source.read(&mut self.raw[kept..]);
        let count = count.map_err(|error| BodyFault::Unreadable(error.to_string()))?;
        self.raw.truncate(kept + count);
        let left = self.limits.bytes.checked_sub(count as u64);
        self.limits.bytes = left.ok_or(BodyFault::TooLarge)?;
        if let Some(left) = self.budget.get() {
            let too_long = || AnswerFault::malformed(self.name, "a value in it is far too long");
            let left = left.checked_sub(count).ok_or_else(|| BodyFault::Answer(too_long()))?;
            self.budget.set(Some(left));
        }
        append_shown(&mut self.start, &self.raw[kept..]);
        self.depth
            .look_at(&self.raw[kept..])
            .map_err(|fault| BodyFault::Answer(AnswerFault::malformed(self.name, fault)))?;
        self.is_over = count == 0;
        let whole = self.raw.len() - if self.is_over { 0 } else { unfinished(&self.raw) };
        self.ready = Cursor::new(utf8(&self.raw[..whole]).into_owned().into_bytes());
        self.raw.drain(..whole);
        Ok(())
    }
}

impl<R: Read> Read for CheckedBody<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.ready.read(buffer)?;
            if count > 0 || self.is_over {
                return Ok(count);
            }
            if let Err(fault) = self.refill() {
                self.fault = Some(fault);
                return Err(io::ErrorKind::Other.into());
            }
        }
    }
}

/// Number of bytes at the end that begin a character which more bytes may complete.
fn unfinished(bytes: &[u8]) -> usize {
    let begin = bytes.iter().rev().take(3).position(|&byte| byte >= 0xc0);
    let length = begin.map_or(0, |position| position + 1);
    match str::from_utf8(&bytes[bytes.len() - length..]) {
        Err(error) if error.error_len().is_none() => length,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, time::Duration};

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::{
        domain::{Coins, SwitchRules},
        poller::{FetchedMap, MapFormat, properties::Pieces},
    };

    const MAP: &str = r#"{"err_no":0,"data":{"user_coin":{"alice":"btc"},"now_date":5}}"#;

    fn rules() -> MapFormat {
        MapFormat(SwitchRules { coins: Coins::new(&["btc"]).unwrap(), lower_case: false })
    }

    fn read_parts(
        parts: &[&[u8]],
        is_whole: bool,
        encoding: Encoding,
        limit: u64,
    ) -> Result<FetchedMap, (BodyFault, Vec<u8>)> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let limits = FetchLimits { bytes: limit, deadline };
        let answer = read(Pieces::new(parts, is_whole), encoding, limits, rules());
        answer.map_err(|bad| (bad.fault, bad.start))
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn it_does_not_matter_how_a_body_comes() {
        let packed = gzip(MAP.as_bytes());
        for (body, encoding) in [
            (MAP.as_bytes(), Encoding::Plain),
            (MAP.as_bytes(), Encoding::GzipOrPlain),
            (&packed, Encoding::Gzip),
            (&packed, Encoding::GzipOrPlain),
        ] {
            for size in [1, 7, 1000] {
                let parts: Vec<&[u8]> = body.chunks(size).collect();
                let answer = read_parts(&parts, true, encoding, 1000).unwrap();
                assert_eq!(answer.map.entries(), 1);
            }
        }
    }

    #[test]
    fn the_limit_counts_unpacked_bytes() {
        let size = MAP.len() as u64;
        let packed = gzip(MAP.as_bytes());
        for (body, encoding) in [(MAP.as_bytes(), Encoding::Plain), (&packed, Encoding::Gzip)] {
            assert!(read_parts(&[body], true, encoding, size).is_ok());
            let (fault, _) = read_parts(&[body], true, encoding, size - 1).unwrap_err();
            assert_eq!(fault, BodyFault::TooLarge);
        }
    }

    #[test]
    fn a_bomb_is_found_by_its_size() {
        let bomb = gzip(&vec![b' '; 50_000_000]);
        let (fault, _) = read_parts(&[&bomb], true, Encoding::Gzip, 1_000_000).unwrap_err();
        assert_eq!(fault, BodyFault::TooLarge);
    }

    #[test]
    fn a_bomb_that_is_not_too_large_is_given_up_in_time() {
        let bomb = gzip(&vec![b' '; 50_000_000]);
        let limits = FetchLimits { bytes: u64::MAX, deadline: Instant::now() };
        let fault = read(&*bomb, Encoding::Gzip, limits, rules()).unwrap_err().fault;
        assert_eq!(fault, BodyFault::TooSlow);
    }

    #[test]
    fn a_body_that_is_cut_off_is_no_answer() {
        for (body, encoding) in
            [(MAP.as_bytes().to_vec(), Encoding::Plain), (gzip(MAP.as_bytes()), Encoding::Gzip)]
        {
            let cut = &body[..body.len() - 1];
            assert!(read_parts(&[cut], true, encoding, 1000).is_err());
            assert!(read_parts(&[cut], true, Encoding::GzipOrPlain, 1000).is_err());
            assert!(read_parts(&[], true, Encoding::GzipOrPlain, 1000).is_err());
            assert!(read_parts(&[&body], false, encoding, 1000).is_err(), "{encoding:?}");
        }
    }

    #[test]
    fn a_fault_comes_with_the_first_bytes() {
        let html = format!("<html>{}", "x".repeat(1000));
        let (fault, head) =
            read_parts(&[html.as_bytes()], true, Encoding::Plain, 10_000).unwrap_err();
        assert!(matches!(fault, BodyFault::Answer(_)));
        assert_eq!(head, html.as_bytes()[..SHOWN_BYTES]);
        assert_eq!(shown_start(&gzip(html.as_bytes()), Encoding::Gzip), head);
        assert_eq!(shown_start(html.as_bytes(), Encoding::Gzip), head);
    }

    #[test]
    fn unneeded_values_are_not_held() {
        let nested = format!("{{\"x\":{}", "[".repeat(1_000_000));
        let long = format!("{{\"x\":\"{}", "y".repeat(1_000_000));
        let list = format!("{{\"data\":{{\"x\":[{}", "0,".repeat(1_000_000));
        let number = format!("{{\"data\":{{\"user_coin\":{{\"x\":{}", "7".repeat(1_000_000));
        for body in [nested, long, list, number] {
            let (fault, _) =
                read_parts(&[body.as_bytes()], true, Encoding::Plain, 10_000_000).unwrap_err();
            let BodyFault::Answer(AnswerFault::Malformed { fault: told, .. }) = fault else {
                panic!("{fault:?}")
            };
            let expected = ["10000 levels", "65536 bytes", "a value in it is far too long"];
            assert!(expected.iter().any(|text| told.contains(text)), "{told}");
        }
    }

    #[test]
    fn a_deeply_nested_value_is_one_bad_entry() {
        let deep = format!("{}7{}", "[".repeat(9_990), "]".repeat(9_990));
        for at in ["\"x\":0,", "\"data\":{\"user_coin\":{\"a\":\"btc\",\"b\":0}},"] {
            let body = format!("{{{}{}", at.replace('0', &deep), &MAP[1..]);
            assert!(read_parts(&[body.as_bytes()], true, Encoding::Plain, 100_000).is_ok());
        }
    }

    #[test]
    fn a_text_that_is_not_utf_8_is_one_bad_entry() {
        let body = b"{\"data\":{\"user_coin\":{\"a\xff\":\"btc\",\"b\":\"\xc3\",\"c\":\"btc\"}}}";
        for size in [1, 2, 3, 1000] {
            let parts: Vec<&[u8]> = body.chunks(size).collect();
            let answer = read_parts(&parts, true, Encoding::Plain, 1000).unwrap();
            assert_eq!((answer.map.entries(), answer.map.bad().count), (3, 2));
        }
    }

    #[test]
    fn characters_are_put_together_again() {
        let bytes = "aä用\u{1f419}".as_bytes();
        for cut in 0..bytes.len() {
            let whole = cut - unfinished(&bytes[..cut]);
            let text = format!("{}{}", utf8(&bytes[..whole]), utf8(&bytes[whole..]));
            assert_eq!(text.as_bytes(), bytes);
        }
        assert_eq!(utf8(b"a\xe4"), "a\u{fffd}");
        for whole in
            [&b"a"[..], "ä".as_bytes(), b"", b"\xff", b"\xe4a", b"\x80\x80\x80", b"\xed\xa0"]
        {
            assert_eq!(unfinished(whole), 0, "{whole:?}");
        }
    }
}

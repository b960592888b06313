//! An answer's bytes on their way from the network to a parser that blocks: unpacked, counted, guarded.
//!
//! Whatever the upstream sends, what is held of it is a few parts of the network's size, one buffer, and the
//! one value that the parser reads: gzip is unpacked as the parser reads.

use std::{
    io::{self, BufReader, Read},
    time::Instant,
};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tokio::sync::mpsc;

use super::{
    answer::{Answer, AnswerFault, Budget, parse},
    user_coin_map::Rules,
};
use crate::go_json::DepthCheck;

/// Parts that may wait for the parser; the network waits for it then.
const PARTS: usize = 8;

/// Bytes that are unpacked and looked at in one go.
const BUFFER: usize = 64 * 1024;

/// As many bytes of a bad answer are shown.
pub(super) const SHOWN_BYTES: usize = 200;

/// A name or a coin is far shorter.
const STRING_LIMIT: usize = 64 * 1024;

/// A part of the body as it came from the network, or its end. A body without an end was cut off.
pub(super) enum Part {
    Bytes(Bytes),
    End,
}

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
    /// Its first bytes decide.
    GzipOrPlain,
}

/// First bytes of every gzip stream.
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The two ends of a body's way.
pub(super) fn channel() -> (mpsc::Sender<Part>, Incoming) {
    let (sender, parts) = mpsc::channel(PARTS);
    (sender, Incoming { parts, current: Bytes::new(), is_over: false })
}

/// What is wrong with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// Unpacked, it has more bytes than it may.
    TooLarge,
    /// There is no time left for it.
    TooSlow,
    /// It cannot be read to its end.
    Unreadable(String),
    /// It is read, but no success.
    Answer(AnswerFault),
}

/// What reading an answer may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Unpacked bytes.
    pub(super) bytes: u64,
    /// When to give up, whatever has come in: little on the wire may be much to unpack.
    pub(super) deadline: Instant,
}

/// Reads an answer; blocks. Returns its first bytes along with a fault.
pub(super) fn read(
    mut incoming: Incoming,
    encoding: Encoding,
    limits: Limits,
    rules: Rules,
) -> Result<Answer, (BodyFault, Vec<u8>)> {
    let source: Box<dyn Read> = match encoding {
        Encoding::Plain => Box::new(incoming),
        Encoding::Gzip => Box::new(MultiGzDecoder::new(incoming)),
        Encoding::GzipOrPlain => {
            let mut start = Vec::new();
            let begun = incoming.by_ref().take(GZIP.len() as u64).read_to_end(&mut start);
            begun.map_err(|error| (BodyFault::Unreadable(error.to_string()), Vec::new()))?;
            let is_gzip = start == GZIP;
            let whole = io::Cursor::new(start).chain(incoming);
            if is_gzip { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) }
        }
    };
    let budget = Budget::new(None);
    let mut checked = Checked::new(source, limits, &budget);
    let answer = parse(BufReader::with_capacity(BUFFER, &mut checked), rules, &budget);
    answer.map_err(|fault| (checked.fault.take().unwrap_or(BodyFault::Answer(fault)), checked.head))
}

/// The first bytes of a body of which no more came than `bytes`.
pub(super) fn head(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    let mut head = Vec::new();
    let shown = SHOWN_BYTES as u64;
    // Shows what can be unpacked of a body that was cut.
    let _ = if encoding != Encoding::Plain && bytes.starts_with(&GZIP) {
        MultiGzDecoder::new(bytes).take(shown).read_to_end(&mut head)
    } else {
        bytes.take(shown).read_to_end(&mut head)
    };
    head
}

/// The body as it came.
pub(super) struct Incoming {
    parts: mpsc::Receiver<Part>,
    current: Bytes,
    is_over: bool,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            if self.is_over {
                return Ok(0);
            }
            match self.parts.blocking_recv() {
                Some(Part::Bytes(bytes)) => self.current = bytes,
                Some(Part::End) => self.is_over = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = buffer.len().min(self.current.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// Unpacked bytes: counted, looked at, and UTF-8 for sure.
struct Checked<'a, R> {
    source: R,
    left: u64,
    deadline: Instant,
    budget: &'a Budget,
    guard: DepthCheck,
    head: Vec<u8>,
    fault: Option<BodyFault>,
    /// What came from the source, the end of an unfinished character first.
    raw: Vec<u8>,
    ready: Vec<u8>,
    taken: usize,
    is_over: bool,
}

impl<'a, R: Read> Checked<'a, R> {
    fn new(source: R, limits: Limits, budget: &'a Budget) -> Self {
        Self {
            source,
            left: limits.bytes,
            deadline: limits.deadline,
            budget,
            guard: DepthCheck::new(STRING_LIMIT),
            head: Vec::new(),
            fault: None,
            raw: Vec::new(),
            ready: Vec::new(),
            taken: 0,
            is_over: false,
        }
    }

    /// Gets the next bytes ready; maybe none, if they only begin a character.
    fn refill(&mut self) -> Result<(), BodyFault> {
        if Instant::now() >= self.deadline {
            return Err(BodyFault::TooSlow);
        }
        let kept = self.raw.len();
        self.raw.resize(kept + BUFFER, 0);
        let count = loop {
            match self.source.read(&mut self.raw[kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(BodyFault::Unreadable(error.to_string())),
                Ok(count) => break count,
            }
        };
        self.raw.truncate(kept + count);
        self.left = self.left.checked_sub(count as u64).ok_or(BodyFault::TooLarge)?;
        if let Some(left) = self.budget.get() {
            let too_long = || AnswerFault::NotAMap("a value in it is far too long".to_owned());
            let left = left.checked_sub(count).ok_or_else(|| BodyFault::Answer(too_long()))?;
            self.budget.set(Some(left));
        }
        let room = SHOWN_BYTES.saturating_sub(self.head.len()).min(count);
        self.head.extend_from_slice(&self.raw[kept..kept + room]);
        self.guard
            .look_at(&self.raw[kept..])
            .map_err(|fault| BodyFault::Answer(AnswerFault::NotAMap(fault)))?;
        self.ready.clear();
        self.taken = 0;
        self.is_over = count == 0;
        let unfinished = lossy(&self.raw, self.is_over, &mut self.ready);
        self.raw.drain(..self.raw.len() - unfinished);
        Ok(())
    }
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.ready.len() {
            if self.is_over {
                return Ok(0);
            }
            if let Err(fault) = self.refill() {
                let told = io::Error::other(format!("{fault:?}"));
                self.fault = Some(fault);
                return Err(told);
            }
        }
        let count = buffer.len().min(self.ready.len() - self.taken);
        buffer[..count].copy_from_slice(&self.ready[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

/// Appends `bytes` to `text`, each byte that is not UTF-8 as U+FFFD. Returns how many bytes at the end begin a
/// character that more bytes may finish; none if there are no more.
fn lossy(bytes: &[u8], is_end: bool, text: &mut Vec<u8>) -> usize {
    let mut rest = bytes;
    loop {
        let error = match std::str::from_utf8(rest) {
            Ok(_) => {
                text.extend_from_slice(rest);
                return 0;
            }
            Err(error) => error,
        };
        text.extend_from_slice(&rest[..error.valid_up_to()]);
        rest = &rest[error.valid_up_to()..];
        if error.error_len().is_none() && !is_end {
            return rest.len();
        }
        text.extend_from_slice("\u{fffd}".as_bytes());
        rest = &rest[1..];
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, time::Duration};

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::domain::Coins;

    const MAP: &str = r#"{"err_no":0,"data":{"user_coin":{"alice":"btc"},"now_date":5}}"#;

    fn rules() -> Rules {
        Rules { coins: Coins::new(&["btc"]).unwrap(), lower_case: false }
    }

    fn read_parts(
        parts: &[&[u8]],
        is_whole: bool,
        encoding: Encoding,
        limit: u64,
    ) -> Result<Answer, (BodyFault, Vec<u8>)> {
        let (sender, incoming) = channel();
        let mut parts: Vec<Part> =
            parts.iter().map(|part| Part::Bytes(Bytes::copy_from_slice(part))).collect();
        if is_whole {
            parts.push(Part::End);
        }
        let sending = std::thread::spawn(move || {
            for part in parts {
                if sender.blocking_send(part).is_err() {
                    return;
                }
            }
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        let answer = read(incoming, encoding, Limits { bytes: limit, deadline }, rules());
        sending.join().unwrap();
        answer
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
        let (sender, incoming) = channel();
        let bomb = gzip(&vec![b' '; 50_000_000]);
        sender.blocking_send(Part::Bytes(bomb.into())).unwrap();
        let limits = Limits { bytes: u64::MAX, deadline: Instant::now() };
        let (fault, _) = read(incoming, Encoding::Gzip, limits, rules()).unwrap_err();
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
        assert_eq!(super::head(&gzip(html.as_bytes()), Encoding::Gzip), head);
        assert_eq!(super::head(html.as_bytes(), Encoding::Gzip), head);
    }

    #[test]
    fn what_nobody_needs_is_not_held() {
        let nested = format!("{{\"x\":{}", "[".repeat(1_000_000));
        let long = format!("{{\"x\":\"{}", "y".repeat(1_000_000));
        let list = format!("{{\"data\":{{\"x\":[{}", "0,".repeat(1_000_000));
        let number = format!("{{\"data\":{{\"user_coin\":{{\"x\":{}", "7".repeat(1_000_000));
        for body in [nested, long, list, number] {
            let (fault, _) =
                read_parts(&[body.as_bytes()], true, Encoding::Plain, 10_000_000).unwrap_err();
            let BodyFault::Answer(AnswerFault::NotAMap(told)) = fault else { panic!("{fault:?}") };
            let expected = ["64 levels", "65536 bytes", "a value in it is far too long"];
            assert!(expected.iter().any(|text| told.contains(text)), "{told}");
        }
    }

    #[test]
    fn what_is_not_utf_8_is_one_bad_entry() {
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
            let mut text = Vec::new();
            let unfinished = lossy(&bytes[..cut], false, &mut text);
            assert_eq!(lossy(&bytes[cut - unfinished..], true, &mut text), 0);
            assert_eq!(text, bytes);
        }
        let mut text = Vec::new();
        assert_eq!(lossy(b"a\xe4", true, &mut text), 0);
        assert_eq!(text, "a\u{fffd}".as_bytes());
    }
}

//! Properties that hold for any bytes of a client, as a function for property tests and the fuzz target. It panics where
//! a property does not hold.

use std::mem::MaybeUninit;

use actix_codec::Decoder;
use actix_http::{
    ServiceConfig,
    h1::{Codec, Message, MessageType},
};
use actix_rt::Runtime;
use actix_web::{http::ConnectionType, web::BytesMut};
use tokio::io::ReadBuf;

use super::{head::Head, inbound::Inbound};
use crate::http::error::RequestError;

/// Any bytes as a stream of requests.
///
/// The requests do not depend on the parts in which the bytes arrive. The HTTP library finds each request and its body
/// where the daemon does, sees no upgrade and no expectation, and agrees on whether the connection stays open.
pub fn messages(bytes: &[u8]) {
    let whole = read(bytes, bytes.len().max(1));
    for step in [1, 2, 7, 100] {
        assert_eq!(read(bytes, step), whole, "by {step}: {}", bytes.escape_ascii());
    }
}

#[derive(Debug, Default, PartialEq)]
struct Read {
    /// Heads and bodies of requests, the last of which may be unfinished.
    requests: Vec<(Vec<u8>, Vec<u8>)>,
    refusal: Option<RequestError>,
}

fn read(bytes: &[u8], step: usize) -> Read {
    let (mut inbound, mut library, mut read) = (Inbound::default(), None, Read::default());
    for part in bytes.chunks(step) {
        inbound.receive(part);
        if let Err(refusal) = drive(&mut inbound, &mut library, &mut read) {
            read.refusal = Some(refusal);
            break;
        }
    }
    read
}

/// Lets the library read all that can be handed over.
fn drive(
    inbound: &mut Inbound,
    library: &mut Option<Library>,
    read: &mut Read,
) -> Result<(), RequestError> {
    loop {
        let Some(reader) = library else {
            let Some(request) = inbound.next_request()? else { return Ok(()) };
            let mut reader = Library::new();
            while inbound.has_head() {
                reader.feed(|into| inbound.take_head(into));
            }
            read.requests.push((reader.head(request), Vec::new()));
            *library = Some(reader);
            continue;
        };
        let mut taken = Ok(());
        let data = &mut read.requests.last_mut().expect("a request").1;
        let count = reader.feed(|into| taken = inbound.take_body(into));
        reader.body(data);
        taken?;
        if !inbound.has_body() {
            reader.assert_ended();
            *library = None;
        } else if count == 0 {
            return Ok(());
        }
    }
}

/// The HTTP library's own reader of one request.
struct Library {
    codec: Codec,
    bytes: BytesMut,
    has_body: bool,
}

thread_local! {
    /// The library needs a runtime for its clock.
    static CONFIG: (Runtime, ServiceConfig) = {
        let runtime = Runtime::new().expect("a runtime");
        let config = runtime.block_on(async { ServiceConfig::default() });
        (runtime, config)
    };
}

impl Library {
    fn new() -> Self {
        let codec = CONFIG.with(|(_, config)| Codec::new(config.clone()));
        Self { codec, bytes: BytesMut::new(), has_body: false }
    }

    fn feed(&mut self, fill: impl FnOnce(&mut ReadBuf<'_>)) -> usize {
        let mut space = [MaybeUninit::uninit(); 64];
        let mut into = ReadBuf::uninit(&mut space);
        fill(&mut into);
        self.bytes.extend_from_slice(into.filled());
        into.filled().len()
    }

    fn head(&mut self, expected: Head) -> Vec<u8> {
        let text = self.bytes.to_vec();
        let read = self.codec.decode(&mut self.bytes);
        let Ok(Some(Message::Item(request))) = read else {
            panic!("{read:?} of {}", text.escape_ascii());
        };
        let kind = request.head().connection_type();
        assert_eq!(
            kind == ConnectionType::KeepAlive,
            expected.keeps_alive,
            "{}",
            text.escape_ascii()
        );
        assert!(kind != ConnectionType::Upgrade && !request.head().expect());
        assert!(self.bytes.is_empty(), "the library finds another end of {}", text.escape_ascii());
        self.has_body = self.codec.message_type() != MessageType::None;
        text
    }

    fn body(&mut self, data: &mut Vec<u8>) {
        while self.has_body {
            match self.codec.decode(&mut self.bytes) {
                Ok(Some(Message::Chunk(Some(chunk)))) => data.extend_from_slice(&chunk),
                Ok(Some(Message::Chunk(None))) => self.has_body = false,
                Ok(None) => return,
                read => panic!("{read:?} within a body"),
            }
        }
    }

    fn assert_ended(&self) {
        assert!(!self.has_body && self.bytes.is_empty(), "the library finds another end of a body");
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const PIECES: &[&str] = &[
        "GET / HTTP/1.1\r\n",
        "GET /switch?puname=用户&coin=btc HTTP/1.1\r\n",
        "POST /switch HTTP/1.1\r\nHost: s\r\n",
        "POST /switch HTTP/1.0\r\n",
        "CONNECT s:1 HTTP/1.1\r\n",
        "%GET / HTTP/1.1\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "GET http://s/ HTTP/1.0\r\n",
        "Host: s\r\n",
        "Content-Length: 3\r\n",
        "Content-Length: 0\r\n",
        "content-length:\t03 \r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "Connection: Upgrade, keep-alive\r\n",
        "Connection: \u{e9}, close\r\n",
        "Upgrade: websocket\r\n",
        "HTTP2-Settings: AAMAAABk\r\n",
        "Expect: 100-continue\r\n",
        "X: y\r\n",
        "\r\n",
        "\r\n",
        "abc",
        "3\r\nabc\r\n",
        "a;x=y\r\n0123456789\r\n",
        "0\r\n",
        "0\r\nX: y\r\n\r\n",
        "\n",
        "\r",
        " ",
        ":",
        "\0",
    ];

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            20 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => vec(any::<u8>(), 0..4),
        ];
        vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_library_finds_the_same_requests(bytes in pieces()) {
            messages(&bytes);
        }
    }

    #[test]
    fn a_head_is_rewritten_where_the_library_would_read_more_into_it() {
        for (sent, handed) in [
            ("GET / HTTP/1.1\r\nHost: s\r\nX: \u{e9}\r\n\r\n", None),
            ("\r\nGET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", None),
            (
                "GET /?a=\u{e9}#b HTTP/1.1\r\nHost: s\r\n\r\n",
                Some("GET /?a=%C3%A9%23b HTTP/1.1\r\nHost: s\r\n\r\n"),
            ),
            (
                "GET / HTTP/1.1\r\nhost:s\r\nconnection: upgrade, close\r\nupgrade: h2c\r\nX:y\r\n\r\n",
                Some("GET / HTTP/1.1\r\nhost:s\r\nX:y\r\nConnection: close\r\n\r\n"),
            ),
            (
                "GET / HTTP/1.0\r\nConnection: keep-alive, TE\r\nContent-Length: 2\r\nX: y\r\n\r\nab",
                Some(
                    "GET / HTTP/1.0\r\nX: y\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n",
                ),
            ),
            (
                "POST / HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: Chunked\r\nHost: s\r\n\r\n",
                Some("POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ),
            ("POST / HTTP/1.0\r\n\r\n", Some("POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n")),
        ] {
            messages(sent.as_bytes());
            let read = read(sent.as_bytes(), sent.len());
            assert_eq!(read.refusal, None, "{sent}");
            let head = String::from_utf8_lossy(&read.requests[0].0).into_owned();
            assert_eq!(head, handed.unwrap_or(sent), "{sent}");
        }
    }
}

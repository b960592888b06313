//! HTTP/1.1 client, one request per connection, for the Poller and for the commands that call the daemon's API. The only
//! file that names the HTTP library (docs/develop/decisions/0012-http-client.md).
//!
//! Connections are not reused: servers close idle ones, and a request sent at that moment may or may not have been read.

use std::{
    error::Error,
    io::{self, Read},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Request,
    body::Incoming,
    client::conn::http1::Builder,
    header::{AUTHORIZATION, CONNECTION, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
    task::JoinSet,
};

const AGENT: &str = concat!("switcher-api-server/", env!("CARGO_PKG_VERSION"));

/// Most headers of an answer. `HeaderMap` has room for 24,576.
const HEADERS: usize = 10_000;

/// Largest head of an answer, in bytes.
const HEAD_BYTES: usize = 1 << 20;

/// Request that closes its connection.
pub struct HttpRequest<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// Host, and port unless it is the scheme's default.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// User and password of HTTP Basic authentication.
    pub credentials: Option<(&'a str, &'a str)>,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body, empty for `GET`.
    pub body: Vec<u8>,
}

impl HttpRequest<'_> {
    /// Sends the request and waits for the answer's head. An error names all its causes.
    ///
    /// Accepts the heads that Go's client accepts: many headers, folded ones, and names with blanks. The connection serves
    /// one request, so no other answer can pass for a header; a lost header that cuts the body short leaves no valid JSON.
    pub async fn send(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<HttpAnswer, String> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.target)
            .header(HOST, self.host)
            .header(USER_AGENT, AGENT)
            .header(CONNECTION, "close");
        if let Some((user, password)) = self.credentials {
            let credentials = STANDARD.encode(format!("{user}:{password}"));
            request = request.header(AUTHORIZATION, format!("Basic {credentials}"));
        }
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(self.body))).map_err(with_causes)?;
        let (mut sender, driver) = Builder::new()
            .max_headers(HEADERS)
            .max_buf_size(HEAD_BYTES)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(with_causes)?;
        let mut connection = JoinSet::new();
        // Its errors reach the reader of head or body.
        connection.spawn(async { drop(driver.await) });
        let (head, body) = sender.send_request(request).await.map_err(head_fault)?.into_parts();
        let status = head.status.as_u16();
        Ok(HttpAnswer { status, headers: head.headers, body, connection })
    }
}

/// Answer whose body is still to be read.
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    /// Closed when dropped.
    connection: JoinSet<()>,
}

impl HttpAnswer {
    /// Text of a header, with all its lines.
    pub fn header(&self, name: &str) -> Option<String> {
        let lines =
            self.headers.get_all(name).iter().map(|it| String::from_utf8_lossy(it.as_bytes()));
        lines.map(String::from).reduce(|all, line| format!("{all}, {line}"))
    }

    /// Reads the body, of at most `limit` bytes, to its end.
    pub async fn body(self, limit: usize) -> Result<Vec<u8>, String> {
        match Limited::new(self.body, limit).collect().await {
            Ok(body) => Ok(body.to_bytes().into()),
            Err(error) => Err(with_causes(&*error)),
        }
    }

    /// Appends the body's first bytes to `start`, until it has `size` or the body ends.
    pub(crate) async fn read_start(&mut self, start: &mut Vec<u8>, size: usize) {
        while start.len() < size
            && let Some(Ok(bytes)) = next(&mut self.body).await
        {
            start.extend_from_slice(&bytes);
        }
    }

    /// Splits into the body, for a thread that may block, and the connection. Dropping the connection ends a read of the
    /// body with an error. Needs a tokio runtime.
    pub(crate) fn into_reader(self) -> (BodyReader, JoinSet<()>) {
        let reader =
            BodyReader { body: self.body, runtime: Handle::current(), bytes: Bytes::new() };
        (reader, self.connection)
    }
}

/// Body of an answer as it comes over the network. Blocks; an error names all its causes.
pub(crate) struct BodyReader {
    body: Incoming,
    runtime: Handle,
    bytes: Bytes,
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.bytes.is_empty() {
            match self.runtime.block_on(next(&mut self.body)) {
                Some(bytes) => self.bytes = bytes.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.bytes.len());
        buffer[..count].copy_from_slice(&self.bytes.split_to(count));
        Ok(count)
    }
}

/// Next bytes of a body; none if it has ended. Trailers count as none.
async fn next(body: &mut Incoming) -> Option<Result<Bytes, String>> {
    match body.frame().await? {
        Ok(frame) => Some(Ok(frame.into_data().unwrap_or_default())),
        Err(error) => Some(Err(with_causes(error))),
    }
}

fn head_fault(error: hyper::Error) -> String {
    let cause = with_causes(error);
    // The library has only this text for it.
    if cause.contains("message head is too large") {
        return format!("{cause}: more than {HEADERS} headers, or more than {HEAD_BYTES} bytes");
    }
    cause
}

/// Text of an error and of its causes, which the HTTP library's own text leaves out.
fn with_causes(error: impl Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

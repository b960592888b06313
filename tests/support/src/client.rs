//! A small HTTP/1.1 client that sends exact bytes and returns the whole answer: tests need odd methods, broken
//! framing and partial requests, which an ordinary client refuses.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, split,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// Longer than any answer takes: only stops a hanging test.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer as it came over the wire, its body unpacked from chunks.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The three-field body; panics when the answer is not exactly that.
    pub fn answer(&self) -> Answer {
        self.try_answer().unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Like [`Response::answer`], with an error instead of a panic.
    pub fn try_answer(&self) -> Result<Answer, String> {
        let kind = self.header("content-type").unwrap_or_default();
        if !kind.starts_with("application/json") {
            return Err(format!("Content-Type {kind:?}"));
        }
        let answer: Answer =
            serde_json::from_slice(&self.body).map_err(|error| error.to_string())?;
        if self.text() != answer.to_string() {
            return Err("fields in another order, or blanks between".to_owned());
        }
        Ok(answer)
    }
}

/// The body of every answer of the switch endpoints.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub err_no: i64,
    pub err_msg: String,
    pub success: bool,
}

impl Answer {
    pub fn success() -> Self {
        Self { err_no: 0, err_msg: String::new(), success: true }
    }

    pub fn error(err_no: i64, err_msg: &str) -> Self {
        Self { err_no, err_msg: err_msg.to_owned(), success: false }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let message = serde_json::to_string(&self.err_msg).map_err(|_| std::fmt::Error)?;
        let Self { err_no, success, .. } = self;
        write!(out, r#"{{"err_no":{err_no},"err_msg":{message},"success":{success}}}"#)
    }
}

/// Builds a request. Defaults are those of a plain client.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: vec![("Host".to_owned(), b"localhost".to_vec())],
            body: Vec::new(),
        }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    /// `/switch` with a name of any bytes.
    pub fn switch(user: impl AsRef<[u8]>, coin: impl AsRef<[u8]>) -> Self {
        let (user, coin) = (percent_encode(user.as_ref()), percent_encode(coin.as_ref()));
        Self::get(&format!("/switch?puname={user}&coin={coin}"))
    }

    /// `/switch/multi-user` with a body of any bytes.
    pub fn batch(json: impl Into<Vec<u8>>) -> Self {
        Self::post("/switch/multi-user").header("Content-Type", "application/json").body(json)
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Sets `Host`, by default `localhost`.
    pub fn host(mut self, host: &str) -> Self {
        self.headers.retain(|(name, _)| name != "Host");
        self.header("Host", host)
    }

    pub fn credentials(self, user: &str, password: &str) -> Self {
        self.header("Authorization", basic(user, password))
    }

    pub fn token(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// The head alone: request line, headers, empty line.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        if self.needs_length() {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    pub fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    fn needs_length(&self) -> bool {
        let framed = self.headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length")
                || name.eq_ignore_ascii_case("transfer-encoding")
        });
        !framed && (!self.body.is_empty() || self.method == "POST")
    }

    fn expects_continue(&self) -> bool {
        self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("expect"))
    }
}

type Reader = BufReader<Box<dyn AsyncRead + Send + Unpin>>;

/// One connection, kept alive for as long as the daemon keeps it.
pub struct Connection {
    reader: Reader,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Connection {
    pub async fn open(address: &str) -> io::Result<Self> {
        let stream = within(PATIENCE, TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        Ok(Self::plain(stream))
    }

    /// One with TLS.
    pub async fn open_tls(address: &str, tls: &Arc<ClientConfig>) -> io::Result<Self> {
        let stream = within(PATIENCE, TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(shake_hands(stream, tls).await?))
    }

    /// One that takes no more than about so many bytes of answers before they are read.
    pub async fn open_narrow(address: &str, bytes: u32) -> io::Result<Self> {
        connect_narrow(address, bytes).await.map(Self::plain)
    }

    /// One from that address.
    pub async fn open_from(source: IpAddr, address: &str) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let address = address.parse().map_err(io::Error::other)?;
        Ok(Self::plain(within(PATIENCE, socket.connect(address)).await?))
    }

    /// Over one without TLS.
    pub fn plain(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader: BufReader::new(Box::new(reader)), writer: Box::new(writer) }
    }

    /// Over one with TLS.
    pub fn over(stream: TlsStream<TcpStream>) -> Self {
        let (reader, writer) = split(stream);
        Self { reader: BufReader::new(Box::new(reader)), writer: Box::new(writer) }
    }

    /// Sends a request and reads its answer. An answer that comes before all was sent ends the
    /// sending, as a refused body must be able to.
    pub async fn send(&mut self, request: &Request) -> io::Result<Response> {
        if request.expects_continue() {
            self.write(&request.head_bytes()).await?;
            // Like curl: a server that says nothing within a second gets the body all the same.
            let interim = read_head(&mut self.reader);
            if let Ok(head) = timeout(Duration::from_secs(1), interim).await {
                let (status, headers) = head?;
                if status != 100 {
                    let body = read_body(&mut self.reader, status, &headers, false).await?;
                    return Ok(Response { status, headers, body });
                }
            }
            return self.exchange(request.body_bytes(), request.is_head()).await;
        }
        let mut bytes = request.head_bytes();
        bytes.extend_from_slice(request.body_bytes());
        self.exchange(&bytes, request.is_head()).await
    }

    /// Sends raw bytes and reads one answer.
    pub async fn exchange(&mut self, bytes: &[u8], head_only: bool) -> io::Result<Response> {
        let Self { reader, writer } = self;
        let writing = async {
            // The answer is more useful than a broken pipe.
            let _ = writer.write_all(bytes).await;
            let _ = writer.flush().await;
            std::future::pending().await
        };
        tokio::select! {
            response = within(PATIENCE, read_response(reader, head_only)) => response,
            () = writing => unreachable!("the writer never ends"),
        }
    }

    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await?;
        self.writer.flush().await
    }

    /// Writes `batch` so many times, and reads so many answers meanwhile, but for the first `pause`.
    pub async fn pipeline(
        &mut self,
        batch: &[u8],
        times: usize,
        pause: Duration,
        answers: usize,
    ) -> io::Result<Vec<Answer>> {
        let Self { reader, writer } = self;
        let writing = async {
            for _ in 0..times {
                writer.write_all(batch).await?;
            }
            writer.flush().await
        };
        let reading = async {
            tokio::time::sleep(pause).await;
            let mut read = Vec::with_capacity(answers);
            for _ in 0..answers {
                read.push(within(PATIENCE, read_response(reader, false)).await?.answer());
            }
            Ok(read)
        };
        tokio::try_join!(writing, reading).map(|((), read)| read)
    }

    /// Waits for one answer.
    pub async fn read_response(&mut self) -> io::Result<Response> {
        within(PATIENCE, read_response(&mut self.reader, false)).await
    }

    /// Sends `drop` every `pause` until the daemon hangs up, and returns all bytes received.
    /// Panics when it has not hung up after `patience`.
    pub async fn drip_until_closed(
        &mut self,
        drop: &[u8],
        pause: Duration,
        patience: Duration,
    ) -> Vec<u8> {
        let Self { reader, writer } = self;
        let mut said = Vec::new();
        let dripping = async {
            loop {
                tokio::time::sleep(pause).await;
                if writer.write_all(drop).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let hanging_up = async {
            // A reset is as good an end as any.
            let _ = reader.read_to_end(&mut said).await;
        };
        tokio::select! {
            () = dripping => {}
            end = timeout(patience, hanging_up) => {
                assert!(end.is_ok(), "the daemon still listens to a client that drips after {patience:?}");
            }
        }
        said
    }
}

/// A socket that takes no more than about so many bytes before they are read.
pub async fn connect_narrow(address: &str, bytes: u32) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(bytes)?;
    let address = address.parse().map_err(io::Error::other)?;
    within(PATIENCE, socket.connect(address)).await
}

/// TLS with a daemon on this machine.
pub async fn shake_hands(
    stream: TcpStream,
    tls: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::from(IpAddr::from([127, 0, 0, 1]));
    within(PATIENCE, TlsConnector::from(Arc::clone(tls)).connect(name, stream)).await
}

/// One request over a connection of its own.
pub async fn send(address: &str, request: &Request) -> io::Result<Response> {
    Connection::open(address).await?.send(request).await
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub fn percent_encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

async fn within<T>(patience: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(patience, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn read_response(reader: &mut Reader, head_only: bool) -> io::Result<Response> {
    loop {
        let (status, headers) = read_head(reader).await?;
        if status >= 200 {
            let body = read_body(reader, status, &headers, head_only).await?;
            return Ok(Response { status, headers, body });
        }
    }
}

type Head = (u16, Vec<(String, String)>);

async fn read_head(reader: &mut Reader) -> io::Result<Head> {
    let line = read_line(reader).await?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("status line {line:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader).await?;
        if line.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

async fn read_line(reader: &mut Reader) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).await?;
    match line.strip_suffix(b"\n") {
        Some(line) => {
            Ok(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned())
        }
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn read_body(
    reader: &mut Reader,
    status: u16,
    headers: &[(String, String)],
    head_only: bool,
) -> io::Result<Vec<u8>> {
    let header = |name: &str| {
        let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_ascii_lowercase())
    };
    let mut body = Vec::new();
    if head_only || status == 204 || status == 304 {
        return Ok(body);
    }
    if header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        loop {
            let line = read_line(reader).await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            let start = body.len();
            body.resize(start + size, 0);
            reader.read_exact(&mut body[start..]).await?;
            read_line(reader).await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match header("content-length") {
        Some(length) => {
            body.resize(length.parse().map_err(io::Error::other)?, 0);
            reader.read_exact(&mut body).await?;
        }
        None => {
            reader.read_to_end(&mut body).await?;
        }
    }
    Ok(body)
}

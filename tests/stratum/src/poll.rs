//! The HTTP request of a list, as sserver sends it: `?last_id=N` is appended to whatever the URL is.

use std::{io, str};

use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Fault of a request.
#[derive(Debug, Error)]
pub enum PollError {
    /// The URL does not begin with `http://`.
    #[error("{0} is no http URL")]
    Url(String),
    /// The network failed.
    #[error("no answer: {0}")]
    Network(#[from] io::Error),
    /// The answer has no head, or none that is understood.
    #[error("the answer is not HTTP")]
    NotHttp,
    /// A status other than 200 to 208.
    #[error("status {0}")]
    Status(u16),
}

/// Asks for the entries above `last_id`; returns the answer's body.
pub async fn fetch(url: &str, last_id: u32) -> Result<Vec<u8>, PollError> {
    let address = url.strip_prefix("http://").ok_or_else(|| PollError::Url(url.to_owned()))?;
    let (host, target) = match address.find('/') {
        Some(slash) => address.split_at(slash),
        None => (address, "/"),
    };
    let mut stream = TcpStream::connect(host).await?;
    // HTTP/1.0: the body ends with the connection.
    let request = format!("GET {target}?last_id={last_id} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let head = end.and_then(|end| str::from_utf8(&answer[..end]).ok());
    let status = head.and_then(|head| head.split(' ').nth(1)?.parse().ok());
    match (status, end) {
        (Some(200..=208), Some(end)) => Ok(answer.split_off(end + 4)),
        (Some(status), _) => Err(PollError::Status(status)),
        _ => Err(PollError::NotHttp),
    }
}

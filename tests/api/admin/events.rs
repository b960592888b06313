//! A client of the stream of changes, which reads when it likes.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use super::Admin;
use crate::support::client::Request;
use crate::support::daemon::{PASSWORD, USER};
use crate::support::seconds;

/// An event of the stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Change(Value),
    Missed(u64),
    Comment(String),
}

/// A connection, with or without TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An open stream.
pub struct Events {
    stream: BufReader<Box<dyn Stream>>,
    /// What has come and is no whole event yet.
    text: String,
    pub status: u16,
    /// The id of the last change.
    pub last_id: Option<String>,
}

impl Events {
    /// Opens one and reads the answer's head.
    pub async fn open(admin: &Admin) -> Self {
        Self::resume(admin, None).await
    }

    /// The same, for a client that has seen changes up to that id.
    pub async fn resume(admin: &Admin, last: Option<&str>) -> Self {
        let request = Request::get("/recent/stream").credentials(USER, PASSWORD);
        Self::of(
            admin,
            &match last {
                Some(last) => request.header("Last-Event-ID", last),
                None => request,
            },
        )
        .await
    }

    /// The same, by a request of any client.
    pub async fn of(admin: &Admin, request: &Request) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Little lies in between, for the tests of those that do not read.
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(admin.address.parse().unwrap()).await.unwrap();
        Self::over(Box::new(stream), request).await
    }

    /// The same, over an open connection.
    pub async fn over(mut stream: Box<dyn Stream>, request: &Request) -> Self {
        stream.write_all(&request.head_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let (stream, text) = (BufReader::new(stream), String::new());
        let mut events = Self { stream, text, status: 0, last_id: None };
        let status = events.line().await;
        events.status = status.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
        while !events.line().await.is_empty() {}
        events
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(seconds(20), self.stream.read_line(&mut line)).await;
        read.expect("a line in time").unwrap();
        assert!(line.ends_with("\r\n"), "the stream has ended: {line:?}");
        line.trim_end().to_owned()
    }

    /// The next event that is no comment.
    pub async fn next(&mut self) -> Event {
        let event = async {
            loop {
                match self.next_of_all(seconds(20)).await.expect("an event in time") {
                    Event::Comment(_) => {}
                    event => return event,
                }
            }
        };
        // Heartbeats are no sign that it will ever come.
        timeout(seconds(20), event).await.expect("an event in time")
    }

    /// The next change; there must be nothing else before it.
    pub async fn change(&mut self) -> Value {
        match self.next().await {
            Event::Change(change) => change,
            event => panic!("{event:?} instead of a change"),
        }
    }

    /// The next event, if one comes in time.
    pub async fn next_of_all(&mut self, patience: Duration) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, id) = understand(event);
                self.last_id = id.or(self.last_id.take());
                self.text = rest.to_owned();
                return Some(event);
            }
            // A part that has begun comes whole, so only its length may be waited for in vain.
            let mut length = String::new();
            timeout(patience, self.stream.read_line(&mut length)).await.ok()?.unwrap();
            let length = usize::from_str_radix(length.trim(), 16).expect("a length");
            let mut part = vec![0; length + 2];
            self.stream.read_exact(&mut part).await.unwrap();
            part.truncate(length);
            self.text += &String::from_utf8(part).unwrap();
        }
    }

    /// Whether the daemon has hung up, read to the end.
    pub async fn ends(&mut self) -> bool {
        self.rest().await.is_some()
    }

    /// All that still comes, if the daemon hangs up then.
    pub async fn rest(&mut self) -> Option<String> {
        let mut rest = Vec::new();
        timeout(seconds(20), self.stream.read_to_end(&mut rest)).await.ok()?.ok()?;
        Some(String::from_utf8(rest).unwrap())
    }
}

/// An event, and its id if it has one.
fn understand(event: &str) -> (Event, Option<String>) {
    if let Some(comment) = event.strip_prefix(": ") {
        return (Event::Comment(comment.to_owned()), None);
    }
    let field = |name: &str| {
        event.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).map(str::to_owned)
    };
    let data: Value = serde_json::from_str(&field("data").expect(event)).expect(event);
    match field("event").as_deref() {
        Some("change") => {
            let id = field("id").expect(event);
            assert_eq!(id.split_once('-').unwrap().1, data["number"].to_string(), "{event}");
            (Event::Change(data), Some(id))
        }
        Some("missed") => (Event::Missed(data["missed"].as_u64().expect(event)), None),
        _ => panic!("{event}"),
    }
}

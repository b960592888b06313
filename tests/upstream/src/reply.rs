//! Answers, step by step.

use std::{io::Write, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

/// Holds a reply back until it is opened.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Lets all pass from now on.
    pub fn open(&self) {
        self.0.close();
    }

    pub(crate) async fn pass(&self) {
        let _ = self.0.acquire().await;
    }
}

/// One thing that is done to the connection.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Arc<[u8]>),
    /// The same bytes so many times.
    Repeat(Arc<[u8]>, usize),
    /// One byte after the other, with a pause behind each.
    Drip(Arc<[u8]>, Duration),
    /// This many entries of a map as one chunk of text each, the first without a comma before it.
    Entries {
        count: usize,
        coin: String,
    },
    Wait(Gate),
    Pause(Duration),
    Hang,
}

/// An answer. The connection is closed at its end.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub(crate) steps: Vec<Step>,
}

impl Reply {
    /// The documented success.
    pub fn map(entries: &[(&str, &str)], now_date: i64) -> Self {
        let map: Map<String, Value> =
            entries.iter().map(|&(name, coin)| (name.to_owned(), coin.into())).collect();
        let data = json!({"user_coin": map, "now_date": now_date});
        Self::json(&json!({"err_no": 0, "err_msg": "", "data": data}).to_string())
    }

    /// A map of `count` sub-accounts, `user0000000` and so on, all on one coin, made while it is sent.
    pub fn many(count: usize, coin: &str, now_date: i64) -> Self {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\
             {\"err_no\":0,\"err_msg\":\"\",\"data\":{\"user_coin\":{";
        Self::default()
            .send(head)
            .step(Step::Entries { count, coin: coin.to_owned() })
            .send(format!("}},\"now_date\":{now_date}}}}}"))
    }

    /// Status 200 with this JSON, valid or not.
    pub fn json(body: &str) -> Self {
        Self::status(200, "OK", "application/json", body)
    }

    /// Any status, with a body.
    pub fn status(code: u16, reason: &str, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        Self::with_head(
            &format!("{code} {reason}"),
            &format!("Content-Type: {content_type}\r\n"),
            body,
        )
    }

    /// Status 200 with this JSON, packed.
    pub fn gzip(body: &str) -> Self {
        let headers = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
        Self::with_head("200 OK", headers, Self::packed(body))
    }

    /// A body as gzip has it.
    pub fn packed(body: &str) -> Vec<u8> {
        packed(body.as_bytes())
    }

    /// A small answer that unpacks to so many megabytes of blanks.
    pub fn bomb(megabytes: usize) -> Self {
        let megabyte = packed(&vec![b' '; 1 << 20]);
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n";
        Self::default().send(head).step(Step::Repeat(megabyte.into(), megabytes))
    }

    /// A redirect that is followed with a GET.
    pub fn redirect(location: &str) -> Self {
        Self::redirect_with(302, location)
    }

    /// A redirect with this status.
    pub fn redirect_with(code: u16, location: &str) -> Self {
        Self::with_head(&format!("{code} Moved"), &format!("Location: {location}\r\n"), "")
    }

    /// An answer of any status, with its headers as they go over the wire.
    pub fn with_head(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        Self::default().send(head).send(body)
    }

    /// These bytes and nothing else.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self::default().send(bytes)
    }

    /// Nothing, for ever.
    pub fn silence() -> Self {
        Self::default().hang()
    }

    /// Then these bytes.
    #[must_use]
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Send(bytes.as_ref().into()))
    }

    /// Then these bytes so many times.
    #[must_use]
    pub fn repeat(self, bytes: impl AsRef<[u8]>, times: usize) -> Self {
        self.step(Step::Repeat(bytes.as_ref().into(), times))
    }

    /// Then these bytes, one after the other with a pause behind each.
    #[must_use]
    pub fn drip(self, bytes: impl AsRef<[u8]>, pause: Duration) -> Self {
        self.step(Step::Drip(bytes.as_ref().into(), pause))
    }

    /// Then nothing, for ever.
    #[must_use]
    pub fn hang(self) -> Self {
        self.step(Step::Hang)
    }

    /// The whole answer, once the gate is open.
    #[must_use]
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.steps.insert(0, Step::Wait(gate.clone()));
        self
    }

    /// The whole answer, after a pause.
    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        self.steps.insert(0, Step::Pause(pause));
        self
    }

    /// The documented success of a registration.
    pub fn registered(puid: u32) -> Self {
        let data = json!({"puid": puid});
        Self::json(&json!({"status": "success", "message": "success", "data": data}).to_string())
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

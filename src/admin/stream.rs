//! Changes as they happen, as server-sent events.
//!
//! | event | data |
//! | --- | --- |
//! | `change` | a change, as in `/recent`; the event's id is `RUN-NUMBER` |
//! | `missed` | `{"missed":N}`: N changes before the next one came faster than the client read |
//!
//! `RUN` distinguishes this process from earlier ones. A client that resumes with the id of another process gets all
//! kept changes, since the daemon cannot know which ones the client has seen.
//!
//! A stream has no queue: it reads the ring of recent changes when its client takes more, at most four times a second,
//! so its cost does not grow with the number of switches. The listener closes the connection of a client that takes
//! nothing. A stream ends before the next event when a reload changes its client's user, or its session ends.

use std::{convert::Infallible, fmt::Write, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::CACHE_CONTROL,
    web::{Bytes, Data},
};
use futures_util::stream::{empty, unfold};
use switcher_actors::{Metrics, Since, escape_json};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep_until},
};

use super::{Admin, answer::PageError, recent::ChangeEntry};
use crate::http::{Actor, LiveConfig};

/// Minimum interval between reads of the ring.
const READ_INTERVAL: Duration = Duration::from_millis(250);

/// Interval of comments without changes, which show both sides that the connection works.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// `GET /recent/stream`: changes from now on, or from the one after `Last-Event-ID`.
pub async fn stream(
    request: HttpRequest,
    actor: Actor,
    admin: Data<Admin>,
) -> Result<HttpResponse, PageError> {
    let permit = admin.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| PageError::TooManyStreams)?;
    let coming = admin.metrics.recent().follow();
    let last = *coming.borrow();
    let run = admin.metrics.recent().run();
    // An empty id means none.
    let id = request.headers().get("Last-Event-ID").filter(|id| !id.is_empty());
    let resumed = id.map(|id| id.to_str().ok().and_then(|id| number(id, run)).unwrap_or(0));
    let follower = Follower {
        metrics: admin.metrics.clone(),
        live_config: admin.live_config.clone(),
        actor,
        coming,
        seen: resumed.unwrap_or(last).min(last),
        next_read: Instant::now(),
        begun: false,
        _permit: permit,
    };
    let events = unfold(follower, |mut follower| async {
        let part = follower.next_part().await;
        follower.is_admitted().then(|| (Ok::<_, Infallible>(Bytes::from(part)), follower))
    });
    Ok(head().streaming(events))
}

/// `HEAD /recent/stream`; does not count as a stream.
pub async fn stream_head() -> HttpResponse {
    head().streaming(empty::<Result<Bytes, Infallible>>())
}

fn head() -> HttpResponseBuilder {
    let mut head = HttpResponse::Ok();
    head.content_type("text/event-stream")
        // The stream ends only when the client has to leave.
        .force_close()
        .insert_header((CACHE_CONTROL, "no-store"));
    head
}

/// A client, and its position.
struct Follower {
    metrics: Metrics,
    live_config: LiveConfig,
    actor: Actor,
    coming: watch::Receiver<u64>,
    /// Number of the last change that was sent or reported as missed.
    seen: u64,
    next_read: Instant,
    begun: bool,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// Whether the client may still read.
    fn is_admitted(&self) -> bool {
        self.live_config.still_admits(&self.actor)
    }

    /// The next part of the stream, called when the client has taken the one before.
    async fn next_part(&mut self) -> String {
        if !self.begun {
            self.begun = true;
            // Shows the client at once that the stream is open.
            return ": changes follow\n\n".to_owned();
        }
        let heartbeat = Instant::now() + HEARTBEAT;
        sleep_until(self.next_read).await;
        loop {
            // Before the read, so that no change in between goes unnoticed.
            self.coming.mark_unchanged();
            let since = self.metrics.recent().since(self.seen);
            if since.missed > 0 || !since.changes.is_empty() {
                self.next_read = Instant::now() + READ_INTERVAL;
                self.seen += since.missed + since.changes.len() as u64;
                return events(&since, self.metrics.recent().run());
            }
            tokio::select! {
                changed = self.coming.changed() => {
                    // Its sender lives in `self.metrics`.
                    debug_assert!(changed.is_ok());
                }
                () = sleep_until(heartbeat) => return ": heartbeat\n\n".to_owned(),
            }
        }
    }
}

/// Number of an event's id, if the id is from this run.
fn number(id: &str, run: u64) -> Option<u64> {
    let (prefix, number) = id.split_once('-')?;
    (prefix == format!("{run:x}")).then(|| number.parse().ok())?
}

fn events(since: &Since, run: u64) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    if since.missed > 0 {
        let _ = write!(text, "event: missed\ndata: {{\"missed\":{}}}\n\n", since.missed);
    }
    for change in &since.changes {
        let json = serde_json::to_string(&ChangeEntry::from(change)).unwrap_or_default();
        let json = escape_json(&json);
        let _ = write!(text, "event: change\nid: {run:x}-{}\ndata: {json}\n\n", change.number);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use switcher_actors::{
        Change, ChangeEnd, ChangeKind, Coins, PreviousValue, Puname, RequestId, Source,
        is_invisible,
    };

    use super::*;

    #[test]
    fn an_event_escapes_invisible_characters() {
        let name = "a\u{202e}\u{3164}\u{9b}\u{2800}b";
        let btc = Coins::new(&["btc"]).unwrap().get("btc").unwrap().clone();
        let change = Change {
            number: 1,
            at: SystemTime::UNIX_EPOCH,
            source: Source::poll(RequestId(1)),
            what: ChangeKind::Switch {
                // A control character is in no name, but may be in a znode.
                puname: Puname::parse(&name.replace('\u{9b}', "")).unwrap(),
                old: PreviousValue::Data(name.into()),
                new: Some(btc),
                superseded_by: None,
                due: None,
                revision: None,
            },
            end: ChangeEnd::Applied,
            outcome: "applied",
            cause: None,
        };
        let text = events(&Since { missed: 0, changes: vec![change] }, 7);
        assert!(!text.replace('\n', "").contains(is_invisible), "{text:?}");
        let (_, json) = text.split_once("data: ").unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!((&json["old"], &json["new"]), (&name.into(), &"btc".into()));
    }

    #[test]
    fn only_an_id_of_this_run_has_a_number() {
        let run = 0x5f_3a9c;
        assert_eq!(number("5f3a9c-17", run), Some(17));
        for id in ["17", "5f3a9d-17", "5F3A9C-17", "-17", "5f3a9c-", "5f3a9c--1", "5f3a9c-x", ""] {
            assert_eq!(number(id, run), None, "{id}");
        }
    }
}

//! Changes as they come, as server-sent events.
//!
//! | event | data |
//! | --- | --- |
//! | `change` | a change, as in `/recent`; the event's id is `RUN-NUMBER` |
//! | `missed` | `{"missed":N}`: so many changes before the next came faster than they were read |
//!
//! `RUN` tells the numbers of this process from those of one before it. Who comes back with the id of another
//! process is given all changes that are kept: which of them it has seen nobody can say, and none shall be skipped.
//!
//! A stream has no queue: it reads from the ring of recent changes, whenever its client takes more. It looks a
//! few times a second at most, so that what it costs does not grow with the switches; and who takes nothing for
//! a while is hung up on. A stream ends when its client's credentials are replaced, before it tells of another change.

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

use super::{Admin, pages::PageError, recent::Entry};
use crate::http::{BasicAuth, LiveConfig, RequestConfigData};

/// From one look at what has come to the next.
const PACE: Duration = Duration::from_millis(250);

/// After so long without a change a comment is sent, which shows both sides whether the other is there.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// `GET /recent/stream`: changes from now on, or from the one after `Last-Event-ID`.
pub async fn stream(
    request: HttpRequest,
    terms: RequestConfigData,
    admin: Data<Admin>,
) -> Result<HttpResponse, PageError> {
    let permit = admin.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| PageError::TooManyStreams)?;
    let coming = admin.metrics.recent().follow();
    let last = *coming.borrow();
    let run = admin.metrics.recent().run();
    // An empty one is a client's way to say that it has none.
    let id = request.headers().get("Last-Event-ID").filter(|id| !id.is_empty());
    let resumed = id.map(|id| id.to_str().ok().and_then(|id| number(id, run)).unwrap_or(0));
    let follower = Follower {
        metrics: admin.metrics.clone(),
        live_config: admin.live_config.clone(),
        gate: terms.gate.clone(),
        coming,
        seen: resumed.unwrap_or(last).min(last),
        next_look: Instant::now(),
        begun: false,
        _permit: permit,
    };
    let events = unfold(follower, |mut follower| async {
        let part = follower.part().await;
        follower.is_admitted().then(|| (Ok::<_, Infallible>(Bytes::from(part)), follower))
    });
    Ok(head().streaming(events))
}

/// `HEAD /recent/stream`: the head alone, which takes no place of a stream.
pub async fn stream_head() -> HttpResponse {
    head().streaming(empty::<Result<Bytes, Infallible>>())
}

fn head() -> HttpResponseBuilder {
    let mut head = HttpResponse::Ok();
    head.content_type("text/event-stream")
        // It ends only where its client shall go.
        .force_close()
        .insert_header((CACHE_CONTROL, "no-store"));
    head
}

/// One client, and where it is.
struct Follower {
    metrics: Metrics,
    live_config: LiveConfig,
    /// What let the client in.
    gate: BasicAuth,
    coming: watch::Receiver<u64>,
    /// The number of the last change that it has got, or was told to have missed.
    seen: u64,
    next_look: Instant,
    begun: bool,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// Whether the client's credentials are still those that count.
    fn is_admitted(&self) -> bool {
        self.live_config.load().gate == self.gate
    }

    /// The next part of the stream. It is asked for when the client has taken the one before.
    async fn part(&mut self) -> String {
        if !self.begun {
            self.begun = true;
            // So that the client knows at once that it is heard.
            return ": changes follow\n\n".to_owned();
        }
        let heartbeat = Instant::now() + HEARTBEAT;
        sleep_until(self.next_look).await;
        loop {
            // Noted before the look, so that nothing can come unnoticed in between.
            self.coming.mark_unchanged();
            let since = self.metrics.recent().since(self.seen);
            if since.missed > 0 || !since.changes.is_empty() {
                self.next_look = Instant::now() + PACE;
                self.seen += since.missed + since.changes.len() as u64;
                return events(&since, self.metrics.recent().run());
            }
            tokio::select! {
                changed = self.coming.changed() => {
                    // Its sender is in the observer that we hold.
                    debug_assert!(changed.is_ok());
                }
                () = sleep_until(heartbeat) => return ": heartbeat\n\n".to_owned(),
            }
        }
    }
}

/// The number in an event's id, if that run gave it.
fn number(id: &str, run: u64) -> Option<u64> {
    let (prefix, number) = id.split_once('-')?;
    (prefix == format!("{run:x}")).then(|| number.parse().ok())?
}

fn events(since: &Since, run: u64) -> String {
    let mut text = String::new();
    // A text takes all that is written to it.
    if since.missed > 0 {
        let _ = write!(text, "event: missed\ndata: {{\"missed\":{}}}\n\n", since.missed);
    }
    for change in &since.changes {
        let json = serde_json::to_string(&Entry::from(change)).unwrap_or_default();
        let json = escape_json(&json);
        let _ = write!(text, "event: change\nid: {run:x}-{}\ndata: {json}\n\n", change.number);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use switcher_actors::{Change, ChangeKind, Coins, PreviousValue, Puname, Source, is_invisible};

    use super::*;

    #[test]
    fn an_event_shows_what_a_reader_does_not_see() {
        let name = "a\u{202e}\u{3164}\u{9b}\u{2800}b";
        let btc = Coins::new(&["btc"]).unwrap().get("btc").unwrap().clone();
        let change = Change {
            number: 1,
            at: SystemTime::UNIX_EPOCH,
            source: Source::Poll,
            what: ChangeKind::Switch {
                // A control character is in no name, but may be in a znode.
                puname: Puname::parse(&name.replace('\u{9b}', "")).unwrap(),
                old: PreviousValue::Data(name.into()),
                new: btc,
                superseded_by: None,
            },
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
    fn only_an_id_of_this_run_tells_a_number() {
        let run = 0x5f_3a9c;
        assert_eq!(number("5f3a9c-17", run), Some(17));
        for id in ["17", "5f3a9d-17", "5F3A9C-17", "-17", "5f3a9c-", "5f3a9c--1", "5f3a9c-x", ""] {
            assert_eq!(number(id, run), None, "{id}");
        }
    }
}

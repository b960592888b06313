//! Undos of requests that the daemons have answered, and of polls.
//!
//! An undo gives a sub-account a coin that it had before, which the registers of `judge` cannot express. So `judge` leaves
//! out the sub-accounts that any undo may have written, and `recorded` judges them by ZooKeeper's order: an undo is right
//! only if the write before it is the one that it takes back. Some contested sub-accounts, and those of most polls, are
//! never undone, so that both judges have enough of everything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::support::client::{Connection, Request};
use crate::support::daemon::{PASSWORD, USER};
use crate::support::load::exchange;
use crate::traffic::Records;

/// The latest requests among which undos choose.
const LATEST: usize = 40;

/// Requests that may be undone.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Vec<Answered>>>);

/// A request that a daemon has answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The index of the daemon.
    pub daemon: usize,
    pub request: String,
    pub names: Vec<String>,
    /// Whether znodes that it created may be deleted: nobody relies on them.
    pub may_delete: bool,
}

impl Board {
    pub fn add(&self, answered: Answered) {
        self.0.lock().unwrap().push(answered);
    }

    /// One of the latest of a daemon.
    fn pick(&self, daemon: usize, random: &mut Rng) -> Option<Answered> {
        let board = self.0.lock().unwrap();
        let of_daemon = board.iter().rev().filter(|it| it.daemon == daemon);
        let latest: Vec<_> = of_daemon.take(LATEST).collect();
        random.choice(latest).cloned()
    }
}

/// An undo that was answered.
#[derive(Clone, Debug)]
pub struct Undone {
    pub daemon: usize,
    pub request: String,
    /// Entries that were restored or deleted: name, and coin if there is a znode.
    pub entries: Vec<(String, Option<String>)>,
    pub start: Instant,
    pub end: Instant,
}

/// A client that undoes.
pub struct Undoer {
    pub daemon: usize,
    /// The address of the daemon's admin pages.
    pub admin: String,
    pub board: Board,
    /// The sub-accounts of polls, if these may be undone in this round.
    pub polled: Option<Vec<String>>,
    pub random: Rng,
}

impl Undoer {
    pub async fn run(mut self, stop: Arc<AtomicBool>) -> Records {
        let (mut records, mut connection) = (Records::default(), None);
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(self.random.u64(10..120))).await;
            let is_poll = self.random.u8(..8) == 0;
            let chosen = match &self.polled {
                Some(names) if is_poll => {
                    latest_poll(&mut connection, &self.admin).await.map(|request| Answered {
                        daemon: self.daemon,
                        request,
                        names: names.clone(),
                        may_delete: false,
                    })
                }
                _ => self.board.pick(self.daemon, &mut self.random),
            };
            if let Some(chosen) = chosen {
                self.undo(&mut connection, chosen, &mut records).await;
            }
        }
        records
    }

    async fn undo(
        &mut self,
        connection: &mut Option<Connection>,
        chosen: Answered,
        records: &mut Records,
    ) {
        let is_dry = self.random.u8(..5) == 0;
        let deletes = chosen.may_delete && self.random.bool();
        let body = json!({"request": chosen.request, "dry_run": is_dry, "delete_created": deletes});
        let request = Request::post("/undo").credentials(USER, PASSWORD).body(body.to_string());
        let start = Instant::now();
        let answer = exchange(connection, &self.admin, &request).await;
        let end = Instant::now();
        if !is_dry {
            records.undone.extend(chosen.names.iter().cloned());
        }
        // Without an answer it may have done all or nothing; its records say.
        let Ok(response) = answer else { return };
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let Some(results) = answer["results"].as_array() else {
            if !answer["err_no"].is_number() || answer["success"] != json!(false) {
                records.odd.push(format!("not of the API, to an undo: {response:?}"));
            }
            return;
        };
        let mut entries = Vec::new();
        for result in results {
            let coin = result["back_to"].as_str().map(str::to_owned);
            let is_good = match (result["outcome"].as_str(), is_dry) {
                (Some("restored" | "deleted"), false) => {
                    entries.push((
                        result["sub_account"].as_str().unwrap_or_default().to_owned(),
                        coin,
                    ));
                    true
                }
                (Some("not_applied" | "unknown"), _) => answer["success"] == json!(false),
                (Some("would_restore" | "would_delete"), is_dry) => is_dry,
                (Some("left_alone"), _) => true,
                _ => false,
            };
            if !is_good {
                records.odd.push(format!(
                    "a wrong answer to {body}: {result} of {} results",
                    results.len()
                ));
            }
        }
        let Some(request) = answer["request"].as_str().map(str::to_owned) else { return };
        if !entries.is_empty() {
            // It can be undone itself.
            self.board.add(Answered { request: request.clone(), ..chosen });
        }
        records.undos.push(Undone { daemon: self.daemon, request, entries, start, end });
    }
}

/// The newest poll that switched something; `None` if there is none, or no answer.
async fn latest_poll(connection: &mut Option<Connection>, admin: &str) -> Option<String> {
    let request = Request::get("/history/requests?source=poll&outcome=applied&limit=1");
    let answer = exchange(connection, admin, &request.credentials(USER, PASSWORD)).await.ok()?;
    let answer: Value = serde_json::from_slice(&answer.body).ok()?;
    answer["requests"][0]["request"].as_str().map(str::to_owned)
}

//! Load that remembers all answers, and a judge that compares them with ZooKeeper.
//!
//! Every write gives its sub-account a coin that no other write gives it, so the final coin identifies the last
//! write. Each sub-account belongs to one worker, which waits for each answer: so its writes have an order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::client::{Connection, Request, Response};
use crate::daemon::{Builder, Daemon, PASSWORD, USER};
use crate::zookeeper::Znodes;
use crate::{eventually, seconds};

/// Number of coins: the maximum of switches of one sub-account.
const COINS: usize = 3_000;
const USERS_OF_A_WORKER: usize = 10;

/// Outcome of a write, to its sender's knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Answered with success.
    Applied,
    /// Refused before anything was sent to ZooKeeper (105), or never received by the daemon.
    NotApplied,
    /// Answered with 107.
    Unknown,
    /// No answer came.
    Unanswered,
}

/// Sends a switch on the kept connection, or on a new one, and keeps it if possible. An answer unknown to the API
/// is an error.
pub async fn switch(
    kept: &mut Option<Connection>,
    address: &str,
    request: &Request,
) -> Result<Fate, Response> {
    let response = match exchange(kept, address, request).await {
        Ok(response) => response,
        Err(fate) => return Ok(fate),
    };
    fate(&response).ok_or(response)
}

/// The fate by the answer to a switch; `None` if the answer is unknown to the API.
pub fn fate(response: &Response) -> Option<Fate> {
    let answer = response.try_answer().ok().filter(|_| response.status == 200)?;
    match (answer.err_no, answer.success) {
        (0, true) => Some(Fate::Applied),
        (105, false) => Some(Fate::NotApplied),
        (107, false) => Some(Fate::Unknown),
        _ => None,
    }
}

/// Sends a request on the kept connection, or on a new one, and keeps it if possible. Without an answer, the fate of a
/// switch is the error.
pub async fn exchange(
    kept: &mut Option<Connection>,
    address: &str,
    request: &Request,
) -> Result<Response, Fate> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(address).await.map_err(|_| Fate::NotApplied)?,
    };
    let response = connection.send(request).await.map_err(|_| Fate::Unanswered)?;
    if response.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
        *kept = Some(connection);
    }
    Ok(response)
}

/// A running load.
pub struct Load {
    workers: JoinSet<Vec<Write>>,
    stop: Arc<AtomicBool>,
    applied: Arc<AtomicUsize>,
    watch_dir: String,
}

struct Write {
    user: String,
    number: usize,
    fate: Fate,
}

impl Load {
    /// Gives the configuration the coins that a load needs.
    pub fn coins(builder: Builder) -> Builder {
        let coins: Vec<Value> = (0..COINS).map(|number| coin(number).into()).collect();
        builder.set("AvailableCoins", coins)
    }

    /// Starts `workers` clients, each on a connection that it keeps while it can.
    pub fn start(daemon: &Daemon, workers: usize) -> Self {
        let mut load = Self {
            workers: JoinSet::new(),
            stop: Arc::new(AtomicBool::new(false)),
            applied: Arc::new(AtomicUsize::new(0)),
            watch_dir: daemon.watch_dir().to_owned(),
        };
        for number in 0..workers {
            let worker = Worker {
                name: format!("w{number}"),
                address: daemon.base().to_owned(),
                stop: Arc::clone(&load.stop),
                applied: Arc::clone(&load.applied),
            };
            load.workers.spawn(worker.run());
        }
        load
    }

    /// Waits until `count` more writes were acknowledged than at the call.
    pub async fn wait_for_applied(&self, count: usize) {
        let target = self.applied.load(Ordering::Relaxed) + count;
        let what = format!("{count} more switches are acknowledged");
        eventually(&what, seconds(60), || async {
            (self.applied.load(Ordering::Relaxed) >= target).then_some(())
        })
        .await;
    }

    /// Ends the load and returns its writes.
    pub async fn finish(self) -> History {
        self.stop.store(true, Ordering::Relaxed);
        let mut writes = Vec::new();
        for written in self.workers.join_all().await {
            writes.extend(written);
        }
        History { writes, watch_dir: self.watch_dir }
    }
}

struct Worker {
    name: String,
    address: String,
    stop: Arc<AtomicBool>,
    applied: Arc<AtomicUsize>,
}

impl Worker {
    async fn run(self) -> Vec<Write> {
        let mut writes = Vec::new();
        let mut connection = None;
        for number in 0..COINS {
            for user in 0..USERS_OF_A_WORKER {
                if self.stop.load(Ordering::Relaxed) {
                    return writes;
                }
                let user = format!("{}-{user}", self.name);
                let request = Request::switch(&user, coin(number)).credentials(USER, PASSWORD);
                let fate = switch(&mut connection, &self.address, &request).await;
                let fate = fate.unwrap_or_else(|response| panic!("{user}: {response:?}"));
                if fate == Fate::Applied {
                    self.applied.fetch_add(1, Ordering::Relaxed);
                } else {
                    // No hurry: a load that spins on errors slows the recovery that it waits for.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                writes.push(Write { user, number, fate });
            }
        }
        writes
    }
}

/// Writes and answers of a load.
pub struct History {
    writes: Vec<Write>,
    watch_dir: String,
}

impl History {
    pub fn count(&self, fate: Fate) -> usize {
        self.writes.iter().filter(|write| write.fate == fate).count()
    }

    /// Holds the tree against the history: each sub-account must have the coin of its last
    /// acknowledged write, or of a later one whose fate is among `possible`.
    pub async fn judge(&self, znodes: &Znodes, possible: &[Fate]) {
        let mut users: Vec<&str> = self.writes.iter().map(|write| write.user.as_str()).collect();
        users.sort_unstable();
        users.dedup();
        let paths: Vec<_> = users.iter().map(|user| format!("{}{user}", self.watch_dir)).collect();
        let values = znodes.get_all(&paths).await;
        let mut wrong = Vec::new();
        for (user, value) in users.into_iter().zip(values) {
            let writes: Vec<_> = self.writes.iter().filter(|write| write.user == user).collect();
            let last = writes.iter().rposition(|write| write.fate == Fate::Applied);
            let mut allowed: Vec<_> = writes[last.map_or(0, |last| last + 1)..]
                .iter()
                .filter(|write| possible.contains(&write.fate))
                .map(|write| Some(coin(write.number)))
                .collect();
            allowed.push(last.map(|last| coin(writes[last].number)));
            if !allowed.contains(&value) {
                let fate = writes.iter().find(|write| Some(coin(write.number)) == value);
                let fate = fate.map(|write| write.fate);
                wrong.push(format!("{user} is {value:?} ({fate:?}), allowed: {allowed:?}"));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), paths.len(), wrong.join("\n"));
    }
}

fn coin(number: usize) -> String {
    format!("c{number}")
}

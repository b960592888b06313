//! Clients, polls and undos of two daemons, all at the same time and for the same sub-accounts.
//!
//! Each committed write has a state of its own (`czxid`, version), and the histories of both daemons record it. So the
//! state before an undo's write shows which request's switch the undo has replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;

use fastrand::Rng;
use switcher_history::{ChangeRow, Entry, Filter, Order, Outcome, Reader, State, Switch};
use tokio::time::sleep;
use upstream_sim::{Reply, Upstream};

use super::*;
use crate::polls::{now, url};
use crate::support::client;

const COINS: [&str; 6] = ["btc", "bcc", "bch", "ltc", "dash", "zec"];
/// Switches of each client, and undos of each undoer.
const OPERATIONS: usize = 100;
const CLIENTS: usize = 4;
/// Sub-accounts that are in use at a time.
const WINDOW: usize = 6;
/// Switches after which a new sub-account, which some request has to create, replaces the oldest.
const ADVANCE: usize = 2;

/// The sub-accounts in use, which all share.
#[derive(Default)]
struct Window(AtomicUsize);

impl Window {
    fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn some(&self, rng: &mut Rng) -> Vec<String> {
        let first = self.0.load(Ordering::Relaxed) / ADVANCE;
        let users = (first..first + WINDOW).filter(|_| rng.u8(..4) == 0);
        users.map(|n| format!("user{n}")).collect()
    }
}

fn coin(rng: &mut Rng) -> &'static str {
    COINS[rng.usize(..COINS.len())]
}

/// One daemon, with the requests that it has answered.
struct Place {
    daemon: Daemon,
    admin: Admin,
    history: PathBuf,
    requests: Mutex<Vec<String>>,
    window: Arc<Window>,
}

impl Place {
    async fn start(builder: Builder, window: &Arc<Window>) -> Arc<Self> {
        let builder = with_history(builder).set("AvailableCoins", json!(COINS));
        let daemon = builder.start().await;
        let admin = Admin::of(&daemon).await;
        let history = builder.folder().join("history.db");
        let window = Arc::clone(window);
        Arc::new(Self { daemon, admin, history, requests: Mutex::default(), window })
    }

    async fn switch(self: Arc<Self>, mut rng: Rng) {
        for _ in 0..OPERATIONS {
            let users = self.window.some(&mut rng);
            self.window.advance();
            let json = json!({"usercoins": [{"coin": coin(&mut rng), "punames": users}]});
            let response = self.daemon.send(Request::batch(json.to_string())).await;
            if response.answer().success {
                self.requests.lock().unwrap().push(id(&response));
            }
            sleep(Duration::from_millis(rng.u64(..40))).await;
        }
    }

    async fn undo(self: Arc<Self>, mut rng: Rng) {
        for _ in 0..OPERATIONS {
            let request = {
                let requests = self.requests.lock().unwrap();
                let newest = requests.len().saturating_sub(3);
                requests.get(rng.usize(newest..=requests.len())).cloned()
            };
            let Some(request) = request else {
                sleep(Duration::from_millis(5)).await;
                continue;
            };
            let body = json!({"request": request, "delete_created": rng.u8(..4) > 0});
            let undo = Request::post("/undo").credentials(USER, PASSWORD).body(body.to_string());
            let response = client::send(&self.admin.address, &undo).await.unwrap();
            assert!([200, 404, 409].contains(&response.status), "{response:?}");
            if response.status == 200 {
                self.requests.lock().unwrap().push(id(&response));
            }
        }
    }

    fn changes(&self) -> Vec<(ChangeRow, Switch)> {
        let reader = Reader::open(&self.history).unwrap();
        let all = reader.changes(&Filter::default(), Order::Oldest, None, 100_000).unwrap();
        assert_eq!(all.next, None);
        let applied = all.rows.into_iter().filter(|row| row.outcome == Outcome::Applied);
        let switches = applied.filter_map(|row| match row.entry.clone() {
            Entry::Switch(switch) => Some((row, switch)),
            _ => None,
        });
        switches.filter(|(_, switch)| switch.superseded_by.is_none()).collect()
    }
}

/// Checks the applied switches of one sub-account; returns the number of undos that wrote, and that deleted.
fn judge(user: &str, changes: &[&(ChangeRow, Switch)]) -> (usize, usize) {
    let mut by_state = BTreeMap::new();
    for (row, switch) in changes {
        if let Some(State { created, version }) = switch.state {
            let other = by_state.insert((created, version), row.origin.request);
            assert_eq!(other, None, "{user}: two writes made version {version} of {created:#x}");
        }
    }
    let (mut restored, mut deleted) = (0, BTreeMap::new());
    for (row, switch) in changes {
        let Some(undone) = row.origin.undo_of else { continue };
        let what = format!("{user}: undo {:016x} of {undone:016x}, {switch:?}", row.origin.request);
        match (switch.state, &switch.new) {
            (Some(State { created, version }), _) if version > 0 => {
                restored += 1;
                let before = by_state.get(&(created, version - 1));
                assert_eq!(before, Some(&undone), "{what} replaced another request's switch");
            }
            (None, None) => {
                let left = changes.iter().find(|(row, _)| row.origin.request == undone);
                let State { created, version } = left.unwrap().1.state.expect("a recorded state");
                let last = by_state.range((created, 0)..=(created, i32::MAX)).next_back();
                assert_eq!(
                    last.map(|(state, _)| *state),
                    Some((created, version)),
                    "{what} deleted another request's switch"
                );
                assert_eq!(deleted.insert(created, row.number), None, "{what}: deleted twice");
            }
            // Created again, where there was no znode.
            _ => {}
        }
    }
    (restored, deleted.len())
}

#[tokio::test]
#[allow(clippy::print_stdout)]
async fn no_undo_replaces_or_deletes_a_switch_that_it_has_not_seen() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let zookeeper = ZooKeeper::shared().await;
    let (window, map) = (Arc::new(Window::default()), Mutex::new(rng.fork()));
    let of_upstream = Arc::clone(&window);
    let upstream = Upstream::start(move |_| {
        let mut rng = map.lock().unwrap();
        let users = of_upstream.some(&mut rng);
        let entries: Vec<_> = users.iter().map(|user| (user.as_str(), coin(&mut rng))).collect();
        Reply::map(&entries, now())
    });
    let upstream = upstream.await.unwrap();
    let polling = Daemon::builder(zookeeper)
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", url(&upstream));
    let first = Place::start(polling, &window).await;
    let same = first.daemon.watch_dir().to_owned();
    let second = Daemon::builder(zookeeper).set("ZKSwitcherWatchDir", same);
    let second = Place::start(second, &window).await;
    let mut tasks = tokio::task::JoinSet::new();
    for place in [&first, &second] {
        for _ in 0..CLIENTS {
            tasks.spawn(Arc::clone(place).switch(rng.fork()));
            tasks.spawn(Arc::clone(place).undo(rng.fork()));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    // Writes are recorded a moment after their answers.
    for place in [&first, &second] {
        assert_eq!(place.admin.get("/history?limit=1").await.status, 200);
    }
    let changes: Vec<_> = [first.changes(), second.changes()].concat();
    let (mut restored, mut deleted) = (0, 0);
    let users: BTreeSet<_> = changes.iter().map(|(_, switch)| &switch.sub_account).collect();
    for user in users {
        let of_user = changes.iter().filter(|(_, switch)| switch.sub_account == *user);
        let counts = judge(user, &of_user.collect::<Vec<_>>());
        (restored, deleted) = (restored + counts.0, deleted + counts.1);
    }
    println!("{} changes, {restored} restored, {deleted} deleted", changes.len());
    assert!(restored > 0 && deleted > 0, "undos had no effect");
}

//! User lists and registrations of the web backend. One answer in eight is a failure of some kind.
//!
//! Each round has sub-accounts of its own, with larger puids than all before: so a daemon that starts pulls only these.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use serde_json::Value;
use upstream_sim::{Backend, Gate, Reply, Request};

use crate::looker::Looker;
use crate::scene::{GROWING, Places, REGISTER};
use crate::traffic::Names;

/// Pause between two new sub-accounts.
const GROWTH: Duration = Duration::from_millis(60);

/// Data of znodes and index entries that other clients have made before the backend lists the name.
pub const FOREIGN: &str = "foreign";

/// A sub-account of a round, as the backend has it.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Its puids in each list, in the order of time; hardly ever more than one.
    pub lists: BTreeMap<&'static str, Vec<u32>>,
    /// Whether another client has made its znode and its index entry before.
    pub is_foreign: bool,
}

/// The lists. Clones share them.
#[derive(Clone, Default)]
pub struct Lists(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    backend: Backend,
    listed: BTreeMap<String, Listed>,
    /// For each name whether its registrations fail, in the order of their requests.
    posts: HashMap<String, Vec<bool>>,
    random: Rng,
    misfortunes: usize,
    is_well: bool,
    hanging: Gate,
}

/// Records of a round.
#[derive(Clone, Debug, Default)]
pub struct ListRecords {
    pub listed: BTreeMap<String, Listed>,
    /// See [`State::posts`].
    pub posts: HashMap<String, Vec<bool>>,
}

impl Lists {
    /// Begins a round.
    pub fn begin(&self, seed: u64) {
        let mut state = self.state();
        let backend = Backend::after(state.backend.last_puid());
        *state = State { backend, random: Rng::with_seed(seed), ..State::default() };
    }

    /// From now on nothing fails.
    pub fn cure(&self) {
        let mut state = self.state();
        state.is_well = true;
        state.hanging.open();
    }

    /// Records of the round so far.
    pub fn records(&self) -> ListRecords {
        let state = self.state();
        ListRecords { listed: state.listed.clone(), posts: state.posts.clone() }
    }

    /// Adds a sub-account to the lists of these coins, under one new puid.
    pub fn list(&self, name: &str, coins: &[&'static str]) {
        self.state().list(name, coins);
    }

    /// Answers requests for lists and registrations; `None` for others.
    pub fn answer(&self, request: &Request) -> Option<Reply> {
        let path = request.target.split('?').next().unwrap_or_default();
        let mut state = self.state();
        if path == REGISTER {
            return Some(state.register(&request.body));
        }
        let coin = path.strip_prefix("/list/")?;
        let last_id = request.query("last_id").and_then(|it| it.parse().ok()).unwrap_or(0);
        Some(match state.misfortune(coin) {
            None => state.backend.list_answer(coin, last_id),
            Some(0) => Reply::status(500, "Internal Server Error", "text/html", "<h1>Oops</h1>"),
            Some(1) => Reply::json(r#"{"err_no":1,"err_msg":"no database"}"#),
            Some(2) => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{\"err_no\":0,"),
            Some(_) => Reply::raw("").behind(&state.hanging),
        })
    }

    /// Lists new sub-accounts until it has to stop.
    pub async fn grow(self, brokers: String, places: Places, names: Names, stop: Arc<AtomicBool>) {
        let mut looker = None;
        for number in 0.. {
            tokio::time::sleep(GROWTH).await;
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let name = names.listed(number);
            let (choice, again) = {
                let random = &mut self.state().random;
                (random.u8(..16), random.usize(..=number))
            };
            match choice {
                // Another client was faster.
                0 | 1 => {
                    if looker.is_none() {
                        looker = Looker::connect(&brokers).await;
                    }
                    let Some(client) = &looker else { continue };
                    let (znode, index) = (places.znode(&name), places.index(&name));
                    let made = client.create(&znode, FOREIGN).await == Some(true)
                        && client.create(&index, FOREIGN).await == Some(true);
                    if made {
                        let mut state = self.state();
                        state.list(&name, &GROWING);
                        state.listed.entry(name).or_default().is_foreign = true;
                    } else {
                        looker = None;
                    }
                }
                2 => self.state().list_again(&names.listed(again)),
                3..=7 => self.list(&name, &GROWING[..1]),
                8..=12 => self.list(&name, &GROWING[1..]),
                _ => self.list(&name, &GROWING),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn list(&mut self, name: &str, coins: &[&'static str]) {
        let puid = self.backend.list_anew(name, coins);
        self.note(name, coins, puid);
    }

    /// Gives a sub-account another puid, in the lists that it is in.
    fn list_again(&mut self, name: &str) {
        let Some(listed) = self.listed.get(name) else { return };
        let coins: Vec<_> = listed.lists.keys().copied().collect();
        self.list(name, &coins);
    }

    fn note(&mut self, name: &str, coins: &[&'static str], puid: u32) {
        let listed = self.listed.entry(name.to_owned()).or_default();
        for coin in coins {
            let puids = listed.lists.entry(coin).or_default();
            if !puids.contains(&puid) {
                puids.push(puid);
            }
        }
    }

    fn register(&mut self, body: &str) -> Reply {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let name = body["sub_name"].as_str().unwrap_or_default().to_owned();
        let misfortune = self.misfortune(GROWING[0]);
        self.posts.entry(name.clone()).or_default().push(misfortune.is_some());
        match misfortune {
            None => {
                let puid = self.backend.list(&name, &GROWING[..1]);
                self.note(&name, &GROWING[..1], puid);
                let pause = Duration::from_millis(self.random.u64(..100));
                Reply::registered(puid).after(pause)
            }
            Some(0) => Reply::json(r#"{"status":"fail","message":"no","data":null}"#),
            Some(1) => Reply::status(500, "Internal Server Error", "text/html", "<h1>Oops</h1>"),
            // Registered, but the answer is lost.
            Some(2) => {
                let puid = self.backend.list(&name, &GROWING[..1]);
                self.note(&name, &GROWING[..1], puid);
                Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{\"status\":")
            }
            Some(_) => Reply::raw("").behind(&self.hanging),
        }
    }

    /// The kind of failure of the next answer about a list that grows, if it has to fail.
    fn misfortune(&mut self, coin: &str) -> Option<usize> {
        if self.is_well || !GROWING.contains(&coin) || self.random.u8(..8) > 0 {
            return None;
        }
        self.misfortunes += 1;
        Some(self.misfortunes % 4)
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

//! A stratum server that polls the lists of both daemons with its cursor, and requests registrations.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use stratum_sim::{UserList, fetch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::looker::Looker;
use crate::scene::{GROWING, Places, Scene};
use crate::traffic::Names;

/// Pause between two polls of a list.
const POLL: Duration = Duration::from_millis(100);
/// After so long a poll is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two requests for registration.
const REQUEST: Duration = Duration::from_millis(150);

/// A list as the stratum server knows it.
#[derive(Clone)]
pub struct Known {
    /// The index of the daemon.
    pub daemon: usize,
    pub coin: &'static str,
    url: String,
    list: Arc<Mutex<UserList>>,
}

impl Known {
    /// The list so far.
    pub fn list(&self) -> UserList {
        self.list.lock().unwrap().clone()
    }

    /// The list of a stratum server that starts now; `None` without an answer.
    pub async fn afresh(&self) -> Option<UserList> {
        let fresh = Self { list: Arc::default(), ..self.clone() };
        fresh.poll().await.then(|| fresh.list())
    }

    /// Polls once; whether there was an answer.
    async fn poll(&self) -> bool {
        let last_id = self.list().last_id();
        match timeout(PATIENCE, fetch(&self.url, last_id)).await {
            // An answer may be cut.
            Ok(Ok(answer)) => self.list.lock().unwrap().take(&answer).is_ok(),
            _ => false,
        }
    }
}

/// A request for a registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requested {
    /// Whether ZooKeeper has confirmed the request.
    pub is_certain: bool,
    /// After the request's end: the sub-account's coin, as the stratum server read it at once.
    pub gone: Option<Option<String>>,
}

/// By name.
pub type Requests = BTreeMap<String, Requested>;

/// The server, which goes on.
pub struct Stratum {
    pub known: Vec<Known>,
    requests: Arc<Mutex<Requests>>,
    polls: JoinSet<()>,
    requester: JoinSet<()>,
}

impl Stratum {
    /// Polls until it is dropped, and requests registrations until `stop`.
    pub fn start(scene: &Scene, names: &Names, seed: u64, stop: Arc<AtomicBool>) -> Self {
        let (mut known, mut polls, mut requester) = (Vec::new(), JoinSet::new(), JoinSet::new());
        for (daemon, front) in scene.fronts().into_iter().enumerate() {
            for coin in GROWING {
                let url = format!("http://{front}/?coin={coin}");
                known.push(Known { daemon, coin, url, list: Arc::default() });
            }
        }
        for known in known.clone() {
            polls.spawn(async move {
                loop {
                    known.poll().await;
                    tokio::time::sleep(POLL).await;
                }
            });
        }
        let requests = Arc::default();
        let miners = Miners {
            brokers: scene.brokers(),
            places: scene.places(),
            requests: Arc::clone(&requests),
            looker: Arc::default(),
        };
        requester.spawn(miners.log_in(names.clone(), Rng::with_seed(seed), stop));
        Self { known, requests, polls, requester }
    }

    /// Waits until each request is gone, at most until `deadline`.
    pub async fn until_gone(&mut self, deadline: Instant) -> Requests {
        let gone = async { while self.requester.join_next().await.is_some() {} };
        let _ = tokio::time::timeout_at(deadline.into(), gone).await;
        self.requests.lock().unwrap().clone()
    }

    /// Ends the polls.
    pub fn stop(&mut self) {
        self.polls.abort_all();
    }
}

/// Unknown miners log in: each makes a request.
#[derive(Clone)]
struct Miners {
    brokers: String,
    places: Places,
    requests: Arc<Mutex<Requests>>,
    /// Shared by all requests.
    looker: Arc<tokio::sync::Mutex<Option<Arc<Looker>>>>,
}

impl Miners {
    async fn log_in(self, names: Names, mut random: Rng, stop: Arc<AtomicBool>) {
        let mut waiting = JoinSet::new();
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            waiting.spawn(self.clone().request(names.registered(number), random.u8(..8) == 0));
            tokio::time::sleep(REQUEST).await;
        }
        waiting.join_all().await;
    }

    /// Requests a registration and waits until the request is gone. A `hostile` miner writes the request again, and makes
    /// another below it.
    async fn request(self, name: String, hostile: bool) {
        let (path, znode) = (self.places.request(&name), self.places.znode(&name));
        self.note(&name, |_| {});
        let mut is_tried = false;
        loop {
            let looker = self.looker().await;
            if !is_tried {
                is_tried = true;
                if looker.create(&path, "{}").await == Some(true) {
                    self.note(&name, |request| request.is_certain = true);
                }
                if hostile {
                    looker.write(&path, "{\"SessionID\":2}").await;
                    looker.create(&format!("{path}/x"), "{}").await;
                }
            }
            match looker.read_once_gone(&path, &znode).await {
                Some(coin) => return self.note(&name, |request| request.gone = Some(coin)),
                None => self.lost(&looker).await,
            }
        }
    }

    fn note(&self, name: &str, note: impl FnOnce(&mut Requested)) {
        note(self.requests.lock().unwrap().entry(name.to_owned()).or_default());
    }

    async fn looker(&self) -> Arc<Looker> {
        let mut looker = self.looker.lock().await;
        loop {
            if let Some(looker) = &*looker {
                return Arc::clone(looker);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            *looker = Looker::connect(&self.brokers).await.map(Arc::new);
        }
    }

    /// The next looker is another.
    async fn lost(&self, lost: &Arc<Looker>) {
        let mut looker = self.looker.lock().await;
        if looker.as_ref().is_some_and(|it| Arc::ptr_eq(it, lost)) {
            *looker = None;
        }
    }
}

//! A web backend that sometimes fails. Each map has its own coin, so that each value written by a poll identifies
//! its map and the time of its request.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use upstream_sim::{Gate, Reply, Request, Upstream};

use crate::lists::Lists;
use crate::scene::{MAPS, map_coin};

/// Where some are redirected to.
const ELSEWHERE: &str = "/elsewhere";

/// Starts one that knows of no change, with these lists.
pub async fn start(lists: &Lists) -> Upstream {
    Upstream::start(no_change(lists)).await.unwrap()
}

/// Has it know of no change again.
pub fn forget(upstream: &Upstream, lists: &Lists) {
    upstream.otherwise(no_change(lists));
}

fn no_change(lists: &Lists) -> impl Fn(&Request) -> Reply + use<> {
    let lists = lists.clone();
    move |request| lists.answer(request).unwrap_or_else(|| Reply::map(&[], now()))
}

/// The maps of one round.
#[derive(Clone, Default)]
pub struct Maps {
    asked: Arc<Mutex<Vec<Instant>>>,
    askers: Arc<Mutex<BTreeSet<String>>>,
    is_well: Arc<AtomicBool>,
}

impl Maps {
    /// Has the backend answer with these names from now on. One answer in eight is a failure of some kind, until
    /// it is [`cured`](Self::cure).
    pub fn serve(upstream: &Upstream, lists: &Lists, names: Vec<String>, seed: u64) -> Self {
        let maps = Self::default();
        let (serving, random) = (maps.clone(), Mutex::new(Rng::with_seed(seed)));
        let lists = lists.clone();
        let misfortunes = AtomicUsize::new(0);
        upstream.otherwise(move |request: &Request| {
            if let Some(reply) = lists.answer(request) {
                return reply;
            }
            let path = request.target.split('?').next().unwrap_or_default();
            // A redirected daemon is counted already.
            if path != ELSEWHERE {
                serving.askers.lock().unwrap().insert(path.to_owned());
            }
            let mut asked = serving.asked.lock().unwrap();
            if asked.len() >= MAPS {
                return Reply::map(&[], now());
            }
            let coin = map_coin(asked.len());
            asked.push(Instant::now());
            let map: Vec<_> = names.iter().map(|name| (name.as_str(), coin.as_str())).collect();
            let reply = Reply::map(&map, now());
            // Time for others to switch something meanwhile.
            let gate = Gate::default();
            let reply = reply.behind(&gate);
            let wait = Duration::from_millis(random.lock().unwrap().u64(..300));
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                gate.open();
            });
            let is_well = serving.is_well.load(Ordering::Relaxed);
            if is_well || random.lock().unwrap().u8(..8) > 0 {
                return reply;
            }
            match misfortunes.fetch_add(1, Ordering::Relaxed) % 5 {
                0 => Reply::status(500, "Internal Server Error", "text/html", "<h1>Oops</h1>"),
                1 => Reply::silence(),
                2 => Reply::json(r#"{"err_no":1,"err_msg":"no database"}"#),
                3 => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{\"err_no\":0,"),
                _ => Reply::redirect(ELSEWHERE),
            }
        });
        maps
    }

    /// From now on every answer is a map, and counting of askers starts again.
    pub fn cure(&self) {
        self.is_well.store(true, Ordering::Relaxed);
        self.askers.lock().unwrap().clear();
    }

    /// The paths that were asked for: each daemon has one of its own.
    pub fn askers(&self) -> BTreeSet<String> {
        self.askers.lock().unwrap().clone()
    }

    /// When each map was asked for, by the number of its coin.
    pub fn asked(&self) -> Vec<Instant> {
        self.asked.lock().unwrap().clone()
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

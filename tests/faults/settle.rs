//! The end of a round: waits until the lists are complete, all requests for registration are gone, and nothing is held;
//! then has the judges look.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use upstream_sim::Request;

use crate::judge::{self, Violations};
use crate::listed;
use crate::lists::ListRecords;
use crate::looker::{Looker, Znode};
use crate::scene::Scene;
use crate::stratum::{Known, Requests, Stratum};
use crate::support::seconds;
use crate::traffic::{Records, Seen};

/// After so long, whatever is missing counts as lost.
const PATIENCE: Duration = seconds(25);

/// State at the end of a round.
pub struct Settled {
    pub requests: Requests,
    pub listed: ListRecords,
    pub took: Duration,
    switched: BTreeSet<String>,
    /// By name.
    znodes: HashMap<String, Option<Znode>>,
    indices: HashMap<String, Option<Znode>>,
    found: Violations,
}

/// Waits, though not for ever.
pub async fn wait(scene: &Scene, mut stratum: Stratum, switched: &[String]) -> Settled {
    let begun = Instant::now();
    let deadline = begun + PATIENCE;
    let (requests, held) =
        tokio::join!(stratum.until_gone(deadline), nothing_held(scene, deadline));
    let mut found: Violations = held.into_iter().collect();
    // Registrations add to the lists until then.
    let listed = scene.lists.records();
    for known in &stratum.known {
        found.extend(complete(scene, known, &listed, deadline).await);
    }
    stratum.stop();
    let names: Vec<String> = listed.listed.keys().chain(switched).cloned().collect();
    let (znodes, indices) = first_coins(scene, &names, &listed, deadline).await;
    let took = begun.elapsed();
    let switched = switched.iter().cloned().collect();
    Settled { requests, listed, took, switched, znodes, indices, found }
}

impl Settled {
    /// All violations in lists, first coins, registrations and held switches. `posts` are the requests that the backend
    /// got, `starts` is how often the daemon that registers ran, and `frozen` how long a daemon stood still.
    pub fn violations(
        &mut self,
        records: &Records,
        posts: &[Request],
        starts: usize,
        frozen: Duration,
    ) -> Violations {
        let Self { requests, listed, switched, znodes, indices, found, .. } = self;
        let mut found = std::mem::take(found);
        found.extend(listed::first_coins(listed, znodes, indices, switched));
        found.extend(listed::registrations(requests, listed, posts, starts, frozen));
        let last = znodes.iter().filter_map(|(name, znode)| Some(Seen::new(name, znode.clone()?)));
        found.extend(judge::early(records, records.seen.iter().chain(&last.collect::<Vec<_>>())));
        found
    }

    /// Sub-accounts that the backend has.
    pub fn names(&self) -> Vec<String> {
        self.listed.listed.keys().chain(self.requests.keys()).cloned().collect()
    }
}

/// Waits until no switch is held.
async fn nothing_held(scene: &Scene, deadline: Instant) -> Option<String> {
    let places = scene.places();
    let mut held = None;
    loop {
        if let Some(looker) = Looker::connect(&scene.brokers()).await {
            held = looker.children(&places.intents()).await;
        }
        if held.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
        if Instant::now() > deadline {
            return Some(format!("switches are still held in the end: {held:?}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until a daemon's list, as the stratum server knows it, is complete.
async fn complete(
    scene: &Scene,
    known: &Known,
    listed: &ListRecords,
    deadline: Instant,
) -> Violations {
    let (coin, daemon) = (known.coin, known.daemon);
    let list = loop {
        let list = known.list();
        let (coming, passed) = listed::lacks(&list, coin, listed);
        if coming.is_empty() && passed.is_empty() {
            break list;
        }
        let cursor = list.last_id();
        if !passed.is_empty() {
            return vec![format!(
                "{coin} of daemon {daemon}: the cursor, {cursor}, passed {passed:?}"
            )];
        }
        if Instant::now() > deadline {
            return vec![format!("{coin} of daemon {daemon}, at {cursor}, lacks {coming:?}")];
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut found = listed::numbers(&list, coin, listed);
    // A daemon that started again may never have seen the first number.
    if scene.daemons[daemon].starts == 1 {
        match known.afresh().await {
            Some(afresh) => found.extend(listed::first_numbers(&list, &afresh, coin, listed)),
            None => found.push(format!("the list of {coin} cannot be had from daemon {daemon}")),
        }
    }
    found
}

type Znodes = HashMap<String, Option<Znode>>;

/// The sub-accounts' znodes and index entries, once all are there that have to be.
async fn first_coins(
    scene: &Scene,
    names: &[String],
    listed: &ListRecords,
    deadline: Instant,
) -> (Znodes, Znodes) {
    let places = scene.places();
    let znode_paths: Vec<_> = names.iter().map(|name| places.znode(name)).collect();
    let index_paths: Vec<_> = names.iter().map(|name| places.index(name)).collect();
    loop {
        let mut found = None;
        if let Some(looker) = Looker::connect(&scene.brokers()).await {
            let znodes = looker.znodes(&znode_paths).await;
            let indices = looker.znodes(&index_paths).await;
            found = znodes.zip(indices);
        }
        if let Some((znodes, indices)) = found {
            let by_name = |znodes: Vec<_>| names.iter().cloned().zip(znodes).collect::<Znodes>();
            let (znodes, indices) = (by_name(znodes), by_name(indices));
            let is_there = |znodes: &Znodes, name| znodes.get(name).is_some_and(Option::is_some);
            let mut all = listed.listed.keys();
            if all.all(|name| is_there(&znodes, name) && is_there(&indices, name))
                || Instant::now() > deadline
            {
                return (znodes, indices);
            }
        } else if Instant::now() > deadline {
            return Default::default();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

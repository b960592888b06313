//! The fault campaign: the real daemon under traffic, while ZooKeeper, the network, the daemons, a backend and a
//! jobmaker fail in many ways. Afterwards judges decide whether all answers can be true together.
//!
//! * `faults`: the faults, each with its end;
//! * `campaign`: rounds of strikes;
//! * `footprint`: resources that daemons hold, and the judge of leaks;
//! * `table`: the output;
//! * `scene`: servers, daemons, and the ways between them;
//! * `proxy`, `frames`: a way that can be broken, also at a chosen request;
//! * `traffic`, `results`, `backend`: requests of clients, answers about batches, maps, and their records;
//! * `lists`, `stratum`: user lists that grow, and a stratum server that polls them and requests registrations;
//! * `looker`: reads ZooKeeper without the daemons;
//! * `settle`: the end of a round, when nothing waits for a daemon;
//! * `undoer`: undos of requests that daemons have answered;
//! * `judge`: finds impossible histories;
//! * `transactions`, `testimony`, `recorded`: ZooKeeper's transaction log, the daemons' records and logs, and their judge;
//! * `listed`: the judges of lists, first coins and registrations.
//!
//! `make test` strikes each fault once; `make faults` prints the tables. `make faults-long` strikes for
//! `FAULTS_SECONDS` (an hour), from the seed `FAULTS_SEED`; the document on reliability has its table. With
//! `FAULTS_TLS=1` the daemons speak TLS to ZooKeeper; the ways then break connections, but cannot see requests.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod backend;
mod campaign;
mod faults;
mod footprint;
mod frames;
mod judge;
mod listed;
mod lists;
mod looker;
mod proxy;
mod recorded;
mod results;
mod scene;
mod settle;
mod stratum;
mod table;
mod testimony;
mod traffic;
mod transactions;
mod undoer;

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use campaign::Campaign;
use judge::Violations;
use scene::Servers;
use test_support as support;

/// Strikes each fault once; those that both scenes have, in one of them. The scenes run at the same time: both mostly
/// wait.
async fn short(servers: Servers) {
    let Some((campaign, found)) = run(servers, 1, short_campaign).await else { return };
    campaign.print(found.len());
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), first_of(&found));
}

async fn short_campaign(campaign: &mut Campaign, found: &mut Violations) {
    found.extend(campaign.faultless_stretch("before all faults", 1).await);
    for (number, (name, fault)) in campaign.share_of_faults().iter().enumerate() {
        let before = campaign.strikes();
        // A trap may wait in vain twice.
        for _ in 0..3 {
            let wrong = campaign.round(number, name, *fault, 1).await;
            let is_done = campaign.strikes() > before || !wrong.is_empty();
            found.extend(about(name, wrong));
            if is_done {
                break;
            }
        }
    }
    found.extend(campaign.never_met());
    found.extend(campaign.faultless_stretch("the end", 1).await);
    found.extend(campaign.leaks());
    found.extend(campaign.compare_records().await);
}

/// Sets a scene and runs a campaign in it, whose tables are wanted even if it panics. Returns the violations, too;
/// `None` if `FAULTS_ONLY` excludes all faults of this scene.
async fn run(
    servers: Servers,
    seed: u64,
    play: impl AsyncFnOnce(&mut Campaign, &mut Violations),
) -> Option<(Campaign, Violations)> {
    if faults::all(servers).is_empty() {
        println!("{servers:?}: no fault's name contains FAULTS_ONLY");
        return None;
    }
    let (mut campaign, mut found) = (Campaign::begin(servers, seed).await, Violations::new());
    if let Err(panic) = whatever_happens(play(&mut campaign, &mut found)).await {
        found.insert(0, panic);
        found.extend(campaign.deaths());
    }
    Some((campaign, found))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_may_fail_in_every_way() {
    short(Servers::One).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ensemble_may_fail_in_every_way() {
    short(Servers::Three).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes FAULTS_SECONDS (3600), from the seed FAULTS_SEED (1)"]
async fn the_long_run() {
    let (lasting, seed) = (number("FAULTS_SECONDS", 3_600), number("FAULTS_SEED", 1));
    let lasting = Duration::from_secs(lasting);
    // Both at once: most of the time is spent waiting.
    let (one, three) = tokio::join!(
        run(Servers::One, seed, async |campaign, found| long(lasting, campaign, found).await),
        run(Servers::Three, seed, async |campaign, found| long(lasting, campaign, found).await),
    );
    let scenes: Vec<_> = one.into_iter().chain(three).collect();
    assert!(!scenes.is_empty(), "no fault's name contains FAULTS_ONLY");
    scenes.iter().for_each(|(campaign, found)| campaign.print(found.len()));
    let found: Violations = scenes.into_iter().flat_map(|(_, found)| found).collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), first_of(&found));
}

/// Strikes every fault again and again.
async fn long(lasting: Duration, campaign: &mut Campaign, found: &mut Violations) {
    const ROUNDS: usize = 3;
    let faults = campaign.faults();
    report(found, campaign.warm_up().await);
    report(found, campaign.faultless_stretch("before all faults", ROUNDS).await);
    let until = Instant::now() + lasting;
    'passes: for pass in 0.. {
        for (number, (name, fault)) in faults.iter().enumerate() {
            if Instant::now() > until {
                break 'passes;
            }
            report(found, about(name, campaign.round(number, name, *fault, 4).await));
        }
        report(found, campaign.faultless_stretch(&format!("pass {pass}"), ROUNDS).await);
        println!("{:?}, pass {pass}: {} strikes", campaign.servers(), campaign.strikes());
        if pass == 0 {
            report(found, campaign.never_met());
        }
    }
    report(found, campaign.faultless_stretch("the end", ROUNDS).await);
    report(found, campaign.leaks());
    report(found, campaign.compare_records().await);
}

/// Prints violations at once: the end of a long run is far.
fn report(found: &mut Violations, wrong: Violations) {
    wrong.iter().for_each(|violation| println!("{violation}"));
    found.extend(wrong);
}

/// Runs a campaign to its end. Returns the description of a panic, so that its tables can be printed all the same.
async fn whatever_happens(campaign: impl Future<Output = ()>) -> Result<(), String> {
    let mut campaign = pin!(campaign);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| campaign.as_mut().poll(context)));
        polled.map_or_else(|panic| Poll::Ready(Err(said(&*panic))), |poll| poll.map(Ok))
    })
    .await
}

/// Message of a panic.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the campaign ended early: {}", text.unwrap_or("a panic without a word"))
}

fn about(fault: &str, violations: Violations) -> Violations {
    violations.into_iter().map(|violation| format!("{fault}: {violation}")).collect()
}

fn first_of(found: &[String]) -> String {
    found.iter().take(10).map(|one| format!("{one}\n")).collect()
}

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_campaign_that_panics_is_reported_and_survived() {
        assert_eq!(whatever_happens(tokio::task::yield_now()).await, Ok(()));
        for way in 0..2 {
            let ended = whatever_happens(async {
                tokio::task::yield_now().await;
                assert!(way > 0, "no server {}", "leads");
                panic!("no server leads");
            });
            let said = ended.await.unwrap_err();
            assert!(said.contains("no server leads"), "{said}");
        }
    }
}

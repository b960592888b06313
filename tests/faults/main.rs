//! The campaign: the real daemon under traffic, while ZooKeeper, the network, the daemons, a backend and a jobmaker
//! fail in every way that we could think of. Afterwards judges decide whether everything that clients were told
//! can be true.
//!
//! * `faults`: what goes wrong, and how it ends;
//! * `campaign`: rounds of strikes;
//! * `footprint`: what daemons hold on to, and the judge of leaks;
//! * `table`: what is printed;
//! * `scene`: servers, daemons, and the ways between them;
//! * `proxy`, `frames`: a way that can be broken, at a chosen request if need be;
//! * `traffic`, `backend`: what clients and maps ask for, and what was told;
//! * `looker`: what ZooKeeper holds, past the daemons;
//! * `judge`: what cannot be true.
//!
//! The short runs strike each fault once, with every `make test`; `make faults` prints their tables. `make
//! faults-long` strikes for `FAULTS_SECONDS` (an hour), from the seed `FAULTS_SEED`; `docs/reliability.md` has
//! its table.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod backend;
mod campaign;
mod faults;
mod footprint;
mod frames;
mod judge;
mod looker;
mod proxy;
mod scene;
#[allow(dead_code)]
#[path = "../api/support/mod.rs"]
mod support;
mod table;
mod traffic;

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use campaign::Campaign;
use judge::Violations;
use scene::Servers;
use tokio::sync::Mutex;

/// One scene at a time: several on one machine are in each other's way.
static STAGE: Mutex<()> = Mutex::const_new(());

/// Strikes each fault once.
async fn short(servers: Servers) {
    let _stage = STAGE.lock().await;
    let (mut campaign, mut found) = (Campaign::begin(servers, 1).await, Violations::new());
    let ended = whatever_happens(short_campaign(servers, &mut campaign, &mut found)).await;
    found.splice(0..0, ended.err());
    campaign.print();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), first_of(&found));
}

async fn short_campaign(servers: Servers, campaign: &mut Campaign, found: &mut Violations) {
    let faults = faults::all(servers);
    if faults.is_empty() {
        found.push("no fault of this scene has a name that contains FAULTS_ONLY".to_owned());
        return;
    }
    found.extend(campaign.faultless_stretch("before all faults", 1).await);
    for (number, (name, fault)) in faults.iter().enumerate() {
        let before = campaign.strikes();
        // A trap may wait in vain once.
        for _ in 0..3 {
            if campaign.strikes() == before {
                found.extend(about(name, campaign.round(number, name, *fault, 1).await));
            }
        }
        if campaign.strikes() == before {
            found.push(format!("{name}: never met"));
        }
    }
    found.extend(campaign.faultless_stretch("the end", 1).await);
    found.extend(campaign.leaks());
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
    let _stage = STAGE.lock().await;
    let (lasting, seed) = (number("FAULTS_SECONDS", 3_600), number("FAULTS_SEED", 1));
    let lasting = Duration::from_secs(lasting);
    // Both at once: most of the time is spent waiting.
    let (one, three) =
        tokio::join!(long(Servers::One, seed, lasting), long(Servers::Three, seed, lasting));
    one.0.print();
    three.0.print();
    let mut found = [one.1, three.1].concat();
    if one.0.strikes() + three.0.strikes() == 0 {
        found.push(
            "nothing was struck: is there a fault whose name contains FAULTS_ONLY?".to_owned(),
        );
    }
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), first_of(&found));
}

/// Strikes every fault again and again; returns what was found wrong, too.
async fn long(servers: Servers, seed: u64, lasting: Duration) -> (Campaign, Violations) {
    let (mut campaign, mut found) = (Campaign::begin(servers, seed).await, Violations::new());
    let ended = whatever_happens(long_campaign(servers, lasting, &mut campaign, &mut found)).await;
    found.splice(0..0, ended.err());
    (campaign, found)
}

async fn long_campaign(
    servers: Servers,
    lasting: Duration,
    campaign: &mut Campaign,
    found: &mut Violations,
) {
    const ROUNDS: usize = 3;
    let faults = faults::all(servers);
    if faults.is_empty() {
        return;
    }
    found.extend(campaign.warm_up().await);
    found.extend(campaign.faultless_stretch("before all faults", ROUNDS).await);
    let until = Instant::now() + lasting;
    'passes: for pass in 0.. {
        for (number, (name, fault)) in faults.iter().enumerate() {
            if Instant::now() > until {
                break 'passes;
            }
            for violation in about(name, campaign.round(number, name, *fault, 4).await) {
                println!("{violation}");
                found.push(violation);
            }
        }
        found.extend(campaign.faultless_stretch(&format!("pass {pass}"), ROUNDS).await);
        println!("{servers:?}, pass {pass}: {} strikes", campaign.strikes());
    }
    found.extend(campaign.faultless_stretch("the end", ROUNDS).await);
    found.extend(campaign.leaks());
}

/// Runs a campaign to its end; what to say if it panics, for its table is wanted all the same.
async fn whatever_happens(campaign: impl Future<Output = ()>) -> Result<(), String> {
    let mut campaign = pin!(campaign);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| campaign.as_mut().poll(context)));
        polled.map_or_else(|panic| Poll::Ready(Err(said(&*panic))), |poll| poll.map(Ok))
    })
    .await
}

/// What a panic says.
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
    async fn a_campaign_that_panics_is_told_of_and_outlived() {
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

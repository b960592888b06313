//! The campaign: the real daemon under traffic, while ZooKeeper, the network, the daemons, a backend and a jobmaker
//! fail in every way that we could think of. Afterwards judges decide whether everything that clients were told
//! can be true.
//!
//! * `faults`: what goes wrong, and how it ends;
//! * `campaign`: rounds of strikes, and their table;
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
mod frames;
mod judge;
mod looker;
mod proxy;
mod scene;
#[allow(dead_code)]
#[path = "../api/support/mod.rs"]
mod support;
mod traffic;

use std::time::{Duration, Instant};

use campaign::{Campaign, TABLE_HEAD};
use scene::{SESSION_TIMEOUT, Servers};
use tokio::sync::Mutex;

/// One scene at a time: several on one machine are in each other's way.
static STAGE: Mutex<()> = Mutex::const_new(());

/// Strikes each fault once.
async fn short(servers: Servers) {
    let _stage = STAGE.lock().await;
    let mut campaign = Campaign::begin(servers, 1).await;
    let mut found = Vec::new();
    for (number, (name, fault)) in faults::all(servers).into_iter().enumerate() {
        // A trap may wait in vain once.
        for _ in 0..3 {
            let before = campaign.strikes();
            for violation in campaign.round(number, &name, fault, 1).await {
                found.push(format!("{name}: {violation}"));
            }
            if campaign.strikes() > before {
                break;
            }
        }
    }
    print_table(&[(servers, &campaign)]);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), first_of(&found));
    assert!(campaign.rows().all(|row| row.strikes > 0), "a fault was never met");
    assert!(campaign.rows().next().is_some(), "no fault's name contains FAULTS_ONLY");
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
    let until = Instant::now() + Duration::from_secs(lasting);
    // Both at once: most of the time is spent waiting.
    let (one, three) =
        tokio::join!(long(Servers::One, seed, until), long(Servers::Three, seed, until));
    print_table(&[(Servers::One, &one.0), (Servers::Three, &three.0)]);
    let found = [one.1, three.1].concat();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), first_of(&found));
}

/// Strikes every fault again and again; returns what was found wrong, too.
async fn long(servers: Servers, seed: u64, until: Instant) -> (Campaign, Vec<String>) {
    let mut campaign = Campaign::begin(servers, seed).await;
    campaign.warm_up().await;
    let (faults, mut found, mut first) = (faults::all(servers), Vec::new(), None);
    for pass in 0.. {
        for (number, (name, fault)) in faults.iter().enumerate() {
            if Instant::now() > until {
                return (campaign, found);
            }
            for violation in campaign.round(number, name, *fault, 4).await {
                println!("{name}: {violation}");
                found.push(format!("{name}: {violation}"));
            }
        }
        let footprint = campaign.footprint().await;
        println!("{servers:?}, pass {pass}: {} strikes, {footprint:?}", campaign.strikes());
        let first = first.get_or_insert(footprint);
        if footprint.descriptors > first.descriptors + 16
            || footprint.threads > first.threads + 4
            || footprint.megabytes > first.megabytes + 30
            || footprint.watches > first.watches + 20
        {
            found.push(format!("a leak: {first:?} has become {footprint:?}"));
        }
    }
    unreachable!("there is always a next pass")
}

fn print_table(campaigns: &[(Servers, &Campaign)]) {
    for (servers, campaign) in campaigns {
        println!(
            "\n{servers:?} server(s), session timeout {SESSION_TIMEOUT:?}:\n\n{TABLE_HEAD}{}",
            { campaign.rows().map(campaign::Row::line).collect::<String>() }
        );
        let slowest = campaign.rows().map(campaign::Row::slowest_recovery).max();
        let noticed = campaign.rows().map(campaign::Row::slowest_notice).max();
        let violations: usize = campaign.rows().map(|row| row.violations.len()).sum();
        println!(
            "{} strikes, slowest recovery {:.2} s, slowest notice {:.2} s, {violations} violations",
            campaign.strikes(),
            slowest.unwrap_or_default().as_secs_f64(),
            noticed.unwrap_or_default().as_secs_f64(),
        );
    }
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

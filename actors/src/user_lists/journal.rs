//! Metrics and log lines of pulls: one for each that changed something or failed.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

use slog::{Logger, info, warn};

use super::{
    answer::BAD_SHOWN,
    pull::{Displaced, PullEnd},
};
use crate::{
    domain::{Coin, fit_name},
    metrics::{EndedPull, Metrics, PullResult, SkippedEntries},
};

pub(super) struct Journal {
    log: Logger,
    metrics: Metrics,
    /// Bad entries that were logged already, by coin and name: a list may come whole each time.
    known_bad: RefCell<HashSet<(Coin, String)>>,
    /// Number of skipped entries of each list, and the last one with its fault.
    skipped: RefCell<HashMap<Coin, SkippedEntries>>,
}

impl Journal {
    pub(super) fn new(log: &Logger, metrics: &Metrics) -> Self {
        Self {
            log: log.clone(),
            metrics: metrics.clone(),
            known_bad: RefCell::default(),
            skipped: RefCell::default(),
        }
    }

    pub(super) fn pulled(&self, coin: &Coin, size: usize, end: &PullEnd) {
        let result = match end {
            PullEnd { fault: Some(_), .. } => PullResult::Failed,
            PullEnd { refusal: Some(_), .. } => PullResult::Incomplete,
            _ => PullResult::Complete,
        };
        let skipped = self.bad_entries(coin, end);
        let cause =
            end.fault.as_ref().or(end.refusal.as_ref()).or(end.index_fault.as_ref()).cloned();
        self.metrics.pull(coin, EndedPull { result, cause, size, skipped });
        if let Some(cause) = &end.index_fault {
            self.not_indexed(coin, cause);
        }
        for Displaced { name, puid, listed } in &end.displaced {
            warn!(self.log, "registered sub-account not listed, since the list has another name for its puid: stratum \
                servers will refuse its miners; let the backend give each name a puid of its own, or, if it has \
                renamed the sub-account, list the new name, and restart the daemon, which then pulls the whole list";
                "coin" => %coin, "sub_account" => fit_name(name), "puid" => puid, "listed" => fit_name(listed));
        }
        if let Some(cause) = &end.refusal {
            warn!(self.log, "first coins of a list refused by ZooKeeper; trying again in each pull"; "coin" => %coin,
                "refused" => end.refused, "cause" => cause);
        }
        match &end.fault {
            Some(cause) => {
                warn!(self.log, "pull of a list"; "outcome" => "failed", "cause" => cause,
                "coin" => %coin, "received" => end.received, "created" => end.created, "entries" => size)
            }
            None if end.is_changed => {
                info!(self.log, "pull of a list"; "outcome" => "complete", "coin" => %coin,
                    "received" => end.received, "created" => end.created,
                    "indexed" => end.indexed, "invalid" => end.bad.count, "entries" => size)
            }
            None => {}
        }
    }

    pub(super) fn not_indexed(&self, coin: &Coin, cause: &str) {
        warn!(self.log, "index entry or mark of a list not written"; "coin" => %coin, "cause" => cause);
    }

    /// Logs skipped entries; returns those of this list.
    fn bad_entries(&self, coin: &Coin, end: &PullEnd) -> SkippedEntries {
        let (mut known, mut skipped) = (self.known_bad.borrow_mut(), self.skipped.borrow_mut());
        let skipped = skipped.entry(coin.clone()).or_default();
        for (name, fault) in &end.bad.shown {
            if known.len() < BAD_SHOWN * 50 && known.insert((coin.clone(), name.clone())) {
                warn!(self.log, "entry of a list skipped"; "coin" => %coin, "sub_account" => name,
                    "cause" => fault, "invalid" => end.bad.count);
                skipped.count += 1;
                skipped.last = Some((name.clone(), fault.clone()));
            }
        }
        // A list may come whole each time, and not all are shown.
        skipped.count = skipped.count.max(end.bad.count);
        skipped.clone()
    }
}

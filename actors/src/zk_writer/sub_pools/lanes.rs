//! Requests that wait for an exchange, by sub-pool, without clock or network.
//!
//! Rules, each with a test below:
//!
//! * A sub-pool has one exchange at a time, and sub-pools do not wait for each other.
//! * Updates come in the order of their arrival, each in an exchange of its own.
//! * Gets that wait when an exchange begins share it, whether it is an update's or their own: hundreds cost a handful of
//!   writes. A get that comes later waits for the next exchange, since the values of this one may be older than the get.
//! * A caller that disconnects before the exchange begins is dropped.
//! * Waiting is limited in number and in time.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use crate::{
    ack_waiter::{Caller, Turn},
    domain::{CoinbaseUpdate, SubPool},
    zk_writer::messages::{CoinbaseAction, CoinbaseRequest},
};

/// All sub-pools with waiting requests or an exchange.
pub(crate) struct Lanes {
    lanes: HashMap<SubPool, Lane>,
    waiting: usize,
    limit: usize,
}

#[derive(Default)]
struct Lane {
    updates: VecDeque<(Caller, CoinbaseUpdate, Instant)>,
    gets: Vec<(Caller, Instant)>,
    is_busy: bool,
}

/// An update that will not be written.
pub(super) struct Withdrawn {
    pub(super) sub_pool: SubPool,
    pub(super) caller: Caller,
    pub(super) update: CoinbaseUpdate,
}

#[derive(Default)]
pub(super) struct Expired {
    pub(super) updates: Vec<Withdrawn>,
    pub(super) gets: Vec<Caller>,
}

impl Lanes {
    /// Lanes in which at most `limit` requests wait.
    pub(super) fn new(limit: usize) -> Self {
        Self { lanes: HashMap::new(), waiting: 0, limit }
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting >= self.limit
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Accepts a request, whose exchange must begin before the `deadline`.
    pub(super) fn accept(&mut self, request: CoinbaseRequest, deadline: Instant) {
        self.waiting += 1;
        let lane = self.lanes.entry(request.sub_pool).or_default();
        match request.action {
            CoinbaseAction::Get => lane.gets.push((request.caller, deadline)),
            CoinbaseAction::Update(update) => {
                lane.updates.push_back((request.caller, update, deadline))
            }
        }
    }

    /// The next exchange with this sub-pool's jobmaker, if none is under way and a request waits; and the updates of
    /// callers that have disconnected.
    pub(super) fn begin(&mut self, sub_pool: &SubPool) -> (Option<Turn>, Vec<Withdrawn>) {
        let mut gone = Vec::new();
        let Some(lane) = self.lanes.get_mut(sub_pool).filter(|lane| !lane.is_busy) else {
            return (None, gone);
        };
        let mut update = None;
        while let Some((caller, asked, _)) = lane.updates.pop_front() {
            self.waiting -= 1;
            if caller.reply.is_closed() {
                gone.push(Withdrawn { sub_pool: sub_pool.clone(), caller, update: asked });
            } else {
                update = Some((caller, asked));
                break;
            }
        }
        self.waiting -= lane.gets.len();
        let mut gets = std::mem::take(&mut lane.gets);
        gets.retain(|(caller, _)| !caller.reply.is_closed());
        if update.is_none() && gets.is_empty() {
            self.lanes.remove(sub_pool);
            return (None, gone);
        }
        lane.is_busy = true;
        let gets = gets.into_iter().map(|(caller, _)| caller).collect();
        (Some(Turn { sub_pool: sub_pool.clone(), update, gets }), gone)
    }

    pub(crate) fn finish(&mut self, sub_pool: &SubPool) {
        if let Some(lane) = self.lanes.get_mut(sub_pool) {
            lane.is_busy = false;
            if lane.updates.is_empty() && lane.gets.is_empty() {
                self.lanes.remove(sub_pool);
            }
        }
    }

    pub(crate) fn idle(&self) -> Vec<SubPool> {
        let idle = self.lanes.iter().filter(|(_, lane)| !lane.is_busy);
        idle.map(|(sub_pool, _)| sub_pool.clone()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Withdraws all requests whose deadline has passed, or all requests without `now`.
    pub(super) fn expire(&mut self, now: Option<Instant>) -> Expired {
        let is_over = |until: Instant| now.is_none_or(|now| until <= now);
        let mut expired = Expired::default();
        for (sub_pool, lane) in &mut self.lanes {
            // In the order of arrival, so in that of the deadlines.
            while lane.updates.front().is_some_and(|&(_, _, until)| is_over(until)) {
                if let Some((caller, update, _)) = lane.updates.pop_front() {
                    let sub_pool = sub_pool.clone();
                    expired.updates.push(Withdrawn { sub_pool, caller, update });
                }
            }
            let over = lane.gets.extract_if(.., |&mut (_, until)| is_over(until));
            expired.gets.extend(over.map(|(caller, _)| caller));
        }
        self.waiting -= expired.updates.len() + expired.gets.len();
        self.lanes
            .retain(|_, lane| lane.is_busy || !lane.updates.is_empty() || !lane.gets.is_empty());
        expired
    }
}

#[cfg(test)]
mod tests;

//! Holds switches, and runs rounds, one at a time.

use std::{
    collections::HashSet,
    process,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{ActorFutureExt, AsyncContext, Context, fut::wrap_future};

use super::{
    accept::{HeldChunk, accept},
    book::Book,
    intent::Intent,
    pending::HeldSwitch,
    round::{HeldDirs, Look, NAMES_PER_ROUND, Round, RoundEnd, run},
    safety_period::{SafetyPeriod, millis, now},
};
use crate::{
    domain::{Coin, Puname, SwitchOutcome, ZnodeDir},
    user_lists::Listings,
    zk::{Connection, DirectoryState, WriteError},
    zk_writer::{
        actor::{SWEEP, ZkWriter},
        look_up::HeldList,
        progress::Progress,
        session::live,
        switches::{Chunk, LastState},
    },
};

/// Interval between rounds without a due look: how fast other daemons' intents are found, and a lost lock is claimed.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);

/// Milliseconds after which a standby, or a carrier that ZooKeeper refused, looks at a due intent again.
const LOOK_AGAIN: u64 = 5_000;

/// State of the held switches in the actor.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) period: SafetyPeriod,
    pub(crate) dirs: HeldDirs,
    book: Book,
    /// `None` until the first round of a session.
    is_there: Option<bool>,
    is_carrier: bool,
    seen: Option<DirectoryState>,
    pub(crate) round_under_way: bool,
    next_round: Instant,
    /// When the metrics are set next.
    next_count: Instant,
    /// Lists that were complete when all intents for their coins were scheduled.
    lists: Vec<Coin>,
    /// Names whose refusal was logged, until another look.
    logged: HashSet<String>,
    /// Why no round succeeds, as it was logged.
    problem: Option<String>,
}

impl Held {
    pub(crate) fn new(
        watch: ZnodeDir,
        root: ZnodeDir,
        listings: Listings,
        period: Option<Duration>,
    ) -> Self {
        Self {
            period: SafetyPeriod::new(listings, period),
            dirs: HeldDirs::new(watch, root),
            book: Book::default(),
            is_there: None,
            is_carrier: false,
            seen: None,
            round_under_way: false,
            next_round: Instant::now(),
            next_count: Instant::now(),
            lists: Vec::new(),
            logged: HashSet::new(),
            problem: None,
        }
    }

    /// Whether there may be held switches, ours or another daemon's.
    pub(crate) fn may_be(&self) -> bool {
        self.period.is_on() || self.is_there != Some(false)
    }

    /// A session has begun: nothing is known about it.
    pub(crate) fn session_up(&mut self) {
        (self.is_there, self.is_carrier, self.seen) = (None, false, None);
        self.next_round = Instant::now();
    }

    /// Takes in an intent that was committed, or read.
    pub(crate) fn note(&mut self, name: &str, intent: Intent) {
        let is_over = self.period.is_over(&intent, name, now());
        self.book.note(name, intent);
        if is_over {
            self.book.postpone(name, 0);
        }
    }

    /// Schedules looks at the intents whose coins' lists have become complete: their periods may have ended before the
    /// start.
    fn note_lists(&mut self) {
        let complete = self.period.complete_lists();
        for coin in complete.iter().filter(|coin| !self.lists.contains(*coin)) {
            self.book.look_again(Some(coin));
        }
        self.lists = complete;
    }

    /// A znode was written: an intent of this name is obsolete, and the next round can remove it.
    pub(crate) fn written(&mut self, name: &str) {
        if self.book.len() > 0 {
            self.book.postpone(name, 0);
        }
    }

    /// The held switches that this daemon knows; the next `limit` of them by name.
    pub(crate) fn list(&self, limit: usize) -> HeldList {
        let next = self.book.next(limit).into_iter();
        HeldList {
            known: self.book.len(),
            is_carrier: self.is_carrier,
            next: next.map(|(name, intent)| (name, intent.map(HeldSwitch::from))).collect(),
        }
    }

    fn is_round_due(&self, now: u64) -> bool {
        let is_time = Instant::now() >= self.next_round
            || (self.is_there == Some(true) && self.book.is_due(now));
        // A directory that was removed is made again by the next round, if switches are held here.
        self.may_be() && is_time
    }
}

impl ZkWriter {
    /// Commits the intents of a chunk.
    pub(crate) fn hold(
        &mut self,
        connection: Connection,
        held: HeldChunk,
        ctx: &mut Context<Self>,
    ) {
        let held = Arc::new(held);
        self.chunks_under_way += 1;
        let progress = Arc::new(Progress::default());
        let holding = connection.spawn({
            let (connection, dirs) = (connection.clone(), self.held.dirs.clone());
            let (held, progress) = (Arc::clone(&held), Arc::clone(&progress));
            async move { accept(&connection, &dirs, &held, &progress).await }
        });
        ctx.spawn(wrap_future::<_, Self>(holding).map(move |_, act, ctx| {
            let chunk: &Chunk = &held.chunk;
            let written = progress.take(chunk.entries.len());
            act.chunks_under_way -= 1;
            let comes_first = act.metrics.recent().comes_first();
            if comes_first {
                act.journal.committed(chunk, &written);
            }
            act.queue.finish(chunk, written.iter().map(|written| &written.result));
            for (index, (entry, end)) in chunk.entries.iter().zip(&written).enumerate() {
                let name = entry.puname.as_str();
                match end.result.outcome {
                    SwitchOutcome::Held { due } => {
                        if let Some(intent) = held.intent(index, due) {
                            act.held.note(name, intent);
                        }
                    }
                    // Created at once.
                    SwitchOutcome::Applied => {
                        let coin = entry.coin().clone();
                        let seen = Some(LastState { coin, revision: end.revision });
                        act.last_seen.note(&entry.puname, seen);
                    }
                    _ => {}
                }
            }
            act.pump_switches(ctx);
            if !comes_first {
                act.journal.committed(chunk, &written);
            }
            act.close_if_drained(ctx);
        }));
    }

    /// Starts a round if one is due, or at the millisecond at which one will be before the next call. A drain needs
    /// none: intents are durable, and any daemon can carry them out.
    pub(crate) fn tend_held(&mut self, ctx: &mut Context<Self>) {
        let time = now();
        let now = millis(time);
        if Instant::now() >= self.held.next_count {
            self.held.next_count = Instant::now() + ROUND_INTERVAL;
            self.metrics.held(self.held.book.len(), self.held.book.overdue(now) / 1_000);
        }
        let Some(connection) = live(&self.connection) else { return };
        if self.draining.is_some() || self.held.round_under_way {
            return;
        }
        self.held.note_lists();
        if !self.held.is_round_due(now) {
            let wait = self.held.book.next_look().and_then(|look| look.checked_sub(now));
            // One that has passed waits for a round.
            let soon = wait.map(Duration::from_millis).filter(|it| !it.is_zero() && *it < SWEEP);
            if let Some(wait) = soon {
                ctx.run_later(wait, Self::tend_held);
            }
            return;
        }
        let held = &mut self.held;
        held.round_under_way = true;
        held.next_round = Instant::now() + ROUND_INTERVAL;
        let round = Round {
            dirs: held.dirs.clone(),
            holder: format!("process {}", process::id()),
            period: held.period.clone(),
            seen: held.seen,
            names: held.book.due(now, NAMES_PER_ROUND),
            now: time,
        };
        let session = connection.session();
        let running = connection.spawn({
            let connection = connection.clone();
            async move { run(&connection, round).await }
        });
        ctx.spawn(wrap_future::<_, Self>(running).map(move |end, act, ctx| {
            act.held.round_under_way = false;
            // A session that has ended proves nothing about the next one.
            if act.connection.as_ref().is_some_and(|it| it.session() == session) {
                match end {
                    Some(Ok(end)) => {
                        act.finish_round(end);
                        act.tend_held(ctx);
                    }
                    // The next sweep begins another one.
                    Some(Err(error)) => act.round_failed(&error),
                    None => {}
                }
            }
            act.close_if_drained(ctx);
        }));
    }

    fn round_failed(&mut self, error: &WriteError) {
        // Listed again by the next round.
        self.held.seen = None;
        self.note_problem(Some(error.to_string()));
    }

    /// Logs a problem of all held switches once until a round succeeds.
    fn note_problem(&mut self, problem: Option<String>) {
        if let Some(cause) = problem.as_ref().filter(|_| problem != self.held.problem) {
            self.journal.held_problem(self.held.dirs.root.as_str(), cause);
        }
        self.held.problem = problem;
    }

    fn finish_round(&mut self, end: RoundEnd) {
        let RoundEnd { is_there, is_carrier, problem, state, listed, looks } = end;
        self.held.is_there = Some(is_there);
        self.held.seen = state;
        self.note_problem(problem);
        // The looks came after the list.
        if let Some(names) = listed {
            self.held.book.listed(names);
            let book = &self.held.book;
            self.held.logged.retain(|name| book.is_known(name));
        }
        for (name, look) in looks {
            self.looked(&name, look);
        }
        if is_carrier && !self.held.is_carrier {
            self.held.book.look_again(None);
        }
        self.held.is_carrier = is_carrier;
    }

    fn looked(&mut self, name: &str, look: Look) {
        let later = millis(now()) + LOOK_AGAIN;
        let puname = Puname::parse(name);
        if let Ok(puname) = &puname {
            self.journal.looked(puname, &look);
        }
        if !matches!(look, Look::Refused { .. }) {
            self.held.logged.remove(name);
        }
        match look {
            Look::Waiting(intent) => {
                let is_over = self.held.period.is_over(&intent, name, now());
                self.held.book.note(name, intent);
                if is_over {
                    self.held.book.postpone(name, later);
                }
            }
            Look::Gone => self.held.book.remove(name),
            Look::CarriedOut { intent, revision, .. } => {
                self.held.book.remove(name);
                if let Ok(puname) = puname {
                    let seen = LastState { coin: intent.coin, revision };
                    self.last_seen.refresh(&puname, Some(seen));
                }
            }
            Look::Overwrote { .. } | Look::Obsolete { .. } => self.held.book.remove(name),
            Look::Contended => {}
            Look::Refused { cause } => {
                self.held.book.postpone(name, later);
                if self.held.logged.insert(name.to_owned()) {
                    self.journal.held_refused(name, self.held.book.intent(name), &cause);
                }
            }
            Look::Unknown { cause } => {
                self.held.book.postpone(name, later);
                self.journal.held_unknown(name, self.held.book.intent(name), &cause);
            }
        }
    }
}

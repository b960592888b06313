//! The Historian: records all waiting changes, in one transaction.
//!
//! Changes that cannot be recorded stay with it and are tried again each second, so that a full disk loses nothing
//! until the queue is full, too.

use std::{
    collections::HashMap,
    mem,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use actix::{Actor, AsyncContext, Context, Handler, Message};
use slog::Logger;
use switcher_history::{self as database, Entry, Error, Limits, Outcome, Writer};

use super::{
    handle::NotRecorded,
    journal::Journal,
    queue::{Intent, Item, Queue, Taken, Wake},
    records::{coinbase, intent, millis, outcome, record},
    settings::HistorySettings,
};
use crate::{
    domain::{Origin, RequestIds, Source, SourceKind},
    metrics::{Change, ChangeKind, Metrics},
};

/// Interval of syncs, of new tries after a failure, and of metrics.
const TICK: Duration = Duration::from_secs(1);

/// Time for which changes gather: a transaction for each chunk would slow single switches down.
const GATHER: Duration = Duration::from_millis(50);

/// Ticks between checks for expired records.
const EXPIRY_TICKS: u32 = 60;

/// The time for expiry: a clock that is set forward while the daemon runs lets nothing expire.
#[derive(Clone, Copy, Debug)]
struct Clock {
    start: SystemTime,
    since: Instant,
}

impl Clock {
    fn now(self) -> SystemTime {
        SystemTime::now().min(self.start + self.since.elapsed())
    }
}

/// Records all waiting changes, syncs them and closes the database.
///
/// Sent once, by the drain, after all actors that make changes have ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct CloseHistory;

/// The actor that owns the database. Its thread waits for the disk.
pub(crate) struct Historian {
    writer: Option<Writer>,
    queue: Arc<Queue>,
    journal: Journal,
    kept: Duration,
    payouts_kept: Duration,
    max_bytes: u64,
    /// Records that could not be appended yet.
    unsaved: Vec<database::Change>,
    /// Updates without outcome: the numbers of their records, by request.
    open_updates: HashMap<u64, i64>,
    /// Whether there are appended records that are not synced.
    is_dirty: bool,
    /// Whether there are writes that the metrics do not show.
    is_changed: bool,
    /// Why the last attempt to record failed. The next tick tries again.
    fault: Option<NotRecorded>,
    ticks_to_expiry: u32,
    clock: Clock,
    ids: RequestIds,
}

impl Historian {
    pub(crate) fn new(
        settings: HistorySettings,
        queue: Arc<Queue>,
        metrics: &Metrics,
        log: &Logger,
    ) -> Self {
        let HistorySettings { writer, kept, payouts_kept, max_bytes, .. } = settings;
        let journal = Journal::new(log, metrics);
        Self {
            writer: Some(writer),
            queue,
            journal,
            kept,
            payouts_kept,
            max_bytes,
            unsaved: Vec::new(),
            open_updates: HashMap::new(),
            is_dirty: false,
            is_changed: true,
            fault: None,
            ticks_to_expiry: 1,
            clock: Clock { start: SystemTime::now(), since: Instant::now() },
            ids: RequestIds::random(),
        }
    }

    /// Records all waiting changes, and answers the requests that wait for their records.
    fn record(&mut self) {
        let Taken { items, waiters, dropped } = self.queue.take();
        if dropped > 0 {
            self.journal.dropped(dropped);
        }
        let mut origin = None;
        for item in items {
            match item {
                Item::Changes(changes) => {
                    for change in &changes {
                        self.change(change, &mut origin);
                    }
                }
                Item::Intent(intent) => self.begin_update(intent),
                Item::Reload { at, keys } => self.reload(at, keys),
            }
        }
        let wants_sync = waiters.iter().any(|waiter| waiter.wants_sync);
        let recorded =
            self.append().and_then(|()| if wants_sync { self.sync_now() } else { Ok(()) });
        for waiter in waiters {
            // The request may have ended.
            let _ = waiter.reply.send(recorded.clone());
        }
    }

    /// Adds a change to the unsaved records; the outcome of an update is recorded at once.
    fn change(&mut self, change: &Change, origin: &mut Option<Arc<database::Origin>>) {
        let ends = matches!(change.what, ChangeKind::Update { .. })
            .then(|| self.open_updates.remove(&change.source.request.0))
            .flatten();
        match ends {
            Some(number) => self.end_update(number, change),
            None => match record(change, origin) {
                Some(record) => self.unsaved.push(record),
                None => self.queue.recorded(1),
            },
        }
    }

    /// Records an update before its exchange, and replies whether the exchange may begin.
    fn begin_update(&mut self, waiting: Intent) {
        let (origin, update) = intent(&waiting);
        let at = millis(waiting.at);
        // Records have the order of the events.
        let begun = self
            .append()
            .and_then(|()| self.write(|writer| writer.begin_update(at, &origin, &update)));
        match &begun {
            Ok(number) => drop(self.open_updates.insert(origin.request, *number)),
            Err(fault) => self.failed(fault),
        }
        if waiting.reply.send(begun.clone().map(drop)).is_err()
            && let Ok(number) = begun
        {
            // The request has ended, and its exchange will not begin.
            self.open_updates.remove(&origin.request);
            let cause = Some("the client has gone");
            let ended = self.write(|writer| {
                writer.end_update(number, at, Outcome::NotApplied, cause, None, None)
            });
            if let Err(fault) = ended {
                self.journal.outcome_not_recorded(&waiting.source, &fault);
            }
        }
    }

    fn end_update(&mut self, number: i64, change: &Change) {
        self.queue.recorded(1);
        let ChangeKind::Update { sub_pool, old, new } = &change.what else { return };
        let (outcome, at) = (outcome(change.end), millis(change.at));
        let (old, new) = (old.as_deref().and_then(coinbase), coinbase(new));
        let cause = change.cause.as_deref();
        let ended = self.write(|writer| {
            writer.end_update(number, at, outcome, cause, old.as_ref(), new.as_ref())
        });
        match ended {
            Ok(head) => self.journal.payout(&change.source, sub_pool, outcome, &head),
            Err(fault) => self.journal.outcome_not_recorded(&change.source, &fault),
        }
    }

    fn reload(&mut self, at: SystemTime, keys: Vec<String>) {
        let source = Source::new(Origin::of(SourceKind::Signal, self.ids.next_id()));
        self.unsaved.push(database::Change {
            time: millis(at),
            origin: Arc::new(super::records::origin(&source)),
            entry: Entry::Reload { keys },
            outcome: Outcome::Applied,
            cause: None,
        });
    }

    /// Appends the unsaved records. After a failure, they stay.
    fn append(&mut self) -> Result<(), NotRecorded> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if self.unsaved.is_empty() {
            return Ok(());
        }
        let unsaved = mem::take(&mut self.unsaved);
        let appended = self.write(|writer| writer.append(&unsaved).map(drop));
        match &appended {
            Ok(()) => self.queue.recorded(unsaved.len()),
            Err(fault) => {
                self.unsaved = unsaved;
                self.failed(fault);
            }
        }
        appended
    }

    /// Records nothing until the next tick: each attempt may take seconds.
    fn failed(&mut self, fault: &NotRecorded) {
        self.fault = Some(fault.clone());
        self.queue.set_fault(Some(Arc::clone(&fault.0)));
        self.journal.fails(fault, self.unsaved.len());
    }

    /// Nothing waits, and all is on the disk.
    fn recovered(&mut self) {
        if self.queue.has_fault() {
            self.queue.set_fault(None);
            self.journal.works();
        }
    }

    fn sync_now(&mut self) -> Result<(), NotRecorded> {
        if self.is_dirty {
            self.write(|writer| writer.sync())?;
            self.is_dirty = false;
        }
        Ok(())
    }

    /// Writes to the database. A damaged one is moved aside and the write repeated, unless answers depend on the records.
    fn write<T>(
        &mut self,
        write: impl Fn(&mut Writer) -> Result<T, Error>,
    ) -> Result<T, NotRecorded> {
        let closed = || NotRecorded("the history is closed".into());
        let writer = self.writer.as_mut().ok_or_else(closed)?;
        let written = write(writer).or_else(|error| {
            if !error.is_damaged() || self.queue.syncs_all() {
                return Err(not_recorded(&error));
            }
            let moved = writer.start_over(millis(SystemTime::now()));
            let moved = moved.map_err(|cause| not_recorded(&cause))?;
            self.journal.started_over(&error, &moved.to_string_lossy());
            self.open_updates.clear();
            write(writer).map_err(|error| not_recorded(&error))
        })?;
        (self.is_dirty, self.is_changed) = (true, true);
        Ok(written)
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let began = Instant::now();
        self.fault = None;
        self.record();
        match self.sync_now() {
            Err(fault) => self.failed(&fault),
            Ok(()) if self.fault.is_none() => self.recovered(),
            Ok(()) => {}
        }
        self.ticks_to_expiry -= 1;
        if self.ticks_to_expiry == 0 {
            self.ticks_to_expiry = if self.expire() { 1 } else { EXPIRY_TICKS };
        }
        self.report();
        ctx.run_later(TICK.saturating_sub(began.elapsed()), Self::tick);
    }

    /// Drops some of the expired records. Returns whether there may be more.
    fn expire(&mut self) -> bool {
        let now = self.clock.now();
        let before = |kept| now.checked_sub(kept).map_or(0, millis);
        let limits = Limits {
            not_before: before(self.kept),
            notes_not_before: before(self.payouts_kept),
            bytes: self.max_bytes,
        };
        self.write(|writer| writer.expire(limits)).unwrap_or_else(|fault| {
            self.journal.not_expired(&fault);
            false
        })
    }

    fn report(&mut self) {
        if self.is_changed
            && let Some(writer) = &self.writer
            && let Ok(size) = writer.size()
        {
            self.journal.size(size, &writer.chain_head());
            self.is_changed = false;
        }
    }
}

fn not_recorded(error: &impl ToString) -> NotRecorded {
    NotRecorded(error.to_string().into())
}

impl Actor for Historian {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.queue.serve(ctx.address().recipient());
        self.tick(ctx);
    }
}

impl Handler<Wake> for Historian {
    type Result = ();

    fn handle(&mut self, wake: Wake, ctx: &mut Self::Context) {
        match wake {
            Wake::Now => self.record(),
            Wake::Soon => drop(ctx.run_later(GATHER, |act, _| act.record())),
        }
    }
}

impl Handler<CloseHistory> for Historian {
    type Result = ();

    fn handle(&mut self, CloseHistory: CloseHistory, _: &mut Self::Context) {
        self.fault = None;
        self.record();
        if let Err(fault) = self.sync_now() {
            self.journal.fails(&fault, self.unsaved.len());
        }
        if !self.unsaved.is_empty() {
            self.journal.lost(self.unsaved.len());
        }
        self.writer = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_clock_that_was_set_lets_nothing_expire_early() {
        let now = SystemTime::now();
        let clock = |start| Clock { start, since: Instant::now() }.now();
        let set_forward = clock(now - DAY);
        assert!((now - DAY..now - DAY / 2).contains(&set_forward));
        let set_back = clock(now + DAY);
        assert!((now..now + DAY / 2).contains(&set_back));
    }
}

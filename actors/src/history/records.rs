//! Conversion between changes and the database's records.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use switcher_history::{self as database, ChangeRow, Entry, Old, State};

use super::queue::Intent;
use crate::{
    domain::{
        Coin, Coinbase, Coins, Origin, PreviousValue, Puname, RequestId, Source, SourceKind,
        SubPool,
    },
    metrics::{Change, ChangeEnd, ChangeKind},
    zk::Revision,
};

/// Maximum bytes of a recorded coinbase from a jobmaker, text and address together. A longer one is recorded as not known:
/// an undo cannot put a shortened text back.
const COINBASE_BYTES: usize = 64 << 10;

/// Milliseconds since 1970.
pub(super) fn millis(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// The record of a change; `None` for a registration that wrote no coin. Successive changes of a request share their
/// origin: `last` is the origin of the change before.
pub(super) fn record(
    change: &Change,
    last: &mut Option<Arc<database::Origin>>,
) -> Option<database::Change> {
    let request = change.source.request.0;
    let origin = match last {
        Some(origin) if origin.request == request => Arc::clone(origin),
        _ => Arc::new(origin(&change.source)),
    };
    *last = Some(Arc::clone(&origin));
    Some(database::Change {
        time: millis(change.at),
        origin,
        entry: entry(&change.what)?,
        outcome: outcome(change.end),
        cause: change.cause.as_deref().map(str::to_owned),
    })
}

pub(super) fn outcome(end: ChangeEnd) -> database::Outcome {
    match end {
        ChangeEnd::Applied => database::Outcome::Applied,
        ChangeEnd::Held => database::Outcome::Held,
        ChangeEnd::NotApplied => database::Outcome::NotApplied,
        ChangeEnd::Unknown => database::Outcome::Unknown,
    }
}

fn entry(what: &ChangeKind) -> Option<Entry> {
    let text = |coin: &Coin| coin.as_str().to_owned();
    Some(match what {
        ChangeKind::Switch { puname, old, new, superseded_by, due, revision } => {
            Entry::Switch(database::Switch {
                sub_account: puname.as_str().to_owned(),
                old: old_value(old),
                new: new.as_ref().map(text),
                superseded_by: superseded_by.as_ref().map(text),
                due: *due,
                state: revision.map(|it| State { created: it.created, version: it.version }),
            })
        }
        ChangeKind::Update { sub_pool, old, new } => Entry::Update(database::Update {
            coin: sub_pool.coin().to_owned(),
            sub_pool: sub_pool.name().to_owned(),
            old: old.as_deref().and_then(coinbase),
            new: coinbase_of(new),
        }),
        // The first coin is written only where there is no znode. Whether there was one is not known here.
        ChangeKind::Registration { sub_account, first_coin, .. } => {
            Entry::Switch(database::Switch {
                sub_account: sub_account.clone(),
                old: Old::NotKnown,
                new: Some(text(first_coin.as_ref()?)),
                superseded_by: None,
                due: None,
                state: None,
            })
        }
    })
}

fn old_value(old: &PreviousValue) -> Old {
    match (old, old.text()) {
        (PreviousValue::Absent, _) => Old::Absent,
        (_, Some(text)) => Old::Value(text.into_owned()),
        _ => Old::NotKnown,
    }
}

/// A jobmaker's coinbase, unless it is too long.
pub(super) fn coinbase(coinbase: &Coinbase) -> Option<database::Coinbase> {
    let bytes = coinbase.coinbase_info.len() + coinbase.payout_addr.len();
    (bytes <= COINBASE_BYTES).then(|| coinbase_of(coinbase))
}

fn coinbase_of(coinbase: &Coinbase) -> database::Coinbase {
    database::Coinbase {
        coinbase_info: coinbase.coinbase_info.clone(),
        payout_addr: coinbase.payout_addr.clone(),
    }
}

/// Origin and entry of an update that is about to begin.
pub(super) fn intent(intent: &Intent) -> (database::Origin, database::Update) {
    let Intent { source, sub_pool, update, .. } = intent;
    let update = database::Update {
        coin: sub_pool.coin().to_owned(),
        sub_pool: sub_pool.name().to_owned(),
        old: None,
        new: coinbase_of(update.coinbase()),
    };
    (origin(source), update)
}

/// The stored form of an origin.
pub(super) fn origin(source: &Source) -> database::Origin {
    let kind = match source.kind {
        SourceKind::Api => database::Source::Api,
        SourceKind::Console => database::Source::Console,
        SourceKind::Poll => database::Source::Poll,
        SourceKind::Undo => database::Source::Undo,
        SourceKind::Registration => database::Source::Registration,
        SourceKind::Signal => database::Source::Signal,
    };
    database::Origin {
        request: source.request.0,
        source: kind,
        client: source.client,
        actor: source.actor.as_deref().map(str::to_owned),
        on_behalf_of: source.on_behalf_of.as_deref().map(str::to_owned),
        comment: source.comment.as_deref().map(str::to_owned),
        undo_of: source.undo_of.map(|undone| undone.0),
    }
}

/// A recorded change of an earlier process, for the recent changes. `None` for a reload, and for a name that is no longer
/// valid.
pub(crate) fn recent_change(row: ChangeRow) -> Option<Change> {
    let (end, words) = match row.outcome {
        database::Outcome::Applied => (ChangeEnd::Applied, "applied"),
        database::Outcome::Held => (ChangeEnd::Held, "held"),
        database::Outcome::NotApplied => (ChangeEnd::NotApplied, "not applied"),
        database::Outcome::Unknown => (ChangeEnd::Unknown, "outcome unknown"),
    };
    let what = match row.entry {
        Entry::Switch(switch) => ChangeKind::Switch {
            puname: Puname::parse(&switch.sub_account).ok()?,
            old: match switch.old {
                Old::NotKnown => PreviousValue::NotKnown,
                Old::Absent => PreviousValue::Absent,
                Old::Value(text) => PreviousValue::Data(text.into_bytes()),
            },
            new: match switch.new {
                Some(coin) => Some(coin_of(&coin)?),
                None => None,
            },
            superseded_by: switch.superseded_by.as_deref().and_then(coin_of),
            due: switch.due,
            revision: switch.state.map(|it| Revision { created: it.created, version: it.version }),
        },
        Entry::Update(update) => ChangeKind::Update {
            sub_pool: SubPool::parse(&update.coin, &update.sub_pool)?,
            old: update.old.map(|old| Arc::new(coinbase_back(old))),
            new: Arc::new(coinbase_back(update.new)),
        },
        Entry::Reload { .. } => return None,
    };
    let words = if matches!(&what, ChangeKind::Switch { superseded_by: Some(_), .. }) {
        "superseded"
    } else {
        words
    };
    let at = UNIX_EPOCH + Duration::from_millis(row.time.max(0) as u64);
    let source = source_of(&row.origin);
    Some(Change { at, ..Change::new(source, what, (end, words), row.cause.map(Arc::from)) })
}

fn coin_of(coin: &str) -> Option<Coin> {
    Coins::new(&[coin]).ok()?.iter().next().cloned()
}

fn coinbase_back(coinbase: database::Coinbase) -> Coinbase {
    Coinbase { coinbase_info: coinbase.coinbase_info, payout_addr: coinbase.payout_addr }
}

fn source_of(origin: &database::Origin) -> Source {
    let kind = match origin.source {
        database::Source::Api => SourceKind::Api,
        database::Source::Console => SourceKind::Console,
        database::Source::Poll => SourceKind::Poll,
        database::Source::Undo => SourceKind::Undo,
        database::Source::Registration => SourceKind::Registration,
        database::Source::Signal => SourceKind::Signal,
    };
    Source::new(Origin {
        client: origin.client,
        actor: origin.actor.as_deref().map(Arc::from),
        on_behalf_of: origin.on_behalf_of.as_deref().map(Box::from),
        comment: origin.comment.as_deref().map(Box::from),
        undo_of: origin.undo_of.map(RequestId),
        ..Origin::of(kind, RequestId(origin.request))
    })
}

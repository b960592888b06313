//! Undoes a coinbase update: by an update to the old values, if the jobmaker still has the new ones.

use serde_json::json;
use switcher_actors::{
    Coinbase, CoinbaseAction, CoinbaseUpdate, ExchangeFailure, Jobmakers, RequestId, SubPool,
    rfc_3339_millis,
};
use switcher_history::{self as database, Entry, Filter, Kind, Order, Outcome, Reader, Update};

use super::{
    Undo, UndoError,
    results::{Newer, Results, SWITCHED_SINCE, UndoOutcome, UndoResult, UndoTarget},
};
use crate::admin::history::Searches;

const OLD_NOT_KNOWN: &str = "old values not known";
const UNKNOWN: &str = "outcome was unknown";

/// Number of a sub-pool's newest updates in which the last one with an effect is searched.
const NEWEST: usize = 10;

/// End of the undo of an update.
struct End {
    now: Option<Coinbase>,
    outcome: UndoOutcome,
    cause: Option<String>,
    newer: Option<Newer>,
}

impl End {
    fn of(outcome: UndoOutcome, now: Option<Coinbase>, cause: impl Into<Option<String>>) -> Self {
        Self { now, outcome, cause: cause.into(), newer: None }
    }
}

impl Undo {
    /// Undoes the update of the request.
    pub(super) async fn update(
        &self,
        searches: &Searches,
        results: &mut Results,
    ) -> Result<(), UndoError> {
        let request = self.wanted.request;
        let filter =
            Filter { request: Some(request.0), kind: Some(Kind::Update), ..Filter::default() };
        let found =
            searches.search(move |reader| reader.changes(&filter, Order::Newest, None, 1)).await?;
        let row = found.rows.into_iter().next().ok_or(UndoError::NotFound(request))?;
        let Entry::Update(update) = row.entry else { return Err(UndoError::NotFound(request)) };
        let end = match (row.outcome, &update.old) {
            (Outcome::NotApplied, _) => return Ok(()),
            (Outcome::Unknown | Outcome::Held, _) => {
                End::of(UndoOutcome::LeftAlone, None, UNKNOWN.to_owned())
            }
            (Outcome::Applied, None) => {
                End::of(UndoOutcome::LeftAlone, None, OLD_NOT_KNOWN.to_owned())
            }
            (Outcome::Applied, Some(old)) => {
                let jobmakers = self.admin.views.jobmakers.as_ref();
                let jobmakers = jobmakers.ok_or(UndoError::NoSubPools(request))?;
                self.exchange(searches, jobmakers, &update, old).await?
            }
        };
        results.add(&UndoResult {
            target: UndoTarget::SubPool { coin: &update.coin, sub_pool: &update.sub_pool },
            now: end.now.map(|now| json!(now)),
            back_to: update.old.as_ref().map(|old| json!(old)),
            outcome: end.outcome,
            cause: end.cause,
            newer: end.newer,
        });
        Ok(())
    }

    /// Gets the jobmaker's values, and updates them if they are those that the request left.
    async fn exchange(
        &self,
        searches: &Searches,
        jobmakers: &Jobmakers,
        update: &Update,
        old: &database::Coinbase,
    ) -> Result<End, UndoError> {
        let left = coinbase(&update.new);
        let Some(sub_pool) = SubPool::parse(&update.coin, &update.sub_pool) else {
            let cause = "no sub-pool can have this name".to_owned();
            return Ok(End::of(UndoOutcome::NotApplied, None, cause));
        };
        let alone = jobmakers.alone_with(sub_pool.clone()).await;
        let ask = |action| alone.ask(action, self.source.clone());
        let now = match ask(CoinbaseAction::Get).await {
            Ok(answer) if answer.success => answer.old,
            Ok(answer) => return Ok(End::of(UndoOutcome::NotApplied, None, answer.err_msg)),
            // A get writes back only the data that it read.
            Err(failure) => {
                return Ok(End::of(UndoOutcome::NotApplied, None, failure.to_string()));
            }
        };
        if now != left {
            let newer = self.newer_update(searches, update, now.clone()).await;
            let cause = SWITCHED_SINCE.to_owned();
            return Ok(End { newer, ..End::of(UndoOutcome::LeftAlone, Some(now), cause) });
        }
        let back_to = match CoinbaseUpdate::new(&sub_pool, coinbase(old), self.config.coinbase_max)
        {
            Ok(back_to) => back_to,
            Err(error) => {
                return Ok(End::of(UndoOutcome::NotApplied, Some(now), error.to_string()));
            }
        };
        if self.wanted.dry_run {
            return Ok(End::of(UndoOutcome::WouldRestore, Some(now), None));
        }
        Ok(match ask(CoinbaseAction::Update(back_to)).await {
            // Another daemon's update came in between the two exchanges.
            Ok(answer) if answer.success && answer.old != left => {
                let cause =
                    "restored, but this replaced the values of another update that came in between";
                End::of(UndoOutcome::Unknown, Some(answer.old), cause.to_owned())
            }
            Ok(answer) if answer.success => End::of(UndoOutcome::Restored, Some(now), None),
            Ok(answer) => End::of(UndoOutcome::NotApplied, Some(now), answer.err_msg),
            Err(ExchangeFailure::NotRecorded(cause)) => return Err(UndoError::NotRecorded(cause)),
            Err(failure) if failure.wrote_nothing() => {
                End::of(UndoOutcome::NotApplied, Some(now), failure.to_string())
            }
            Err(failure) => End::of(UndoOutcome::Unknown, Some(now), failure.to_string()),
        })
    }

    /// The sub-pool's newest update with an effect, if the jobmaker has its values.
    async fn newer_update(
        &self,
        searches: &Searches,
        update: &Update,
        now: Coinbase,
    ) -> Option<Newer> {
        let filter = Filter {
            coin: Some(update.coin.clone()),
            sub_pool: Some(update.sub_pool.clone()),
            kind: Some(Kind::Update),
            ..Filter::default()
        };
        let newest = move |reader: &Reader| reader.changes(&filter, Order::Newest, None, NEWEST);
        let newest = searches.search(newest).await.ok()?.rows;
        let row = newest.into_iter().find(|row| row.outcome == Outcome::Applied)?;
        let Entry::Update(newer) = &row.entry else { return None };
        let is_it = coinbase(&newer.new) == now && row.origin.request != self.wanted.request.0;
        is_it.then(|| Newer {
            by: RequestId(row.origin.request).to_string(),
            at: rfc_3339_millis(row.time.max(0) as u64),
        })
    }
}

fn coinbase(values: &database::Coinbase) -> Coinbase {
    let database::Coinbase { coinbase_info, payout_addr } = values.clone();
    Coinbase { coinbase_info, payout_addr }
}

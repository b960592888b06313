//! Undoes switches, slice by slice.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::Value;
use switcher_actors::{
    PreviousValue, PutBack, PutBackEnd, PutBackEntry, PutBackOutcome, RequestId, Revision,
    SwitchesBuilder, rfc_3339_millis,
};
use switcher_history::{
    ChangeRow, Entry, Error, Filter, Kind, Order, Outcome, Reader, RequestNumber, RequestRow,
    Switch,
};
use tokio::sync::oneshot;

use super::{
    Undo, UndoError,
    plan::{Plan, Rules, old_value},
    results::{Newer, Results, SWITCHED_SINCE, UndoOutcome, UndoResult, UndoTarget},
};
use crate::{admin::history::Searches, api::dry_run};

/// Maximum entries that are read and put back together.
const SLICE: usize = 1_000;

/// Maximum entries that were switched since and get a search for the newer change.
const NEWER_NAMED: usize = 100;

/// Number of a sub-account's newest changes in which the last one with an effect is searched.
const NEWEST: usize = 10;

impl Undo {
    /// Puts the sub-accounts of `undone` back.
    pub(super) async fn switches(
        &self,
        searches: &Searches,
        undone: &RequestRow,
        results: &mut Results,
    ) -> Result<(), UndoError> {
        let request = self.wanted.request.0;
        let [.., held] = undone.outcomes;
        let carried_out = match held {
            0 => HashSet::new(),
            _ => searches.search(move |reader| carried_out(reader, request)).await?,
        };
        let rules = Rules {
            coins: &self.config.switch_rules.coins,
            delete_created: self.wanted.delete_created,
            carried_out,
        };
        let (mut cursor, mut named) = (None, 0);
        loop {
            let slice = move |reader: &Reader| {
                reader.changes(&switches_of(request), Order::Oldest, cursor, SLICE)
            };
            let page = searches.search(slice).await?;
            self.slice(searches, &rules, page.rows, &mut named, results).await?;
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Puts a slice back. `named` counts the entries for which the newer change was searched.
    async fn slice(
        &self,
        searches: &Searches,
        rules: &Rules<'_>,
        rows: Vec<ChangeRow>,
        named: &mut usize,
        results: &mut Results,
    ) -> Result<(), UndoError> {
        let planned = rows.iter().filter_map(|row| match &row.entry {
            Entry::Switch(switch) => Some((switch, rules.plan(switch, row.outcome))),
            _ => None,
        });
        let planned: Vec<(&Switch, Plan)> = planned.collect();
        let entries = planned.iter().filter_map(|(_, plan)| match plan {
            Plan::PutBack(entry) => Some(entry.clone()),
            _ => None,
        });
        let ends = self.put_back(entries.collect()).await;
        let put_back = planned.iter().filter(|(_, plan)| matches!(plan, Plan::PutBack(_)));
        let switched = put_back.zip(&ends).filter(|(_, end)| is_switched(end));
        let switched = switched.map(|((switch, _), end)| (switch.sub_account.clone(), end.clone()));
        let switched: Vec<_> = switched.take(NEWER_NAMED - *named).collect();
        *named += switched.len();
        let newer = self.newer(searches, switched).await;
        let left = planned.iter().filter(|(_, plan)| matches!(plan, Plan::Leave(_)));
        let left = self.values(left.map(|(switch, _)| &*switch.sub_account)).await;

        let (mut ends, mut newer) = (ends.into_iter(), newer.into_iter());
        for (switch, plan) in planned {
            let target = UndoTarget::SubAccount { sub_account: &switch.sub_account };
            results.add(&match plan {
                Plan::Nothing => continue,
                Plan::Leave(cause) => UndoResult {
                    target,
                    now: left.get(&switch.sub_account).and_then(value),
                    back_to: old_value(switch),
                    outcome: UndoOutcome::LeftAlone,
                    cause: Some(cause.to_owned()),
                    newer: None,
                },
                Plan::PutBack(_) => {
                    let Some(PutBackEnd { now, outcome, .. }) = ends.next() else { continue };
                    let is_switched = outcome == PutBackOutcome::SwitchedSince;
                    let (outcome, cause) = words(outcome);
                    UndoResult {
                        target,
                        now: value(&now),
                        back_to: old_value(switch),
                        outcome,
                        cause,
                        newer: if is_switched { newer.next().flatten() } else { None },
                    }
                }
            });
        }
        Ok(())
    }

    async fn put_back(&self, entries: Vec<PutBackEntry>) -> Vec<PutBackEnd> {
        let count = entries.len();
        if count == 0 {
            return Vec::new();
        }
        let all = |outcome: PutBackOutcome| {
            vec![PutBackEnd { now: PreviousValue::NotKnown, state: None, outcome }; count]
        };
        let (reply, ends) = oneshot::channel();
        let (source, dry_run) = (self.source.clone(), self.wanted.dry_run);
        let message = PutBack { source, entries, dry_run, reply };
        if self.admin.views.put_back.send(message).await.is_err() {
            return all(PutBackOutcome::NotApplied("the daemon is shutting down".into()));
        }
        let ended = "the writer ended meanwhile";
        ends.await.unwrap_or_else(|_| all(PutBackOutcome::Unknown(ended.into())))
    }

    /// The present values of sub-accounts that are left alone, as far as they can be read.
    async fn values(&self, names: impl Iterator<Item = &str>) -> HashMap<String, PreviousValue> {
        let mut switches = SwitchesBuilder::new(false);
        // A registration's name may be none.
        let names: Vec<&str> = names.filter(|name| switches.add(name).is_ok()).collect();
        if names.is_empty() {
            return HashMap::new();
        }
        let switches = Arc::new(switches.build());
        let read = dry_run(&self.admin.views.dry_runs, Arc::clone(&switches)).await.results;
        let value = |name: &str| Some(read.as_ref()?.get(switches.find(name)?)?.old.clone());
        names.into_iter().filter_map(|name| Some((name.to_owned(), value(name)?))).collect()
    }

    /// The newer changes of sub-accounts that were switched since, if the history has them.
    async fn newer(
        &self,
        searches: &Searches,
        switched: Vec<(String, PutBackEnd)>,
    ) -> Vec<Option<Newer>> {
        if switched.is_empty() {
            return Vec::new();
        }
        let undone = self.wanted.request.0;
        let found = searches.search(move |reader| {
            let found = switched.iter().map(|(name, end)| newer(reader, name, end, undone));
            Ok(found.collect())
        });
        // The results are complete without it.
        found.await.unwrap_or_default()
    }
}

fn switches_of(request: RequestNumber) -> Filter {
    Filter { request: Some(request), kind: Some(Kind::Switch), ..Filter::default() }
}

/// The sub-accounts with a held switch of this request that was carried out.
fn carried_out(reader: &Reader, request: RequestNumber) -> Result<HashSet<String>, Error> {
    let filter = Filter { outcome: Some(Outcome::Applied), ..switches_of(request) };
    let (mut names, mut cursor) = (HashSet::new(), None);
    loop {
        let page = reader.changes(&filter, Order::Oldest, cursor, SLICE)?;
        names.extend(page.rows.into_iter().filter_map(|row| match row.entry {
            Entry::Switch(switch) if switch.due.is_some() => Some(switch.sub_account),
            _ => None,
        }));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(names);
        }
    }
}

fn is_switched(end: &PutBackEnd) -> bool {
    end.outcome == PutBackOutcome::SwitchedSince
}

/// The sub-account's newest change with an effect, if the znode is as that change left it.
fn newer(reader: &Reader, name: &str, end: &PutBackEnd, undone: RequestNumber) -> Option<Newer> {
    let filter = Filter {
        sub_account: Some(name.to_owned()),
        kind: Some(Kind::Switch),
        ..Filter::default()
    };
    let newest = reader.changes(&filter, Order::Newest, None, NEWEST).ok()?.rows;
    let (row, switch) = newest.iter().find_map(|row| match &row.entry {
        Entry::Switch(switch)
            if matches!(row.outcome, Outcome::Applied | Outcome::Held)
                && switch.superseded_by.is_none() =>
        {
            Some((row, switch))
        }
        _ => None,
    })?;
    let state = switch.state.map(|it| Revision { created: it.created, version: it.version });
    let is_left_so = match end.now {
        PreviousValue::Absent => switch.new.is_none(),
        _ => state.is_some() && state == end.state,
    };
    (is_left_so && row.origin.request != undone).then(|| Newer {
        by: RequestId(row.origin.request).to_string(),
        at: rfc_3339_millis(row.time.max(0) as u64),
    })
}

/// The outcome and cause of an end.
fn words(outcome: PutBackOutcome) -> (UndoOutcome, Option<String>) {
    match outcome {
        PutBackOutcome::WouldRestore => (UndoOutcome::WouldRestore, None),
        PutBackOutcome::WouldDelete => (UndoOutcome::WouldDelete, None),
        PutBackOutcome::Restored => (UndoOutcome::Restored, None),
        PutBackOutcome::Deleted => (UndoOutcome::Deleted, None),
        PutBackOutcome::SwitchedSince => (UndoOutcome::LeftAlone, Some(SWITCHED_SINCE.to_owned())),
        PutBackOutcome::NotApplied(cause) => (UndoOutcome::NotApplied, Some(cause.to_string())),
        PutBackOutcome::Unknown(cause) => (UndoOutcome::Unknown, Some(cause.to_string())),
    }
}

fn value(value: &PreviousValue) -> Option<Value> {
    match value {
        PreviousValue::NotKnown => None,
        other => Some(other.text().map_or(Value::Null, |text| text.into_owned().into())),
    }
}

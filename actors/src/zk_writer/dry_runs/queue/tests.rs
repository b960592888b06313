//! Rules of dry runs, one by one.

use std::time::Duration;

use tokio::sync::oneshot;

use super::*;
use crate::{
    domain::{Coins, SwitchesBuilder},
    zk::{Content, Mark, Revision, Zxid},
    zk_writer::messages::WriteReply,
};

struct Answer(oneshot::Receiver<WriteReply>, Arc<Switches>);

impl Answer {
    fn try_recv(&mut self) -> Result<WriteReply, oneshot::error::TryRecvError> {
        self.0.try_recv()
    }
}

fn ask(dry_runs: &mut DryRuns, pairs: &[(&str, &str)]) -> Answer {
    let coins = Coins::new(&["btc", "bcc"]).unwrap();
    let mut builder = SwitchesBuilder::new(false);
    for (puname, coin) in pairs {
        builder.add(puname).unwrap();
        // No coin: no more is asked than what is there.
        if let Some(coin) = coins.get(coin) {
            builder.set_coin(coin);
        }
    }
    let switches = Arc::new(builder.build());
    let (reply, answer) = oneshot::channel();
    let deadline = Instant::now() + Duration::from_secs(60);
    dry_runs.accept(DryRunBatch { switches: switches.clone(), reply }, deadline);
    Answer(answer, switches)
}

fn ask_many(dry_runs: &mut DryRuns, prefix: &str, count: usize) -> Answer {
    let names: Vec<String> = (0..count).map(|n| format!("{prefix}{n}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "btc")).collect();
    ask(dry_runs, &pairs)
}

fn holds(data: &str) -> ZnodeRead {
    let mark = Mark { revision: Revision::test(1, 0), zxid: Zxid::test(1) };
    Ok(Some(Content { data: data.into(), mark }))
}

fn names(part: &DryRunPart) -> Vec<&str> {
    part.names().collect()
}

fn outcomes(answer: &mut Answer) -> (Result<(), WriteFailure>, Vec<SwitchOutcome>) {
    let reply = answer.try_recv().expect("an answer");
    let Some(results) = reply.results else { return (reply.outcome, Vec::new()) };
    let result = |place: Option<usize>| match place {
        Some(place) => results.get(place).unwrap(),
        None => &SwitchResult::SUPERSEDED,
    };
    let outcomes = answer.1.iter().map(|entry| result(entry.place).outcome.clone());
    (reply.outcome, outcomes.collect())
}

#[test]
fn what_would_change_is_told_in_the_requests_order() {
    let mut dry_runs = DryRuns::new(10);
    let pairs = [("b", "btc"), ("a", "btc"), ("b", "bcc"), ("c", "bcc")];
    let mut answer = ask(&mut dry_runs, &pairs);
    let part = dry_runs.take().unwrap();
    assert_eq!(names(&part), ["a", "b", "c"]);
    dry_runs.finish(&part, Ok(vec![holds("btc"), Ok(None), holds("bccc")]), |_, _| None);
    let expected = vec![
        SwitchOutcome::Superseded,
        SwitchOutcome::Unchanged,
        SwitchOutcome::WouldCreate,
        SwitchOutcome::WouldChange,
    ];
    assert_eq!(outcomes(&mut answer), (Ok(()), expected));
    assert!(dry_runs.is_empty() && dry_runs.admission.waiting == 0);
}

#[test]
fn who_asks_for_no_coin_is_told_what_is_there() {
    let mut dry_runs = DryRuns::new(10);
    let mut answer = ask(&mut dry_runs, &[("a", ""), ("b", ""), ("c", "")]);
    let part = dry_runs.take().unwrap();
    dry_runs.finish(
        &part,
        Ok(vec![holds("btc"), Ok(None), Err("no rights".to_owned())]),
        |_, _| None,
    );
    let reply = answer.try_recv().expect("an answer");
    let seen = |old| SwitchResult { old, outcome: SwitchOutcome::Seen };
    let unread = SwitchResult::without_old(SwitchOutcome::Unknown("no rights".into()));
    let expected =
        [seen(PreviousValue::Data(b"btc".to_vec())), seen(PreviousValue::Absent), unread];
    assert!(reply.results.unwrap().iter().eq(&expected));
    assert!(reply.outcome.is_err());
}

#[test]
fn batches_take_turns_and_so_many_parts_are_under_way() {
    let mut dry_runs = DryRuns::new(10_000);
    let mut large = ask_many(&mut dry_runs, "l", PART_ENTRIES + 1);
    let mut small = ask(&mut dry_runs, &[("s", "btc")]);
    let (first, second) = (dry_runs.take().unwrap(), dry_runs.take().unwrap());
    assert_eq!((names(&first).len(), names(&second)), (PART_ENTRIES, vec!["s"]));
    assert!(dry_runs.take().is_none(), "enough is under way");
    dry_runs.finish(&second, Ok(vec![Ok(None)]), |_, _| None);
    assert_eq!(outcomes(&mut small).0, Ok(()));
    let third = dry_runs.take().unwrap();
    dry_runs.finish(&third, Ok(vec![Ok(None)]), |_, _| None);
    assert!(large.try_recv().is_err(), "its first part is still under way");
    dry_runs.finish(&first, Ok(vec![Ok(None); PART_ENTRIES]), |_, _| None);
    assert_eq!(outcomes(&mut large).1, vec![SwitchOutcome::WouldCreate; PART_ENTRIES + 1]);
}

#[test]
fn a_znode_that_may_not_be_read_is_no_success() {
    let mut dry_runs = DryRuns::new(10);
    let mut answer = ask(&mut dry_runs, &[("a", "btc"), ("b", "btc")]);
    let part = dry_runs.take().unwrap();
    dry_runs.finish(&part, Ok(vec![Err("no rights".to_owned()), holds("btc")]), |_, _| None);
    let expected = vec![SwitchOutcome::Unknown("no rights".into()), SwitchOutcome::Unchanged];
    let failure = WriteFailure::NotRead("no rights".to_owned());
    assert_eq!(outcomes(&mut answer), (Err(failure), expected));
}

#[test]
fn a_part_that_could_not_be_read_ends_its_batch() {
    let mut dry_runs = DryRuns::new(10_000);
    let mut answer = ask_many(&mut dry_runs, "l", 3 * PART_ENTRIES);
    let (first, second) = (dry_runs.take().unwrap(), dry_runs.take().unwrap());
    dry_runs.finish(&first, Ok(vec![holds("btc"); PART_ENTRIES]), |_, _| None);
    dry_runs.finish(&second, Err("lost".to_owned()), |_, _| None);
    let (outcome, results) = outcomes(&mut answer);
    assert_eq!(outcome, Err(WriteFailure::NotRead("lost".to_owned())));
    assert_eq!(results[PART_ENTRIES - 1], SwitchOutcome::Unchanged);
    assert!(results[PART_ENTRIES..].iter().all(|it| matches!(it, SwitchOutcome::Unknown(_))));
    assert!(dry_runs.take().is_none() && dry_runs.is_empty());
}

#[test]
fn who_waits_too_long_or_is_too_many_is_told_so() {
    let mut dry_runs = DryRuns::new(2);
    let mut waiting = ask(&mut dry_runs, &[("a", "btc"), ("b", "btc")]);
    let (outcome, results) = outcomes(&mut ask(&mut dry_runs, &[("c", "btc")]));
    assert_eq!(outcome, Err(WriteFailure::QueueFull { waiting: 2, limit: 2 }));
    assert!(results.is_empty(), "refused as a whole");
    dry_runs.expire(Instant::now());
    assert!(waiting.try_recv().is_err());
    let part = dry_runs.take().unwrap();
    dry_runs.expire(Instant::now() + Duration::from_secs(61));
    assert_eq!(outcomes(&mut waiting).0, Err(WriteFailure::NotSent));
    assert!(!dry_runs.is_empty(), "its part is still under way");
    dry_runs.finish(&part, Ok(vec![Ok(None), Ok(None)]), |_, _| None);
    assert!(dry_runs.is_empty() && dry_runs.admission.waiting == 0);
}

#[test]
fn nothing_is_read_for_who_has_gone() {
    let mut dry_runs = DryRuns::new(10);
    drop(ask(&mut dry_runs, &[("a", "btc")]));
    assert!(dry_runs.take().is_none() && dry_runs.is_empty() && dry_runs.admission.waiting == 0);
}

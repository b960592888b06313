//! The queue's rules, one by one.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::*;
use crate::{
    domain::{Coins, RequestId, Source, SwitchOutcome, Switches, SwitchesBuilder},
    zk_writer::messages::WriteReply,
};

/// A queue with a clock that stands, and what its journal said.
struct Fixture {
    queue: Queue,
    now: Instant,
    journal: Vec<String>,
}

/// Where an answer comes; its entries' results are asked for by `ask_for_results`.
struct Answer(oneshot::Receiver<WriteReply>, Arc<Switches>);

impl Answer {
    fn try_recv(&mut self) -> Result<Result<(), WriteFailure>, oneshot::error::TryRecvError> {
        self.0.try_recv().map(|reply| reply.outcome)
    }

    /// The same, and how each entry ended.
    fn results(&mut self) -> (Result<(), WriteFailure>, Vec<SwitchOutcome>) {
        let reply = self.0.try_recv().expect("an answer");
        let Some(results) = reply.results else { return (reply.outcome, Vec::new()) };
        let result = |place: Option<usize>| match place {
            Some(place) => results.get(place).unwrap(),
            None => &SwitchResult::SUPERSEDED,
        };
        let outcomes = self.1.iter().map(|entry| result(entry.place).outcome.clone());
        (reply.outcome, outcomes.collect())
    }
}

const PATIENCE: Duration = Duration::from_secs(5);

impl Fixture {
    fn new(limit: usize) -> Self {
        Self { queue: Queue::new(limit), now: Instant::now(), journal: Vec::new() }
    }

    fn ask(&mut self, pairs: &[(&str, &str)]) -> Answer {
        self.ask_within(pairs, PATIENCE)
    }

    fn ask_within(&mut self, pairs: &[(&str, &str)], patience: Duration) -> Answer {
        self.send(pairs, patience, false)
    }

    fn ask_for_results(&mut self, pairs: &[(&str, &str)]) -> Answer {
        self.send(pairs, PATIENCE, true)
    }

    fn send(&mut self, pairs: &[(&str, &str)], patience: Duration, wants_results: bool) -> Answer {
        let coins = Coins::new(&["btc", "bcc", "ltc"]).unwrap();
        let mut builder = SwitchesBuilder::new(false);
        for (puname, coin) in pairs {
            builder.add(puname).unwrap();
            builder.set_coin(coins.get(coin).unwrap());
        }
        let switches = Arc::new(builder.build());
        let (reply, answer) = oneshot::channel();
        let source = Source::api(None, RequestId(1));
        let batch = WriteBatch { source, switches: switches.clone(), wants_results, reply };
        self.queue.accept(batch, self.now + patience);
        Answer(answer, switches)
    }

    fn ask_many(&mut self, prefix: &str, count: usize) -> Answer {
        let names: Vec<String> = (0..count).map(|n| format!("{prefix}{n}")).collect();
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "btc")).collect();
        self.ask(&pairs)
    }

    fn take(&mut self) -> Chunk {
        self.queue.take(|_, _| false).expect("something to send")
    }

    fn finish(&mut self, chunk: &Chunk, outcome: &SwitchOutcome) {
        let outcomes = vec![outcome.clone(); chunk.entries.len()];
        self.finish_each(chunk, &outcomes);
    }

    fn finish_each(&mut self, chunk: &Chunk, outcomes: &[SwitchOutcome]) {
        let results = outcomes.iter().cloned().map(SwitchResult::without_old);
        self.queue.finish(chunk, &results.collect::<Vec<_>>());
        self.journal.extend(chunk.entries.iter().flat_map(ChunkEntry::switches).map(line));
    }

    fn expire_after(&mut self, time: Duration) {
        self.now += time;
        let withdrawn = self.queue.expire(self.now);
        self.journal.extend(withdrawn.iter().flat_map(ChunkEntry::switches).map(line));
    }
}

fn line(switch: SettledSwitch<'_>) -> String {
    let newer = switch.superseded_by.map(|coin| format!(" < {coin}")).unwrap_or_default();
    let coin = switch.coin.map_or("-", |coin| coin.as_str());
    format!("{}={coin}{newer}", switch.puname)
}

fn contents(chunk: &Chunk) -> Vec<String> {
    chunk.entries.iter().map(|entry| format!("{}={}", entry.puname, entry.coin())).collect()
}

fn refused() -> SwitchOutcome {
    SwitchOutcome::Refused("no rights".into())
}

fn unknown() -> SwitchOutcome {
    SwitchOutcome::Unknown("connection lost".into())
}

#[test]
fn a_request_is_answered_when_its_last_entry_is_settled() {
    let mut fixture = Fixture::new(10_000);
    let mut answer = fixture.ask_many("u", CHUNK_ENTRIES + 1);
    let (first, second) = (fixture.take(), fixture.take());
    assert_eq!((first.entries.len(), second.entries.len()), (CHUNK_ENTRIES, 1));
    assert!(fixture.queue.take(|_, _| false).is_none());
    fixture.finish(&first, &SwitchOutcome::Applied);
    assert!(answer.try_recv().is_err());
    fixture.finish(&second, &SwitchOutcome::Applied);
    assert_eq!(answer.try_recv(), Ok(Ok(())));
    assert!(fixture.queue.is_empty() && fixture.queue.slots.is_empty());
}

#[test]
fn only_the_newest_value_is_written_and_everybody_gets_its_outcome() {
    let mut fixture = Fixture::new(10);
    let mut early = fixture.ask(&[("alice", "btc")]);
    let mut late = fixture.ask(&[("alice", "bcc"), ("bob", "btc"), ("alice", "ltc")]);
    let chunk = fixture.take();
    assert_eq!(contents(&chunk), ["alice=ltc", "bob=btc"]);
    fixture.finish(&chunk, &SwitchOutcome::Applied);
    assert_eq!((early.try_recv(), late.try_recv()), (Ok(Ok(())), Ok(Ok(()))));
    assert_eq!(fixture.journal, ["alice=btc < ltc", "alice=ltc", "bob=btc"]);
}

#[test]
fn a_sub_account_is_never_in_two_chunks_at_a_time() {
    let mut fixture = Fixture::new(10);
    let _first = fixture.ask(&[("alice", "btc")]);
    let under_way = fixture.take();
    let mut second = fixture.ask(&[("alice", "bcc")]);
    let _other = fixture.ask(&[("bob", "btc")]);
    assert_eq!(contents(&fixture.take()), ["bob=btc"]);
    assert!(fixture.queue.take(|_, _| false).is_none());
    fixture.finish(&under_way, &unknown());
    let next = fixture.take();
    assert_eq!(contents(&next), ["alice=bcc"]);
    fixture.finish(&next, &SwitchOutcome::Applied);
    assert_eq!(second.try_recv(), Ok(Ok(())));
}

#[test]
fn a_token_left_behind_sends_nothing_that_is_under_way() {
    let mut fixture = Fixture::new(100_000);
    let _bulk = fixture.ask_many("bulk", CHUNK_ENTRIES + 1);
    // Hurried out of the large request's lane, where its name stays behind.
    let _small = fixture.ask(&[("bulk500", "bcc")]);
    let first = fixture.take();
    assert!(contents(&first).contains(&"bulk500=bcc".to_owned()));
    let _newer = fixture.ask(&[("bulk500", "ltc")]);
    while let Some(chunk) = fixture.queue.take(|_, _| false) {
        assert!(!contents(&chunk).contains(&"bulk500=ltc".to_owned()));
    }
    fixture.finish(&first, &SwitchOutcome::Applied);
    assert_eq!(contents(&fixture.take()), ["bulk500=ltc"]);
}

#[test]
fn at_the_end_everybody_is_answered_whatever_the_deadlines() {
    let mut fixture = Fixture::new(10);
    let mut under_way = fixture.ask(&[("alice", "btc")]);
    let chunk = fixture.take();
    let mut waiting = fixture.ask(&[("bob", "btc")]);
    assert_eq!(fixture.queue.expire_all().len(), 1);
    assert!(matches!(under_way.try_recv(), Ok(Err(WriteFailure::Unknown(_)))));
    assert_eq!(waiting.try_recv(), Ok(Err(WriteFailure::NotSent)));
    fixture.finish(&chunk, &unknown());
    assert!(fixture.queue.is_empty());
}

#[test]
fn one_callers_refusal_is_nobody_elses() {
    let mut fixture = Fixture::new(10);
    let mut bad = fixture.ask(&[("mallory", "btc"), ("carol", "btc")]);
    let mut good = fixture.ask(&[("alice", "btc")]);
    let chunk = fixture.take();
    fixture.finish_each(&chunk, &[refused(), SwitchOutcome::Applied, SwitchOutcome::Applied]);
    assert_eq!(bad.try_recv(), Ok(Err(WriteFailure::Refused("no rights".to_owned()))));
    assert_eq!(good.try_recv(), Ok(Ok(())));
}

#[test]
fn an_unknown_outcome_covers_a_known_one() {
    for outcomes in [[refused(), unknown()], [unknown(), refused()]] {
        let mut fixture = Fixture::new(10);
        let mut answer = fixture.ask(&[("alice", "btc"), ("bob", "btc")]);
        let chunk = fixture.take();
        fixture.finish_each(&chunk, &outcomes);
        assert!(matches!(answer.try_recv(), Ok(Err(WriteFailure::Unknown(_)))));
    }
}

#[test]
fn what_would_pass_the_limit_is_refused_whole() {
    let mut fixture = Fixture::new(3);
    let _first = fixture.ask(&[("a", "btc"), ("b", "btc")]);
    let mut second = fixture.ask(&[("c", "btc"), ("d", "btc")]);
    let full = WriteFailure::QueueFull { waiting: 2, limit: 3 };
    assert_eq!(second.try_recv(), Ok(Err(full)));
    assert_eq!(contents(&fixture.take()), ["a=btc", "b=btc"]);
    // What is under way does not wait any more.
    let mut third = fixture.ask_many("x", 3);
    assert!(third.try_recv().is_err());
    assert_eq!(fixture.take().entries.len(), 3);
}

#[test]
fn an_empty_request_succeeds_at_once() {
    let mut fixture = Fixture::new(10);
    assert_eq!(fixture.ask(&[]).try_recv(), Ok(Ok(())));
    assert!(fixture.queue.is_empty());
}

#[test]
fn a_small_request_overtakes_a_large_one_and_starves_it_not() {
    let mut fixture = Fixture::new(100_000);
    let _bulk = fixture.ask_many("bulk", 2_000);
    let _small = fixture.ask(&[("alice", "btc")]);
    assert_eq!(contents(&fixture.take())[0], "alice=btc");
    for flood in 0..4 {
        let _flood = fixture.ask_many(&format!("flood{flood}-"), CHUNK_ENTRIES);
    }
    let bulk =
        |chunk: &Chunk| contents(chunk).iter().filter(|entry| entry.starts_with("bulk")).count();
    assert_eq!(bulk(&fixture.take()), CHUNK_ENTRIES / 2);
}

#[test]
fn a_waiting_sub_account_of_a_large_request_is_hurried_by_a_small_one() {
    let mut fixture = Fixture::new(100_000);
    let _bulk = fixture.ask_many("bulk", 2_000);
    let _small = fixture.ask(&[("bulk1999", "bcc")]);
    let chunk = fixture.take();
    assert_eq!(contents(&chunk)[0], "bulk1999=bcc");
    fixture.finish(&chunk, &SwitchOutcome::Applied);
    let mut written = chunk.entries.len();
    while let Some(chunk) = fixture.queue.take(|_, _| false) {
        assert!(!contents(&chunk).contains(&"bulk1999=btc".to_owned()));
        written += chunk.entries.len();
        fixture.finish(&chunk, &SwitchOutcome::Applied);
    }
    assert_eq!(written, 2_000);
    assert!(fixture.queue.is_empty() && fixture.queue.slots.is_empty());
    assert_eq!(fixture.queue.admission.waiting, 0);
}

#[test]
fn a_request_that_was_never_sent_expires_as_not_sent_and_is_withdrawn() {
    let mut fixture = Fixture::new(10);
    let mut answer = fixture.ask(&[("alice", "btc"), ("alice", "bcc")]);
    fixture.expire_after(PATIENCE - Duration::from_millis(1));
    assert!(answer.try_recv().is_err());
    fixture.expire_after(Duration::from_millis(1));
    assert_eq!(answer.try_recv(), Ok(Err(WriteFailure::NotSent)));
    assert!(fixture.queue.take(|_, _| false).is_none());
    assert!(fixture.queue.is_empty() && fixture.queue.slots.is_empty());
    assert_eq!(fixture.queue.admission.waiting, 0);
    assert_eq!(fixture.journal, ["alice=bcc"]);
}

#[test]
fn a_request_that_expires_under_way_is_unknown_and_its_rest_is_withdrawn() {
    let mut fixture = Fixture::new(10_000);
    let mut answer = fixture.ask_many("u", CHUNK_ENTRIES + 7);
    let chunk = fixture.take();
    fixture.expire_after(PATIENCE);
    assert!(matches!(answer.try_recv(), Ok(Err(WriteFailure::Unknown(_)))));
    assert_eq!(fixture.journal.len(), 7);
    assert!(fixture.queue.take(|_, _| false).is_none());
    assert!(!fixture.queue.is_empty(), "the chunk is still under way");
    fixture.finish(&chunk, &SwitchOutcome::Applied);
    assert_eq!(fixture.journal.last().unwrap(), &format!("u{}=btc", CHUNK_ENTRIES - 1));
    assert!(fixture.queue.is_empty() && fixture.queue.slots.is_empty());
}

#[test]
fn a_request_that_expires_half_written_is_incomplete() {
    let mut fixture = Fixture::new(10_000);
    let mut answer = fixture.ask_many("u", CHUNK_ENTRIES + 7);
    let chunk = fixture.take();
    fixture.finish(&chunk, &SwitchOutcome::Applied);
    fixture.expire_after(PATIENCE);
    assert_eq!(answer.try_recv(), Ok(Err(WriteFailure::Incomplete)));
}

#[test]
fn a_value_that_is_withdrawn_gives_way_to_the_one_asked_for_before() {
    let mut fixture = Fixture::new(10);
    let mut patient = fixture.ask_within(&[("alice", "btc")], PATIENCE * 2);
    let mut hasty = fixture.ask_within(&[("alice", "bcc")], PATIENCE);
    fixture.expire_after(PATIENCE);
    assert_eq!(hasty.try_recv(), Ok(Err(WriteFailure::NotSent)));
    let chunk = fixture.take();
    assert_eq!(contents(&chunk), ["alice=btc"]);
    fixture.finish(&chunk, &SwitchOutcome::Applied);
    assert_eq!(patient.try_recv(), Ok(Ok(())));
}

#[test]
fn a_caller_that_went_away_holds_nothing_up() {
    let mut fixture = Fixture::new(10);
    drop(fixture.ask(&[("alice", "btc")]));
    let chunk = fixture.take();
    fixture.finish(&chunk, &SwitchOutcome::Applied);
    assert_eq!(fixture.journal, ["alice=btc"]);
    assert!(fixture.queue.is_empty());
}

#[test]
fn a_chunk_is_bounded_in_bytes_as_well() {
    let mut fixture = Fixture::new(10_000);
    let long = "x".repeat(190);
    let _answer = fixture.ask_many(&long, 2 * CHUNK_ENTRIES);
    while let Some(chunk) = fixture.queue.take(|_, _| false) {
        let bytes: usize = chunk.entries.iter().map(|entry| entry.puname.as_str().len() + 3).sum();
        assert!(bytes < CHUNK_BYTES + 264, "{bytes}");
    }
}

fn applied() -> SwitchOutcome {
    SwitchOutcome::Applied
}

#[test]
fn results_come_in_the_requests_order_and_tell_what_the_answer_tells() {
    let mut fixture = Fixture::new(10);
    let mut plain = fixture.ask(&[("carol", "btc")]);
    let pairs = [("bob", "btc"), ("alice", "btc"), ("bob", "bcc"), ("carol", "ltc")];
    let mut answer = fixture.ask_for_results(&pairs);
    let mut later = fixture.ask_for_results(&[("alice", "ltc")]);
    let chunk = fixture.take();
    assert_eq!(contents(&chunk), ["carol=ltc", "alice=ltc", "bob=bcc"]);
    fixture.finish_each(&chunk, &[SwitchOutcome::Applied, SwitchOutcome::Applied, refused()]);
    let (outcome, results) = answer.results();
    assert_eq!(outcome, Err(WriteFailure::Refused("no rights".to_owned())));
    let newer = Coins::new(&["ltc"]).unwrap().get("ltc").unwrap().clone();
    assert_eq!(
        results,
        [
            SwitchOutcome::Superseded,
            SwitchOutcome::ReplacedBy(newer),
            SwitchOutcome::Refused("no rights".into()),
            applied(),
        ]
    );
    assert_eq!(later.results(), (Ok(()), vec![applied()]));
    assert_eq!(plain.results(), (Ok(()), vec![]), "who does not ask gets none");
}

#[test]
fn results_at_the_deadline_tell_what_was_not_sent_from_what_is_unknown() {
    let mut fixture = Fixture::new(10_000);
    let names: Vec<String> = (0..2 * CHUNK_ENTRIES + 1).map(|n| format!("u{n}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "btc")).collect();
    let mut answer = fixture.ask_for_results(&pairs);
    let (first, _second) = (fixture.take(), fixture.take());
    fixture.finish(&first, &SwitchOutcome::Applied);
    fixture.expire_after(PATIENCE);
    let (outcome, results) = answer.results();
    assert!(matches!(outcome, Err(WriteFailure::Unknown(_))), "{outcome:?}");
    let (settled, rest) = results.split_at(CHUNK_ENTRIES);
    assert!(settled.iter().all(|result| *result == applied()));
    assert!(rest[..CHUNK_ENTRIES].iter().all(|result| matches!(result, SwitchOutcome::Unknown(_))));
    assert_eq!(rest[CHUNK_ENTRIES..], [SwitchOutcome::NotApplied(NOT_SENT.into())]);
}

#[test]
fn a_refused_request_has_no_results() {
    let mut fixture = Fixture::new(1);
    let reply = fixture.ask_for_results(&[("a", "btc"), ("b", "btc")]).0.try_recv().unwrap();
    assert!(matches!(reply.outcome, Err(WriteFailure::QueueFull { .. })));
    assert_eq!(reply.results, None);
}

#[test]
fn the_limit_counts_every_entry_of_a_request_and_what_waits_is_each_sub_account_once() {
    let mut fixture = Fixture::new(3);
    let refused = fixture.ask(&[("a", "btc"); 4]).try_recv();
    assert_eq!(refused, Ok(Err(WriteFailure::QueueFull { waiting: 0, limit: 3 })));
    let mut answer = fixture.ask(&[("a", "btc"); 3]);
    assert_eq!(fixture.queue.admission.waiting, 1);
    let chunk = fixture.take();
    assert_eq!(contents(&chunk), ["a=btc"]);
    fixture.finish(&chunk, &SwitchOutcome::Applied);
    assert_eq!(answer.try_recv(), Ok(Ok(())));
}

#[test]
fn a_large_request_takes_no_room_for_entries_whose_turn_has_not_come() {
    let mut fixture = Fixture::new(100_000);
    let mut answer = fixture.ask_many("u", 10_000);
    assert!(fixture.queue.slots.is_empty() && fixture.queue.bulk.is_empty());
    assert_eq!(fixture.queue.admission.waiting, 10_000);
    let first = fixture.take();
    assert_eq!(fixture.queue.slots.len(), CHUNK_ENTRIES);
    let request = fixture.queue.batches.values().next().unwrap();
    assert!(request.in_slots.is_empty(), "what is sent needs not to be found again");
    // Given up, it is answered at once, and the log gets it piece by piece.
    fixture.expire_after(PATIENCE * 2);
    assert!(answer.try_recv().is_ok());
    assert_eq!(fixture.queue.admission.waiting, 0);
    fixture.finish(&first, &SwitchOutcome::Applied);
    assert_eq!(fixture.journal.len(), GIVEN_UP_AT_ONCE + CHUNK_ENTRIES);
    let mut calls = 0;
    while !fixture.queue.is_empty() {
        fixture.expire_after(Duration::ZERO);
        calls += 1;
    }
    assert_eq!((fixture.journal.len(), calls), (10_000, 9));
    assert!(fixture.queue.take(|_, _| false).is_none() && fixture.queue.slots.is_empty());
}

#[test]
fn a_large_request_never_brings_an_older_value_back() {
    let mut fixture = Fixture::new(100_000);
    let last = format!("u{}", CHUNK_ENTRIES + 100);
    let _older = fixture.ask(&[(&*last, "ltc")]);
    let mut large = fixture.ask_many("u", CHUNK_ENTRIES + 101);
    let mut second = fixture.ask_many("u", CHUNK_ENTRIES + 101);
    // Newer than both: their entries move up to its place.
    let mut newer = fixture.ask(&[(&*last, "bcc")]);
    let (mut written, mut chunks) = (Vec::new(), Vec::new());
    while let Some(chunk) = fixture.queue.take(|_, _| false) {
        written.extend(contents(&chunk).into_iter().filter(|it| it.starts_with(&last)));
        chunks.push(chunk);
    }
    assert_eq!(written, [format!("{last}=bcc")]);
    for chunk in &chunks {
        fixture.finish(chunk, &SwitchOutcome::Applied);
    }
    assert_eq!((newer.try_recv(), large.try_recv()), (Ok(Ok(())), Ok(Ok(()))));
    // What was under way meanwhile is written again for the second.
    while let Some(chunk) = fixture.queue.take(|_, _| false) {
        assert!(!contents(&chunk).iter().any(|it| it.starts_with(&last)));
        fixture.finish(&chunk, &SwitchOutcome::Applied);
    }
    assert_eq!(second.try_recv(), Ok(Ok(())));
    assert!(fixture.queue.is_empty() && fixture.queue.slots.is_empty());
    assert_eq!(fixture.queue.admission.waiting, 0);
}

#[test]
fn an_older_value_in_a_slot_gives_way_to_a_large_requests() {
    let mut fixture = Fixture::new(100_000);
    let mut older = fixture.ask(&[("u0", "ltc")]);
    let _large = fixture.ask_many("u", CHUNK_ENTRIES + 1);
    // Half of the chunk is the large one's, and the small one's lane comes first.
    let first = fixture.take();
    assert_eq!(contents(&first)[0], "u0=ltc");
    let second = fixture.queue.take(|_, _| false);
    assert!(second.is_none_or(|chunk| !contents(&chunk).contains(&"u0=btc".to_owned())));
    fixture.finish(&first, &SwitchOutcome::Applied);
    assert_eq!(older.try_recv(), Ok(Ok(())));
    assert!(contents(&fixture.take()).contains(&"u0=btc".to_owned()));
}

#[test]
fn tokens_of_requests_that_were_given_up_do_not_pile_up() {
    let mut fixture = Fixture::new(10_000);
    for round in 0..100 {
        let _answers: Vec<_> =
            (0..10).map(|n| fixture.ask(&[(&*format!("u{round}-{n}"), "btc")])).collect();
        fixture.expire_after(PATIENCE);
    }
    assert!(fixture.queue.prompt.len() < 100, "{}", fixture.queue.prompt.len());
    assert!(fixture.queue.slots.is_empty() && fixture.queue.is_empty());
}

#[test]
fn a_chunk_takes_no_more_bytes_than_there_is_room_for_but_one_entry_always() {
    let mut fixture = Fixture::new(10_000);
    let mut answer = fixture.ask_many("u", CHUNK_ENTRIES + 100);
    let mut small = fixture.ask(&[("longer-than-all", "btc"), ("b", "btc")]);
    for (bytes, most) in [(1_000, 9), (250, 2), (1, 1)] {
        fixture.queue.set_room(ChunkRoom { bytes, per_entry: 100 });
        let chunk = fixture.take();
        assert!((1..=most).contains(&chunk.entries.len()), "{bytes}: {}", chunk.entries.len());
        fixture.finish(&chunk, &SwitchOutcome::Applied);
    }
    while let Some(chunk) = fixture.queue.take(|_, _| false) {
        fixture.finish(&chunk, &SwitchOutcome::Applied);
    }
    assert_eq!((answer.try_recv(), small.try_recv()), (Ok(Ok(())), Ok(Ok(()))));
}

#[test]
fn an_idle_queue_keeps_no_memory_of_a_burst() {
    let mut fixture = Fixture::new(100_000);
    let _answers: Vec<_> =
        (0..20).map(|request| fixture.ask_many(&format!("u{request}-"), CHUNK_ENTRIES)).collect();
    fixture.expire_after(Duration::ZERO);
    assert!(fixture.queue.slots.capacity() >= 20 * CHUNK_ENTRIES, "nothing is freed too early");
    while let Some(chunk) = fixture.queue.take(|_, _| false) {
        fixture.finish(&chunk, &SwitchOutcome::Applied);
    }
    fixture.expire_after(Duration::ZERO);
    assert!(fixture.queue.slots.capacity() <= 2 * KEPT);
    assert!(fixture.queue.prompt.capacity() <= 2 * KEPT);
}

#[test]
fn what_is_not_held_is_written_before_a_held_switch_that_comes_later() {
    let mut fixture = Fixture::new(100);
    let is_held = |coin: &Coin, _: &str| coin.as_str() == "bcc";
    let mut first = fixture.ask_for_results(&[("alice", "ltc")]);
    let mut second = fixture.ask_for_results(&[("alice", "btc")]);
    let held: Vec<_> =
        (0..2).map(|_| fixture.ask_for_results(&[("alice", "bcc"), ("bob", "bcc")])).collect();
    let chunk = fixture.queue.take(is_held).unwrap();
    assert_eq!(contents(&chunk), ["alice=btc", "bob=bcc"]);
    assert_eq!(fixture.queue.admission.waiting, 2);
    assert!(fixture.queue.take(is_held).is_none(), "alice is under way");
    let outcome = SwitchOutcome::Held { due: 7 };
    fixture.finish_each(&chunk, &[SwitchOutcome::Applied, outcome.clone()]);
    let btc = chunk.entries[0].coin().clone();
    assert_eq!(first.results().1, [SwitchOutcome::ReplacedBy(btc)]);
    assert_eq!(second.results().1, [SwitchOutcome::Applied]);
    let chunk = fixture.queue.take(is_held).unwrap();
    assert_eq!(contents(&chunk), ["alice=bcc"]);
    fixture.finish(&chunk, &outcome);
    for mut answer in held {
        assert_eq!(answer.results(), (Ok(()), vec![outcome.clone(); 2]), "replaced, and held");
    }
    assert_eq!(fixture.queue.admission.waiting, 0);
}

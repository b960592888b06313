//! Single rules of the decision; `model` has the interleavings.

use super::*;

fn coinbase(info: &str) -> Coinbase {
    Coinbase { coinbase_info: info.to_owned(), payout_addr: "addr".to_owned() }
}

fn ack(host: &str, old: &str, new: Option<&str>) -> Ack {
    Ack {
        new: new.map(coinbase),
        old: coinbase(old),
        err_msg: String::new(),
        subpool_name: "pool3".to_owned(),
        host: host.to_owned(),
        origin: host.to_owned(),
        created_at: String::new(),
    }
}

fn mark(znode: i64, version: i32, zxid: i64) -> Mark {
    Mark { revision: Revision::test(znode, version), zxid: Zxid::test(zxid) }
}

fn sighting(zxid: i64, ack: Option<Ack>, version: i32) -> Sighting {
    Sighting { zxid: Zxid::test(zxid), ack, request: Some(Revision::test(1, version)) }
}

/// An update to `new`, written as version 5 at 10.
fn written(gets_wait: bool) -> Attribution {
    let mut exchange = Attribution::new(Some(coinbase("new")), gets_wait);
    assert_eq!(exchange.written(mark(1, 5, 10)).next, Next::Wait);
    exchange
}

#[test]
fn an_ack_from_before_our_write_is_ignored() {
    let mut exchange = written(true);
    let decision = exchange.seen(sighting(10, Some(ack("a", "old", Some("new"))), 5));
    assert_eq!(decision, Decision { gets: None, update: None, next: Next::Wait });
}

#[test]
fn a_granted_update_is_settled_at_once_in_spite_of_other_writers() {
    let mut exchange = written(true);
    let granted = ack("a", "old", Some("new"));
    let decision = exchange.seen(sighting(11, Some(granted.clone()), 9));
    assert_eq!(decision.update, Some(Verdict::Granted(granted.clone())));
    assert_eq!((decision.gets, decision.next), (Some(Ok(granted)), Next::Over));
}

#[test]
fn a_refusal_is_accepted_when_a_later_read_repeats_it() {
    let mut exchange = written(false);
    let refusal = ack("a", "old", None);
    for (zxid, version) in [(11, 5), (13, 6)] {
        let decision = exchange.seen(sighting(zxid, Some(refusal.clone()), version));
        assert_eq!((decision.update, decision.next), (None, Next::Provoke));
        exchange.written(mark(1, version + 1, zxid + 1));
    }
    let decision = exchange.seen(sighting(15, Some(refusal.clone()), 7));
    assert_eq!(decision.update, Some(Verdict::Refused(refusal)));
}

#[test]
fn the_same_ack_is_judged_once() {
    let mut exchange = written(false);
    let refusal = ack("a", "old", None);
    assert_eq!(exchange.seen(sighting(11, Some(refusal.clone()), 5)).next, Next::Provoke);
    exchange.written(mark(1, 6, 12));
    for _ in 0..5 {
        assert_eq!(exchange.seen(sighting(11, Some(refusal.clone()), 6)).next, Next::Wait);
    }
}

#[test]
fn the_jobmakers_own_spelling_is_a_success_and_old_is_what_it_replaced() {
    let mut exchange = written(false);
    let spelt = |old: &str| Ack {
        new: Some(Coinbase { payout_addr: "ADDR".to_owned(), ..coinbase("new") }),
        ..ack("a", old, None)
    };
    let first = spelt("old");
    assert_eq!(exchange.seen(sighting(11, Some(first), 5)).next, Next::Provoke);
    exchange.written(mark(1, 6, 12));
    assert_eq!(exchange.seen(sighting(13, Some(spelt("new")), 6)).next, Next::Provoke);
    exchange.written(mark(1, 7, 14));
    let decision = exchange.seen(sighting(15, Some(spelt("new")), 7));
    assert_eq!(decision.update, Some(Verdict::Granted(spelt("old"))));
}

/// Shows these acks, each after another write; returns the last decision.
fn show(exchange: &mut Attribution, acks: &[Ack]) -> Decision {
    let mut last = None;
    for (zxid, (version, ack)) in (11..).step_by(2).zip((5..).zip(acks)) {
        last = Some(exchange.seen(sighting(zxid, Some(ack.clone()), version)));
        exchange.written(mark(1, version + 1, zxid + 1));
    }
    last.unwrap()
}

/// Two jobmakers with one host name could cause this.
#[test]
fn a_text_that_cannot_be_the_callers_is_no_success() {
    let other = ack("a", "old", Some("other"));
    let decision = show(&mut written(false), &[other.clone(), other.clone(), other]);
    assert_eq!(decision.update, Some(Verdict::Overtaken));
}

#[test]
fn contradicting_acks_settle_nothing() {
    let (refused, other) = (ack("a", "old", None), ack("a", "old", Some("other")));
    let turns = [&refused, &other, &refused, &other, &refused, &other].map(Clone::clone);
    for count in 1..6 {
        let decision = show(&mut written(false), &turns[..count]);
        assert_eq!((decision.update, decision.next), (None, Next::Provoke), "after {count}");
    }
    assert_eq!(show(&mut written(false), &turns).update, Some(Verdict::Overtaken));
    let settled = show(&mut written(false), &[other, refused.clone(), refused.clone()]);
    assert_eq!(settled.update, Some(Verdict::Refused(refused)));
}

#[test]
fn after_another_writer_or_another_host_the_outcome_is_unknown() {
    let other = || Some(ack("a", "old", Some("other")));
    let mut exchange = written(false);
    assert_eq!(exchange.seen(sighting(11, other(), 6)).update, Some(Verdict::Overtaken));

    let mut exchange = written(false);
    assert_eq!(exchange.seen(sighting(11, other(), 5)).next, Next::Provoke);
    assert_eq!(exchange.overtaken().update, Some(Verdict::Overtaken));

    let mut exchange = written(false);
    exchange.seen(sighting(11, other(), 5));
    exchange.written(mark(1, 6, 12));
    let elsewhere = Some(ack("b", "old", None));
    assert_eq!(exchange.seen(sighting(13, elsewhere, 6)).update, Some(Verdict::Overtaken));

    let mut exchange = written(false);
    let gone = Sighting { request: None, ..sighting(11, other(), 5) };
    assert_eq!(exchange.seen(gone).update, Some(Verdict::Overtaken));
}

#[test]
fn gets_begin_again_after_another_writer() {
    let mut exchange = Attribution::new(None, true);
    assert_eq!(exchange.overtaken(), Decision { gets: None, update: None, next: Next::ReadAgain });
    exchange.written(mark(1, 8, 20));
    let other = ack("a", "old", Some("other"));
    let decision = exchange.seen(sighting(21, Some(other.clone()), 9));
    assert_eq!(decision, Decision { gets: Some(Ok(other)), update: None, next: Next::Over });
}

#[test]
fn acks_that_cannot_be_parsed_get_a_second_chance() {
    let mut exchange = written(true);
    let decision = exchange.seen(sighting(11, None, 5));
    assert_eq!(decision, Decision { gets: None, update: None, next: Next::Provoke });
    exchange.written(mark(1, 6, 12));
    let decision = exchange.seen(sighting(13, None, 6));
    assert_eq!(
        (decision.gets, decision.update),
        (Some(Err(Unparsable)), Some(Verdict::Unparsable))
    );
    assert_eq!(decision.next, Next::Over);
}

/// An ack of an earlier request for the same text and another address.
fn elsewhere(old: &str, second: &str) -> Ack {
    let coinbase = |address: &str| Coinbase { payout_addr: address.to_owned(), ..coinbase("new") };
    let (old, new) = (coinbase(old), Some(coinbase("elsewhere")));
    Ack { old, new, created_at: second.to_owned(), ..ack("a", "", None) }
}

#[test]
fn one_ack_with_another_address_is_no_success_however_often_it_is_written() {
    // Another value before; the same value before; and acks of several seconds.
    for old in ["before", "elsewhere"] {
        for count in 1..6 {
            let acks = vec![elsewhere(old, "0"); count];
            let decision = show(&mut written(false), &acks);
            assert_eq!(decision.update, None, "{old}, {count} times");
        }
        let decision = show(&mut written(false), &vec![elsewhere(old, "0"); 6]);
        assert_eq!(decision.update, Some(Verdict::Overtaken), "{old}");
    }
    let dated = ["0", "1", "2", "3", "4", "5"].map(|second| elsewhere("before", second));
    assert_eq!(show(&mut written(false), &dated).update, Some(Verdict::Overtaken));
}

#[test]
fn an_own_spelling_that_the_jobmaker_held_before_is_accepted_in_another_second() {
    let mut exchange = written(false);
    let acks = vec![elsewhere("elsewhere", "0"); 3];
    assert_eq!(show(&mut exchange, &acks).next, Next::ProvokeLater);
    let ack = elsewhere("elsewhere", "1");
    let decision = exchange.seen(sighting(17, Some(ack.clone()), 8));
    assert_eq!(decision.update, Some(Verdict::Granted(ack)));
}

#[test]
fn acks_in_a_row_count_once_until_we_write_again() {
    let refusal = || Some(ack("a", "old", None));
    let mut exchange = written(false);
    assert_eq!(exchange.seen(sighting(11, refusal(), 5)).next, Next::Provoke);
    // These were written before our second write, and seen after it.
    exchange.written(mark(1, 6, 14));
    for zxid in [12, 13] {
        assert_eq!(exchange.seen(sighting(zxid, refusal(), 6)).next, Next::Wait);
    }
    assert_eq!(exchange.seen(sighting(15, refusal(), 6)).next, Next::Provoke);
    exchange.written(mark(1, 7, 16));
    assert!(exchange.seen(sighting(17, refusal(), 7)).update.is_some());
}

#[test]
fn garbage_in_a_row_counts_once_until_we_write_again() {
    let mut exchange = written(true);
    assert_eq!(exchange.seen(sighting(11, None, 5)).next, Next::Provoke);
    exchange.written(mark(1, 6, 13));
    assert_eq!(exchange.seen(sighting(12, None, 6)).next, Next::Wait);
    assert_eq!(exchange.seen(sighting(14, None, 6)).update, Some(Verdict::Unparsable));
}

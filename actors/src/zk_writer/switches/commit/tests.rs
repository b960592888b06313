//! The proof of an old value, without ZooKeeper.

use super::*;
use crate::{
    domain::Coins,
    zk::{Content, Mark, Zxid},
};

fn content(znode: i64, version: i32) -> ZnodeRead {
    let mark = Mark { revision: Revision::test(znode, version), zxid: Zxid::test(1) };
    Ok(Some(Content { data: b"looked".to_vec(), mark }))
}

fn step(seen: Option<Revision>) -> Step<'static, AnyState> {
    let coin = Coins::new(&["btc"]).unwrap().get("btc").unwrap().clone();
    super::step("/a", b"bcc", seen.map(|revision| LastState { coin, revision: Some(revision) }))
}

/// The old value after a look and a write that made this state.
fn old_after(look: ZnodeRead, znode: i64, version: i32) -> PreviousValue {
    let mut step = step(None);
    learn(&mut step, look);
    step.committed(Some(Revision::test(znode, version)));
    step.old()
}

#[test]
fn the_content_that_was_looked_at_is_old_only_if_our_write_made_the_next_state() {
    let looked = PreviousValue::Data(b"looked".to_vec());
    assert_eq!(old_after(content(5, 3), 5, 4), looked);
    for (znode, version) in [(5, 5), (5, 3), (5, 9), (6, 4), (6, 1)] {
        assert_eq!(old_after(content(5, 3), znode, version), PreviousValue::NotKnown);
    }
}

#[test]
fn nothing_was_there_only_if_our_write_created_the_znode() {
    let mut step = step(None);
    learn(&mut step, Ok(None));
    assert_eq!(step.old(), PreviousValue::NotKnown, "nothing is written yet");
    // Servers before 3.5 return no state for a create.
    step.committed(None);
    assert_eq!(step.old(), PreviousValue::Absent);

    // Another client created it after the look.
    let mut step = self::step(None);
    learn(&mut step, Ok(None));
    step.target = Target::Existing(AnyState);
    step.committed(Some(Revision::test(5, 1)));
    assert_eq!(step.old(), PreviousValue::NotKnown);

    // It was deleted after the look.
    let mut step = self::step(None);
    learn(&mut step, content(5, 3));
    step.target = Target::Missing;
    step.committed(Some(Revision::test(6, 0)));
    assert_eq!(step.old(), PreviousValue::Absent);
}

#[test]
fn the_remembered_coin_is_old_only_if_our_write_made_the_next_state() {
    for (znode, version, is_proven) in [(5, 4, true), (5, 5, false), (6, 4, false)] {
        let mut step = step(Some(Revision::test(5, 3)));
        step.committed(Some(Revision::test(znode, version)));
        assert_eq!(matches!(step.old(), PreviousValue::Coin(_)), is_proven, "{znode} {version}");
    }
}

#[test]
fn a_refused_write_leaves_what_the_znode_held_before_and_after() {
    for (after, is_proven) in [
        (content(5, 3), true),
        (content(5, 4), false),
        (content(6, 3), false),
        (Ok(None), false),
        (Err("no rights".to_owned()), false),
    ] {
        let mut step = step(None);
        learn(&mut step, content(5, 3));
        step.outcome = Some(SwitchOutcome::NotApplied("".into()));
        learn_after_refusal(&mut step, after);
        assert_eq!(step.old() == PreviousValue::Data(b"looked".to_vec()), is_proven);
    }
}

#[test]
fn without_a_committed_write_nothing_is_known_to_have_been_before_it() {
    for outcome in [SwitchOutcome::NotApplied("".into()), SwitchOutcome::Unknown("".into())] {
        let mut step = step(None);
        learn(&mut step, content(5, 3));
        step.outcome = Some(outcome);
        assert_eq!(step.written().result.old, PreviousValue::NotKnown);
    }
}

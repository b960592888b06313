//! Decides whether a znode is put back.

use super::messages::{LeftState, PutBackEntry};
use crate::{
    domain::{RequestId, SwitchOutcome},
    zk::{Revision, ZnodeRead},
    zk_writer::{held::Before, write::Target},
};

/// Decision on an entry.
#[derive(Debug)]
pub(super) enum Decision {
    Write(Target<Revision>),
    Settle(SwitchOutcome),
}

/// Decides on an entry by its znode and its intent, read in any order: our write's condition and guards detect later
/// writes. An intent of the undone request `undo_of` is taken back, too.
pub(super) fn decide(
    entry: &PutBackEntry,
    undo_of: Option<RequestId>,
    znode: &ZnodeRead,
    intent: Option<&Result<Before, String>>,
) -> Decision {
    let refused = |what: &str, cause: &str| {
        Decision::Settle(SwitchOutcome::NotApplied(
            format!("{what} may not be read: {cause}").into(),
        ))
    };
    let znode = match znode {
        Ok(znode) => znode.as_ref(),
        Err(cause) => return refused("its znode", cause),
    };
    let intent = match intent.map(Result::as_ref).transpose() {
        Ok(intent) => intent,
        Err(cause) => return refused("its held switch", cause),
    };
    let is_switched = intent.is_some_and(|Before { intent, set }| {
        let newer = intent.as_ref().filter(|it| Some(it.source.request) != undo_of);
        newer.is_some_and(|it| it.is_last(set.zxid, znode.map(|znode| znode.mark.zxid)))
    });
    match (&entry.left, znode, &entry.back_to) {
        _ if is_switched => Decision::Settle(SwitchOutcome::Skipped),
        (LeftState::Missing, None, Some(_)) => Decision::Write(Target::Missing),
        (LeftState::Written { revision, coin }, Some(znode), back_to)
            if znode.mark.revision == *revision && znode.data == coin.as_str().as_bytes() =>
        {
            Decision::Write(match back_to {
                Some(_) => Target::Existing(*revision),
                None => Target::ToDelete(*revision),
            })
        }
        _ => Decision::Settle(SwitchOutcome::Skipped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Coin, Coins, Puname, Source},
        zk::{Content, Mark, Zxid},
        zk_writer::held::Intent,
    };

    const UNDONE: RequestId = RequestId(7);

    fn coin(name: &str) -> Coin {
        Coins::new(&["btc", "bcc"]).unwrap().get(name).unwrap().clone()
    }

    fn entry(left: LeftState, back_to: Option<&str>) -> PutBackEntry {
        let puname = Puname::parse("alice").unwrap();
        PutBackEntry { puname, left, back_to: back_to.map(coin) }
    }

    fn left(created: i64, version: i32) -> LeftState {
        LeftState::Written { revision: Revision::test(created, version), coin: coin("bcc") }
    }

    fn mark(created: i64, version: i32, zxid: i64) -> Mark {
        Mark { revision: Revision::test(created, version), zxid: Zxid::test(zxid) }
    }

    fn znode(created: i64, version: i32, data: &str) -> ZnodeRead {
        Ok(Some(Content { data: data.into(), mark: mark(created, version, 20) }))
    }

    fn intent(request: u64, zxid: i64) -> Result<Before, String> {
        let source = Source::api(None, RequestId(request));
        let intent = Intent { coin: coin("btc"), due: 1, source, mark: None };
        Ok(Before { intent: Some(intent), set: mark(15, 0, zxid) })
    }

    fn decided(
        entry: &PutBackEntry,
        znode: &ZnodeRead,
        intent: Option<Result<Before, String>>,
    ) -> String {
        match decide(entry, Some(UNDONE), znode, intent.as_ref()) {
            Decision::Write(target) => format!("{target:?}"),
            Decision::Settle(outcome) => format!("{outcome:?}"),
        }
    }

    #[test]
    fn only_a_znode_in_exactly_the_recorded_state_is_put_back() {
        let restored = entry(left(10, 3), Some("btc"));
        let is_put_back = |read: &ZnodeRead| decided(&restored, read, None).starts_with("Existing");
        assert!(is_put_back(&znode(10, 3, "bcc")));
        for (created, version, data) in
            [(10, 4, "bcc"), (10, 2, "bcc"), (11, 3, "bcc"), (10, 3, "btc"), (10, 3, "")]
        {
            let read = znode(created, version, data);
            assert_eq!(decided(&restored, &read, None), "Skipped", "{read:?}");
        }
        assert_eq!(decided(&restored, &Ok(None), None), "Skipped", "deleted since");
        let cause = decided(&restored, &Err("no rights".into()), None);
        assert_eq!(cause, r#"NotApplied("its znode may not be read: no rights")"#);
    }

    #[test]
    fn a_created_znode_is_deleted_and_a_deleted_one_is_created() {
        let deleted = decided(&entry(left(10, 0), None), &znode(10, 0, "bcc"), None);
        assert!(deleted.starts_with("ToDelete"), "{deleted}");
        assert_eq!(decided(&entry(left(10, 0), None), &znode(12, 0, "bcc"), None), "Skipped");
        let created = entry(LeftState::Missing, Some("btc"));
        assert_eq!(decided(&created, &Ok(None), None), "Missing");
        assert_eq!(decided(&created, &znode(12, 0, "btc"), None), "Skipped");
    }

    #[test]
    fn a_held_switch_of_another_request_is_newer_and_one_of_the_undone_request_is_taken_back() {
        let (restored, read) = (entry(left(10, 3), Some("btc")), znode(10, 3, "bcc"));
        assert_eq!(decided(&restored, &read, Some(intent(8, 21))), "Skipped");
        for taken_back in [intent(UNDONE.0, 21), intent(8, 19)] {
            let decided = decided(&restored, &read, Some(taken_back));
            assert!(decided.starts_with("Existing"), "{decided}");
        }
        let deleted = entry(LeftState::Missing, Some("btc"));
        assert_eq!(decided(&deleted, &Ok(None), Some(intent(8, 19))), "Skipped");
        let cause = decided(&restored, &read, Some(Err("no rights".into())));
        assert_eq!(cause, r#"NotApplied("its held switch may not be read: no rights")"#);
    }
}

//! Answers of the daemon, literally.

use super::*;

fn page(status: u16, body: Value) -> Page {
    Page { status, body: body.to_string().into_bytes(), next_cursor: None }
}

fn undone(success: bool, outcomes: &[&str]) -> Undone {
    let results = outcomes.iter().map(|outcome| {
        json!({"sub_account": "alice", "now": "bcc", "back_to": "btc", "outcome": outcome, "cause": "c"})
    });
    let body = json!({"err_no": 0, "err_msg": "", "success": success, "request": "11",
        "results": results.collect::<Vec<_>>()});
    read(&page(200, body), false, "undo of 7").unwrap().unwrap()
}

fn failure(undone: &Undone) -> Option<FailureKind> {
    undone.failure("undo of 7").map(|failure| failure.kind)
}

#[test]
fn only_a_success_in_every_respect_is_one() {
    for (success, outcomes, kind) in [
        (true, &["restored", "left_alone", "deleted"][..], None),
        (true, &["left_alone"], Some(FailureKind::Refused)),
        (true, &[], Some(FailureKind::Refused)),
        (false, &["restored", "not_applied"], Some(FailureKind::Unavailable)),
        (false, &["restored", "not_applied", "unknown"], Some(FailureKind::Unknown)),
        // Contradictions.
        (false, &["restored"], Some(FailureKind::Unknown)),
        (true, &["restored", "unknown"], Some(FailureKind::Unknown)),
        (true, &["restored", "not_applied"], Some(FailureKind::Unavailable)),
        (true, &["would_restore"], Some(FailureKind::Unknown)),
        (true, &["of a newer daemon"], Some(FailureKind::Unknown)),
    ] {
        assert_eq!(failure(&undone(success, outcomes)), kind, "{success} {outcomes:?}");
    }
    let text = undone(false, &["restored", "not_applied"]).failure("undo of 7").unwrap().text;
    assert_eq!(
        text,
        "undo of 7 by 11: 1 of 2 entries were put back, 1 were not written: undo this undo, and then try again"
    );
}

#[test]
fn a_refusal_is_shown_as_the_daemon_says_it() {
    for (status, err_msg, kind) in [
        (404, "request '7' is not in the history", FailureKind::Refused),
        (409, "request '7' was undone by '11'", FailureKind::Refused),
        (503, "the history is behind; nothing was written", FailureKind::Unavailable),
        (
            500,
            "the change cannot be recorded: disk full; nothing was written",
            FailureKind::Unavailable,
        ),
        (500, "no answer", FailureKind::Unknown),
    ] {
        let body = json!({"err_no": status, "err_msg": err_msg, "success": false});
        let failure = read(&page(status, body.clone()), false, "undo of 7").unwrap().unwrap_err();
        assert_eq!(failure.kind, kind, "{err_msg}");
        let end = format!("the daemon says {status} {err_msg}");
        assert!(failure.text.ends_with(&end), "{}", failure.text);
        // A dry run changes nothing.
        let failure = read(&page(status, body), true, "undo of 7").unwrap().unwrap_err();
        assert_ne!(failure.kind, FailureKind::Unknown);
    }
    let success = json!({"err_no": 0, "err_msg": "", "success": true});
    for (status, body) in [(200, success.clone()), (500, success), (200, json!("<html>"))] {
        assert!(read(&page(status, body), false, "undo of 7").is_none());
    }
}

#[test]
fn entries_are_shown_with_their_counts() {
    let mut outcomes = vec!["would_restore"; 20];
    outcomes.extend(["left_alone", "would_delete"]);
    let planned = undone(true, &outcomes);
    let lines = planned.lines(false);
    assert_eq!(lines.len(), 20 + 1 + 3, "{lines:#?}");
    assert_eq!(lines[0], "alice: bcc -> btc  would_restore: c");
    assert_eq!(
        lines[20..],
        [
            "… and 2 more (--all)",
            "       1  left_alone: c",
            "       1  would_delete: c",
            "      20  would_restore: c"
        ]
    );
    let all = planned.lines(true);
    assert_eq!(all.len(), 22 + 3, "{all:#?}");
    assert_eq!(all[20], "alice: bcc  left_alone: c");
    assert_eq!(planned.count(&["would_restore", "would_delete"]), 21);
}

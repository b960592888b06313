//! Attribution: which ack answers which request.

use super::*;

#[tokio::test]
async fn a_late_ack_never_answers_the_next_caller() {
    let scene = Scene::start(2).await;
    let puppet = scene.puppet("pool3").await;
    assert_eq!(scene.ask(update("pool3", "late")).await, error(504, TIMED_OUT));
    let next = scene.asking(update("pool3", "next"));
    puppet.wait_for_writes(2).await;
    puppet.ack(&granted(CONFIGURED, "late")).await;
    // The daemon writes again to provoke another ack.
    puppet.wait_for_writes(3).await;
    wait_unanswered(&next).await;
    puppet.ack(&granted("late", "next")).await;
    assert_eq!(next.await.unwrap(), updated("of the ack", "late", "next"));

    // If only the late ack ever comes:
    let last = scene.asking(update("pool3", "last"));
    puppet.wait_for_writes(4).await;
    puppet.ack(&granted("late", "next")).await;
    assert_eq!(last.await.unwrap(), error(504, TIMED_OUT));
}

#[tokio::test]
async fn an_ack_from_before_the_write_is_ignored() {
    let scene = Scene::start(2).await;
    let puppet = scene.puppet("pool3").await;
    // Grants the update, but is older.
    puppet.ack(&granted(CONFIGURED, "tiger")).await;
    assert_eq!(scene.ask(update("pool3", "tiger")).await, error(504, TIMED_OUT));
    assert_eq!(scene.ask(get("pool3")).await, error(504, TIMED_OUT));
    assert_eq!(puppet.writes().await, 2, "there was nothing to confirm");
}

#[tokio::test]
async fn acks_of_a_stale_read_are_not_accepted_even_twice() {
    let stale = [
        granted("elephant", "foreign"),
        refused("foreign", "invalid payout address"),
        refused("foreign", "empty request"),
    ];
    let scene = Scene::start(ENDLESS).await;
    for (number, stale) in stale.iter().enumerate() {
        let name = format!("pool{number}");
        let puppet = scene.puppet(&name).await;
        let pending = scene.asking(update(&name, "tiger"));
        puppet.wait_for_writes(1).await;
        for repeated in 0..2 {
            puppet.ack(stale).await;
            puppet.wait_for_writes(2 + repeated).await;
            wait_unanswered(&pending).await;
        }
        assert_eq!(puppet.asked().await, "tiger");
        puppet.ack(&granted("foreign", "tiger")).await;
        let answer = pending.await.unwrap();
        assert_eq!(answer, updated("of the ack", "foreign", "tiger"), "after {stale}");
        assert_eq!(puppet.writes().await, 3);
    }
}

/// An ack for the text `tiger` and another address than requested.
fn elsewhere(old_address: &str) -> String {
    let value = |address: &str| json!({"coinbase_info": "tiger", "payout_addr": address});
    let mut ack: Value = serde_json::from_str(&granted("", "tiger")).unwrap();
    (ack["old"], ack["new"]) = (value(old_address), value("elsewhere"));
    ack.to_string()
}

/// The jobmaker repeats the ack of an earlier request: after each of our writes, in a row, or at its own pace.
#[tokio::test]
async fn one_stale_ack_with_another_address_makes_no_update_succeed() {
    let scene = Scene::start(5).await;
    let mut tests = JoinSet::new();
    for (number, stale) in [elsewhere("before"), elsewhere("elsewhere")].into_iter().enumerate() {
        for pace in ["after each write", "in a row", "slowly"] {
            let name = format!("{}-{number}", pace.replace(' ', "-"));
            let (puppet, stale) = (scene.puppet(&name).await, stale.clone());
            let pending = scene.asking(update(&name, "tiger"));
            tests.spawn(async move {
                puppet.wait_for_writes(1).await;
                for writes in 2..=5 {
                    puppet.ack(&stale).await;
                    match pace {
                        "after each write" if writes < 5 => puppet.wait_for_writes(writes).await,
                        "slowly" => tokio::time::sleep(Duration::from_millis(40)).await,
                        _ => {}
                    }
                }
                let answer = pending.await.unwrap();
                assert!(
                    answer == error(504, TIMED_OUT) || answer == error(500, RACE),
                    "{name}: {answer}"
                );
            });
        }
    }
    tests.join_all().await;
}

/// A jobmaker that spells the address in its own way, and reads each of our writes.
#[tokio::test]
async fn an_own_spelling_of_an_address_is_a_success_once_the_jobmaker_holds_it() {
    let scene = Scene::start(ENDLESS).await;
    let puppet = scene.puppet("pool3").await;
    let pending = scene.asking(update("pool3", "tiger"));
    for (writes, old) in [(1, "before"), (2, "elsewhere"), (3, "elsewhere")] {
        puppet.wait_for_writes(writes).await;
        puppet.ack(&elsewhere(old)).await;
    }
    let answer: Value = serde_json::from_str(&pending.await.unwrap()).unwrap();
    assert_eq!(
        (&answer["success"], &answer["old"]["payout_addr"]),
        (&json!(true), &json!("before"))
    );
    assert_eq!(answer["new"]["payout_addr"], "elsewhere");
    assert_eq!(puppet.writes().await, 3);

    // The jobmaker held the value before, so only the dates of its acks differ.
    let puppet = scene.puppet("held").await;
    let pending = scene.asking(update("held", "tiger"));
    for (writes, second) in [(1, "00"), (2, "00"), (3, "00"), (4, "01")] {
        puppet.wait_for_writes(writes).await;
        let dated = format!("2026-11-23 00:00:{second}");
        puppet.ack(&elsewhere("elsewhere").replace("2026-11-23 00:00:00", &dated)).await;
    }
    let answer: Value = serde_json::from_str(&pending.await.unwrap()).unwrap();
    assert_eq!(answer["success"], true, "{answer}");
}

#[tokio::test]
async fn a_refusal_is_accepted_once_it_must_be_of_a_later_read() {
    let scene = Scene::start(ENDLESS).await;
    // The refusal contradicts the ack before, so it must be repeated.
    let puppet = scene.puppet("other-words").await;
    let pending = scene.asking(update_paying("other-words", "tiger", "nonsense"));
    puppet.wait_for_writes(1).await;
    puppet.ack(&granted("elephant", "foreign")).await;
    for writes in 2..=3 {
        puppet.wait_for_writes(writes).await;
        wait_unanswered(&pending).await;
        puppet.ack(&refused("foreign", "invalid payout address")).await;
    }
    let refusal = not_updated("of the ack", "foreign", "invalid payout address");
    assert_eq!(pending.await.unwrap(), refusal);

    // Or it is the third of the same kind.
    let puppet = scene.puppet("third").await;
    let pending = scene.asking(update_paying("third", "tiger", "nonsense"));
    for writes in 1..=3 {
        puppet.wait_for_writes(writes).await;
        assert!(!pending.is_finished());
        puppet.ack(&refused("foreign", "invalid payout address")).await;
    }
    assert_eq!(pending.await.unwrap(), refusal);
}

#[tokio::test]
async fn an_update_that_another_writer_has_overwritten_is_a_race_unless_it_was_granted() {
    let scene = Scene::start(ENDLESS).await;
    for (name, ack, answer) in [
        ("success", granted(CONFIGURED, "foreign"), error(500, RACE)),
        ("refusal", refused(CONFIGURED, "invalid payout address"), error(500, RACE)),
        ("ours", granted(CONFIGURED, "tiger"), updated("of the ack", CONFIGURED, "tiger")),
    ] {
        let puppet = scene.puppet(name).await;
        let pending = scene.asking(update(name, "tiger"));
        puppet.wait_for_writes(1).await;
        scene.znodes.put(&puppet.path, &request("foreign", ADDRESS)).await;
        puppet.ack(&ack).await;
        assert_eq!(pending.await.unwrap(), answer, "{name}");
        assert_eq!(puppet.asked().await, "foreign", "it is not written over");
        assert_eq!(puppet.writes().await, 2);
    }
}

#[tokio::test]
async fn nothing_is_accepted_or_written_again_after_another_writer() {
    let scene = Scene::start(ENDLESS).await;
    let refusal = refused("foreign", "invalid payout address");
    for (name, second) in [
        ("same", refusal.clone()),
        // Without the other writer, these would be of a later read and so the answer.
        ("refusal", refused("foreign", "field missing or wrong field type")),
        ("success", granted(CONFIGURED, "foreign")),
    ] {
        let puppet = scene.puppet(name).await;
        let pending = scene.asking(update(name, "tiger"));
        puppet.wait_for_writes(1).await;
        puppet.ack(&refusal).await;
        puppet.wait_for_writes(2).await;
        scene.znodes.put(&puppet.path, &request("foreign", ADDRESS)).await;
        puppet.ack(&second).await;
        assert_eq!(pending.await.unwrap(), error(500, RACE), "{name}");
        assert_eq!((puppet.asked().await.as_str(), puppet.writes().await), ("foreign", 3));
    }
}

#[tokio::test]
async fn acks_of_two_hosts_within_one_exchange_are_a_race() {
    let scene = Scene::start(ENDLESS).await;
    let puppet = scene.puppet("pool3").await;
    let pending = scene.asking(update_paying("pool3", "tiger", "nonsense"));
    for (writes, host) in [(1, "jm-a"), (2, "jm-b")] {
        puppet.wait_for_writes(writes).await;
        puppet.ack(&ack(host, CONFIGURED, None, "invalid payout address")).await;
    }
    assert_eq!(pending.await.unwrap(), error(500, RACE));
    assert_eq!(scene.exchange("pool3").await["outcome"], "outcome unknown");
}

/// Two processes on one machine: their acks name the same host, and the slow one answers another writer's request
/// after a refusal of ours.
#[tokio::test]
async fn two_jobmakers_of_one_host_make_no_success_of_anothers_values() {
    let scene = Scene::start(3).await;
    let twin = |delay| Knobs {
        hostname: Some("twin".to_owned()),
        delay_before_ack: Duration::from_millis(delay),
        ..Knobs::default()
    };
    let quick = scene.jobmaker(&["twin"], twin(5)).await;
    let slow = scene.jobmaker(&["twin"], twin(50)).await;
    for round in 0..15 {
        let other = request(&format!("other{round}"), ADDRESS);
        scene.znodes.put(&scene.path("twin"), &other).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        let ours = update_paying("twin", &format!("mine{round}"), "nonsense");
        let answer = scene.ask(ours).await;
        assert!(answer.contains(r#""success":false"#), "{answer}");
    }
    quick.stop().await;
    slow.stop().await;
}

//! Log lines of exchanges.

use super::*;

const FIELDS: [&str; 13] = [
    "actor",
    "asked",
    "client",
    "coin",
    "gets",
    "jobmaker",
    "new",
    "old",
    "outcome",
    "request",
    "source",
    "sub_pool",
    "took_seconds",
];

/// Panics unless the line has the fields of every exchange and these.
fn assert_fields(line: &BTreeMap<String, String>, more: &[&str]) {
    let mut expected = [&FIELDS[..], more].concat();
    expected.sort_unstable();
    assert_eq!(line.keys().collect::<Vec<_>>(), expected);
    line["took_seconds"].parse::<f64>().unwrap();
    assert_eq!((&*line["source"], &*line["client"]), ("api", "127.0.0.1"));
    assert_eq!(line["actor"], USER);
    assert_eq!((line["request"].len(), &*line["coin"]), (16, "\"btc\""));
}

#[tokio::test]
async fn an_exchange_is_one_complete_log_line() {
    let scene = Scene::start(1).await;
    let shown = |text: &str| format!("\"{text}\" \"{ADDRESS}\"");
    let puppet = scene.puppet("applied").await;
    let pending = scene.asking(update("applied", "tiger"));
    puppet.wait_for_writes(1).await;
    puppet.ack(&granted("before", "tiger")).await;
    pending.await.unwrap();
    let line = scene.exchange("applied").await;
    assert_fields(&line, &[]);
    assert_eq!((&*line["asked"], &*line["gets"], &*line["outcome"]), ("update", "0", "applied"));
    assert_eq!((&line["old"], &line["new"]), (&shown("before"), &shown("tiger")));
    assert_eq!(line["jobmaker"], "\"jm-a\"");

    let puppet = scene.puppet("read").await;
    let pending = scene.asking(get("read"));
    puppet.wait_for_writes(1).await;
    puppet.ack(&granted("before", "tiger")).await;
    pending.await.unwrap();
    let line = scene.exchange("read").await;
    assert_fields(&line, &[]);
    assert_eq!((&*line["asked"], &*line["gets"], &*line["outcome"]), ("get", "1", "read"));
    assert_eq!((&*line["old"], &*line["new"]), (&*shown("tiger"), "-"));

    let puppet = scene.puppet("refused").await;
    let pending = scene.asking(update("refused", "tiger"));
    puppet.wait_for_writes(1).await;
    puppet.ack(&granted("foreign", "before")).await;
    for writes in 2..=3 {
        puppet.wait_for_writes(writes).await;
        puppet.ack(&refused("before", "no")).await;
    }
    pending.await.unwrap();
    let line = scene.exchange("refused").await;
    assert_fields(&line, &["err_msg"]);
    assert_eq!((&*line["outcome"], &*line["err_msg"]), ("refused", "\"no\""));
    assert_eq!((&line["old"], &line["new"]), (&shown("before"), &shown("tiger")));

    scene.puppet("silent").await;
    scene.ask(update("silent", "tiger")).await;
    let line = scene.exchange("silent").await;
    assert_fields(&line, &["cause"]);
    assert_eq!((&*line["outcome"], &*line["old"]), ("outcome unknown", "?"));
    assert_eq!((&*line["jobmaker"], &line["new"]), ("\"\"", &shown("tiger")));
    assert!(line["took_seconds"].parse::<f64>().unwrap() >= 0.9, "{line:?}");
}

#[tokio::test]
async fn foreign_values_forge_neither_lines_nor_fields_nor_flood_the_log() {
    let grace = |builder: Builder| builder.set("ShutdownGraceSeconds", 1);
    let scene = Scene::with(ZooKeeper::shared().await, 3, grace).await;
    let hostile = HOSTILE.to_owned() + &"z".repeat(2_000);
    let asking = |name: &str| scene.asking(update_paying(name, &hostile, &hostile));
    let evil = |new: Option<&str>| {
        let mut evil: Value =
            serde_json::from_str(&ack(&hostile, &hostile, new, &hostile)).unwrap();
        evil["old"]["payout_addr"] = json!(hostile);
        if new.is_some() {
            evil["new"]["payout_addr"] = json!(hostile);
        }
        evil["subpool_name"] = json!(hostile);
        evil.to_string()
    };

    let puppet = scene.puppet("applied").await;
    let pending = asking("applied");
    puppet.wait_for_writes(1).await;
    puppet.ack(&evil(Some(&hostile))).await;
    let answer: Value = serde_json::from_str(&pending.await.unwrap()).unwrap();
    assert_eq!((&answer["success"], &answer["err_msg"]), (&json!(true), &json!(hostile)));

    let puppet = scene.puppet("read").await;
    let pending = scene.asking(get("read"));
    puppet.wait_for_writes(1).await;
    puppet.ack(&evil(Some(&hostile))).await;
    pending.await.unwrap();

    let puppet = scene.puppet("refused").await;
    let pending = asking("refused");
    puppet.wait_for_writes(1).await;
    puppet.ack(&evil(Some("foreign"))).await;
    for writes in 2..=3 {
        puppet.wait_for_writes(writes).await;
        puppet.ack(&evil(None)).await;
    }
    let answer: Value = serde_json::from_str(&pending.await.unwrap()).unwrap();
    assert_eq!((&answer["success"], &answer["err_msg"]), (&json!(false), &json!(hostile)));

    let puppet = scene.puppet("race").await;
    let pending = asking("race");
    puppet.wait_for_writes(1).await;
    scene.znodes.put(&puppet.path, &hostile).await;
    puppet.ack(&evil(None)).await;
    assert_eq!(pending.await.unwrap(), error(500, RACE));

    scene.puppet("silent").await;
    assert_eq!(asking("silent").await.unwrap(), error(504, TIMED_OUT));

    // A request that never begins has a line as well.
    let puppet = scene.puppet("end").await;
    let ended = asking("end");
    puppet.wait_for_writes(1).await;
    let waits = asking("end");
    tokio::time::sleep(A_WHILE).await;
    scene.daemon.signal(Signal::TERM);
    assert_eq!(ended.await.unwrap(), error(500, UNKNOWN));
    assert_eq!(waits.await.unwrap(), error(500, SHUTTING_DOWN));

    for (name, outcome, more) in [
        ("applied", "applied", None),
        ("read", "read", None),
        ("refused", "refused", Some("err_msg")),
        ("race", "outcome unknown", Some("cause")),
        ("silent", "outcome unknown", Some("cause")),
        ("end", "outcome unknown", Some("cause")),
    ] {
        let line = scene.exchange(name).await;
        assert_fields(&line, more.as_slice());
        assert_eq!(line["outcome"], outcome);
        let outside = ["old", "new", "jobmaker", "err_msg"].map(|field| line.get(field));
        for shown in outside.into_iter().flatten() {
            assert!(
                shown.starts_with(QUOTED) || ["?", "-", "\"\""].contains(&&**shown),
                "{name}: {shown}"
            );
        }
    }
    let line = fields(&scene.daemon.wait_for_log(&["sub-pool update not begun"]).await);
    let expected =
        ["actor", "cause", "client", "coin", "new", "outcome", "request", "source", "sub_pool"];
    assert_eq!(line.keys().collect::<Vec<_>>(), expected);
    assert!(line["new"].starts_with(QUOTED), "{line:?}");
    for line in scene.daemon.log() {
        let odd = |c: char| c.is_control() || ['\u{2028}', '\u{202e}'].contains(&c);
        assert!(!line.contains(odd), "{line:?}");
        assert!(line.len() < 2_000, "{} bytes: {line}", line.len());
        let mut words = line.split(' ').skip(3);
        let is_ours = words.next().is_some_and(|level| ["INFO", "WARN"].contains(&level));
        assert!(is_ours, "{line}");
    }
}

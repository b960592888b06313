//! Answers of gets and updates, and requests that no jobmaker could answer.

use super::*;

/// By the rule of Go's decoder: half an emoji is one U+FFFD.
#[tokio::test]
async fn half_an_emoji_is_a_character_of_three_bytes() {
    let scene = Scene::start(ENDLESS).await;
    let jobmaker = scene.jobmaker(&["pool3"], Knobs::default()).await;
    let letters = "x".repeat(26);
    let body = format!(
        r#"{{"coin":"btc","subpool_name":"pool3","payout_addr":"{ADDRESS}","coinbase_info":"{letters}\ud83d"}}"#
    );
    let answer = scene.ask(Request::post("/subpool/update-coinbase").body(body)).await;
    let kept = values(&format!("{letters}\u{fffd}"), ADDRESS);
    assert_eq!(answer, answered("pool3", true, "success", CONFIGURED, Some(kept)));
    jobmaker.stop().await;
}

#[tokio::test]
async fn a_get_returns_the_jobmakers_coinbase_even_before_the_first_request() {
    let scene = Scene::start(ENDLESS).await;
    let jobmaker = scene.jobmaker(&["pool3"], Knobs::default()).await;
    assert_eq!(scene.znodes.get(&scene.path("pool3")).await.as_deref(), Some(""));
    assert_eq!(scene.ask(get("pool3")).await, held("pool3", CONFIGURED));
    assert_eq!(scene.znodes.get(&scene.path("pool3")).await.as_deref(), Some(""), "as it was");

    let (long, cut) = ("abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnopqrstuvwxyz0123");
    let truncated = "coinbase info truncated to 30 bytes";
    let answer = scene.ask(update("pool3", long)).await;
    assert_eq!(answer, answered("pool3", true, truncated, CONFIGURED, Some(values(cut, ADDRESS))));
    assert_eq!(scene.ask(get("pool3")).await, answered("pool3", true, truncated, cut, None));

    let invalid = "invalid payout address";
    let answer = scene.ask(update_paying("pool3", "lion", "nonsense")).await;
    assert_eq!(answer, not_updated("pool3", cut, invalid));
    assert_eq!(scene.ask(get("pool3")).await, answered("pool3", false, invalid, cut, None));
    jobmaker.stop().await;
}

#[tokio::test]
async fn a_deleted_ack_znode_is_reported() {
    let scene = Scene::start(ENDLESS).await;
    for (name, request) in [("get", get("get")), ("update", update("update", "tiger"))] {
        let puppet = scene.puppet(name).await;
        let pending = scene.asking(request);
        puppet.wait_for_writes(1).await;
        scene.znodes.remove(&format!("{}/ack", puppet.path)).await;
        assert_eq!(pending.await.unwrap(), error(500, "cannot get ACK from zookeeper"));
        assert_eq!(scene.exchange(name).await["outcome"], "outcome unknown");
    }
}

#[tokio::test]
async fn garbage_in_the_ack_znode_is_reported_unless_an_ack_follows() {
    let scene = Scene::start(ENDLESS).await;
    for (name, request) in [("get", get("get")), ("update", update("update", "tiger"))] {
        let puppet = scene.puppet(name).await;
        let pending = scene.asking(request.clone());
        puppet.wait_for_writes(1).await;
        puppet.ack("{").await;
        puppet.wait_for_writes(2).await;
        wait_unanswered(&pending).await;
        puppet.ack(&granted(CONFIGURED, "tiger")).await;
        let answer = pending.await.unwrap();
        assert!(answer.starts_with(r#"{"success":true,"#), "{answer}");

        let pending = scene.asking(request);
        for writes in 3..5 {
            puppet.wait_for_writes(writes).await;
            puppet.ack(r#"{"success":true}"#).await;
        }
        assert_eq!(pending.await.unwrap(), error(500, "cannot parse ACK in zookeeper"));
    }
}

/// The coinbase text that makes an update's znode data this long.
fn filling(name: &str, bytes: usize) -> String {
    let empty = json!({"coin": COIN, "subpool_name": name, "payout_addr": ADDRESS,
        "coinbase_info": ""});
    "x".repeat(bytes - empty.to_string().len())
}

#[tokio::test]
async fn an_update_that_a_jobmaker_would_not_read_to_its_end_is_refused() {
    let scene = Scene::start(ENDLESS).await;
    let jobmaker = scene.jobmaker(&["pool3"], Knobs::default()).await;
    // Short in the body, but each character takes six bytes in the znode.
    let escaped = "<".repeat(8_192 / 6);
    for text in [filling("pool3", 8_193), filling("pool3", 20_000), escaped] {
        let answer = scene.ask(update("pool3", &text)).await;
        assert!(answer.starts_with(r#"{"err_no":400,"#) && answer.contains("8192"), "{answer}");
    }
    assert_eq!(scene.znodes.get(&scene.path("pool3")).await.as_deref(), Some(""));

    let answer = scene.ask(update("pool3", &filling("pool3", 8_192))).await;
    let new = values(&"x".repeat(30), ADDRESS);
    let cut = "coinbase info truncated to 30 bytes";
    assert_eq!(answer, answered("pool3", true, cut, CONFIGURED, Some(new)));
    let written = scene.znodes.get(&scene.path("pool3")).await.unwrap();
    assert_eq!(written.len(), 8_192);
    jobmaker.stop().await;
}

#[tokio::test]
async fn an_update_that_a_jobmaker_would_cut_within_a_character_is_refused() {
    let shared = ZooKeeper::shared().await;
    for cut in [30, 40] {
        let scene = Scene::with(shared, ENDLESS, |builder| match cut {
            30 => builder,
            cut => builder.set("JobmakerCoinbaseMaxBytes", cut),
        })
        .await;
        let knobs = Knobs { coinbase_max: cut, ..Knobs::default() };
        let jobmaker = scene.jobmaker(&["pool3"], knobs).await;
        for before in [cut - 1, cut - 2] {
            let text = format!("{}矿", "x".repeat(before));
            let answer = scene.ask(update("pool3", &text)).await;
            let refused = answer.starts_with(r#"{"err_no":400,"#);
            assert!(refused && answer.contains(&format!("{cut} bytes")), "{answer}");
        }
        assert_eq!(scene.znodes.get(&scene.path("pool3")).await.as_deref(), Some(""));
        for before in [cut - 3, cut] {
            let text = format!("{}矿", "x".repeat(before));
            let answer = scene.ask(update("pool3", &text)).await;
            assert!(answer.starts_with(r#"{"success":true,"#), "{cut}, {before}: {answer}");
        }
        jobmaker.stop().await;
    }
}

#[tokio::test]
async fn names_that_no_sub_pool_can_have_do_not_exist_and_touch_nothing() {
    let scene = Scene::start(1).await;
    let puppet = scene.puppet("pool3").await;
    for outside in ["outside", "outside/pool3", "subpool/pool3", "pool3"] {
        scene.znodes.put(&format!("{}/{outside}/ack", scene.root), "").await;
    }
    let before = states(&scene).await;
    let long = "é".repeat(1_000);
    let component = |text: &str| !matches!(text, "btc" | "pool3");
    let texts = [
        "..",
        ".",
        "/",
        "a/b",
        "../outside",
        "../../outside/pool3",
        "pool3/",
        "/pool3",
        "pool3/ack",
        "..\0",
        "a\0b",
        "\u{1}",
        "\n",
        "\u{7f}",
        "\u{85}",
        "\u{e000}",
        "\u{fff0}",
        "😀",
        &long,
    ];
    for text in texts {
        for (coin, name) in [("btc", text), (text, "pool3"), (text, "outside"), (text, text)] {
            assert!(component(coin) || component(name));
            let body = json!({"coin": coin, "subpool_name": name, "payout_addr": ADDRESS,
                "coinbase_info": "tiger"});
            for path in ["/subpool/get-coinbase", "/subpool-update-coinbase"] {
                let answer = scene.ask(Request::post(path).body(body.to_string())).await;
                if name.len() < 200 {
                    assert_eq!(answer, error(404, &format!("subpool '{name}' does not exist")));
                } else {
                    assert!(answer.starts_with(r#"{"err_no":404,"err_msg":"subpool 'éé"#));
                    assert!(answer.len() < 1_000, "{} bytes", answer.len());
                }
            }
        }
    }
    // A valid name of no sub-pool.
    let name = "%2e%2e";
    let absent = error(404, &format!("subpool '{name}' does not exist"));
    assert_eq!(scene.ask(update(name, "tiger")).await, absent);
    assert_eq!(states(&scene).await, before);
    assert_eq!(puppet.writes().await, 0);
}

/// Each znode of the scene with its last write.
async fn states(scene: &Scene) -> BTreeMap<String, i64> {
    let mut states = BTreeMap::new();
    for path in scene.znodes.tree(&scene.root).await.into_keys() {
        let written = scene.znodes.stat(&path).await.unwrap().mzxid;
        states.insert(path, written);
    }
    states
}

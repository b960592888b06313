//! The history in the page: searches, changes of a request, undo.

use serde_json::json;

use super::Console;
use super::page::FAINT;
use crate::support::client::{Answer, Request};
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;

fn recorded(zookeeper: &ZooKeeper) -> Builder {
    let builder = Daemon::builder(zookeeper);
    let file = builder.folder().join("history.db");
    builder.set("HistoryFile", file.to_str().expect("a path in UTF-8"))
}

/// Number of requests in the table.
const ROWS: &str = "document.querySelectorAll('#history-rows > tr:not(.entries)').length";

async fn batch(console: &Console, coin: &str, names: &[&str]) -> String {
    let batch = json!({"usercoins": [{"coin": coin, "punames": names}]}).to_string();
    let response = console.daemon.send(Request::batch(batch)).await;
    assert_eq!(response.answer(), Answer::success());
    response.header("X-Request-Id").expect("an id").to_owned()
}

#[tokio::test]
async fn requests_are_found_and_show_their_changes() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(recorded(zookeeper)).await else { return };
    let browser = &console.browser;
    for n in 0..60 {
        assert_eq!(console.daemon.switch(&format!("user{n}"), "btc").await, Answer::success());
    }
    let hostile = "<b>al<b>\u{202e}x";
    let request = batch(&console, "bcc", &["alice", "alicia", hostile]).await;
    browser.wait_until("!document.querySelector('#history-form').hidden").await;

    browser.click("#history-search").await;
    browser.wait_until(&format!("{ROWS} === 50")).await;
    let first = browser.text("#history-rows > tr").await;
    for part in ["api", "127.0.0.1", &request, "3 switches to bcc", "3 created", "✓ 3 applied"] {
        assert!(first.contains(part), "no {part:?} in {first:?}");
    }
    browser.click("#history-older").await;
    browser.wait_until(&format!("{ROWS} === 61")).await;
    browser.wait_until("document.querySelector('#history-older').hidden").await;

    browser.fill("#history-name", "alic").await;
    browser.click("#history-search").await;
    browser.wait_for_text("#history-outcome", "Nothing was found").await;
    browser.click("#history-prefix").await;
    browser.click("#history-search").await;
    browser.wait_until(&format!("{ROWS} === 1")).await;
    assert_eq!(browser.text("#history-outcome").await, "");
    browser.click("#history-rows .actions button").await;
    browser.wait_for_text("#history-rows .entries", "<b>al<b>⟨U+202E⟩x").await;
    let shown = browser.text("#history-rows .entries").await;
    assert_eq!(shown.matches("none → bcc").count(), 3, "{shown}");
    let expanded = "document.querySelector('#history-rows .actions button').ariaExpanded";
    assert_eq!(browser.run(&format!("return {expanded}")).await, "true");
    browser.click("#history-rows .actions button").await;
    browser.wait_until("document.querySelector('#history-rows .entries').hidden").await;

    // The other filters, together.
    let values = format!(
        "for (const [id, value] of Object.entries({{name: '', coin: 'bcc', request: ' {request} ', client: '127.0.0.1',
            source: 'api', 'outcome-is': 'applied', from: '2020-01-01T00:00', to: '2100-01-01T00:00'}}))
            document.querySelector('#history-' + id).value = value;"
    );
    browser.run(&values).await;
    browser.click("#history-search").await;
    browser.wait_until(&format!("{ROWS} === 1")).await;
    browser.run("document.querySelector('#history-from').value = '2099-01-01T00:00';").await;
    browser.click("#history-search").await;
    browser.wait_for_text("#history-outcome", "Nothing was found").await;
    console.has_no_complaints().await;

    browser.fill("#history-request", "17").await;
    browser.click("#history-search").await;
    browser
        .wait_for_text("#history-outcome", "request is \"17\", expected the 16 hexadecimal")
        .await;
    assert_eq!(browser.run("return document.querySelectorAll('#history b').length").await, 0);
}

#[tokio::test]
async fn an_undo_shows_what_it_would_do_and_asks_before_it_writes() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(recorded(zookeeper)).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    let znodes = zookeeper.znodes().await;
    let coins = async || {
        let names = ["alice", "bob", "carol"];
        let paths: Vec<String> = names.iter().map(|name| daemon.path(name)).collect();
        let coins = znodes.get_all(&paths).await;
        coins.iter().map(|coin| coin.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" ")
    };
    batch(&console, "btc", &["alice", "bob"]).await;
    let wrong = batch(&console, "bcc", &["alice", "bob", "carol"]).await;
    let later = batch(&console, "btc", &["bob"]).await;
    browser.wait_until("!document.querySelector('#history-form').hidden").await;
    browser.fill("#history-request", &wrong).await;
    browser.click("#history-search").await;
    browser.wait_until(&format!("{ROWS} === 1")).await;

    // The preview writes nothing, and Escape neither.
    browser.click("#history-rows .undo").await;
    browser.wait_for_text("#confirm", &format!("Undo request {wrong}?")).await;
    let preview = browser.text("#confirm").await;
    for part in
        ["alice\tbcc → btc\twould be put back", "switched since by ", &later, "created by that"]
    {
        assert!(preview.contains(part), "no {part:?} in {preview:?}");
    }
    browser.press("\u{e00c}").await;
    browser.wait_for_text("#history-outcome", "Nothing was undone: cancelled").await;
    assert_eq!(coins().await, "bcc btc bcc");

    browser.click("#history-rows .undo").await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    browser.click("#undo-deletes").await;
    browser.wait_for_text("#confirm", "carol\tbcc → none\twould be deleted").await;
    assert_eq!(coins().await, "bcc btc bcc");
    browser.fill("#undo-comment", "wrong file").await;
    browser.click("#confirm-yes").await;
    let done = format!("Undo of {wrong}: 1 put back, 1 deleted, 1 left alone");
    browser.wait_for_text("#history-outcome .done", &done).await;
    assert_eq!(coins().await, "btc btc -");
    // The row shows it, and cannot be undone once more.
    browser.wait_for_text("#history-rows", "undone by ").await;
    browser.wait_until("!document.querySelector('#history-rows .undo')").await;
    browser.fill("#history-request", " ").await;
    browser.click("#history-source option:nth-child(5)").await;
    browser.click("#history-search").await;
    browser.wait_for_text("#history-rows", &format!("undo of {wrong}")).await;
    browser.wait_for_text("#history-rows", "“wrong file”").await;
    browser.click("#history-rows .actions button").await;
    browser.wait_for_text("#history-rows .entries", "bcc → none").await;

    // An undo can be undone, too.
    browser.click("#history-rows .undo").await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#history-outcome .done", "2 put back").await;
    assert_eq!(coins().await, "bcc btc bcc");
    console.has_no_complaints().await;
}

#[tokio::test]
async fn an_undo_that_cannot_be_previewed_is_not_sent() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(recorded(zookeeper)).await else { return };
    let browser = &console.browser;
    batch(&console, "btc", &["alice"]).await;
    browser.wait_until("!document.querySelector('#history-form').hidden").await;
    browser.click("#history-search").await;
    browser.wait_until(&format!("{ROWS} === 1")).await;
    let answer = r#"
        window.fetch = () => {
            window.calls = (window.calls ?? 0) + 1;
            const answer = { err_no: 404, err_msg: "request 'x' is not in the history", success: false };
            return Promise.resolve(new Response(JSON.stringify(answer), { status: 404 }));
        };"#;
    browser.run(answer).await;
    browser.click("#history-rows .undo").await;
    browser.wait_for_text("#history-outcome", "cannot be previewed").await;
    browser.wait_for_text("#history-outcome", "is not in the history (404)").await;
    assert_eq!(browser.run("return document.querySelector('#confirm').open").await, false);
}

#[tokio::test]
async fn without_a_history_the_page_names_the_key() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    console.browser.wait_for_text("#history", "There is no history: HistoryFile is not set.").await;
    console.browser.wait_until("document.querySelector('#history-form').hidden").await;
    console.has_no_complaints().await;
}

/// Answers to an undo in the page itself, for its looks.
const ANSWERS: &str = r#"
    const real = window.fetch;
    window.fetch = (url, options) => {
        if (!String(url).endsWith("/undo")) return real(url, options);
        const { dry_run: dry, delete_created: deletes } = JSON.parse(options.body);
        const results = [
            { sub_account: "alice", now: "bcc", back_to: "btc", outcome: dry ? "would_restore" : "restored" },
            { sub_account: "new", now: "bcc", back_to: null,
              ...(deletes ? { outcome: dry ? "would_delete" : "deleted" } : { outcome: "left_alone", cause: "created by that request" }) },
            { sub_account: "a-name-of-many-letters-".repeat(5), now: "ltc", outcome: "left_alone", cause: "switched since",
              by: "00a1b2c3d4e5f607", at: "2026-11-28T10:00:00.000Z" },
            { coin: "btc", sub_pool: "pool3", outcome: dry ? "would_restore" : "unknown", cause: dry ? undefined : "no answer",
              now: { coinbase_info: "tiger", payout_addr: "1New" }, back_to: { coinbase_info: "tiger", payout_addr: "1Old" } },
            { coin: "btc", sub_pool: "pool4", outcome: "left_alone", cause: "old coin not known" },
        ];
        window.sent = options.body;
        const answer = { err_no: 0, err_msg: "", success: dry, request: "00000000000000aa", results };
        return Promise.resolve(new Response(JSON.stringify(answer)));
    };
"#;

#[tokio::test]
async fn the_history_fits_a_desk_and_a_phone_in_light_and_in_dark() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(recorded(zookeeper)).await else { return };
    let browser = &console.browser;
    batch(&console, "btc", &["alice", "bob", "carol"]).await;
    batch(&console, "bcc", &["alice", "bob", &"long-name-".repeat(20)]).await;
    let mallory = console.daemon.path("mallory");
    zookeeper.znodes().await.put_read_only(&mallory, "btc").await;
    assert_eq!(console.daemon.switch("mallory", "bcc").await.err_no, 107);
    browser.wait_until("!document.querySelector('#history-form').hidden").await;
    browser.click("#history-search").await;
    browser.wait_until(&format!("{ROWS} === 3")).await;
    browser.run(ANSWERS).await;
    // The pictures show the history alone.
    browser
        .run("for (const it of document.querySelectorAll('main > :not(#history)')) it.hidden = true;")
        .await;
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await;
        for (device, width, height) in [("desk", 1280, 900), ("phone", 400, 740)] {
            browser.resize(width, height).await;
            let undo = "#history-rows > tr:nth-child(3) .actions .undo";
            browser.click(undo).await;
            // A closed dialog has the text of the last one.
            browser.wait_until("document.querySelector('#confirm').open").await;
            browser.wait_for_text("#confirm", "would be put back").await;
            browser.click("#undo-deletes").await;
            browser.wait_for_text("#confirm", "would be deleted").await;
            browser.fill("#undo-comment", "a mistake").await;
            let wide = "return document.documentElement.scrollWidth;";
            let fits = async |what: &str| {
                let needed = browser.run(wide).await.as_u64().unwrap();
                assert!(needed <= width.into(), "{what}, {device}: {needed}");
                assert_eq!(browser.run(FAINT).await, json!([]), "{what}, {device} in {scheme}");
            };
            fits("dialog").await;
            browser.run("scrollTo(0, 0);").await;
            browser.keep_view(&format!("undo-{device}-{scheme}")).await;
            browser.click("#confirm-yes").await;
            browser.wait_for_text("#history-outcome", "1 of unknown outcome").await;
            browser.wait_until("!document.querySelector('#history').ariaBusy").await;
            for row in [1, 3] {
                let show = format!("#history-rows > tr:nth-child({row}) .actions button");
                browser.click(&show).await;
            }
            browser.wait_for_text("#history-rows", "long-name-").await;
            fits("history").await;
            browser.keep_picture(&format!("history-{device}-{scheme}")).await;
        }
    }
    let sent = browser.run("return JSON.parse(window.sent);").await;
    assert_eq!((&sent["comment"], &sent["delete_created"]), (&json!("a mistake"), &json!(true)));
    console.has_no_complaints().await;
}

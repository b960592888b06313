//! One sub-account: looked up and switched in the page.

use serde_json::json;

use super::Console;
use super::browser::{ENTER, TAB};
use crate::support::client::Answer;
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;

#[tokio::test]
async fn a_switch_shows_what_it_changes_and_asks_before_it_writes() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    let znodes = zookeeper.znodes().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    browser.fill("#switch-name", "alice").await;
    browser.click("#switch-look").await;
    browser.wait_for_text("#switch-outcome .info", "alice mines btc").await;
    browser.fill("#switch-name", "nobody").await;
    browser.click("#switch-look").await;
    browser.wait_for_text("#switch-outcome", "nobody has no znode").await;

    browser.fill("#switch-name", "alice").await;
    browser.click("#switch-coin option[value=bcc]").await;
    browser.click("#switch-go").await;
    browser.wait_for_text("#confirm", "alice: btc → bcc").await;
    browser.click("#confirm-no").await;
    browser.wait_for_text("#switch-outcome", "Nothing was switched").await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"));

    browser.click("#switch-go").await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#switch-outcome .done", "Switched: alice → bcc").await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("bcc"));
    browser.wait_for_text("#changes-rows tr", "btc → bcc").await;
    // Its source is the browser's address, as that of any client.
    daemon
        .wait_for_log(&["switch, source: api, client: 127.0.0.1", "sub_account: alice", "new: bcc"])
        .await;
    console.has_no_complaints().await;
}

#[tokio::test]
async fn the_keyboard_is_enough() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    // The first thing that the tabulator reaches leads to the form.
    browser.press(TAB).await;
    let first = browser.run("return document.activeElement.className").await;
    assert_eq!(first, "skip");
    browser.press(ENTER).await;
    browser.wait_until("document.activeElement.id === 'switch-name'").await;
    browser.press(&format!("keys{TAB}bcc")).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "switch-coin");
    browser.press(TAB).await;
    let outline = "const style = getComputedStyle(document.activeElement); \
        return [document.activeElement.id, style.outlineStyle, style.outlineWidth];";
    assert_eq!(browser.run(outline).await, json!(["switch-go", "solid", "2px"]));
    browser.press(ENTER).await;
    browser.wait_for_text("#confirm", "keys: none → bcc").await;
    browser.press(ENTER).await;
    browser.wait_for_text("#switch-outcome .done", "Switched: keys → bcc").await;
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("keys")).await.as_deref(), Some("bcc"));
    // The focus is where it was, and Escape is No.
    browser.wait_until("document.activeElement.id === 'switch-go'").await;
    browser.press(ENTER).await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    browser.press("\u{e00c}").await;
    browser.wait_for_text("#switch-outcome", "Nothing was switched").await;
    // All that can be done is reached, and every field has a name.
    let nameless = "return [...document.querySelectorAll('input, select, textarea, progress')]\
        .filter((field) => field.labels.length === 0).map((field) => field.id);";
    assert_eq!(browser.run(nameless).await, json!([]));
    console.has_no_complaints().await;
}

/// Each question has an answer of its own, though one comes up while another is open.
#[tokio::test]
async fn a_yes_is_not_taken_for_anothers() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    let browser = &console.browser;
    let asked = "import('/console/dom.js').then(({ confirmed }) => { \
        window.answers = []; \
        for (const title of ['first', 'second']) \
            confirmed({ title, body: [], yes: 'Yes' }).then((yes) => answers.push([title, yes])); })";
    browser.resolve(asked).await;
    browser.wait_for_text("#confirm", "first").await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#confirm", "second").await;
    browser.click("#confirm-no").await;
    browser.wait_until("answers.length === 2").await;
    assert_eq!(browser.run("return answers").await, json!([["first", true], ["second", false]]));
    console.has_no_complaints().await;
}

/// Whatever a sub-account is called and others have written into its znode.
#[tokio::test]
async fn odd_texts_are_shown_and_nothing_in_them_runs() {
    const NAME: &str = "<img src=x onerror=alert(1)>";
    const OTHERS: [&str; 4] =
        [" two  blanks ", "a&b<script>alert(1)<\\script>", "r\u{202e}evil", "鉱夫\u{200b}é"];
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    let znodes = zookeeper.znodes().await;
    znodes.put(&daemon.path(NAME), "<b onclick=alert(2)>\n\u{1b}[2J").await;
    for name in OTHERS {
        assert_eq!(daemon.switch(name, "btc").await, Answer::success());
    }
    browser.fill("#switch-name", NAME).await;
    browser.click("#switch-look").await;
    let shown = format!("{NAME} mines <b onclick=alert(2)>⟨U+000A⟩⟨U+001B⟩[2J");
    browser.wait_for_text("#switch-outcome", &shown).await;
    browser.click("#switch-go").await;
    browser.wait_for_text("#confirm", NAME).await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#switch-outcome .done", NAME).await;
    assert_eq!(znodes.get(&daemon.path(NAME)).await.as_deref(), Some("btc"));
    browser.wait_for_text("#changes-rows", NAME).await;
    let rows = browser.text("#changes-rows").await;
    for text in ["␣two␣␣blanks␣", "a&b<script>alert(1)<\\script>", "r⟨U+202E⟩evil", "鉱夫⟨U+200B⟩é"]
    {
        assert!(rows.contains(text), "no {text:?} in {rows:?}");
    }
    assert_eq!(browser.run("return document.querySelectorAll('main img, main b').length").await, 0);
    // A name that cannot be one is refused, with the reason.
    browser.fill("#switch-name", "a/b").await;
    browser.click("#switch-look").await;
    browser.wait_for_text("#switch-outcome", "puname contains a slash").await;
    let complaints = console.complaints().await;
    assert!(complaints.iter().all(|it| it.contains("status of 400")), "{complaints:?}");
}

#[tokio::test]
async fn what_was_not_written_and_what_nobody_knows_look_different() {
    let mut zookeeper = ZooKeeper::private().await;
    let builder = Daemon::builder(&zookeeper).set("ZKRequestTimeoutSeconds", 1);
    let Some(console) = Console::open(builder).await else { return };
    let browser = &console.browser;
    console.daemon.switch_twice("alice").await;
    browser.fill("#switch-name", "alice").await;
    browser.click("#switch-go").await;
    browser.wait_for_text("#confirm", "alice: bcc → btc").await;
    // It keeps silent from now on: the write is sent, and nobody knows what becomes of it.
    zookeeper.stop();
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#switch-outcome .unknown", "Outcome unknown: alice → btc").await;
    browser.wait_for_text("#changes-rows tr.unknown", "outcome unknown").await;
    browser.keep_picture("unknown-light").await;
    zookeeper.cont();
    zookeeper.kill9();
    browser.wait_for_text("#notice", "no session with ZooKeeper").await;
    browser.wait_for_text("#states .bad", "no ZooKeeper session").await;
    browser.click("#switch-go").await;
    browser.wait_for_text("#confirm", "Its present coin could not be read").await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#switch-outcome .refused", "Not switched: alice → btc").await;
    browser.wait_for_text("#switch-outcome", "Nothing was written").await;
    browser.wait_for_text("#changes-rows tr.refused", "not applied").await;
    zookeeper.restart().await;
    browser.wait_until("document.querySelector('#notice').hidden").await;
    let complaints = console.complaints().await;
    assert!(complaints.iter().all(|it| it.contains("status of 503")), "{complaints:?}");
}

#[tokio::test]
async fn a_page_follows_a_daemon_that_was_started_anew() {
    let zookeeper = ZooKeeper::shared().await;
    let port = crate::support::free_port();
    let builder = Daemon::builder(zookeeper).set("AdminListenAddr", format!("127.0.0.1:{port}"));
    let Some(mut console) = Console::open_at(builder.clone()).await else { return };
    assert_eq!(console.daemon.switch("before", "btc").await, Answer::success());
    console.browser.wait_for_text("#changes-rows", "before").await;
    console.daemon.kill9();
    console.browser.wait_for_text("#notice", "The daemon does not answer").await;
    console.daemon = builder.start().await;
    for name in ["after", "later"] {
        assert_eq!(console.daemon.switch(name, "btc").await, Answer::success());
    }
    console.browser.wait_for_text("#stream-state", "live").await;
    console.browser.wait_for_text("#changes-rows", "later").await;
    console.browser.wait_until("document.querySelector('#notice').hidden").await;
    assert!(!console.browser.text("#changes-rows").await.contains("before"));
}

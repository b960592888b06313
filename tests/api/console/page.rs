//! The page as a whole: what it loads, shows and looks like.

use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use upstream_sim::{Reply, Upstream};

use super::{Console, browser_programs, show, sub_pool::OLD};
use crate::reload::applied;
use crate::support::client::{Answer, Request};
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds, unique};

#[tokio::test]
async fn the_page_loads_nothing_of_others_and_shows_what_happens_as_it_happens() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    browser.wait_for_text("#changes-none", "Nothing has been changed").await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    browser.wait_for_text("#changes-rows", "alice").await;
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
    browser.wait_until("document.querySelectorAll('#changes-rows tr').length === 2").await;
    let newest = browser.text("#changes-rows tr").await;
    for part in ["127.0.0.1", "alice", "btc → bcc", "applied"] {
        assert!(newest.contains(part), "no {part:?} in {newest:?}");
    }
    // A batch of more rows than are kept.
    let names: Vec<String> = (0..700).map(|n| format!("user{n}")).collect();
    let batch = json!({"usercoins": [{"coin": "btc", "punames": names}]}).to_string();
    assert_eq!(daemon.batch(batch).await, Answer::success());
    browser.wait_until("document.querySelectorAll('#changes-rows tr').length === 200").await;
    browser.wait_for_text("#coins", "701").await;
    console.has_no_complaints().await;
}

#[tokio::test]
async fn the_page_says_what_is_off() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    let browser = &console.browser;
    browser.wait_for_text("#sub-pool", "ZKSubPoolUpdateBaseDir is not set").await;
    assert_eq!(browser.run("return document.querySelector('#sub-pool-get').disabled").await, true);
    let hidden = "return [...document.querySelectorAll('.api-off')].every((hint) => hint.hidden)";
    assert_eq!(browser.run(hidden).await, true);
    console.has_no_complaints().await;
}

#[tokio::test]
async fn without_the_api_there_is_something_to_see_and_nothing_to_switch() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(programs) = browser_programs() else { return };
    let upstream =
        Upstream::start(|_| Reply::map(&[("alice", "btc")], 1_513_239_055)).await.unwrap();
    let builder = Daemon::builder(zookeeper)
        .admin()
        .set("EnableAPIServer", false)
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", format!("http://{}/map", upstream.address()));
    let (_process, log) = builder.spawn(&["--config".into(), builder.write_config().into()]);
    let line = eventually("the admin pages are up", seconds(20), || async {
        log.lines_with(&["admin pages are up"]).pop()
    })
    .await;
    let browser = show(line.split("address: ").nth(1).expect("an address"), programs).await;
    browser.wait_for_text("#states", "polled").await;
    browser.wait_for_text("#states", "API off").await;
    for section in ["#switch", "#batch", "#sub-pool"] {
        browser.wait_for_text(section, "EnableAPIServer is not set").await;
    }
    let enabled = "return [...document.querySelectorAll('#work button:not(:disabled)')]\
        .filter((button) => button.checkVisibility()).map((button) => button.id);";
    assert_eq!(browser.run(enabled).await, json!(["switch-look"]));
    browser.wait_for_text("#changes-rows", "poll").await;
    browser.fill("#switch-name", "alice").await;
    browser.click("#switch-look").await;
    browser.wait_for_text("#switch-outcome", "alice mines btc").await;
    upstream.otherwise(|_| Reply::json("nonsense"));
    browser.wait_for_text("#states .bad", "last poll failed, complete").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// The browser keeps the credentials and sends them along with what any page has it send: here a form whose body
/// is a batch.
#[tokio::test]
async fn a_page_of_another_site_cannot_have_the_browser_switch_anything() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    let browser = &console.browser;
    let batch = r#"{"usercoins":[{"coin":"btc","punames":["victim"]}],"x":""#;
    let form = format!(
        "<form method=post enctype=text/plain action=http://{}/switch/multi-user>\
         <input name='{batch}' value='\"}}'></form>",
        console.admin
    );
    let evil = PageServer::start(form).await;
    browser.open(&format!("http://{}/", evil.address)).await;
    browser.run("document.forms[0].submit();").await;
    browser.wait_for_text("body", "403").await;
    let told = browser.text("body").await;
    assert!(told.contains("sent by a page of another site"), "{told}");
    // A link is no such thing.
    browser.open(&format!("http://{}/", evil.address)).await;
    browser.run(&format!("location.href = 'http://{}/';", console.admin)).await;
    browser.wait_for_text("#stream-state", "live").await;
    assert_eq!(zookeeper.znodes().await.get(&console.daemon.path("victim")).await, None);
}

/// Another site: a page, whatever is asked for.
pub struct PageServer {
    pub address: String,
    serving: tokio::task::JoinHandle<()>,
}

impl PageServer {
    pub async fn start(body: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // By a name, so that it is another site, not only another port of the same.
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
        let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { address, serving }
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The texts whose contrast with their ground is less than WCAG's AA demands (4.5). What is disabled is exempt.
pub const FAINT: &str = r#"
    const parts = (color) => color.match(/[\d.]+/g).map(Number);
    const luminance = (color) => {
        const linear = parts(color).slice(0, 3).map((part) => {
            const share = part / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const ground = (element) => {
        for (let it = element; it; it = it.parentElement) {
            const color = getComputedStyle(it).backgroundColor;
            if ((parts(color)[3] ?? 1) === 1) return color;
        }
        return "rgb(255, 255, 255)";
    };
    const faint = [];
    for (const element of document.querySelectorAll("body *")) {
        const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!hasText || !element.checkVisibility() || element.matches(":disabled")) continue;
        const [text, under] = [getComputedStyle(element).color, ground(element)];
        const [a, b] = [luminance(text), luminance(under)];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) faint.push([element.innerText, text, under, contrast]);
    }
    return faint;"#;

/// Pictures of the page under `target/console-screenshots`, and what can be said of them without looking.
#[tokio::test]
async fn the_page_fits_a_desk_and_a_phone_in_light_and_in_dark() {
    let zookeeper = ZooKeeper::shared().await;
    let base = format!("/t/{}/subpool/", unique("pictures"));
    let pools = vec![SubPool::new(&format!("{base}btc/pool3"), "hellobtc", OLD)];
    let _jobmaker = Jobmaker::start(&zookeeper.address(), pools, Knobs::default()).await.unwrap();
    let builder = Daemon::builder(zookeeper)
        .set("AvailableCoins", json!(["btc", "bcc", "auto"]))
        .set("ZKSubPoolUpdateBaseDir", base);
    let Some(console) = Console::open(builder).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    for (round, coin) in ["btc", "bcc", "btc", "auto"].into_iter().enumerate() {
        let count = [40, 90, 20, 60][round];
        let names: Vec<String> = (0..count).map(|n| format!("miner.{n:03}")).collect();
        let batch = json!({"usercoins": [{"coin": coin, "punames": names}]}).to_string();
        assert_eq!(daemon.batch(batch).await, Answer::success());
        let drawn =
            "document.querySelector('#rate-chart .line').getAttribute('d').split('L').length";
        let before = browser.run(&format!("return {drawn}")).await;
        browser.wait_until(&format!("{drawn} > {before}")).await;
    }
    let znodes = zookeeper.znodes().await;
    znodes.put_read_only(&daemon.path("mallory"), "btc").await;
    assert_eq!(daemon.switch("mallory", "bcc").await.err_no, 107);
    assert_eq!(daemon.switch(&"long-name-".repeat(20), "bcc").await, Answer::success());
    browser.fill("#sub-pool-coin", "btc").await;
    browser.fill("#sub-pool-name", "pool3").await;
    browser.click("#sub-pool-get").await;
    browser.wait_for_text("#sub-pool-held", OLD).await;
    let (info, address) = ("tiger", OLD.replace("DygX", "DybX"));
    let body = json!({"coin": "btc", "subpool_name": "pool3", "payout_addr": address, "coinbase_info": info});
    let update = Request::post("/subpool/update-coinbase").body(body.to_string());
    assert_eq!(daemon.send(update).await.status, 200);
    browser.wait_for_text("#changes-rows tr", "tiger").await;
    browser.fill("#batch-text", "miner.001,btc\nminer.002,bcc\nnew.miner,btc\n").await;
    browser.click("#batch-preview").await;
    browser.wait_for_text("#batch-counts", "would be created").await;
    browser.fill("#switch-name", "mallory").await;
    browser.click("#switch-go").await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#switch-outcome", "Not switched").await;

    let ground = "return getComputedStyle(document.body).backgroundColor;";
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await;
        grounds.push(browser.run(ground).await);
        for (device, width, height) in [("desk", 1360, 900), ("phone", 360, 740)] {
            browser.resize(width, height).await;
            let wide = "return document.documentElement.scrollWidth;";
            let needed = browser.run(wide).await.as_u64().unwrap();
            assert!(needed <= width.into(), "{device} has to be scrolled sideways: {needed}");
            assert_eq!(browser.run(FAINT).await, json!([]), "{device} in {scheme}");
            browser.keep_picture(&format!("{device}-{scheme}")).await;
        }
        browser.resize(1360, 900).await;
        browser.fill("#sub-pool-addr", &OLD.replace("PnNx", "QnMx")).await;
        browser.fill("#sub-pool-info", "lion").await;
        browser.click("#sub-pool-change").await;
        browser.wait_until("document.querySelector('#confirm').open").await;
        assert_eq!(browser.run(FAINT).await, json!([]), "the dialog in {scheme}");
        browser.keep_picture(&format!("confirm-{scheme}")).await;
        browser.resize(360, 740).await;
        browser.keep_picture(&format!("confirm-phone-{scheme}")).await;
        browser.resize(1360, 900).await;
        browser.click("#confirm-no").await;
    }
    assert_ne!(grounds[0], grounds[1]);
    console.has_no_complaints().await;
}

#[tokio::test]
async fn a_coin_that_a_reload_takes_away_and_brings_back_makes_no_rate() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper).admin();
    let Some(console) = Console::open_at(builder.clone()).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    let bcc = |is_shown: bool| {
        let no = if is_shown { "" } else { "!" };
        format!("{no}document.querySelector('#coins tbody').textContent.includes('bcc')")
    };
    for n in 0..100 {
        assert_eq!(daemon.switch(&format!("many{n}"), "bcc").await, Answer::success());
    }
    let rate = "document.querySelector('#rate-applied').textContent";
    browser.wait_until(&format!("{rate} !== '0'")).await;
    browser.wait_until(&format!("{rate} === '0'")).await;
    browser.wait_until(&bcc(true)).await;
    browser.click("#switch-coin option[value=btc]").await;
    applied(daemon, &builder.clone().set("AvailableCoins", json!(["ltc", "btc"]))).await;
    browser.wait_until(&bcc(false)).await;
    assert_eq!(browser.run(&format!("return {rate}")).await, "0");
    // What was chosen stays chosen.
    let chosen = "return document.querySelector('#switch-coin').value";
    assert_eq!(browser.run(chosen).await, "btc");
    applied(daemon, &builder).await;
    browser.wait_until(&bcc(true)).await;
    assert_eq!(browser.run(&format!("return {rate}")).await, "0");
    console.has_no_complaints().await;
}

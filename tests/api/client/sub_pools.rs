//! `get-coinbase` and `update-coinbase`, with a simulated jobmaker or none.

use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde_json::json;

use super::puppet::{Act, Puppet};
use super::terminal::on_terminal;
use super::{Cli, assert_says};
use crate::support::daemon::Daemon;
use crate::support::unique;
use crate::support::zookeeper::{Znodes, ZooKeeper};

const ADDRESS: &str = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";
const OTHER: &str = "bc1qjl8uwezzlech723lpnyuza0h2cdkvxvh54v3dn";

/// A daemon with sub-pools of its own; `btc/pool3` has a jobmaker.
struct Scene {
    daemon: Daemon,
    jobmaker: Jobmaker,
    znodes: Znodes,
    base: String,
}

async fn scene() -> Scene {
    let zookeeper = ZooKeeper::shared().await;
    let base = format!("/t/{}/subpool/", unique("client-sub-pools"));
    let daemon = Daemon::builder(zookeeper)
        .set("ZKSubPoolUpdateBaseDir", base.clone())
        .set("ZKSubPoolUpdateAckTimeout", 1)
        .start()
        .await;
    let sub_pool = SubPool::new(&format!("{base}btc/pool3"), "hellobtc", ADDRESS);
    let address = zookeeper.address();
    let jobmaker = Jobmaker::start(&address, vec![sub_pool], Knobs::default()).await.unwrap();
    Scene { daemon, jobmaker, znodes: zookeeper.znodes().await, base }
}

impl Scene {
    fn get(&self, sub_pool: &str) -> Cli {
        Cli::new("get-coinbase").words(sub_pool).at(&self.daemon)
    }

    fn update(&self, address: &str, info: &str) -> Cli {
        let cli = Cli::new("update-coinbase btc pool3 --payout-addr").arg(address);
        cli.arg("--coinbase-info").arg(info).at(&self.daemon)
    }

    /// Coinbase texts that the jobmaker got, in order.
    fn applied(&self) -> Vec<String> {
        let applied = self.jobmaker.applied().into_iter().map(|applied| applied.coinbase_info);
        let mut texts: Vec<_> = applied.collect();
        texts.dedup();
        texts
    }
}

#[tokio::test]
async fn a_jobmakers_values_are_shown() {
    let scene = scene().await;
    let told = scene.get("btc pool3").ends_with(0).await;
    let expected = format!("btc/pool3:\n  payout_addr    {ADDRESS}\n  coinbase_info  hellobtc\n");
    assert_eq!((told.stdout, told.stderr), (expected, String::new()));
    let document = scene.get("btc pool3").json(0).await;
    let expected = json!({"command": "get-coinbase", "exit_status": 0, "coin": "btc",
        "subpool_name": "pool3", "payout_addr": ADDRESS, "coinbase_info": "hellobtc", "complaint": null});
    assert_eq!(document, expected);
}

#[tokio::test]
async fn an_update_shows_old_and_new() {
    let scene = scene().await;
    let told = scene.update(OTHER, "tiger").arg("--yes").ends_with(0).await;
    let expected = format!(
        "btc/pool3:\n  payout_addr    old  {ADDRESS}\n                 new  {OTHER}\n  \
         coinbase_info  old  hellobtc\n                 new  tiger\n"
    );
    assert_eq!((told.stdout, told.stderr), (expected, String::new()));
    let document = scene.update(ADDRESS, "").arg("--yes").json(0).await;
    let expected = json!({"command": "update-coinbase", "exit_status": 0, "coin": "btc",
        "subpool_name": "pool3",
        "wanted": {"coinbase_info": "", "payout_addr": ADDRESS},
        "old": {"coinbase_info": "tiger", "payout_addr": OTHER},
        "new": {"coinbase_info": "", "payout_addr": ADDRESS}});
    assert_eq!(document, expected);
    // A note reports that the jobmaker changed the text.
    let long = "0123456789012345678901234567890123456789";
    let told = scene.update(&OTHER.to_uppercase(), long).arg("--yes").ends_with(0).await;
    assert_says(&told.stderr, &["its own spelling, or cut"]);
    assert_says(&told.stdout, &[&format!("new  {OTHER}\n"), &format!("new  {}\n", &long[..30])]);
}

#[tokio::test]
async fn an_update_asks_only_on_a_terminal() {
    let scene = scene().await;
    let cli = scene.update(OTHER, "tiger");
    let told = cli.clone().stdin("y\n").ends_with(2).await;
    assert_says(&told.stderr, &["no terminal", "--yes", "nothing was changed"]);
    assert_eq!(cli.json(2).await["error"]["kind"], "usage");
    for no in ["n", "", "yep"] {
        let (code, shown) = on_terminal(&cli, "Change it? [y/N]", no).await;
        assert_eq!(code, Some(1), "{shown}");
        assert_says(
            &shown,
            &[&format!("old  {ADDRESS}"), &format!("new  {OTHER}"), "old  hellobtc"],
        );
        assert_says(&shown, &["not confirmed, nothing was changed"]);
    }
    assert_eq!(scene.applied(), ["hellobtc"], "nothing was sent");
    let (code, shown) = on_terminal(&cli, "Change it? [y/N]", "y").await;
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(scene.applied().last().unwrap(), "tiger");
    let (code, _) = on_terminal(&scene.update(OTHER, "lion"), "Change it? [y/N]", "YES").await;
    assert_eq!((code, &**scene.applied().last().unwrap()), (Some(0), "lion"));
}

#[tokio::test]
async fn failures_differ() {
    let scene = scene().await;
    let told = scene.update("nonsense", "x").arg("--yes").ends_with(65).await;
    let parts =
        ["update of btc/pool3", "refused", "the jobmaker says 500", "invalid payout address"];
    assert_says(&told.stderr, &parts);
    // The jobmaker still refuses the request in its znode, and reports its values.
    let told = scene.get("btc pool3").ends_with(0).await;
    assert_says(&told.stdout, &[ADDRESS, "hellobtc"]);
    assert_says(&told.stderr, &["note: ", "refuses the last request", "invalid payout address"]);
    let document = scene.get("btc pool3").json(0).await;
    assert_eq!(document["complaint"], "invalid payout address");
    let told = scene.update("", "x").arg("--yes").ends_with(65).await;
    assert_says(&told.stderr, &["the daemon says 400", "payout_addr cannot be empty"]);
    scene.update(OTHER, "tiger").arg("--yes").ends_with(0).await;
    assert_eq!(scene.get("btc pool3").json(0).await["complaint"], serde_json::Value::Null);
    let told = scene.get("btc nobody").ends_with(65).await;
    assert_says(&told.stderr, &["btc/nobody", "404", "its jobmaker creates the znode"]);

    scene.znodes.put(&format!("{}btc/idle", scene.base), "{}").await;
    let told = scene.get("btc idle").ends_with(69).await;
    assert_says(&told.stderr, &["503", "start its jobmaker"]);
    scene.znodes.put(&format!("{}btc/idle/ack", scene.base), "").await;
    let told = scene.get("btc idle").ends_with(75).await;
    assert_says(&told.stderr, &["504", "outcome unknown"]);

    let off = Daemon::start(ZooKeeper::shared().await).await;
    let told = Cli::new("get-coinbase btc pool3").at(&off).ends_with(65).await;
    assert_says(&told.stderr, &["403", "ZKSubPoolUpdateBaseDir"]);
    Cli::new("update-coinbase btc pool3 --payout-addr x").ends_with(2).await;
}

#[tokio::test]
async fn an_update_without_an_answer_is_of_unknown_outcome() {
    let held = json!({"coinbase_info": "a\u{1b}[2J", "payout_addr": "p"});
    let get = json!({"success": true, "err_no": 0, "err_msg": "success", "subpool_name": "p", "old": held});
    let update = |old: &str, new: &str| {
        let held = |text: &str| json!({"coinbase_info": text, "payout_addr": "p"});
        json!({"success": true, "err_no": 0, "err_msg": "success", "subpool_name": "p",
            "old": held(old), "new": held(new)})
    };
    let cli =
        Cli::new("update-coinbase btc p --payout-addr p --coinbase-info new --yes --timeout 1");
    for act in [Act::HangUp, Act::Silence] {
        let puppet = Puppet::start([Act::Answer(get.to_string()), act]).await;
        let told = cli.clone().at_address(puppet.address()).ends_with(75).await;
        assert_says(&told.stderr, &["update of btc/p", "outcome unknown"]);
    }
    let puppet = Puppet::start([Act::HangUp]).await;
    cli.clone().at_address(puppet.address()).ends_with(69).await;
    assert_eq!(puppet.requests().len(), 1, "no update without having seen what is held");

    let answers = [get.to_string(), update("other", "new").to_string()].map(Act::Answer);
    let puppet = Puppet::start(answers).await;
    let told = cli.clone().at_address(puppet.address()).ends_with(0).await;
    assert_says(&told.stderr, &["another request has changed"]);
    let puppet = Puppet::start([Act::Answer(get.to_string())]).await;
    let told = Cli::new("get-coinbase btc p").at_address(puppet.address()).ends_with(0).await;
    assert_says(&told.stdout, &["\"a\\u{1b}[2J\""]);
}

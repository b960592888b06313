//! The keys of polling, and a daemon that only polls.

use upstream_sim::Reply;

use super::{assert_line, now, polling, upstream};
use crate::support::{daemon::Daemon, eventually, seconds, zookeeper::ZooKeeper};

#[tokio::test]
async fn a_bad_value_is_reported_with_its_key() {
    let zookeeper = ZooKeeper::shared().await;
    let usual = Daemon::builder(zookeeper)
        .set("ZKSwitcherWatchDir", "/t/watch/")
        .set("ZKSubPoolUpdateBaseDir", "/subpool")
        .set("EnableCronJob", true);
    for (key, value) in [
        ("CronFetchTimeoutSeconds", "0".into()),
        ("CronBodyLimitBytes", serde_json::json!(1023)),
        ("CronOverlapSeconds", serde_json::json!(-1)),
        ("CronRewriteUnchanged", "perhaps".into()),
        ("UserCoinMapURL", "127.0.0.1:8000/usercoin.php".into()),
        ("UserCoinMapURL", "http://:8000/".into()),
        ("UserCoinMapURL", "".into()),
        ("ZKPollerLockPath", "poller".into()),
        ("ZKPollerLockPath", "/".into()),
        ("ZKPollerLockPath", "/t/watch/poller".into()),
        ("ZKPollerLockPath", "/t".into()),
        ("ZKPollerLockPath", "/subpool/btc/poller".into()),
    ] {
        let finished = usual.clone().set(key, value).check().await;
        assert_eq!(finished.code, Some(78), "{finished:?}");
        finished.assert_stderr_names(&[key]);
    }
    let finished = usual.set("ZKPollerLockPath", "/t/watcher").check().await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[tokio::test]
async fn a_daemon_may_poll_and_serve_no_api() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    upstream.next(Reply::map(&[("alice", "btc")], now()));
    let builder = polling(zookeeper, &upstream).set("EnableAPIServer", false);
    let (_process, log) = builder.spawn(&["--config".into(), builder.write_config().into()]);
    let line = eventually("a poll", seconds(20), || async {
        log.lines_with(&[" poll, ", "written: 1"]).into_iter().next()
    });
    assert_line(&line.await, &["outcome: complete"]);
    assert!(log.lines_with(&["listening"]).is_empty());
}

//! Interruptions: clients that disconnect, ZooKeeper outages, shutdown.

use super::*;

#[tokio::test]
async fn a_client_that_disconnects_after_the_write_blocks_no_other_and_is_logged() {
    let scene = Scene::start(ENDLESS).await;
    let puppet = scene.puppet("pool3").await;
    let gone = scene.sent(&update("pool3", "gone")).await;
    puppet.wait_for_writes(1).await;
    drop(gone);
    let next = scene.asking(update("pool3", "next"));
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(puppet.asked().await, "gone", "its exchange goes on");
    puppet.ack(&granted(CONFIGURED, "gone")).await;
    puppet.wait_for_writes(2).await;
    puppet.ack(&granted("gone", "next")).await;
    assert_eq!(next.await.unwrap(), updated("of the ack", "gone", "next"));
    let lines = scene.logged("pool3", 2).await;
    let new: Vec<_> = lines.iter().map(|line| &*line["new"]).collect();
    assert_eq!(new, ["gone", "next"].map(|text| format!("\"{text}\" \"{ADDRESS}\"")));
}

#[tokio::test]
async fn a_client_that_disconnects_while_queued_is_dropped() {
    let scene = Scene::start(ENDLESS).await;
    let puppet = scene.puppet("pool3").await;
    let first = scene.asking(update("pool3", "first"));
    puppet.wait_for_writes(1).await;
    let gone = scene.sent(&update("pool3", "gone")).await;
    tokio::time::sleep(A_WHILE).await;
    drop(gone);
    tokio::time::sleep(A_WHILE).await;
    let last = scene.asking(update("pool3", "last"));
    tokio::time::sleep(A_WHILE).await;
    puppet.ack(&granted(CONFIGURED, "first")).await;
    assert_eq!(first.await.unwrap(), updated("of the ack", CONFIGURED, "first"));
    puppet.wait_for_writes(2).await;
    assert_eq!(puppet.asked().await, "last", "nothing is written for a client that is gone");
    puppet.ack(&granted("first", "last")).await;
    assert_eq!(last.await.unwrap(), updated("of the ack", "first", "last"));
    let line = scene.daemon.wait_for_log(&["sub-pool update not begun", "\"gone\""]).await;
    let line = fields(&line);
    assert_eq!((&*line["outcome"], &*line["coin"]), ("nothing written", "\"btc\""));
}

#[tokio::test]
async fn zookeepers_death_within_an_exchange_is_reported_at_once_and_the_next_exchange_works() {
    let mut zookeeper = ZooKeeper::private().await;
    let mut scene = Scene::with(&zookeeper, ENDLESS, |builder| builder).await;
    let puppet = scene.puppet("pool3").await;
    let pending = scene.asking(update("pool3", "tiger"));
    puppet.wait_for_writes(1).await;
    let start = Instant::now();
    zookeeper.kill9();
    assert_eq!(pending.await.unwrap(), error(500, UNKNOWN));
    assert!(start.elapsed() < seconds(ENDLESS / 2), "only after {:?}", start.elapsed());
    let line = scene.exchange("pool3").await;
    assert_eq!(line["outcome"], "outcome unknown");
    assert_eq!(line["new"], format!("\"tiger\" \"{ADDRESS}\""));

    zookeeper.restart().await;
    scene.znodes = Arc::new(zookeeper.znodes().await);
    let jobmaker = scene.jobmaker(&["pool3"], Knobs::default()).await;
    // The get returns the last write.
    assert_eq!(scene.ask(get("pool3")).await, held("pool3", "tiger"));
    assert_eq!(scene.ask(update("pool3", "lion")).await, updated("pool3", "tiger", "lion"));
    jobmaker.stop().await;
}

#[tokio::test]
async fn without_zookeeper_no_sub_pool_is_reported_as_nonexistent() {
    let mut zookeeper = ZooKeeper::absent().await;
    let root = format!("/t/{}", unique("sub-pools"));
    let daemon = Daemon::builder(&zookeeper)
        .set("ZKSubPoolUpdateBaseDir", format!("{root}/subpool/"))
        .set("ZKSubPoolUpdateAckTimeout", 2)
        .start()
        .await;
    let away = error(500, "read data node failed");
    for request in [get("pool3"), update("pool3", "tiger")] {
        assert_eq!(body(daemon.base(), &request).await, away);
    }
    zookeeper.restart().await;
    let absent = error(404, "subpool 'pool3' does not exist");
    eventually("it is back", seconds(30), || async {
        (body(daemon.base(), &get("pool3")).await == absent).then_some(())
    })
    .await;
    let line = daemon.wait_for_log(&["sub-pool update not begun", "\"tiger\""]).await;
    assert_eq!(fields(&line)["outcome"], "nothing written");
    zookeeper.kill9();
    daemon.wait_for_log(&["connection lost"]).await;
    for request in [get("pool3"), update("pool3", "tiger")] {
        assert_eq!(body(daemon.base(), &request).await, away);
    }
}

#[tokio::test]
async fn a_frozen_zookeeper_is_reported_as_a_failed_read() {
    let zookeeper = ZooKeeper::private().await;
    let scene =
        Scene::with(&zookeeper, 1, |builder| builder.set("ZKSessionTimeoutSeconds", 20)).await;
    let puppet = scene.puppet("pool3").await;
    zookeeper.stop();
    let answers = [scene.ask(get("pool3")).await, scene.ask(update("pool3", "tiger")).await];
    zookeeper.cont();
    // The get's reads are still under way, so the update has no turn.
    assert_eq!(answers, [error(500, "read data node failed"), error(504, NOT_SERVED)]);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(puppet.writes().await, 0, "and nothing is written later");
}

#[tokio::test]
async fn an_older_zookeeper_loses_no_session_over_watches_that_never_fire() {
    let shared = ZooKeeper::shared().await;
    let scene = Scene::with(shared, 1, |builder| builder.set("ZKServerVersion", "3.4.6")).await;
    let jobmaker = scene.jobmaker(&["pool3"], Knobs::default()).await;
    let silent = scene.puppet("silent").await;
    let mut before = CONFIGURED;
    for text in ["tiger", "lion", "lynx"] {
        let (timed_out, answer) =
            tokio::join!(scene.ask(update("silent", text)), scene.ask(update("pool3", text)));
        assert_eq!(timed_out, error(504, TIMED_OUT));
        assert_eq!(answer, updated("pool3", before, text));
        assert_eq!(scene.ask(get("silent")).await, error(504, TIMED_OUT));
        assert_eq!(scene.ask(get("pool3")).await, held("pool3", text));
        before = text;
        // Fires the watches of exchanges that are over.
        silent.ack(&granted(CONFIGURED, text)).await;
    }
    let sessions = scene.daemon.log_with(&["ZooKeeper session is up"]);
    assert_eq!(sessions.len(), 1, "{sessions:#?}");
    assert_eq!(scene.daemon.log_with(&["connection lost"]), Vec::<String>::new());
    jobmaker.stop().await;
}

#[tokio::test]
async fn a_request_znode_without_permissions_is_reported() {
    let shared = ZooKeeper::shared().await;
    let client = shared.client().await;
    for credentials in ["", DIGEST_CREDENTIALS] {
        let scene =
            Scene::with(shared, ENDLESS, |builder| builder.set("ZKDigestCredentials", credentials))
                .await;
        let anyone = |permission| [Acl::new(permission, AuthId::anyone())];
        let puppet = scene.puppet("readable").await;
        client.set_acl(&puppet.path, &anyone(Permission::READ), None).await.unwrap();
        for request in [get("readable"), update("readable", "tiger")] {
            assert_eq!(scene.ask(request).await, error(500, "write data node failed"));
        }
        assert_eq!(puppet.writes().await, 0);
        let hidden = scene.puppet("hidden").await;
        client.set_acl(&hidden.path, &anyone(Permission::WRITE), None).await.unwrap();
        assert_eq!(scene.ask(get("hidden")).await, error(500, "read data node failed"));
        assert_eq!(hidden.writes().await, 0);
        for (name, lines) in [("readable", 2), ("hidden", 1)] {
            for line in scene.logged(name, lines).await {
                assert_eq!(line["outcome"], "nothing written");
            }
        }
    }
}

#[tokio::test]
async fn sigterm_lets_a_running_exchange_finish() {
    let mut scene = Scene::start(ENDLESS).await;
    let knobs = Knobs { delay_before_ack: seconds(1), ..Knobs::default() };
    let jobmaker = scene.jobmaker(&["pool3"], knobs).await;
    let reads = jobmaker.counters().reads;
    let pending = scene.asking(update("pool3", "tiger"));
    eventually("the jobmaker has read it", seconds(20), || async {
        (jobmaker.counters().reads > reads).then_some(())
    })
    .await;
    scene.daemon.signal(Signal::TERM);
    assert_eq!(pending.await.unwrap(), updated("pool3", CONFIGURED, "tiger"));
    assert_eq!(scene.daemon.wait_exit(seconds(20)).await.code(), Some(0));
    assert_eq!(scene.exchange("pool3").await["outcome"], "applied");
    jobmaker.stop().await;
}

#[tokio::test]
async fn sigterm_does_not_wait_for_a_silent_jobmaker_and_still_answers() {
    let shared = ZooKeeper::shared().await;
    let grace = |builder: Builder| builder.set("ShutdownGraceSeconds", 4);
    let mut scene = Scene::with(shared, ENDLESS, grace).await;
    let puppet = scene.puppet("pool3").await;
    let first = scene.asking(update("pool3", "first"));
    puppet.wait_for_writes(1).await;
    let waits = scene.asking(update("pool3", "waits"));
    tokio::time::sleep(A_WHILE).await;
    scene.daemon.signal(Signal::TERM);
    // Much less than the ack timeout, and no more than the grace period on a busy machine.
    let status = scene.daemon.wait_exit(seconds(10)).await;
    assert_eq!(status.code(), Some(0), "{:#?}", scene.daemon.log());
    assert_eq!(first.await.unwrap(), error(500, UNKNOWN));
    assert_eq!(waits.await.unwrap(), error(500, SHUTTING_DOWN));
    assert_eq!(scene.exchange("pool3").await["outcome"], "outcome unknown");
    let line = scene.daemon.wait_for_log(&["sub-pool update not begun", "\"waits\""]).await;
    assert_eq!(fields(&line)["outcome"], "nothing written");
    assert_eq!((puppet.asked().await.as_str(), puppet.writes().await), ("first", 1));
}

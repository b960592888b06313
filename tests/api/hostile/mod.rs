//! Hostile input from all sides, while a bystander switches and every one of its requests must succeed.
//!
//! Afterwards the daemon must be alive and small, and its log free of secrets and of what attackers wrote.
//! `limits` has the single clients that break a rule; here they come in numbers. `make hostile` prints
//! what came of a larger version.

mod bodies;
mod connections;
mod fields;
mod siege;

use upstream_sim::{Reply, Upstream};

use crate::support::client::Answer;
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds, unique};
use siege::{LONG, Reckoning, SHORT, Scale, Sent, besiege, builder};

/// An attack on a daemon of its own.
async fn attack(name: &'static str, work: impl AsyncFnOnce(&Daemon) -> Sent) -> Reckoning {
    let daemon = builder(ZooKeeper::shared().await).start().await;
    besiege(name, daemon, work).await
}

async fn slow_heads(scale: Scale) -> Reckoning {
    attack("heads that never end", async |daemon| connections::slow_heads(daemon, scale).await)
        .await
}

async fn slow_second_heads(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| connections::slow_second_heads(daemon, scale).await;
    attack("second heads that never end", work).await
}

async fn slow_bodies(scale: Scale) -> Reckoning {
    attack("bodies that never end", async |daemon| connections::slow_bodies(daemon, scale).await)
        .await
}

async fn slow_strangers(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| connections::slow_strangers(daemon, scale).await;
    attack("strangers' bodies that never end", work).await
}

async fn idle(scale: Scale) -> Reckoning {
    let daemon = builder(ZooKeeper::shared().await).set("APIHeadTimeoutSeconds", 5).start().await;
    let work = async |daemon: &Daemon| connections::idle(daemon, scale.idle, seconds(10)).await;
    besiege("connections that say nothing", daemon, work).await
}

async fn deaf(scale: Scale) -> Reckoning {
    // As it is by default: they keep the worker so busy that a second may pass before a head is looked at.
    let daemon = builder(ZooKeeper::shared().await).set("APIHeadTimeoutSeconds", 5).start().await;
    let work = async |daemon: &Daemon| connections::deaf(daemon, scale).await;
    besiege("readers that never read", daemon, work).await
}

async fn pipelines(scale: Scale) -> Reckoning {
    attack("pipelining", async |daemon| connections::pipelines(daemon, scale).await).await
}

async fn endless_chunks(scale: Scale) -> Reckoning {
    attack("endless chunks", async |daemon| bodies::endless_chunks(daemon, scale).await).await
}

async fn nests(scale: Scale) -> Reckoning {
    let base_dir = format!("/t/{}/", unique("hostile"));
    let builder = builder(ZooKeeper::shared().await).set("ZKSubPoolUpdateBaseDir", base_dir);
    let work = async |daemon: &Daemon| bodies::nests(daemon, scale).await;
    besiege("a million brackets", builder.start().await, work).await
}

async fn swelling(scale: Scale) -> Reckoning {
    let base_dir = format!("/t/{}/", unique("hostile"));
    let builder = builder(ZooKeeper::shared().await).set("ZKSubPoolUpdateBaseDir", base_dir);
    let work = async |daemon: &Daemon| bodies::swelling(daemon, scale).await;
    besiege("bodies of 16 MiB that swell", builder.start().await, work).await
}

async fn duplicates(scale: Scale) -> Reckoning {
    let zookeeper = ZooKeeper::shared().await;
    let work = async |daemon: &Daemon| bodies::duplicates(daemon, zookeeper, scale).await;
    attack("duplicate keys", work).await
}

async fn conflicting_lengths(scale: Scale) -> Reckoning {
    let zookeeper = ZooKeeper::shared().await;
    let work = async |daemon: &Daemon| bodies::conflicting_lengths(daemon, zookeeper, scale).await;
    attack("conflicting lengths", work).await
}

async fn large_credentials(scale: Scale) -> Reckoning {
    attack("credentials around 64 KiB", async |daemon| {
        bodies::large_credentials(daemon, scale).await
    })
    .await
}

async fn forgeries(scale: Scale) -> Reckoning {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[], 5)).await.unwrap();
    let root = format!("/t/{}", unique("hostile"));
    let builder = fields::configured(builder(zookeeper), zookeeper, &upstream, &root).await;
    let work = async |daemon: &Daemon| fields::forge(daemon, &upstream, scale).await;
    besiege("escapes and secrets in every field", builder.start().await, work).await
}

macro_rules! short {
    ($($test:ident: $attack:ident,)*) => {$(
        #[tokio::test]
        async fn $test() {
            $attack(SHORT).await.assert_harmless();
        }
    )*};
}

short! {
    many_heads_that_never_end_harm_nobody: slow_heads,
    many_second_heads_that_never_end_harm_nobody: slow_second_heads,
    many_bodies_that_never_end_harm_nobody: slow_bodies,
    strangers_who_drip_on_after_their_refusal_harm_nobody: slow_strangers,
    thousands_of_idle_connections_harm_nobody: idle,
    readers_that_never_read_are_hung_up_on: deaf,
    pipelined_requests_are_answered_in_their_order: pipelines,
    endless_chunks_are_cut_off: endless_chunks,
    a_million_brackets_are_refused_everywhere: nests,
    no_body_swells_without_a_bound: swelling,
    of_thousands_of_duplicate_keys_the_last_counts: duplicates,
    nothing_is_smuggled_behind_conflicting_lengths: conflicting_lengths,
    credentials_around_64_kib_are_refused: large_credentials,
    no_field_forges_a_line_or_shows_a_secret: forgeries,
}

#[tokio::test]
async fn idle_connections_leave_descriptors_for_a_new_session() {
    let mut zookeeper = ZooKeeper::private().await;
    let daemon = Daemon::builder(&zookeeper).limit_descriptors(150).set("APIHeadTimeoutSeconds", 2);
    let daemon = daemon.start().await;
    let renewed = async {
        tokio::time::sleep(seconds(1)).await;
        zookeeper.kill9();
        zookeeper.restart().await;
        eventually("a new session while connections are held", seconds(20), || async {
            (daemon.log_with(&["ZooKeeper session is up"]).len() > 1).then_some(())
        })
        .await;
    };
    tokio::select! {
        _ = connections::idle(&daemon, 300, seconds(60)) => panic!("no session in a minute"),
        () = renewed => {}
    }
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
}

#[tokio::test]
#[ignore = "minutes: make hostile"]
#[allow(clippy::print_stdout)]
async fn a_longer_siege_prints_what_came_of_it() {
    println!("{}", Reckoning::head());
    let mut all = Vec::new();
    macro_rules! besieged {
        ($($attack:ident)*) => {$(
            let reckoning = $attack(LONG).await;
            println!("{}", reckoning.row());
            all.push(reckoning);
        )*};
    }
    besieged!(
        slow_heads slow_second_heads slow_bodies slow_strangers idle deaf pipelines endless_chunks nests
        swelling duplicates conflicting_lengths large_credentials forgeries
    );
    all.iter().for_each(Reckoning::assert_harmless);
}

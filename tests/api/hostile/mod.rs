//! Hostile input from all sides, while a bystander switches and every one of its requests must succeed.
//!
//! Afterwards the daemon must be alive and small, and its log free of secrets and forgeries.
//! `limits` has the single clients that break a rule; here they come in numbers. `make hostile` prints
//! the results of a larger version.

mod bodies;
mod connections;
mod fields;
mod handshakes;
mod lists;
mod siege;

use serde_json::json;
use upstream_sim::{Reply, Upstream};

use crate::support::certificates::Authority;
use crate::support::client::Answer;
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds, unique};
use crate::user_lists::{self, ALICE, EMPTY};
use siege::{Attack, LONG, Reckoning, SHORT, Scale, Sent, besiege, builder};

/// An attack on a daemon of its own.
async fn alone(attack: Attack, work: impl AsyncFn(&Daemon) -> Sent) -> Reckoning {
    let daemon = builder(ZooKeeper::shared().await).start().await;
    besiege(attack, daemon, work).await
}

/// The same, on one with the sub-pool API.
async fn with_sub_pools(attack: Attack, work: impl AsyncFn(&Daemon) -> Sent) -> Reckoning {
    let base_dir = format!("/t/{}/", unique("hostile"));
    let builder = builder(ZooKeeper::shared().await).set("ZKSubPoolUpdateBaseDir", base_dir);
    besiege(attack, builder.start().await, work).await
}

async fn slow_heads(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| connections::slow_heads(daemon, scale).await;
    alone(Attack::new("heads that never end", 48), work).await
}

async fn slow_second_heads(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| connections::slow_second_heads(daemon, scale).await;
    alone(Attack::new("second heads that never end", 64), work).await
}

async fn slow_bodies(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| connections::slow_bodies(daemon, scale).await;
    alone(Attack::new("bodies that never end", 64), work).await
}

async fn slow_strangers(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| connections::slow_strangers(daemon, scale).await;
    alone(Attack::new("strangers' bodies that never end", 48), work).await
}

/// On one with the usual patience for heads: a flood keeps the worker so busy that it may take a second to look
/// at one.
async fn patiently(attack: Attack, work: impl AsyncFn(&Daemon) -> Sent) -> Reckoning {
    let daemon = builder(ZooKeeper::shared().await).set("APIHeadTimeoutSeconds", 5).start().await;
    besiege(attack, daemon, work).await
}

async fn idle(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| connections::idle(daemon, scale.idle, seconds(10)).await;
    patiently(Attack::new("connections that say nothing", 192), work).await
}

async fn unread_refusals(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| connections::unread_refusals(daemon, scale).await;
    patiently(Attack::new("refusals that nobody reads", 32 + scale.deaf as u64 / 10), work).await
}

async fn unread_successes(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| connections::unread_successes(daemon, scale).await;
    patiently(Attack::new("successes that nobody reads", 32 + scale.deaf as u64), work).await
}

async fn pipelines(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| connections::pipelines(daemon, scale).await;
    patiently(Attack::new("pipelining", 32), work).await
}

async fn endless_chunks(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| bodies::endless_chunks(daemon, scale).await;
    alone(Attack::new("endless chunks", 64), work).await
}

async fn nests(_: Scale) -> Reckoning {
    with_sub_pools(Attack::new("a million brackets", 64), bodies::nests).await
}

async fn forms(_: Scale) -> Reckoning {
    let bodies = bodies::forms();
    let work = async |daemon: &Daemon| bodies::swell(daemon, &bodies).await;
    with_sub_pools(Attack::new("forms of 16 MiB", 192), work).await
}

async fn nothings(_: Scale) -> Reckoning {
    let bodies = bodies::nothings();
    let work = async |daemon: &Daemon| bodies::swell(daemon, &bodies).await;
    with_sub_pools(Attack::new("16 MiB of JSON that say nothing", 192), work).await
}

async fn names(_: Scale) -> Reckoning {
    let bodies = bodies::names();
    let work = async |daemon: &Daemon| bodies::swell(daemon, &bodies).await;
    with_sub_pools(Attack::new("names by the million", 300), work).await
}

async fn duplicates(_: Scale) -> Reckoning {
    let zookeeper = ZooKeeper::shared().await;
    let work = async |daemon: &Daemon| bodies::duplicates(daemon, zookeeper).await;
    alone(Attack::new("duplicate keys", 32), work).await
}

async fn conflicting_lengths(_: Scale) -> Reckoning {
    let zookeeper = ZooKeeper::shared().await;
    let work = async |daemon: &Daemon| bodies::conflicting_lengths(daemon, zookeeper).await;
    alone(Attack::new("conflicting lengths", 32), work).await
}

async fn large_credentials(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| bodies::large_credentials(daemon, scale).await;
    alone(Attack::new("credentials around 64 KiB", 32), work).await
}

async fn forgeries(scale: Scale) -> Reckoning {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[], 5)).await.unwrap();
    let root = format!("/t/{}", unique("hostile"));
    let builder = fields::configured(builder(zookeeper), zookeeper, &upstream, &root).await;
    let work = async |daemon: &Daemon| fields::forge(daemon, &upstream, scale).await;
    besiege(Attack::new("escapes and secrets in every field", 32), builder.start().await, work)
        .await
}

/// On one that serves a list.
async fn listing(attack: Attack, work: impl AsyncFn(&Daemon) -> Sent) -> Reckoning {
    let upstream = Upstream::start(|_| Reply::json(ALICE)).await.unwrap();
    let url = format!("http://{}/", upstream.address());
    let builder = siege::quiet(ZooKeeper::shared().await).set("UserListAPI", json!({"ltc": url}));
    let daemon = builder.set("IntervalSeconds", 1).start().await;
    user_lists::ready(daemon.base()).await;
    besiege(attack, daemon, work).await
}

async fn coins(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| lists::coins(daemon, scale, EMPTY).await;
    listing(Attack::new("coins by the million", 40), work).await
}

async fn paths(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| lists::paths(daemon, scale, ALICE).await;
    listing(Attack::new("paths by the million", 40), work).await
}

/// On one with TLS, whose clients hold one as patient as usual.
async fn with_tls(
    attack: Attack,
    head_timeout: u64,
    work: impl AsyncFn(&Daemon) -> Sent,
) -> Reckoning {
    let builder = builder(ZooKeeper::shared().await).set("APIHeadTimeoutSeconds", head_timeout);
    besiege(attack, builder.secure(&Authority::new("root")).start().await, work).await
}

async fn slow_handshakes(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| handshakes::slow(daemon, scale).await;
    with_tls(Attack::new("handshakes that never end", 64), 2, work).await
}

async fn large_handshakes(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| handshakes::large(daemon, scale).await;
    with_tls(Attack::new("first messages of 60 KB", 128), 2, work).await
}

async fn garbage(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| handshakes::garbage(daemon, scale).await;
    with_tls(Attack::new("garbage instead of TLS", 64), 5, work).await
}

async fn silent_handshakes(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| handshakes::silent(daemon, scale).await;
    with_tls(Attack::new("handshakes without a request", 128), 5, work).await
}

async fn new_keys(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| handshakes::new_keys(daemon, scale).await;
    with_tls(Attack::new("new keys over and over", 64), 5, work).await
}

async fn unread_with_tls(scale: Scale) -> Reckoning {
    let work = async |daemon: &Daemon| connections::unread_refusals(daemon, scale).await;
    with_tls(
        Attack::new("refusals over TLS that nobody reads", 64 + scale.deaf as u64 / 2),
        5,
        work,
    )
    .await
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
    who_reads_no_refusal_is_hung_up_on: unread_refusals,
    who_reads_no_success_is_hung_up_on: unread_successes,
    pipelined_requests_are_answered_in_their_order: pipelines,
    endless_chunks_are_cut_off: endless_chunks,
    a_million_brackets_are_refused_everywhere: nests,
    no_form_swells: forms,
    json_that_says_nothing_does_not_swell: nothings,
    names_by_the_million_swell_within_a_bound: names,
    of_thousands_of_duplicate_keys_the_last_counts: duplicates,
    nothing_is_smuggled_behind_conflicting_lengths: conflicting_lengths,
    credentials_around_64_kib_are_refused: large_credentials,
    no_field_forges_a_line_or_shows_a_secret: forgeries,
    coins_that_there_are_not_leave_nothing_behind: coins,
    paths_that_there_are_not_leave_nothing_behind: paths,
    many_handshakes_that_never_end_harm_nobody: slow_handshakes,
    many_large_first_messages_harm_nobody: large_handshakes,
    garbage_instead_of_tls_is_hung_up_on: garbage,
    many_handshakes_without_a_request_harm_nobody: silent_handshakes,
    who_wants_new_keys_over_and_over_is_hung_up_on: new_keys,
    who_reads_no_refusal_over_tls_is_hung_up_on: unread_with_tls,
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
async fn a_longer_siege_prints_its_results() {
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
        slow_heads slow_second_heads slow_bodies slow_strangers idle unread_refusals unread_successes pipelines endless_chunks nests
        forms nothings names duplicates conflicting_lengths large_credentials forgeries coins
        paths slow_handshakes large_handshakes garbage silent_handshakes new_keys unread_with_tls
    );
    all.iter().for_each(Reckoning::assert_harmless);
}

//! The Registrar with a backend on loopback, and actors that stand for `ZkWriter` and `UserLists`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use actix::Addr;
use slog::{Discard, o};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, timeout},
};

use super::*;
use crate::{
    domain::{Coins, ZnodeDir},
    upstream::UpstreamUrl,
    user_lists::{Registered, Settle},
    zk::Watch,
    zk_writer::{ConfirmElection, DeleteRequest, Election, ElectionLock},
};

/// Time for a request to the backend.
const TIMEOUT: Duration = Duration::from_secs(1);

/// State of the simulated ZooKeeper: its znodes, its refusals, and the events in order.
#[derive(Default)]
struct World {
    requests: BTreeSet<String>,
    watches: Vec<watch::Sender<()>>,
    refused_deletions: usize,
    refused_settlements: usize,
    events: Vec<String>,
    posting: usize,
    /// The other daemon that registers.
    other: Option<String>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<World>>);

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    fn request(&self, names: impl IntoIterator<Item = String>) {
        let mut world = self.world();
        world.requests.extend(names);
        world.watches.clear();
    }

    fn event(&self, event: String) {
        self.world().events.push(event);
    }

    fn count(&self, event: &str) -> usize {
        self.world().events.iter().filter(|it| it.starts_with(event)).count()
    }

    async fn until(&self, event: &str, count: usize) {
        let happened = async {
            while self.count(event) < count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = timeout(Duration::from_secs(60), happened).await;
        assert!(in_time.is_ok(), "{event}: {:?}", self.world().events);
    }
}

impl Actor for Shared {
    type Context = Context<Self>;
}

impl Handler<WatchRequests> for Shared {
    type Result = ();

    fn handle(&mut self, WatchRequests { reply, .. }: WatchRequests, _: &mut Self::Context) {
        let (firing, changed) = Watch::test();
        let mut world = self.world();
        if let Some(holder) = world.other.clone() {
            reply.send(RequestsSeen::Standby { holder }).unwrap();
            return;
        }
        world.watches.push(firing);
        let names = world.requests.iter().cloned().collect();
        reply.send(RequestsSeen::Requests { names, changed }).unwrap();
    }
}

impl Handler<ConfirmElection> for Shared {
    type Result = ();

    fn handle(&mut self, ConfirmElection { reply, .. }: ConfirmElection, _: &mut Self::Context) {
        let mut world = self.world();
        world.events.push("confirmed".to_owned());
        let holder = world.other.clone();
        let election = holder.map_or(Election::Ours, |holder| Election::Standby { holder });
        reply.send(election).unwrap();
    }
}

impl Handler<DeleteRequest> for Shared {
    type Result = ();

    fn handle(&mut self, DeleteRequest { path, reply }: DeleteRequest, _: &mut Self::Context) {
        let mut world = self.world();
        let name = path.strip_prefix("/reg/").unwrap();
        if world.refused_deletions > 0 {
            world.refused_deletions -= 1;
            world.events.push(format!("not deleted {name}"));
            reply.send(Err("refused".to_owned())).unwrap();
            return;
        }
        world.requests.remove(name);
        world.watches.clear();
        world.events.push(format!("deleted {name}"));
        reply.send(Ok(())).unwrap();
    }
}

impl Handler<Registered> for Shared {
    type Result = ();

    fn handle(&mut self, Registered { coin, name, puid }: Registered, _: &mut Self::Context) {
        self.event(format!("listed {name} {coin} {puid}"));
    }
}

impl Handler<Settle> for Shared {
    type Result = ();

    fn handle(&mut self, Settle { name, reply, .. }: Settle, _: &mut Self::Context) {
        let mut world = self.world();
        if world.refused_settlements > 0 {
            world.refused_settlements -= 1;
            world.events.push(format!("not settled {name}"));
            reply.send(Err("refused".to_owned())).unwrap();
            return;
        }
        world.events.push(format!("settled {name}"));
        reply.send(Ok(())).unwrap();
    }
}

/// Answers each POST: names that begin with `bad` are refused, with `hang` never answered.
async fn serve(mut stream: TcpStream, shared: Shared) {
    let mut request = String::new();
    while !request.ends_with("}\n") {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        request.push_str(str::from_utf8(&bytes[..count]).unwrap());
    }
    let name = request.split("\"name\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    {
        let mut world = shared.world();
        world.events.push(format!("posted {name}"));
        world.posting += 1;
        assert_eq!(world.posting, 1, "one request at a time");
    }
    if name.starts_with("hang") {
        // The client gives up.
        let _ = stream.read(&mut [0; 1]).await;
        shared.world().posting -= 1;
        return;
    }
    let puid = if name.starts_with("bad") { 0 } else { 7 };
    let body = format!("{{\"status\":\"x\",\"message\":\"y\",\"data\":{{\"puid\":{puid}}}}}");
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    shared.world().posting -= 1;
    stream.write_all(answer.as_bytes()).await.unwrap();
}

async fn start(shared: &Shared, wait: Duration) -> Addr<Registrar> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/autoreg", listener.local_addr().unwrap());
    let serving = shared.clone();
    actix_rt::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            actix_rt::spawn(serve(stream, serving.clone()));
        }
    });
    let settings = RegistrationSettings {
        dir: ZnodeDir::parse("/reg").unwrap(),
        lock: ElectionLock {
            path: ZnodeDir::parse("/held/registrar").unwrap(),
            holder: "x".to_owned(),
        },
        url: Some(UpstreamUrl::parse(&url).unwrap()),
        credentials: None,
        post_data: BTreeMap::from([("name".to_owned(), "{sub_name}".to_owned())]),
        default_coin: Coins::new(&["btc"]).unwrap().get("btc").cloned(),
        wait,
        timeout: TIMEOUT,
        parallel: 1,
    };
    let other = shared.clone().start();
    let to_writer = ToZkWriter {
        watch: other.clone().recipient(),
        confirm: other.clone().recipient(),
        delete: other.clone().recipient(),
    };
    let to_lists = ToUserLists { registered: other.clone().recipient(), settle: other.recipient() };
    let log = Logger::root(Discard, o!());
    Registrar::new(settings, to_writer, Some(to_lists), &Metrics::unwatched(), &log).start()
}

fn names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("n{number}"))
}

#[actix_rt::test]
async fn waits_overlap_and_each_name_is_posted_once() {
    let shared = Shared::default();
    shared.request(names(25));
    start(&shared, Duration::from_secs(2)).await;
    shared.request(names(50));
    shared.until("deleted", 50).await;
    sleep(LIST_PAUSE * 5).await;
    assert_eq!((shared.count("posted"), shared.count("deleted")), (50, 50));
    let world = shared.world();
    let first_settled = world.events.iter().position(|it| it.starts_with("settled")).unwrap();
    let before = &world.events[..first_settled];
    assert!(before.iter().filter(|it| it.starts_with("listed")).count() > 1, "{before:?}");
}

#[actix_rt::test]
async fn steps_come_in_order() {
    let shared = Shared::default();
    start(&shared, Duration::ZERO).await;
    shared.request(["alice".to_owned()]);
    shared.until("deleted", 1).await;
    let expected =
        ["confirmed", "posted alice", "listed alice btc 7", "settled alice", "deleted alice"];
    assert_eq!(shared.world().events, expected);
}

#[actix_rt::test]
async fn a_name_that_the_backend_refuses_is_deleted_at_once() {
    let shared = Shared::default();
    start(&shared, Duration::from_secs(3600)).await;
    shared.request(["bad".to_owned()]);
    shared.until("deleted", 1).await;
    assert_eq!(shared.world().events, ["confirmed", "posted bad", "deleted bad"]);
}

#[actix_rt::test]
async fn a_backend_that_hangs_fails_one_name_and_no_other() {
    let shared = Shared::default();
    start(&shared, Duration::ZERO).await;
    shared.request(["hang".to_owned(), "next".to_owned()]);
    shared.until("deleted", 2).await;
    assert!(shared.count("listed hang") == 0 && shared.count("settled next") == 1);
    assert_eq!(shared.count("posted"), 2);
}

#[actix_rt::test]
async fn zookeeper_is_asked_again_and_the_backend_is_not() {
    let shared = Shared::default();
    shared.world().refused_settlements = 2;
    shared.world().refused_deletions = 2;
    start(&shared, Duration::ZERO).await;
    shared.request(["alice".to_owned()]);
    shared.until("deleted", 1).await;
    let expected = [
        "confirmed",
        "posted alice",
        "listed alice btc 7",
        "not settled alice",
        "not settled alice",
        "settled alice",
        "not deleted alice",
        "not deleted alice",
        "deleted alice",
    ];
    assert_eq!(shared.world().events, expected);
}

#[actix_rt::test]
async fn a_name_that_no_sub_account_can_have_is_deleted_and_not_posted() {
    let shared = Shared::default();
    start(&shared, Duration::ZERO).await;
    let long = "x".repeat(201);
    shared.request([long.clone()]);
    shared.until("deleted", 1).await;
    assert_eq!(shared.world().events, [format!("deleted {long}")]);
}

#[actix_rt::test]
async fn a_request_that_is_written_again_after_its_end_is_a_new_one() {
    let shared = Shared::default();
    start(&shared, Duration::ZERO).await;
    for round in 1..=3 {
        shared.request(["alice".to_owned()]);
        shared.until("deleted", round).await;
    }
    assert_eq!(shared.count("posted"), 3);
}

#[actix_rt::test]
async fn a_stopped_registrar_leaves_the_requests() {
    let shared = Shared::default();
    let registrar = start(&shared, Duration::from_millis(300)).await;
    shared.request(["alice".to_owned()]);
    shared.until("listed", 1).await;
    registrar.send(StopRegistering).await.unwrap();
    sleep(Duration::from_millis(600)).await;
    assert_eq!((shared.count("settled"), shared.count("deleted")), (0, 0));
}

#[actix_rt::test]
async fn a_standby_posts_nothing_until_the_other_daemon_has_surely_ended_its_post() {
    let shared = Shared::default();
    shared.world().other = Some("the other".to_owned());
    start(&shared, Duration::ZERO).await;
    shared.request(["alice".to_owned()]);
    sleep(STANDBY_PAUSE * 3 / 2).await;
    assert!(shared.world().events.is_empty());
    shared.world().other = None;
    shared.world().watches.clear();
    let took_over = Instant::now();
    shared.until("deleted", 1).await;
    assert!(took_over.elapsed() >= TIMEOUT);
}

/// The turn of `next` comes after the loss of the lock.
#[actix_rt::test]
async fn a_daemon_that_has_lost_the_lock_posts_nothing_more() {
    let shared = Shared::default();
    start(&shared, Duration::ZERO).await;
    shared.request(["hang".to_owned(), "next".to_owned()]);
    shared.until("posted hang", 1).await;
    shared.world().other = Some("the other".to_owned());
    shared.until("confirmed", 2).await;
    sleep(LIST_PAUSE * 5).await;
    assert_eq!((shared.count("posted next"), shared.count("deleted next")), (0, 0));
    shared.world().other = None;
    shared.world().watches.clear();
    shared.until("deleted next", 1).await;
}

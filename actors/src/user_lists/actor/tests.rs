//! Pulls with a backend on loopback, and an actor that stands for `ZkWriter`.

use std::sync::{Arc, Mutex};

use slog::{Discard, Logger, o};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{
    domain::Coins,
    user_lists::{ListAnswer, Listed},
    zk_writer::{FirstCoins, FirstCoinsEnd, ListMark, ListMarks, NotCreated, WriteMarks},
};

/// State of the simulated `ZkWriter`: the messages that it got, and how many it refuses first.
#[derive(Default)]
struct Written {
    created: Vec<String>,
    indexed: Vec<String>,
    refusals: usize,
    /// An entry that is not created, and why.
    faulty: Option<(&'static str, NotCreated)>,
    marks: ListMarks,
    /// An index entry that is not created.
    not_indexed: Option<&'static str>,
}

struct FakeWriter(Arc<Mutex<Written>>);

impl Actor for FakeWriter {
    type Context = Context<Self>;
}

impl Handler<ReadMarks> for FakeWriter {
    type Result = ();

    fn handle(&mut self, message: ReadMarks, _: &mut Self::Context) {
        let marks = self.0.lock().unwrap().marks.clone();
        message.reply.send(Ok(vec![marks; message.coins.len()])).unwrap();
    }
}

impl Handler<WriteMarks> for FakeWriter {
    type Result = ();

    fn handle(&mut self, message: WriteMarks, _: &mut Self::Context) {
        self.0.lock().unwrap().marks = message.marks;
        let _ = message.reply.send(Ok(()));
    }
}

impl Handler<FirstCoins> for FakeWriter {
    type Result = ();

    fn handle(&mut self, message: FirstCoins, _: &mut Self::Context) {
        let mut written = self.0.lock().unwrap();
        if written.refusals > 0 {
            written.refusals -= 1;
            let _ = message.reply.send(Err("away".to_owned()));
            return;
        }
        let mut end = FirstCoinsEnd::default();
        for (place, entry) in message.entries.into_iter().enumerate() {
            let name = entry.puname.as_str().to_owned();
            if let Some((faulty, fault)) = &written.faulty
                && *faulty == name
            {
                end.ends.push(Err(fault.clone()));
                continue;
            }
            if let Some(index_name) = entry.index_name {
                if written.not_indexed.is_some_and(|it| it == "*" || it == index_name.as_str()) {
                    end.not_indexed.push(place);
                    end.index_fault = Some("an ACL".to_owned());
                } else {
                    written.indexed.push(format!("{}={name}", index_name.as_str()));
                }
            }
            written.created.push(format!("{name}={}", message.coin));
            end.ends.push(Ok(()));
        }
        let _ = message.reply.send(Ok(end));
    }
}

/// A backend that sends the same list always; returns its port and the targets that it was asked for.
async fn backend(data: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    backend_until(data, usize::MAX, true).await
}

/// A backend that answers so many requests, and then either hangs or closes each connection.
async fn backend_until(
    data: &'static str,
    answers: usize,
    hangs: bool,
) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<_>>>::default());
    let targets = Arc::clone(&asked);
    actix_rt::spawn(async move {
        let mut hanging = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            targets.lock().unwrap().push(head.split(' ').nth(1).unwrap_or_default().to_owned());
            if targets.lock().unwrap().len() > answers {
                hanging.extend(hangs.then_some(stream));
                continue;
            }
            let body = format!("{{\"err_no\":0,\"err_msg\":null,\"data\":{data}}}");
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes()).await;
        }
    });
    (port, asked)
}

fn start(
    ports: &[(&str, u16)],
    written: &Arc<Mutex<Written>>,
) -> (Listings, actix::Addr<UserLists>) {
    let lists = ports.iter().map(|(coin, port)| {
        let coin = Coins::new(&[*coin]).unwrap().get(coin).unwrap().clone();
        (coin, UpstreamUrl::parse(&format!("http://127.0.0.1:{port}/l?k=v")).unwrap())
    });
    let dir = |text: &str| ZnodeDir::parse(text).unwrap();
    let settings = UserListSettings {
        lists: lists.collect(),
        interval: Duration::from_millis(50),
        fetch_timeout: Duration::from_secs(60),
        body_limit: 1 << 20,
        lower_case: false,
        index: Some(dir("/case")),
    };
    let listings = Listings::of(settings.lists.iter().map(|it| it.0.clone()), false);
    let writer = FakeWriter(Arc::clone(written)).start();
    let to = ListsToZkWriter {
        first_coins: writer.clone().recipient(),
        read_marks: writer.clone().recipient(),
        write_marks: writer.recipient(),
    };
    let log = Logger::root(Discard, o!());
    let (of_all, marks, metrics) = (listings.clone(), dir("/held/lists"), Metrics::unwatched());
    (listings, UserLists::new(settings, marks, of_all, to, &metrics, &log).start())
}

async fn until(is_it: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_it() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came");
}

fn served(listings: &Listings, coin: &str) -> Option<String> {
    match listings.answer(Some(coin), 0) {
        ListAnswer::NotReady => None,
        ListAnswer::List(list) => {
            Some(String::from_utf8_lossy(&list.parts.concat()[35..]).into_owned())
        }
    }
}

#[actix_rt::test]
async fn a_pull_that_zookeeper_interrupts_is_made_again_from_the_same_puid() {
    let (port, asked) = backend("{\"bob_btc\":2,\"Alice\":1,\"ALICE\":3}").await;
    let written = Arc::new(Mutex::new(Written { refusals: 2, ..Written::default() }));
    let (listings, _actor) = start(&[("btc", port)], &written);
    until(|| asked.lock().unwrap().len() >= 5).await;
    assert_eq!(asked.lock().unwrap()[..3], ["/l?k=v&last_id=0"; 3]);
    assert_eq!(asked.lock().unwrap()[4], "/l?k=v&last_id=3");
    assert_eq!(served(&listings, "btc").unwrap(), "\"Alice\":1,\"bob\":2,\"ALICE\":3}}");
    let written = written.lock().unwrap();
    assert_eq!(written.created, ["Alice=btc", "bob=btc", "ALICE=btc"], "each once");
    assert_eq!(
        written.indexed,
        ["alice=Alice", "bob=bob"],
        "the smallest puid has the index entry"
    );
    assert_eq!(written.marks.since(4), None);
    assert!(written.marks.since(3).is_some());
}

#[actix_rt::test]
async fn no_puid_is_listed_before_each_smaller_one_is_settled() {
    let (port, asked) = backend("{\"a\":1,\"b\":2,\"c\":3}").await;
    let faulty = Some(("b", NotCreated::Open("away".to_owned())));
    let written = Arc::new(Mutex::new(Written { faulty, ..Written::default() }));
    let (listings, _actor) = start(&[("btc", port)], &written);
    until(|| asked.lock().unwrap().len() >= 3).await;
    assert!(served(&listings, "btc").is_none(), "the first pull is not settled");
    let coin = Coins::new(&["btc"]).unwrap().get("btc").unwrap().clone();
    assert_eq!((listings.name(&coin, 1).as_deref(), listings.size(&coin).entries), (Some("a"), 1));
    written.lock().unwrap().faulty = None;
    until(|| served(&listings, "btc").is_some()).await;
    assert_eq!(listings.size(&coin).entries, 3);
}

#[actix_rt::test]
async fn a_refused_first_coin_holds_no_list_back_and_is_tried_again() {
    let (port, asked) = backend("{\"a\":1,\"b\":2,\"c\":3}").await;
    let faulty = Some(("b", NotCreated::Refused("an ACL".to_owned())));
    let written = Arc::new(Mutex::new(Written { faulty, ..Written::default() }));
    let (listings, _actor) = start(&[("btc", port)], &written);
    until(|| served(&listings, "btc").is_some()).await;
    assert_eq!(served(&listings, "btc").unwrap(), "\"a\":1,\"b\":2,\"c\":3}}");
    until(|| asked.lock().unwrap().len() >= 3).await;
    assert_eq!(asked.lock().unwrap()[2], "/l?k=v&last_id=0");
    assert_eq!(written.lock().unwrap().created, ["a=btc", "c=btc"]);
    written.lock().unwrap().faulty = None;
    until(|| asked.lock().unwrap().iter().any(|it| it == "/l?k=v&last_id=3")).await;
    assert_eq!(written.lock().unwrap().created, ["a=btc", "c=btc", "b=btc"]);
}

fn marks<const N: usize>(marks: [(u32, u64); N]) -> ListMarks {
    let mut all = ListMarks::default();
    for (last_id, at) in marks {
        assert!(all.add(ListMark { last_id, at }, 60));
    }
    all
}

#[actix_rt::test]
async fn a_refused_index_entry_holds_nothing_back_and_is_tried_again() {
    let (port, asked) = backend("{\"a\":1,\"Bob\":2,\"BOB\":3}").await;
    let written = Arc::new(Mutex::new(Written { not_indexed: Some("bob"), ..Written::default() }));
    let (listings, _actor) = start(&[("btc", port)], &written);
    until(|| asked.lock().unwrap().len() >= 3).await;
    assert_eq!(asked.lock().unwrap()[1..3], ["/l?k=v&last_id=3"; 2]);
    assert_eq!(served(&listings, "btc").unwrap(), "\"a\":1,\"Bob\":2,\"BOB\":3}}");
    written.lock().unwrap().not_indexed = None;
    until(|| written.lock().unwrap().indexed.len() >= 2).await;
    let pulls = asked.lock().unwrap().len();
    until(|| asked.lock().unwrap().len() >= pulls + 2).await;
    assert_eq!(written.lock().unwrap().indexed, ["a=a", "bob=Bob"], "each once");
}

/// More than are tried at a time.
#[actix_rt::test]
async fn all_refused_index_entries_are_tried_again_in_one_pull() {
    let names = (1..=1200).map(|puid| format!("\"u{puid}\":{puid}")).collect::<Vec<_>>().join(",");
    let (port, asked) = backend(format!("{{{names}}}").leak()).await;
    let written = Arc::new(Mutex::new(Written { not_indexed: Some("*"), ..Written::default() }));
    let (_listings, _actor) = start(&[("btc", port)], &written);
    until(|| asked.lock().unwrap().len() >= 3).await;
    assert!(written.lock().unwrap().indexed.is_empty());
    written.lock().unwrap().not_indexed = None;
    let pulls = asked.lock().unwrap().len();
    until(|| asked.lock().unwrap().len() >= pulls + 2).await;
    assert_eq!(written.lock().unwrap().indexed.len(), 1200);
}

#[actix_rt::test]
async fn a_restart_makes_no_sub_account_new() {
    let (port, _) = backend("{\"a\":1,\"b\":2,\"c\":3}").await;
    let marks = marks([(1, 7), (2, 9)]);
    let written = Arc::new(Mutex::new(Written { marks, ..Written::default() }));
    let (listings, _actor) = start(&[("btc", port)], &written);
    until(|| served(&listings, "btc").is_some()).await;
    let coin = Coins::new(&["btc"]).unwrap().get("btc").unwrap().clone();
    assert_eq!(listings.find(&coin, "a"), Listed::Since(7));
    assert_eq!(listings.find(&coin, "b"), Listed::Since(9), "listed later than the first mark");
    assert!(matches!(listings.find(&coin, "c"), Listed::Since(at) if at > 9));
}

#[actix_rt::test]
async fn a_mark_from_the_future_counts_as_the_time_of_the_pull() {
    let (port, _) = backend("{\"a\":1}").await;
    let marks = marks([(1, u64::from(u32::MAX))]);
    let written = Arc::new(Mutex::new(Written { marks, ..Written::default() }));
    let (listings, _actor) = start(&[("btc", port)], &written);
    until(|| served(&listings, "btc").is_some()).await;
    let coin = Coins::new(&["btc"]).unwrap().get("btc").unwrap().clone();
    let now = super::super::pull::now();
    assert!(matches!(listings.find(&coin, "a"), Listed::Since(at) if at <= now));
}

#[actix_rt::test]
async fn the_first_list_decides_the_first_coin() {
    let ((one, _), (two, _)) = (backend("{\"a\":1}").await, backend("{\"a\":5}").await);
    let written = Arc::default();
    let (listings, _actor) = start(&[("ltc", one), ("btc", two)], &written);
    until(|| served(&listings, "btc").is_some() && served(&listings, "ltc").is_some()).await;
    assert_eq!(written.lock().unwrap().created, ["a=ltc", "a=btc"]);
}

fn registered(name: &str, puid: u32) -> Registered {
    let coin = Coins::new(&["btc"]).unwrap().get("btc").unwrap().clone();
    Registered { coin, name: name.to_owned(), puid }
}

#[actix_rt::test]
async fn a_registered_sub_account_that_the_upstream_lacks_enters_the_list_with_the_next_pull() {
    let (port, _) = backend("{\"a\":1}").await;
    let (listings, actor) = start(&[("btc", port)], &Arc::default());
    until(|| served(&listings, "btc").is_some()).await;
    actor.send(registered("carol", 7)).await.unwrap();
    actor.send(registered("bob", 5)).await.unwrap();
    until(|| served(&listings, "btc").unwrap() == "\"a\":1,\"bob\":5,\"carol\":7}}").await;
}

/// A backend that ignores case answers the name of any spelling with the same puid.
#[actix_rt::test]
async fn a_registration_never_replaces_a_listed_name() {
    let (port, asked) = backend("{\"a\":1}").await;
    let (listings, actor) = start(&[("btc", port)], &Arc::default());
    until(|| served(&listings, "btc").is_some()).await;
    for (name, puid) in [("A", 1), ("second", 7), ("bob", 5), ("first", 7), ("bob", 5)] {
        actor.send(registered(name, puid)).await.unwrap();
    }
    let pulls = asked.lock().unwrap().len();
    until(|| asked.lock().unwrap().len() >= pulls + 3).await;
    assert_eq!(served(&listings, "btc").unwrap(), "\"a\":1,\"bob\":5,\"second\":7}}");
}

/// sserver never asks again for a puid below the largest that it has seen.
#[actix_rt::test]
async fn a_registered_sub_account_never_enters_a_list_that_may_lack_smaller_puids() {
    let coin = registered("", 0).coin;
    let mut lists = Vec::new();
    for hangs in [true, false] {
        let (port, asked) = backend_until("{\"a\":1}", 1, hangs).await;
        let (listings, actor) = start(&[("btc", port)], &Arc::default());
        until(|| asked.lock().unwrap().len() >= 2).await;
        lists.push((listings, actor, 1));
    }
    let (refusing, _) = backend("{\"a\":1,\"b\":2}").await;
    let written = Arc::new(Mutex::new(Written { refusals: usize::MAX, ..Written::default() }));
    let (interrupted, actor) = start(&[("btc", refusing)], &written);
    lists.push((interrupted.clone(), actor, 0));
    for (_, actor, _) in &lists {
        actor.send(registered("carol", 7)).await.unwrap();
    }
    sleep(Duration::from_secs(3)).await;
    for (listings, _, length) in &lists {
        assert_eq!(listings.size(&coin).entries, *length);
    }
    written.lock().unwrap().refusals = 0;
    until(|| interrupted.size(&coin).entries == 3).await;
}

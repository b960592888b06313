//! The rules of the lanes.

use std::time::Duration;

use tokio::sync::oneshot;

use super::*;
use crate::{
    ack_waiter::ExchangeReply,
    domain::{Coinbase, RequestId, Source},
};

type Answer = oneshot::Receiver<ExchangeReply>;

struct Fixture {
    lanes: Lanes,
    now: Instant,
}

fn pool(name: &str) -> SubPool {
    SubPool::parse("btc", name).unwrap()
}

fn update(info: &str) -> CoinbaseAction {
    let coinbase = Coinbase { coinbase_info: info.to_owned(), payout_addr: "addr".to_owned() };
    CoinbaseAction::Update(CoinbaseUpdate::new(&pool("a"), coinbase, 30).unwrap())
}

impl Fixture {
    fn new(limit: usize) -> Self {
        Self { lanes: Lanes::new(limit), now: Instant::now() }
    }

    /// Asks, with a deadline so many seconds from now.
    fn ask(&mut self, name: &str, ask: CoinbaseAction, seconds: u64) -> Option<Answer> {
        let (reply, answer) = oneshot::channel();
        let caller = Caller { source: Source::api(None, RequestId(1)), reply };
        let ask = CoinbaseRequest { sub_pool: pool(name), action: ask, caller };
        let is_taken = !self.lanes.is_full();
        if is_taken {
            self.lanes.accept(ask, self.now + Duration::from_secs(seconds));
        }
        is_taken.then_some(answer)
    }

    /// The text that the next exchange asks for, and how many gets share it.
    fn begin(&mut self, name: &str) -> Option<(Option<String>, usize)> {
        let turn = self.lanes.begin(&pool(name)).0?;
        let info = |(_, update): (Caller, CoinbaseUpdate)| update.coinbase().coinbase_info.clone();
        Some((turn.update.map(info), turn.gets.len()))
    }
}

fn text(info: &str) -> Option<String> {
    Some(info.to_owned())
}

#[test]
fn updates_come_in_order_one_at_a_time_and_gets_share_the_next_exchange() {
    let mut it = Fixture::new(100);
    let mut answers = vec![it.ask("a", update("1"), 5), it.ask("a", update("2"), 5)];
    answers.extend((0..3).map(|_| it.ask("a", CoinbaseAction::Get, 5)));
    assert_eq!(it.begin("a"), Some((text("1"), 3)));
    answers.push(it.ask("a", CoinbaseAction::Get, 5));
    assert_eq!(it.begin("a"), None, "one exchange at a time");
    it.lanes.finish(&pool("a"));
    assert_eq!(it.begin("a"), Some((text("2"), 1)));
    it.lanes.finish(&pool("a"));
    assert_eq!(it.begin("a"), None);
    assert!(it.lanes.is_empty());
    assert!(answers.iter().all(Option::is_some));
}

#[test]
fn sub_pools_do_not_wait_for_each_other() {
    let mut it = Fixture::new(100);
    let _answers = [it.ask("a", update("1"), 5), it.ask("b", CoinbaseAction::Get, 5)];
    assert_eq!(it.begin("a"), Some((text("1"), 0)));
    assert_eq!(it.lanes.idle(), [pool("b")]);
    assert_eq!(it.begin("b"), Some((None, 1)));
    assert!(!it.lanes.is_empty());
}

#[test]
fn who_is_gone_is_left_out() {
    let mut it = Fixture::new(100);
    drop(it.ask("a", update("gone"), 5));
    drop(it.ask("a", CoinbaseAction::Get, 5));
    let _answer = it.ask("a", update("here"), 5);
    let (turn, gone) = it.lanes.begin(&pool("a"));
    let turn = turn.unwrap();
    assert_eq!(turn.update.unwrap().1.coinbase().coinbase_info, "here");
    assert_eq!((turn.gets.len(), gone.len()), (0, 1));
    it.lanes.finish(&pool("a"));
    assert!(it.lanes.is_empty());

    drop(it.ask("a", CoinbaseAction::Get, 5));
    assert!(it.lanes.begin(&pool("a")).0.is_none());
    assert!(it.lanes.is_empty(), "nobody is left");
}

#[test]
fn what_waits_is_bounded_in_number() {
    let mut it = Fixture::new(2);
    let _answers = [it.ask("a", CoinbaseAction::Get, 5), it.ask("b", update("1"), 5)];
    assert!(it.ask("c", CoinbaseAction::Get, 5).is_none());
    assert_eq!(it.begin("a"), Some((None, 1)));
    assert!(it.ask("c", CoinbaseAction::Get, 5).is_some(), "an exchange that began does not wait");
}

#[test]
fn what_waits_is_bounded_in_time() {
    let mut it = Fixture::new(100);
    let _begun = it.ask("a", update("0"), 1);
    assert!(it.begin("a").is_some());
    let _answers = [
        it.ask("a", update("1"), 1),
        it.ask("a", CoinbaseAction::Get, 1),
        it.ask("a", update("2"), 9),
    ];
    let later = it.now + Duration::from_secs(2);
    let expired = it.lanes.expire(Some(later));
    assert_eq!((expired.updates.len(), expired.gets.len()), (1, 1));
    assert_eq!(expired.updates[0].update.coinbase().coinbase_info, "1");
    let rest = it.lanes.expire(None);
    assert_eq!((rest.updates.len(), rest.gets.len()), (1, 0));
    assert!(!it.lanes.is_empty(), "an exchange is under way");
    it.lanes.finish(&pool("a"));
    assert!(it.lanes.is_empty());
}

//! Deadlines and endings, in virtual time.

use std::time::Duration;

use actix::{Addr, System};
use slog::{Discard, o};
use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    time,
};

use super::*;
use crate::{
    ack_waiter::{
        attribution::Sighting,
        messages::{Caller, ExchangeFailure, ExchangeReply, Turn},
    },
    domain::{Coinbase, CoinbaseUpdate, RequestId, Source, SubPool},
    zk::{Mark, Revision, WriteError, Zxid},
};

const ACK_TIMEOUT: Duration = Duration::from_secs(5);
const ID: ExchangeId = ExchangeId(7);

/// An exchange of an update and a get, and an actor that expects it.
struct Fixture {
    waiter: Addr<AckWaiter>,
    update: oneshot::Receiver<ExchangeReply>,
    get: oneshot::Receiver<ExchangeReply>,
    over: oneshot::Receiver<()>,
    began: Instant,
}

impl Fixture {
    async fn new() -> Self {
        time::pause();
        let waiter = AckWaiter::new(&Metrics::unwatched(), &Logger::root(Discard, o!())).start();
        let sub_pool = SubPool::parse("btc", "pool3").unwrap();
        let coinbase = Coinbase { coinbase_info: "new".into(), payout_addr: "addr".into() };
        let asked = CoinbaseUpdate::new(&sub_pool, coinbase, 30).unwrap();
        let (caller, update) = caller();
        let (reader, get) = self::caller();
        let turn = Turn { sub_pool, update: Some((caller, asked)), gets: vec![reader] };
        let (over_sender, over) = oneshot::channel();
        let expect = Expect { id: ID, turn, ack_timeout: ACK_TIMEOUT, over: over_sender };
        waiter.send(expect).await.unwrap();
        Self { waiter, update, get, over, began: Instant::now() }
    }

    async fn report(&self, event: Event) -> Next {
        self.waiter.send(Report { id: ID, event }).await.unwrap()
    }

    async fn write(&self, version: i32) {
        assert_eq!(self.report(Event::Sending).await, Next::Wait);
        let mark = Mark { revision: Revision::test(1, version), zxid: Zxid::test(10) };
        assert_eq!(self.report(Event::Written(mark)).await, Next::Wait);
    }

    /// Both callers get this failure after this time, and the exchange ends.
    async fn both_fail(mut self, failure: ExchangeFailure, after: Duration) {
        assert_eq!((&mut self.update).await.unwrap(), Err(failure.clone()));
        assert_eq!((&mut self.get).await.unwrap(), Err(failure));
        let took = self.began.elapsed();
        assert!(took >= after && took < after + Duration::from_millis(10), "{took:?}");
        assert!(self.over.await.is_err(), "the sender's drop ends the task");
        let late = self.waiter.send(Report { id: ID, event: Event::Sending }).await.unwrap();
        assert_eq!(late, Next::Over, "nothing more may be written");
    }
}

fn caller() -> (Caller, oneshot::Receiver<ExchangeReply>) {
    let (reply, answer) = oneshot::channel();
    (Caller { source: Source::api(None, RequestId(1)), reply }, answer)
}

fn seen(zxid: i64, json: &str) -> Event {
    Event::Seen(Sighting {
        zxid: Zxid::test(zxid),
        ack: crate::ack_waiter::Ack::parse(json.as_bytes()),
        request: Some(Revision::test(1, 5)),
    })
}

fn run(test: impl Future<Output = ()>) {
    System::new().block_on(test);
}

#[test]
fn a_request_that_cannot_be_read_in_time_leaves_nothing_written() {
    run(async {
        let failure = ExchangeFailure::NotRead("no answer from ZooKeeper in time".to_owned());
        Fixture::new().await.both_fail(failure, ACK_TIMEOUT).await;
    });
}

#[test]
fn the_time_for_an_ack_begins_when_the_request_is_sent_for_the_first_time() {
    run(async {
        let it = Fixture::new().await;
        time::sleep(Duration::from_secs(2)).await;
        it.write(5).await;
        time::sleep(Duration::from_secs(4)).await;
        it.write(6).await;
        it.both_fail(ExchangeFailure::TimedOut, Duration::from_secs(2) + ACK_TIMEOUT).await;
    });
}

#[test]
fn a_get_is_answered_by_an_ack_that_leaves_the_update_open() {
    run(async {
        let mut it = Fixture::new().await;
        it.write(5).await;
        let refused = r#"{"success":false,"old":{"coinbase_info":"o","payout_addr":"p"}}"#;
        assert_eq!(it.report(seen(11, refused)).await, Next::Provoke);
        let answer = (&mut it.get).await.unwrap().unwrap();
        assert_eq!((answer.success, &*answer.old.coinbase_info), (false, "o"));
        assert_eq!(it.update.try_recv(), Err(TryRecvError::Empty));
        let granted = r#"{"success":true,"old":{"coinbase_info":"o","payout_addr":"p"},
            "new":{"coinbase_info":"new","payout_addr":"addr"}}"#;
        assert_eq!(it.report(seen(12, granted)).await, Next::Over);
        assert!((&mut it.update).await.unwrap().unwrap().success);
    });
}

#[test]
fn a_connection_that_ends_before_the_request_was_sent_leaves_nothing_written() {
    run(async {
        let it = Fixture::new().await;
        it.report(Event::CutOff("gone".to_owned())).await;
        it.both_fail(ExchangeFailure::NotRead("gone".to_owned()), Duration::ZERO).await;
    });
}

#[test]
fn a_connection_that_ends_later_leaves_the_outcome_unknown() {
    run(async {
        let it = Fixture::new().await;
        it.report(Event::Sending).await;
        it.report(Event::CutOff("gone".to_owned())).await;
        it.both_fail(ExchangeFailure::Unknown("gone".to_owned()), Duration::ZERO).await;
    });
}

#[test]
fn a_refusal_to_write_again_does_not_mean_that_nothing_was_written() {
    run(async {
        let mut it = Fixture::new().await;
        it.write(5).await;
        let refused = WriteError::Refused("no rights".to_owned());
        assert_eq!(it.report(Event::NotWritten(refused)).await, Next::Over);
        let failure = (&mut it.update).await.unwrap();
        assert!(matches!(failure, Err(ExchangeFailure::Unknown(_))), "{failure:?}");
    });
}

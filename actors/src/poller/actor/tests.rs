//! When polls begin, in virtual time.

use actix::Addr;
use slog::Discard;
use tokio::{sync::mpsc, time};

use super::*;
use crate::{
    domain::{Coins, SwitchRules},
    upstream::UpstreamUrl,
    zk_writer::{BeginPoll, PollTurn, SyncBatch},
};

/// Answers each beginning of a poll with the next of `turns`, and reports the time.
struct Turns {
    turns: Vec<PollTurn>,
    asked: mpsc::UnboundedSender<Instant>,
}

impl Actor for Turns {
    type Context = Context<Self>;
}

impl Handler<BeginPoll> for Turns {
    type Result = ();

    fn handle(&mut self, begin: BeginPoll, _: &mut Self::Context) {
        self.asked.send(Instant::now()).unwrap();
        let refused = || PollTurn::Refused("no more turns".to_owned());
        let turn = if self.turns.is_empty() { refused() } else { self.turns.remove(0) };
        begin.reply.send(turn).unwrap();
    }
}

impl Handler<SyncBatch> for Turns {
    type Result = ();

    fn handle(&mut self, _: SyncBatch, _: &mut Self::Context) {
        panic!("nothing was fetched");
    }
}

fn settings() -> PollerSettings {
    PollerSettings {
        url: UpstreamUrl::parse("http://127.0.0.1:1/").unwrap(),
        interval: Duration::from_secs(60),
        fetch_timeout: Duration::from_secs(30),
        body_limit: 1024,
        overlap: 0,
        rewrite_unchanged: false,
        lock: None,
        rules: SwitchRules { coins: Coins::new(&["btc"]).unwrap(), lower_case: false },
    }
}

/// A Poller with these turns, and the times at which its polls begin.
struct Fixture {
    poller: Addr<Poller>,
    start: Instant,
    begun: mpsc::UnboundedReceiver<Instant>,
}

impl Fixture {
    fn new(turns: Vec<PollTurn>) -> Self {
        time::pause();
        let (asked, begun) = mpsc::unbounded_channel();
        let turns = Turns { turns, asked }.start();
        let zk_writer = ToZkWriter { begin: turns.clone().recipient(), sync: turns.recipient() };
        let (metrics, log) = (Metrics::unwatched(), Logger::root(Discard, o!()));
        let start = Instant::now();
        let poller = Poller::new(settings(), zk_writer, &metrics, &log).start();
        Self { poller, start, begun }
    }

    /// Seconds after the start at which the next polls begin.
    async fn begun(&mut self, count: usize) -> Vec<f64> {
        let mut times = Vec::new();
        while times.len() < count {
            let at = self.begun.recv().await.unwrap();
            times.push((at - self.start).as_secs_f64());
        }
        times
    }

    /// Changes the settings so many seconds after the start.
    async fn adopt_at(&self, seconds: u64, change: impl FnOnce(&mut PollerSettings)) {
        time::sleep_until(self.start + Duration::from_secs(seconds)).await;
        let mut settings = settings();
        change(&mut settings);
        self.poller.send(NewSettings(settings)).await.unwrap();
    }
}

async fn begun(turns: Vec<PollTurn>, count: usize) -> Vec<f64> {
    Fixture::new(turns).begun(count).await
}

#[actix_rt::test]
async fn another_interval_holds_for_the_wait_under_way() {
    let mut fixture = Fixture::new(Vec::new());
    about(&fixture.begun(1).await, &[0.0]);
    fixture.adopt_at(10, |settings| settings.interval = Duration::from_secs(15)).await;
    about(&fixture.begun(2).await, &[15.0, 30.0]);
    fixture.adopt_at(40, |settings| settings.interval = Duration::from_secs(5)).await;
    about(&fixture.begun(2).await, &[40.0, 45.0]);
}

#[actix_rt::test]
async fn another_url_or_other_coins_are_polled_at_once() {
    let mut fixture = Fixture::new(Vec::new());
    about(&fixture.begun(1).await, &[0.0]);
    let url = || UpstreamUrl::parse("http://127.0.0.1:1/other").unwrap();
    fixture.adopt_at(10, |settings| settings.url = url()).await;
    about(&fixture.begun(1).await, &[10.0]);
    let coins = Coins::new(&["btc", "ltc"]).unwrap();
    fixture
        .adopt_at(20, |settings| (settings.url, settings.rules.coins) = (url(), coins.clone()))
        .await;
    about(&fixture.begun(1).await, &[20.0]);
    fixture.adopt_at(30, |settings| (settings.url, settings.rules.coins) = (url(), coins)).await;
    about(&fixture.begun(1).await, &[80.0]);
}

#[actix_rt::test]
async fn without_a_session_new_settings_change_nothing_of_when_it_asks_again() {
    let mut fixture = Fixture::new(vec![PollTurn::NoSession]);
    about(&fixture.begun(1).await, &[0.0]);
    fixture.adopt_at(0, |settings| settings.interval = Duration::from_secs(7)).await;
    about(&fixture.begun(2).await, &[0.25, 7.25]);
}

fn about(times: &[f64], expected: &[f64]) {
    let near = |(time, expected): (&f64, &f64)| (time - expected).abs() < 0.1;
    assert!(times.iter().zip(expected).all(near), "{times:?} instead of {expected:?}");
}

#[actix_rt::test]
async fn without_a_session_it_asks_again_soon_and_then_keeps_the_interval() {
    let standby = || PollTurn::Standby { holder: "another".to_owned() };
    let turns = vec![PollTurn::NoSession, PollTurn::NoSession, standby(), standby()];
    about(&begun(turns, 5).await, &[0.0, 0.25, 0.5, 60.5, 120.5]);
}

#[actix_rt::test]
async fn a_poll_that_may_not_begin_is_tried_at_the_next_interval() {
    let refused = || PollTurn::Refused("no right".to_owned());
    about(&begun(vec![refused(), refused()], 3).await, &[0.0, 60.0, 120.0]);
}

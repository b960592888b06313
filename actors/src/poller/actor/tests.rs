//! When polls begin, in virtual time.

use slog::Discard;
use tokio::{sync::mpsc, time};

use super::*;
use crate::zk_writer::PollTurn;

/// Answers each beginning of a poll as it is told, and tells when it was asked.
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

/// Seconds after the start at which the first polls begin, if their turns are these.
async fn begun(turns: Vec<PollTurn>, count: usize) -> Vec<f64> {
    time::pause();
    let (asked, mut begun) = mpsc::unbounded_channel();
    let turns = Turns { turns, asked }.start();
    let zk_writer = ToZkWriter { begin: turns.clone().recipient(), sync: turns.recipient() };
    let settings = PollerSettings {
        url: UpstreamUrl::parse("http://127.0.0.1:1/").unwrap(),
        interval: Duration::from_secs(60),
        fetch_timeout: Duration::from_secs(30),
        body_limit: 1024,
        overlap: 0,
        rewrite_unchanged: false,
        lock: None,
        coins: Coins::new(&["btc"]).unwrap(),
        lower_case: false,
    };
    let start = Instant::now();
    let _poller =
        Poller::new(settings, zk_writer, &Observer::unwatched(), &Logger::root(Discard, o!()))
            .start();
    let mut times = Vec::new();
    while times.len() < count {
        let at = begun.recv().await.unwrap();
        times.push((at - start).as_secs_f64());
    }
    times
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

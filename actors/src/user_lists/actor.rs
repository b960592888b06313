//! The actor: one loop for each list, and the order of the first pulls.

use std::rc::Rc;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future,
};
use slog::Logger;
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep, timeout, timeout_at},
};

use super::{
    Listings, UserListSettings,
    journal::Journal,
    messages::{ListsToZkWriter, Registered, Settle, StopPulling},
    pull::{PullEnd, Puller, ask},
};
use crate::{
    domain::{Coin, ZnodeDir},
    metrics::Metrics,
    upstream::UpstreamUrl,
    zk_writer::{FirstCoinsEnd, NotCreated, ReadMarks},
};

/// Pause before `ZkWriter` is asked again for a session.
const NO_SESSION_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause after a pull that failed while a registered sub-account waits for it: a stratum server polls its list
/// every 10 seconds, and a miner waits 15.
const REGISTERED_PAUSE: Duration = Duration::from_secs(1);

/// Pause before a pull that a registration requests: registrations in quick succession share one.
const GATHER_PAUSE: Duration = Duration::from_millis(200);

/// Time for which an answered list waits, in the first round, for the answers of the lists before it.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// Pulls the lists, and alone changes them.
pub(crate) struct UserLists {
    settings: Rc<UserListSettings>,
    pullers: Vec<Rc<Puller>>,
    listings: Listings,
    zk_writer: ListsToZkWriter,
    marks: ZnodeDir,
    journal: Rc<Journal>,
}

impl UserLists {
    /// An actor that pulls as soon as it is started and ZooKeeper can be reached.
    pub(crate) fn new(
        settings: UserListSettings,
        marks: ZnodeDir,
        listings: Listings,
        zk_writer: ListsToZkWriter,
        metrics: &Metrics,
        log: &Logger,
    ) -> Self {
        let puller = |(coin, url): &(Coin, UpstreamUrl)| {
            let (coin, url) = (coin.clone(), url.clone());
            let (listings, zk_writer) = (listings.clone(), zk_writer.clone());
            Rc::new(Puller::new(coin, url, &settings, marks.clone(), listings, zk_writer, log))
        };
        let pullers = settings.lists.iter().map(puller).collect();
        let journal = Rc::new(Journal::new(log, metrics));
        Self { settings: Rc::new(settings), pullers, listings, zk_writer, marks, journal }
    }

    fn puller(&self, coin: &Coin) -> Option<Rc<Puller>> {
        self.pullers.iter().find(|it| it.coin == *coin).cloned()
    }

    /// Reads the marks as soon as there is a session, then starts the loops. In the first round, a list settles its
    /// entries after the lists before it, except those without an answer in time: so a sub-account of two lists gets
    /// the coin of the first one.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        let (to, dir) = (self.zk_writer.read_marks.clone(), self.marks.clone());
        let coins: Vec<_> = self.pullers.iter().map(|it| it.coin.clone()).collect();
        let reading = async move {
            loop {
                let (dir, coins) = (dir.clone(), coins.clone());
                match ask(&to, |reply| ReadMarks { dir, coins, reply }).await {
                    Ok(marks) => return marks,
                    Err(_) => sleep(NO_SESSION_PAUSE).await,
                }
            }
        };
        ctx.spawn(wrap_future::<_, Self>(reading).map(|marks, act, ctx| {
            let mut before = Vec::new();
            for (puller, marks) in act.pullers.iter().zip(marks) {
                puller.known.replace(marks);
                let (answered, seen) = watch::channel(false);
                let (puller, listings) = (Rc::clone(puller), act.listings.clone());
                let (journal, pause) = (Rc::clone(&act.journal), act.settings.interval);
                let round = FirstRound { before: before.clone(), answered };
                before.push(seen);
                ctx.spawn(wrap_future(pull_for_ever(puller, listings, journal, pause, round)));
            }
        }));
    }
}

/// A list's place in the first round. Each list has a channel: it has `true` once the list's backend has answered, and
/// closes when the list's first pull ends.
struct FirstRound {
    /// Channels of the lists before this one.
    before: Vec<watch::Receiver<bool>>,
    /// This list's channel.
    answered: watch::Sender<bool>,
}

impl FirstRound {
    /// Waits until the lists before this one have settled their entries, except those without an answer in time: a
    /// backend that hangs must not withhold another list.
    async fn turn(&mut self) {
        let _ = self.answered.send(true);
        let deadline = Instant::now() + ANSWER_PATIENCE;
        for list in &mut self.before {
            if timeout_at(deadline, list.wait_for(|is_answered| *is_answered)).await.is_ok() {
                // The error means that the channel is closed: the pull has ended.
                while list.changed().await.is_ok() {}
            }
        }
    }
}

/// Pulls a list again and again.
async fn pull_for_ever(
    puller: Rc<Puller>,
    listings: Listings,
    journal: Rc<Journal>,
    pause: Duration,
    round: FirstRound,
) {
    let mut round = Some(round);
    loop {
        let registered = puller.registered();
        let fetched = puller.fetch().await;
        if let Some(round) = round.as_mut().filter(|_| fetched.is_ok()) {
            round.turn().await;
        }
        let end = match fetched {
            Ok(pulled) => puller.take(pulled, registered).await,
            Err(fault) => PullEnd { fault: Some(fault), ..Default::default() },
        };
        listings.pulled(&puller.coin, end.fault.is_none());
        journal.pulled(&puller.coin, listings.size(&puller.coin).entries, &end);
        drop(round.take());
        let is_awaited = end.fault.is_some() && puller.registered() > 0;
        let pause = if is_awaited { pause.min(REGISTERED_PAUSE) } else { pause };
        if timeout(pause, puller.wake.notified()).await.is_ok() {
            sleep(GATHER_PAUSE).await;
        }
    }
}

impl Actor for UserLists {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.begin(ctx);
    }
}

impl Handler<StopPulling> for UserLists {
    type Result = ();

    fn handle(&mut self, _: StopPulling, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Handler<Registered> for UserLists {
    type Result = ();

    fn handle(&mut self, Registered { coin, name, puid }: Registered, _: &mut Self::Context) {
        let Some(puller) = self.puller(&coin) else { return };
        puller.register(&name, puid);
    }
}

impl Handler<Settle> for UserLists {
    type Result = ();

    fn handle(&mut self, Settle { coin, name, reply }: Settle, ctx: &mut Self::Context) {
        let Some(puller) = self.puller(&coin) else {
            let _ = reply.send(Err(format!("there is no list of {coin}")));
            return;
        };
        let journal = Rc::clone(&self.journal);
        ctx.spawn(wrap_future(async move {
            let end = puller.settle(&name).await;
            if let Ok(FirstCoinsEnd { index_fault: Some(cause), .. }) = &end {
                journal.not_indexed(&coin, cause);
            }
            let settled = |end: FirstCoinsEnd| {
                end.ends.into_iter().try_for_each(|end| end.map_err(NotCreated::into_cause))
            };
            let _ = reply.send(end.and_then(settled));
        }));
    }
}

#[cfg(test)]
mod tests;

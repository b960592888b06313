//! Callers' orders to a jobmaker's thread, which interrupt its waits.

use std::{convert::Infallible, time::Duration};

use tokio::{sync::watch, time::sleep};
use zookeeper_client::{Client, StateWatcher};

/// Orders of callers; the thread follows the newest state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orders {
    pub(crate) paused: bool,
    /// Number of ordered crashes.
    pub(crate) crashes: u64,
    pub(crate) stopped: bool,
}

/// Why a connection, and maybe a life, is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Stopped,
    Crashed,
    /// ZooKeeper is away, or was for a moment.
    Lost,
}

impl From<zookeeper_client::Error> for End {
    /// Whatever ZooKeeper refuses, a jobmaker does not end for it: it connects and tries again.
    fn from(_: zookeeper_client::Error) -> Self {
        Self::Lost
    }
}

/// The thread's ear while it waits for something.
pub(crate) struct Interrupts {
    orders: watch::Receiver<Orders>,
    crashes_done: u64,
    session: Option<StateWatcher>,
}

impl Interrupts {
    pub(crate) fn new(orders: watch::Receiver<Orders>) -> Self {
        Self { orders, crashes_done: 0, session: None }
    }

    /// From now on the loss of this client's connection, however short, interrupts too. `None`: there is
    /// no connection.
    pub(crate) fn listen_to(&mut self, client: Option<&Client>) {
        self.session = client.map(Client::state_watcher);
    }

    /// Waits for `work`, unless it is interrupted: then `work` is dropped.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, End> {
        tokio::select! {
            biased;
            end = self.ended() => Err(end),
            result = work => Ok(result),
        }
    }

    /// As [`during`](Self::during), but only the loss of the connection interrupts.
    pub(crate) async fn unless_lost<T>(&mut self, work: impl Future<Output = T>) -> Result<T, End> {
        tokio::select! {
            biased;
            () = lost(&mut self.session) => Err(End::Lost),
            result = work => Ok(result),
        }
    }

    /// Waits so long, and after that for as long as it is paused.
    pub(crate) async fn wait(&mut self, time: Duration) -> Result<(), End> {
        let mut orders = self.orders.clone();
        self.during(async move {
            if !time.is_zero() {
                sleep(time).await;
            }
            // An error means that the caller is gone, which `ended` reports.
            let _ = orders.wait_for(|orders| !orders.paused).await;
        })
        .await
    }

    /// Resolves when there is a reason to end.
    async fn ended(&mut self) -> End {
        loop {
            let orders = *self.orders.borrow_and_update();
            if orders.stopped {
                return End::Stopped;
            }
            if orders.crashes > self.crashes_done {
                self.crashes_done = orders.crashes;
                return End::Crashed;
            }
            tokio::select! {
                biased;
                changed = self.orders.changed() => if changed.is_err() {
                    return End::Stopped;
                },
                () = lost(&mut self.session) => return End::Lost,
            }
        }
    }
}

async fn lost(session: &mut Option<StateWatcher>) {
    match session {
        Some(states) => {
            states.changed().await;
        }
        None => std::future::pending::<()>().await,
    }
}

/// Result of a life, which only ends by a failure.
pub(crate) type Life = Result<Infallible, End>;

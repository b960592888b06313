//! A jobmaker's thread: its lives, its connections and its one handler.
//!
//! Every connection lives on a runtime of its own. To crash, or to give up a lost connection, is to
//! drop the runtime: nothing that was queued goes out later, and ZooKeeper has to find out by itself
//! that the session is gone, as with a process that died.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval_at, timeout},
};
use zookeeper_client::{Acls, Client, CreateMode, Error, OneshotWatcher};

use crate::{
    Knobs, SubPool,
    ack::{Host, ack_of},
    jobmaker::{Applied, Shared},
    orders::{End, Interrupts, Life},
    request::{Action, Coinbase, judge},
};

/// Long enough for a busy machine. The client notices a frozen server after two fifths of this time.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two attempts to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// How long the end of the session may take at an orderly stop.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// Acks that are none: not JSON, not an object, without the fields, not UTF-8.
const GARBAGE: [&[u8]; 6] = [b"", b"{\"success\":tr", b"null", b"[]", b"{}", b"\xff\xfe"];

/// All that a jobmaker's thread owns.
pub(crate) struct Process {
    zookeeper: String,
    sub_pools: Vec<Held>,
    knobs: Knobs,
    host: Host,
    random: fastrand::Rng,
    interrupts: Interrupts,
    shared: Arc<Shared>,
    /// Signalled when every sub-pool was handled once.
    ready: Option<oneshot::Sender<()>>,
    /// Whether this life holds values yet; each begins with its first connection.
    begun: bool,
    crashes: u64,
}

/// A sub-pool and its current coinbase.
struct Held {
    configured: SubPool,
    ack_path: String,
    coinbase: Coinbase,
}

/// A live connection, and which request nodes it watches.
struct Connection {
    client: Client,
    /// Whether a watch is set that has not been noticed to fire. A second one would make two events of
    /// one write.
    watched: Vec<bool>,
    events: mpsc::UnboundedSender<usize>,
}

impl Process {
    pub(crate) fn new(
        zookeeper: &str,
        sub_pools: Vec<SubPool>,
        knobs: Knobs,
        interrupts: Interrupts,
        shared: Arc<Shared>,
        ready: oneshot::Sender<()>,
    ) -> Self {
        let hold = |configured: SubPool| Held {
            ack_path: format!("{}/ack", configured.path),
            coinbase: Coinbase::new(&configured.coinbase_info, &configured.payout_addr),
            configured,
        };
        Self {
            zookeeper: zookeeper.to_owned(),
            sub_pools: sub_pools.into_iter().map(hold).collect(),
            host: Host::new(knobs.hostname.as_deref()),
            random: fastrand::Rng::with_seed(knobs.seed),
            knobs,
            interrupts,
            shared,
            ready: Some(ready),
            begun: false,
            crashes: 0,
        }
    }

    /// Runs until a stop is ordered.
    pub(crate) fn run(mut self) {
        let mut rest = Duration::ZERO;
        loop {
            let end = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => {
                    let end = runtime.block_on(self.connection(rest));
                    runtime.shutdown_background();
                    end
                }
                // No descriptors left, for the moment.
                Err(_) => {
                    std::thread::sleep(RECONNECT_PAUSE);
                    End::Lost
                }
            };
            rest = match end {
                End::Stopped => return,
                End::Crashed => {
                    self.crashes += 1;
                    self.begun = false;
                    self.knobs.down
                }
                End::Lost => RECONNECT_PAUSE,
            };
        }
    }

    /// One connection from its beginning to its end, after a rest.
    async fn connection(&mut self, rest: Duration) -> End {
        let mut client = None;
        let Err(end) = self.serve(rest, &mut client).await;
        self.interrupts.listen_to(None);
        if let (End::Stopped, Some(client)) = (end, client) {
            let mut states = client.state_watcher();
            drop(client);
            let ended = async { while !states.changed().await.is_terminated() {} };
            let _ = timeout(CLOSE_PATIENCE, ended).await;
        }
        end
    }

    async fn serve(&mut self, rest: Duration, kept: &mut Option<Client>) -> Life {
        self.interrupts.wait(rest).await?;
        if !self.begun {
            self.begin();
        }
        let client = self.interrupts.during(connect(&self.zookeeper)).await??;
        *kept = Some(client.clone());
        self.interrupts.listen_to(Some(&client));
        let (events, mut fired) = mpsc::unbounded_channel();
        let watched = vec![false; self.sub_pools.len()];
        let mut connection = Connection { client, watched, events };

        let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
        for sub_pool in &self.sub_pools {
            let create = connection.client.mkdir(&sub_pool.ack_path, &persistent);
            self.interrupts.during(create).await??;
        }
        self.handle_all(&mut connection, true).await?;
        if let Some(ready) = self.ready.take() {
            // The waiting caller may be gone.
            let _ = ready.send(());
        }
        let every = self.knobs.unasked_every.max(Duration::from_millis(1));
        let mut unasked = interval_at(tokio::time::Instant::now() + every, every);
        // A pause is not made up for.
        unasked.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = async {
                tokio::select! {
                    event = fired.recv() => event,
                    _ = unasked.tick() => None,
                }
            };
            match self.interrupts.during(next).await? {
                Some(index) => {
                    connection.watched[index] = false;
                    self.handle(&mut connection, index, false).await?;
                }
                None => self.handle_all(&mut connection, false).await?,
            }
        }
    }

    /// A new process knows only its configuration.
    fn begin(&mut self) {
        for sub_pool in &mut self.sub_pools {
            let SubPool { path, coinbase_info, payout_addr } = &sub_pool.configured;
            let numbered = format!("restart-{}", self.crashes);
            let info = if self.knobs.number_restarts && self.crashes > 0 {
                &numbered
            } else {
                coinbase_info
            };
            sub_pool.coinbase = Coinbase::new(info, payout_addr);
            self.shared.record(applied(path, &sub_pool.coinbase, true));
        }
        self.begun = true;
        self.shared.count_life();
    }

    async fn handle_all(&mut self, connection: &mut Connection, start: bool) -> Result<(), End> {
        for index in 0..self.sub_pools.len() {
            self.handle(connection, index, start).await?;
        }
        Ok(())
    }

    /// Reads a request node, applies the request and acks it.
    async fn handle(
        &mut self,
        connection: &mut Connection,
        index: usize,
        start: bool,
    ) -> Result<(), End> {
        self.pause_for(self.knobs.delay_before_read).await?;
        let path = self.sub_pools[index].configured.path.clone();
        let read = connection.read(index, &path);
        let Some(data) = self.interrupts.during(read).await?? else {
            return Ok(());
        };
        self.shared.count_read();
        let created_at = chrono::Local::now().format("%Y-%m-%d %H:%M:%S").to_string();
        let action = judge(&data, self.knobs.coinbase_max);
        let sub_pool = &mut self.sub_pools[index];
        let name = sub_pool.configured.name();
        let ack = ack_of(&action, &created_at, &self.host, name, &sub_pool.coinbase);
        if let Action::Apply(coinbase, _) = action {
            self.shared.record(applied(&path, &coinbase, false));
            sub_pool.coinbase = coinbase;
        }
        self.pause_for(self.knobs.delay_before_ack).await?;
        if !start && self.chance(self.knobs.crash) {
            return Err(End::Crashed);
        }
        let Some(ack) = ack else {
            return Ok(());
        };
        self.write_acks(connection, index, &ack).await
    }

    /// Writes an ack, and further acks as the knobs order.
    async fn write_acks(
        &mut self,
        connection: &Connection,
        index: usize,
        ack: &[u8],
    ) -> Result<(), End> {
        let instead = self.chance(self.knobs.garbage_instead);
        if instead || self.chance(self.knobs.garbage_before) {
            let garbage = GARBAGE[self.random.usize(..GARBAGE.len())];
            self.write(connection, index, garbage).await?;
        }
        if instead {
            return Ok(());
        }
        if self.write(connection, index, ack).await? {
            self.shared.count_ack();
        }
        if self.chance(self.knobs.double_acks) {
            self.interrupts.wait(self.knobs.double_ack_delay).await?;
            if self.write(connection, index, ack).await? {
                self.shared.count_ack();
            }
        }
        Ok(())
    }

    /// Writes the ack node; `false` if there is none. Only the connection's loss interrupts: a crash in
    /// the middle could let the ack of one life arrive in the next.
    async fn write(
        &mut self,
        connection: &Connection,
        index: usize,
        data: &[u8],
    ) -> Result<bool, End> {
        let set = connection.client.set_data(&self.sub_pools[index].ack_path, data, None);
        match self.interrupts.unless_lost(set).await? {
            Ok(_) => Ok(true),
            Err(Error::NoNode) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn pause_for(&mut self, delay: Duration) -> Result<(), End> {
        let jitter = self.knobs.jitter.mul_f64(self.random.f64());
        self.interrupts.wait(delay + jitter).await
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.random.f64() < probability
    }
}

impl Connection {
    /// A request node's data, with a watch set. `None` if there is no such node: then the watch is on
    /// its creation.
    async fn read(&mut self, index: usize, path: &str) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let read = if self.watched[index] {
                self.client.get_data(path).await.map(|(data, _)| data)
            } else {
                let read = self.client.get_and_watch_data(path).await;
                read.map(|(data, _, watcher)| {
                    self.listen(index, watcher);
                    data
                })
            };
            match read {
                Ok(data) => return Ok(Some(data)),
                // Deleted, and the event is on its way.
                Err(Error::NoNode) if self.watched[index] => return Ok(None),
                Err(Error::NoNode) => {
                    let (stat, watcher) = self.client.check_and_watch_stat(path).await?;
                    self.listen(index, watcher);
                    if stat.is_none() {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Turns the watch into an event for the handler.
    fn listen(&mut self, index: usize, watcher: OneshotWatcher) {
        self.watched[index] = true;
        let events = self.events.clone();
        tokio::spawn(async move {
            watcher.changed().await;
            let _ = events.send(index);
        });
    }
}

/// One attempt. The oldest version speaks the part of the protocol that every server knows.
async fn connect(zookeeper: &str) -> Result<Client, Error> {
    let connector = Client::connector()
        .with_session_timeout(SESSION_TIMEOUT)
        .with_server_version(3, 4, 6)
        .with_fail_eagerly();
    connector.connect(zookeeper).await
}

fn applied(path: &str, coinbase: &Coinbase, restart: bool) -> Applied {
    Applied {
        at: Instant::now(),
        path: path.to_owned(),
        coinbase_info: String::from_utf8_lossy(&coinbase.info).into_owned(),
        payout_addr: coinbase.address.clone(),
        restart,
    }
}

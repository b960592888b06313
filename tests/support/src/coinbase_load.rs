//! Clients that get and update the coinbases of a few sub-pools at the same time, and record requests and answers.
//!
//! Each update requests another value: the coinbase text contains client and number within the 30 bytes that a jobmaker
//! keeps. So each value names its request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use zookeeper_client::Client;

use crate::client::{Connection, Request, Response};
use crate::coinbase_history::{
    Coinbase, CoinbaseAction, Fate, History, Intrusion, Record, Reply, since,
};
use crate::daemon::{PASSWORD, USER};
use crate::{eventually, seconds};

/// Payout addresses. A jobmaker changes the last two if they are in capitals.
const ADDRESSES: [&str; 4] = [
    "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "bc1qjl8uwezzlech723lpnyuza0h2cdkvxvh54v3dn",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
];
/// The first address with one character changed.
const NO_ADDRESS: &str = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt5";

/// Bytes of a text that a jobmaker keeps.
const COINBASE_MAX: usize = 30;
const COIN: &str = "btc";

/// The place of a load's sub-pools.
#[derive(Clone, Debug)]
pub struct Place {
    /// With the final slash.
    pub base_dir: String,
    pub names: Vec<String>,
}

impl Place {
    pub fn new(base_dir: &str, sub_pools: usize) -> Self {
        let names = (0..sub_pools).map(|number| format!("pool{number}")).collect();
        Self { base_dir: base_dir.to_owned(), names }
    }

    /// The path of a sub-pool's request znode.
    pub fn path(&self, sub_pool: usize) -> String {
        format!("{}{COIN}/{}", self.base_dir, self.names[sub_pool])
    }
}

/// Amount and kinds of load.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub clients: usize,
    /// Of all clients together.
    pub operations: usize,
    /// Gets in percent of the operations; the others are updates.
    pub gets: u8,
    /// Each client's pause between two operations.
    pub pause: Duration,
    pub seed: u64,
}

/// A running load.
pub struct Load {
    origin: Instant,
    place: Place,
    clients: JoinSet<Vec<Record>>,
    started: Arc<AtomicUsize>,
    answered: Arc<[AtomicUsize]>,
}

impl Load {
    /// Starts clients of the daemons at these addresses, each with a persistent connection. `origin` is before
    /// everything.
    pub fn start(origin: Instant, daemons: &[String], place: &Place, mix: Mix) -> Self {
        let started = Arc::new(AtomicUsize::new(0));
        let answered: Arc<[_]> = daemons.iter().map(|_| AtomicUsize::new(0)).collect();
        let mut clients = JoinSet::new();
        for number in 0..mix.clients {
            let daemon = number % daemons.len();
            let client = Rival {
                number,
                daemon,
                address: daemons[daemon].clone(),
                place: place.clone(),
                random: Rng::with_seed(mix.seed * 1_000 + number as u64),
                origin,
                mix,
                started: Arc::clone(&started),
                answered: Arc::clone(&answered),
            };
            clients.spawn(client.run());
        }
        Self { origin, place: place.clone(), clients, started, answered }
    }

    /// Number of each daemon's answers from a jobmaker, by the daemon's index.
    pub fn answered(&self) -> Vec<usize> {
        self.answered.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Waits for the start of this many operations.
    pub async fn wait_for(&self, operations: usize) {
        eventually("the clients go on", seconds(120), || async {
            (self.started.load(Ordering::Relaxed) >= operations).then_some(())
        })
        .await;
    }

    /// Starts no more operations.
    pub fn stop(&self) {
        self.started.store(usize::MAX / 2, Ordering::Relaxed);
    }

    /// Waits for the end of all operations.
    pub async fn finish(self) -> History {
        let records = self.clients.join_all().await.concat();
        History {
            origin: self.origin,
            sub_pools: self.place.names,
            records,
            intrusions: Vec::new(),
            diary: Vec::new(),
        }
    }
}

struct Rival {
    number: usize,
    daemon: usize,
    address: String,
    place: Place,
    random: Rng,
    origin: Instant,
    mix: Mix,
    /// Operations started by all clients.
    started: Arc<AtomicUsize>,
    /// Each daemon's answers from a jobmaker.
    answered: Arc<[AtomicUsize]>,
}

impl Rival {
    async fn run(mut self) -> Vec<Record> {
        let mut records = Vec::new();
        let mut connection = None;
        while self.started.fetch_add(1, Ordering::Relaxed) < self.mix.operations {
            let sub_pool = self.random.usize(..self.place.names.len());
            let ask = self.ask(records.len());
            let start = since(self.origin, Instant::now());
            let reply = self.send(&mut connection, sub_pool, &ask).await;
            let end = since(self.origin, Instant::now());
            let Some(reply) = reply else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Self { number: client, daemon, .. } = self;
            let record = Record { client, daemon, sub_pool, ask, start, end, reply };
            if matches!(record.fate(), Fate::Success | Fate::Refused) {
                self.answered[daemon].fetch_add(1, Ordering::Relaxed);
            }
            if matches!(record.fate(), Fate::NotWritten | Fate::Unknown | Fate::Unanswered) {
                // Clients that spin on errors would be done before the disturbance is over.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            records.push(record);
            if !self.mix.pause.is_zero() {
                tokio::time::sleep(self.mix.pause).await;
            }
        }
        records
    }

    /// A get or an update; a jobmaker refuses, cuts or changes some of the updates.
    fn ask(&mut self, number: usize) -> CoinbaseAction {
        let info = format!("c{}-{number}", self.number);
        let address = ADDRESSES[(self.number + number) % ADDRESSES.len()];
        let plain = coinbase(&info, address);
        if self.random.u8(..100) < self.mix.gets {
            return CoinbaseAction::Get;
        }
        match self.random.u8(..10) {
            0 => CoinbaseAction::Update { asked: coinbase(&info, NO_ADDRESS), held: None },
            1 => {
                let asked = coinbase(&info, &ADDRESSES[2 + number % 2].to_uppercase());
                let held = coinbase(&info, ADDRESSES[2 + number % 2]);
                CoinbaseAction::Update { asked, held: Some(held) }
            }
            2 => {
                let long = format!("{info:.<40}");
                let held = coinbase(&long[..COINBASE_MAX], address);
                CoinbaseAction::Update { asked: coinbase(&long, address), held: Some(held) }
            }
            _ => CoinbaseAction::Update { asked: plain.clone(), held: Some(plain) },
        }
    }

    /// Sends a request and returns the answer; `None` if the daemon cannot have received the request.
    async fn send(
        &mut self,
        kept: &mut Option<Connection>,
        sub_pool: usize,
        ask: &CoinbaseAction,
    ) -> Option<Reply> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(&self.address).await.ok()?,
        };
        let request = request(&self.place.names[sub_pool], ask);
        if self.random.u8(..100) == 0 {
            let bytes = [&request.head_bytes(), request.body_bytes()].concat();
            let _ = connection.write(&bytes).await;
            return Some(Reply::HungUp);
        }
        let Ok(response) = connection.send(&request).await else {
            return Some(Reply::Nothing);
        };
        if response.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
            *kept = Some(connection);
        }
        Some(reply(&response))
    }
}

fn coinbase(info: &str, address: &str) -> Coinbase {
    Coinbase { coinbase_info: info.to_owned(), payout_addr: address.to_owned() }
}

fn request(name: &str, ask: &CoinbaseAction) -> Request {
    let (path, body) = match ask {
        CoinbaseAction::Get => {
            ("/subpool/get-coinbase", json!({"coin": COIN, "subpool_name": name}))
        }
        CoinbaseAction::Update { asked, .. } => ("/subpool/update-coinbase", body(name, asked)),
    };
    let request = Request::post(path).header("Content-Type", "application/json");
    request.body(body.to_string()).credentials(USER, PASSWORD)
}

fn body(name: &str, asked: &Coinbase) -> serde_json::Value {
    let Coinbase { coinbase_info, payout_addr } = asked;
    json!({
        "coin": COIN,
        "subpool_name": name,
        "payout_addr": payout_addr,
        "coinbase_info": coinbase_info,
    })
}

fn reply(response: &Response) -> Reply {
    match serde_json::from_slice(&response.body) {
        Ok(told) if response.status == 200 => Reply::AnswerBody(told),
        _ => Reply::Odd(format!("{} {}", response.status, response.text())),
    }
}

/// A program that writes directly to the request znodes, ignoring other writers and acks.
pub struct Intruder {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<Intrusion>>,
}

impl Intruder {
    /// Writes every few tens of milliseconds.
    pub fn start(origin: Instant, client: Client, place: &Place, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(intrude(Arc::clone(&stop), origin, client, place.clone(), seed));
        Self { stop, task }
    }

    /// Stops the program and returns its writes.
    pub async fn finish(self) -> Vec<Intrusion> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn intrude(
    stop: Arc<AtomicBool>,
    origin: Instant,
    client: Client,
    place: Place,
    seed: u64,
) -> Vec<Intrusion> {
    let mut random = Rng::with_seed(seed);
    let mut intrusions = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let sub_pool = random.usize(..place.names.len());
        let info = format!("other-{}", intrusions.len());
        let (asked, valid) = match random.u8(..10) {
            0 => (coinbase(&info, NO_ADDRESS), false),
            _ => (coinbase(&info, random.choice(ADDRESSES).unwrap_or_default()), true),
        };
        let request = body(&place.names[sub_pool], &asked).to_string();
        // A jobmaker understands not all of these, and does not answer the last.
        let (request, valid) = match random.u8(..200) {
            0..20 => (String::new(), false),
            20..40 => ("{}".to_owned(), false),
            40 => ("garbage".to_owned(), false),
            _ => (request, valid),
        };
        let at = since(origin, Instant::now());
        intrusions.push(Intrusion { sub_pool, at, asked, valid });
        // Errors are ignored.
        let _ = client.set_data(&place.path(sub_pool), request.as_bytes(), None).await;
        tokio::time::sleep(Duration::from_millis(random.u64(5..50))).await;
    }
    intrusions
}

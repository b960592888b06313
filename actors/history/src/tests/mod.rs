//! The database beside a naive model.

mod chain;
mod expiry;
mod faults;
mod files;
mod searches;
mod updates;

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::*;

const COINS: [&str; 3] = ["btc", "bcc", "ltc"];
const BEGINNING: i64 = 1_790_000_000_000;
const NO_LIMITS: Limits =
    Limits { not_before: i64::MIN, bytes: u64::MAX, notes_not_before: i64::MIN };

/// A directory for a history.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("history.db")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("history.key")
    }

    fn companion(&self, suffix: &str) -> PathBuf {
        format!("{}{suffix}", self.file().display()).into()
    }

    fn open(&self) -> Result<Opened, OpenError> {
        Writer::open(&self.file(), &self.key(), 50, OnDamage::Refuse)
    }

    fn writer(&self) -> Writer {
        for _ in 0..500 {
            match self.open() {
                // A child of another test has the lock, too, from its fork to its exec.
                Err(OpenError::InUse) => thread::sleep(Duration::from_millis(10)),
                opened => return opened.unwrap().writer,
            }
        }
        panic!("the lock is not free");
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.file()).unwrap()
    }

    /// A connection for tampering.
    fn db(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file()).unwrap()
    }

    fn verify(&self, head: Option<&Link>) -> Result<u64, ChainFault> {
        verify(&self.file(), &self.key(), head).unwrap()
    }
}

/// Origins are functions of the request. Some differ in the digits alone that the index lacks.
fn origin(request: u64) -> Arc<Origin> {
    let is_poll = request.is_multiple_of(3);
    Arc::new(Origin {
        request,
        source: if is_poll { Source::Poll } else { Source::Api },
        client: (!is_poll).then(|| Ipv4Addr::new(10, 0, 0, (request % 4) as u8).into()),
        actor: (request % 5 == 1).then(|| "wang".to_owned()),
        on_behalf_of: (request % 4 == 1).then(|| "li \"x\"".to_owned()),
        comment: (request % 7 == 1).then(|| format!("reason {request}")),
        undo_of: (request % 4 == 2).then(|| request.saturating_sub(request % 3 + 1)),
    })
}

fn switch(sub_account: &str, new: &str) -> Entry {
    Entry::Switch(Switch {
        sub_account: sub_account.to_owned(),
        old: Old::Absent,
        new: Some(new.to_owned()),
        superseded_by: None,
        due: None,
        state: Some(State { created: 7, version: 0 }),
    })
}

fn change(request: u64, time: i64, entry: Entry) -> Change {
    Change { time, origin: origin(request), entry, outcome: Outcome::Applied, cause: None }
}

fn coinbase(random: &mut fastrand::Rng) -> Coinbase {
    let coinbase_info = format!("/\"pool{}\\/", random.u8(..4));
    Coinbase { coinbase_info, payout_addr: format!("1a{}", random.u8(..4)) }
}

fn update(random: &mut fastrand::Rng) -> Update {
    Update {
        coin: COINS[random.usize(..3)].to_owned(),
        sub_pool: format!("pool{}", random.u8(..3)),
        old: random.bool().then(|| coinbase(random)),
        new: coinbase(random),
    }
}

fn random_entry(random: &mut fastrand::Rng) -> Entry {
    let coin = |random: &mut fastrand::Rng| COINS[random.usize(..3)].to_owned();
    match random.u8(..20) {
        0 => return Entry::Update(update(random)),
        1 => return Entry::Reload { keys: vec!["PoolName".to_owned(); random.usize(..3)] },
        _ => {}
    }
    let old = match random.u8(..4) {
        0 => Old::NotKnown,
        1 => Old::Absent,
        2 => Old::Value("x".repeat(random.usize(60..70))),
        _ => Old::Value(coin(random)),
    };
    Entry::Switch(Switch {
        sub_account: format!("user{}", random.u8(..20)),
        old,
        new: (random.u8(..10) > 0).then(|| coin(random)),
        superseded_by: random.bool().then(|| coin(random)),
        due: random.bool().then_some(1_790_000_000),
        state: random.bool().then(|| State { created: random.i64(1..), version: random.i32(0..) }),
    })
}

const OUTCOMES: [Outcome; 4] =
    [Outcome::Applied, Outcome::NotApplied, Outcome::Unknown, Outcome::Held];

fn random_change(random: &mut fastrand::Rng, request: u64, time: i64) -> Change {
    Change {
        time,
        origin: origin(request),
        entry: random_entry(random),
        outcome: OUTCOMES[random.usize(..4)],
        cause: random.bool().then(|| format!("cause {}", random.u8(..3))),
    }
}

/// The rows of requests in the model.
#[derive(Clone, Debug, PartialEq)]
struct Request {
    id: i64,
    last: i64,
    time: i64,
    outcomes: [i64; 4],
    created: i64,
    coins: BTreeMap<String, i64>,
}

/// A history and its model.
struct History {
    place: Place,
    random: fastrand::Rng,
    writer: Option<Writer>,
    /// Changes by number.
    all: BTreeMap<i64, Change>,
    requests: HashMap<(u64, Kind), Request>,
    /// Updates without outcome.
    open: Vec<i64>,
    count: usize,
}

impl History {
    fn new(seed: u64) -> Self {
        let place = Place::new();
        let writer = Some(place.writer());
        let random = fastrand::Rng::with_seed(seed);
        let (all, requests) = Default::default();
        Self { place, random, writer, all, requests, open: Vec::new(), count: 0 }
    }

    fn filled(seed: u64, count: usize) -> Self {
        let mut history = Self::new(seed);
        while history.all.len() < count {
            history.step();
        }
        history
    }

    fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().unwrap()
    }

    fn time(&mut self) -> i64 {
        self.count += 1;
        BEGINNING + self.count as i64 * 10 - self.random.i64(0..30)
    }

    fn request(&mut self) -> u64 {
        let high = (self.random.u64(..3) << 31) + (1 << 63);
        (self.count / 10) as u64 + self.random.u64(..5) + high
    }

    /// Some requests at a time, each in several transactions.
    fn step(&mut self) {
        match self.random.u8(..14) {
            0 => {
                self.writer = None;
                self.writer = Some(self.place.writer());
                self.open.clear();
            }
            1 | 2 => self.begin_update(),
            3 | 4 => self.end_update(),
            _ => self.append(),
        }
    }

    fn append(&mut self) {
        let changes: Vec<Change> = (0..self.random.usize(..20))
            .map(|_| {
                let (request, time) = (self.request(), self.time());
                random_change(&mut self.random, request, time)
            })
            .collect();
        let numbers = self.writer().append(&changes).unwrap();
        assert_eq!(numbers.clone().count(), changes.len());
        for (number, change) in numbers.zip(changes) {
            self.add(number, change);
        }
    }

    fn begin_update(&mut self) {
        let (request, time) = (self.request(), self.time());
        let update = update(&mut self.random);
        let origin = origin(request);
        let number = self.writer().begin_update(time, &origin, &update).unwrap();
        let (entry, outcome) = (Entry::Update(update), Outcome::Unknown);
        self.add(number, Change { time, origin, entry, outcome, cause: None });
        self.open.push(number);
    }

    fn end_update(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let number = self.open.swap_remove(self.random.usize(..self.open.len()));
        let outcome = OUTCOMES[self.random.usize(..3)];
        let cause = self.random.bool().then_some("timed out");
        let (mut some, mut time) = ([None, None], 0);
        for coinbase_of in &mut some {
            *coinbase_of = self.random.bool().then(|| coinbase(&mut self.random));
            time = self.time();
        }
        let [old, new] = &some;
        let (old, new) = (old.as_ref(), new.as_ref());
        self.writer().end_update(number, time, outcome, cause, old, new).unwrap();
        let change = self.all.get_mut(&number).unwrap();
        (change.outcome, change.cause) = (outcome, cause.map(str::to_owned));
        if let Entry::Update(update) = &mut change.entry {
            update.old = old.cloned().or(update.old.take());
            update.new = new.cloned().unwrap_or(update.new.clone());
        }
        let request = self.requests.get_mut(&(change.origin.request, Kind::Update)).unwrap();
        request.outcomes[2] -= 1;
        request.outcomes[outcome.number() as usize] += 1;
    }

    fn add(&mut self, number: i64, change: Change) {
        let request = self.requests.entry((change.origin.request, change.entry.kind()));
        let request = request.or_insert_with(|| Request {
            id: number,
            last: number,
            time: change.time,
            outcomes: [0; 4],
            created: 0,
            coins: BTreeMap::new(),
        });
        request.last = number;
        request.outcomes[change.outcome.number() as usize] += 1;
        if let Entry::Switch(switch) = &change.entry {
            let is_created = switch.old == Old::Absent && change.outcome == Outcome::Applied;
            request.created += i64::from(is_created);
            if let Some(coin) = &switch.new {
                *request.coins.entry(coin.clone()).or_default() += 1;
            }
        }
        assert!(self.all.last_key_value().is_none_or(|(last, _)| *last < number));
        self.all.insert(number, change);
    }

    /// The newest undo with an effect that was not undone itself.
    fn undone_by(&self, request: u64, id: i64) -> Option<u64> {
        let is_undo = |row: &Request, undo: u64| {
            row.id > id
                && origin(undo).undo_of == Some(request)
                && row.outcomes[0] + row.outcomes[2] + row.outcomes[3] > 0
                && self.undone_by(undo, row.id).is_none()
        };
        let undos = self.requests.iter().filter(|((undo, _), row)| is_undo(row, *undo));
        undos.max_by_key(|(_, row)| row.id).map(|((undo, _), _)| *undo)
    }
}

/// All pages, a few rows each.
fn all_pages<T>(mut page: impl FnMut(Option<i64>) -> Page<T>) -> Vec<T> {
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let Page { rows: more, next } = page(cursor);
        rows.extend(more);
        match next {
            Some(next) => cursor = Some(next),
            None => return rows,
        }
    }
}

fn changes(path: &Path) -> Vec<ChangeRow> {
    let reader = Reader::open(path).unwrap();
    all_pages(|at| reader.changes(&Filter::default(), Order::Oldest, at, 1000).unwrap())
}

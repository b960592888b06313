//! Requests of sub-pools' clients, their answers, and three judges of these: each answer alone ([`History::faults`]); all
//! answers of a sub-pool together, without knowledge of the jobmaker ([`History::violations`]); and each answer compared
//! with the diary of the simulated jobmaker ([`History::untruths`]).
//!
//! After a start the jobmaker holds `restart-n` until its first read of the request znode, which usually brings the former
//! value back. In a register whose values are written once, that would look like a value that came, went and came
//! again. So `restart-n` as the `old` of a successful update is judged in a register of its own. Anywhere else it has
//! lasted: the first read was refused, so the former value cannot come back.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Instant;

use jobmaker_sim::Applied;
use serde::Deserialize;

use crate::register::{self, Claim, Operation};

/// Prefix of restarted jobmakers' coinbase texts.
const RESTART: &str = "restart-";

/// A sub-pool's coinbase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coinbase {
    pub coinbase_info: String,
    pub payout_addr: String,
}

impl fmt::Display for Coinbase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} to {:?}", self.coinbase_info, self.payout_addr)
    }
}

/// A client's request.
#[derive(Clone, Debug)]
pub enum CoinbaseAction {
    Get,
    Update {
        asked: Coinbase,
        /// The coinbase that a jobmaker makes of the request; `None` if refused.
        held: Option<Coinbase>,
    },
}

/// The body of an answer of the sub-pool endpoints; without `old` it is the daemon's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerBody {
    pub success: bool,
    pub err_no: i64,
    pub err_msg: String,
    pub subpool_name: Option<String>,
    pub old: Option<Coinbase>,
    pub new: Option<Coinbase>,
}

/// An answer, or its absence.
#[derive(Clone, Debug)]
pub enum Reply {
    AnswerBody(AnswerBody),
    /// No answer of the API.
    Odd(String),
    /// The connection broke.
    Nothing,
    /// The client hung up without waiting.
    HungUp,
}

/// A request's result, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The jobmaker did as requested.
    Success,
    /// The jobmaker refused.
    Refused,
    /// 500: another program wrote meanwhile.
    Race,
    /// 504: no ack in time.
    TimedOut,
    /// 504: earlier requests took all the time; nothing was written.
    NotServed,
    /// 500: nothing was written.
    NotWritten,
    /// 500: the outcome is unknown.
    Unknown,
    /// No answer came.
    Unanswered,
    /// The client hung up.
    HungUp,
    /// An answer that the API must not give here.
    Odd,
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Record {
    pub client: usize,
    /// The daemon's index.
    pub daemon: usize,
    /// The index of the sub-pool.
    pub sub_pool: usize,
    pub ask: CoinbaseAction,
    /// Nanoseconds since the history's beginning, like `end`.
    pub start: u64,
    pub end: u64,
    pub reply: Reply,
}

impl Record {
    pub fn fate(&self) -> Fate {
        let told = match &self.reply {
            Reply::AnswerBody(told) => told,
            Reply::Odd(_) => return Fate::Odd,
            Reply::Nothing => return Fate::Unanswered,
            Reply::HungUp => return Fate::HungUp,
        };
        match (told.err_no, told.err_msg.as_str(), &told.old) {
            (0, _, Some(_)) if told.success => Fate::Success,
            (500, _, Some(_)) if !told.success => Fate::Refused,
            (_, _, Some(_)) => Fate::Odd,
            _ if told.success || told.new.is_some() || told.subpool_name.is_some() => Fate::Odd,
            (504, text, None) if text.contains("nothing was written") => Fate::NotServed,
            (504, "timeout when waiting ACK", None) => Fate::TimedOut,
            (500, "data has been updated at query time", None) => Fate::Race,
            (500, "read data node failed" | "write data node failed", None) => Fate::NotWritten,
            (500, text, None) if text.contains("nothing was written") => Fate::NotWritten,
            (500, _, None) => Fate::Unknown,
            _ => Fate::Odd,
        }
    }

    fn who(&self) -> String {
        let Self { client, daemon, .. } = self;
        let what = if matches!(self.ask, CoinbaseAction::Get) { "get" } else { "update" };
        format!("client {client} of daemon {daemon}, {what}, {:?}", self.fate())
    }

    /// Faults of the answer alone.
    fn fault(&self, sub_pool: &str) -> Option<String> {
        let fate = self.fate();
        let told = match &self.reply {
            Reply::Odd(text) => return Some(format!("no answer of the API: {text}")),
            Reply::AnswerBody(told) => told,
            Reply::Nothing | Reply::HungUp => return None,
        };
        let fault = match (&self.ask, fate) {
            (_, Fate::Odd) => "no answer that may come here",
            _ if told.old.is_some() && told.subpool_name.as_deref() != Some(sub_pool) => {
                "the answer of another sub-pool"
            }
            (CoinbaseAction::Get, Fate::Race) => "a get needs no race error",
            (CoinbaseAction::Get, Fate::Success | Fate::Refused) if told.new.is_some() => {
                "a get that names a new value"
            }
            (CoinbaseAction::Update { held: Some(_), .. }, Fate::Refused) => {
                "a refusal of what the jobmaker accepts"
            }
            (CoinbaseAction::Update { held: None, .. }, Fate::Success) => {
                "a success for what the jobmaker refuses"
            }
            (CoinbaseAction::Update { held, .. }, Fate::Success) if told.new != *held => {
                "a success for another value than was asked for"
            }
            (CoinbaseAction::Update { .. }, Fate::Refused)
                if told.err_msg != "invalid payout address"
                    || told.new != Some(Coinbase::default()) =>
            {
                "a refusal that is another's"
            }
            _ => return None,
        };
        Some(fault.to_owned())
    }

    /// The values in the answer, in order of time.
    fn values(&self) -> impl Iterator<Item = &Coinbase> {
        let told = match &self.reply {
            Reply::AnswerBody(told) => Some(told),
            _ => None,
        };
        let new = told.filter(|told| told.success).and_then(|told| told.new.as_ref());
        told.and_then(|told| told.old.as_ref()).into_iter().chain(new)
    }

    /// An update's claim about its value.
    fn write(&self) -> Option<Operation> {
        let CoinbaseAction::Update { asked, held } = &self.ask else { return None };
        let claim = match self.fate() {
            Fate::Success => Claim::Written,
            Fate::Refused | Fate::NotWritten | Fate::NotServed => Claim::Refused,
            _ if held.is_none() => Claim::Refused,
            _ => Claim::Unknown,
        };
        Some(self.operation(claim, held.as_ref().unwrap_or(asked)))
    }

    /// The answer's claim about the value before.
    fn read(&self) -> Option<Operation> {
        self.values().next().map(|old| self.operation(Claim::Read, old))
    }

    fn operation(&self, claim: Claim, value: &Coinbase) -> Operation {
        let Self { start, end, .. } = *self;
        Operation { who: self.who(), claim, value: value.to_string(), start, end }
    }
}

/// A direct write to a request znode.
#[derive(Clone, Debug)]
pub struct Intrusion {
    pub sub_pool: usize,
    pub at: u64,
    pub asked: Coinbase,
    /// Whether the jobmaker accepts it.
    pub valid: bool,
}

/// All events of some sub-pools.
#[derive(Clone, Debug)]
pub struct History {
    pub origin: Instant,
    pub sub_pools: Vec<String>,
    pub records: Vec<Record>,
    pub intrusions: Vec<Intrusion>,
    /// The jobmaker's values and their beginnings, as reported by the jobmaker.
    pub diary: Vec<Applied>,
}

/// A moment in the histories: 0 is before everything.
pub fn since(origin: Instant, moment: Instant) -> u64 {
    moment.saturating_duration_since(origin).as_nanos() as u64 + 1
}

impl History {
    pub fn counts(&self) -> BTreeMap<Fate, usize> {
        let mut counts = BTreeMap::new();
        for record in &self.records {
            *counts.entry(record.fate()).or_default() += 1;
        }
        counts
    }

    /// Answers that are wrong by themselves.
    pub fn faults(&self) -> Vec<String> {
        let fault = |record: &Record| {
            let fault = record.fault(&self.sub_pools[record.sub_pool])?;
            Some(format!("{fault}: {}: {:?} {:?}", record.who(), record.ask, record.reply))
        };
        self.records.iter().filter_map(fault).collect()
    }

    /// Inconsistent answers about one sub-pool.
    pub fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        for sub_pool in 0..self.sub_pools.len() {
            for register in self.registers(sub_pool) {
                let violations = register::violations(&register);
                let shown = violations
                    .iter()
                    .map(|violation| format!("{}: {violation}", self.sub_pools[sub_pool]));
                found.extend(shown);
            }
        }
        found
    }

    /// The claims about a sub-pool's value, and those about its value between a jobmaker's start and first read.
    fn registers(&self, sub_pool: usize) -> [Vec<Operation>; 2] {
        let (mut operations, mut starts) = (Vec::new(), Vec::new());
        for (number, (at, value)) in self.diary_of(sub_pool, true).into_iter().enumerate() {
            let (who, value) = ("the jobmaker, at a start".to_owned(), value.to_string());
            let first = Operation { who, claim: Claim::Written, value, start: 0, end: 0 };
            let again = Operation { claim: Claim::Unknown, start: at, end: at, ..first.clone() };
            let start = if number == 0 { first } else { again };
            operations.push(start.clone());
            starts.push(start);
        }
        for record in self.records.iter().filter(|record| record.sub_pool == sub_pool) {
            operations.extend(record.write());
            let passing = record.fate() == Fate::Success
                && record.write().is_some()
                && record.values().next().is_some_and(|old| old.coinbase_info.starts_with(RESTART));
            if passing { &mut starts } else { &mut operations }.extend(record.read());
        }
        for intrusion in self.intrusions.iter().filter(|one| one.sub_pool == sub_pool) {
            let claim = if intrusion.valid { Claim::Unknown } else { Claim::Refused };
            let (who, value) = ("the other writer".to_owned(), intrusion.asked.to_string());
            let (start, end) = (intrusion.at, intrusion.at);
            operations.push(Operation { who, claim, value, start, end });
        }
        [operations, starts]
    }

    /// Answers with a value that the jobmaker did not hold at any moment between request and answer.
    pub fn untruths(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (sub_pool, name) in self.sub_pools.iter().enumerate() {
            let diary = self.diary_of(sub_pool, false);
            let mut times: HashMap<String, Vec<(u64, u64)>> = HashMap::new();
            for (index, (from, value)) in diary.iter().enumerate() {
                let to = diary.get(index + 1).map_or(u64::MAX, |(next, _)| *next);
                times.entry(value.to_string()).or_default().push((*from, to));
            }
            for record in self.records.iter().filter(|record| record.sub_pool == sub_pool) {
                let Record { start, end, .. } = *record;
                for value in record.values() {
                    let held = times.get(&value.to_string()).map(Vec::as_slice).unwrap_or_default();
                    if !held.iter().any(|(from, to)| *from <= end && start <= *to) {
                        let who = record.who();
                        found.push(format!(
                            "{name}: {who}: was told between {start} and {end} ns: {value}; its \
                             jobmaker held that from and to {held:?}"
                        ));
                    }
                }
            }
        }
        found
    }

    /// A sub-pool's values and their beginnings: those of the jobmaker's starts, or all.
    fn diary_of(&self, sub_pool: usize, only_starts: bool) -> Vec<(u64, Coinbase)> {
        let node = format!("/{}", self.sub_pools[sub_pool]);
        let entries = self
            .diary
            .iter()
            .filter(|entry| entry.path.ends_with(&node) && (entry.restart || !only_starts));
        let value = |entry: &Applied| Coinbase {
            coinbase_info: entry.coinbase_info.clone(),
            payout_addr: entry.payout_addr.clone(),
        };
        entries.map(|entry| (since(self.origin, entry.at), value(entry))).collect()
    }
}

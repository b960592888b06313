//! The judge of histories: compares the records of both daemons, their logs, and their answers with ZooKeeper's own
//! transaction log.
//!
//! A record names the state (`czxid`, version) that its write gave the znode, and each state occurs once. So a record with
//! a state stands for one write in ZooKeeper's log, and everything about it can be compared: value, session, the value
//! before, and, for an undo, whether the state before is the one that the undone request left. This also gives each
//! acknowledged switch its place in ZooKeeper's order. Writes without such a record need one that may explain them:
//! applied without a state, or unknown.
//!
//! A daemon that is killed may lose what it was about to record, and with `HistorySync: updates` the records of a second.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::Value;
use switcher_history::{
    ChangeRow, Entry, Kind, Old, Outcome, RequestNumber, Source, Switch, Update,
};

use crate::judge::Violations;
use crate::scene::GROWING;
use crate::transactions::{State, Write};

/// The records of so long may be lost.
const LOST: Duration = Duration::from_secs(1);

/// A write that a daemon has sent arrives within this time, also if the daemon is killed.
const ON_ITS_WAY: i64 = 3_000;

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// A sub-account and a value; `None`: no znode.
type Target<'a> = (&'a str, Option<&'a str>);

/// A SIGKILL of a daemon.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    pub moment: Instant,
    /// In milliseconds since 1970.
    pub time: i64,
}

/// An entry that a daemon answered as applied, held, restored or deleted.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// The index of the daemon.
    pub daemon: usize,
    pub request: RequestNumber,
    pub name: String,
    /// `None` if it was deleted.
    pub coin: Option<String>,
    pub start: Instant,
    pub end: Instant,
}

/// An update that the jobmaker made.
#[derive(Clone, Debug)]
pub struct Updated {
    pub daemon: usize,
    pub sub_pool: String,
    /// The coinbase text that was requested.
    pub text: String,
    pub end: Instant,
}

/// A line of a daemon's log about a switch that was applied, or a held one that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    request: RequestNumber,
    name: String,
    old: String,
    new: String,
    is_held: bool,
}

/// Everything that a daemon says about itself.
#[derive(Debug, Default)]
pub struct Testimony {
    /// Oldest first.
    pub records: Vec<ChangeRow>,
    pub lines: Vec<Line>,
    pub sessions: BTreeSet<i64>,
    pub kills: Vec<Kill>,
    /// Whether success is answered only after its record is synced.
    pub syncs_all: bool,
}

/// Everything that is compared.
#[derive(Debug, Default)]
pub struct Case {
    pub daemons: Vec<Testimony>,
    /// The writes of the sub-accounts' znodes, by name.
    pub znodes: HashMap<String, Vec<Write>>,
    /// The writes of the sub-pools' znodes, by name.
    pub sub_pools: HashMap<String, Vec<Write>>,
    pub acknowledged: Vec<Acknowledged>,
    pub updated: Vec<Updated>,
}

impl Line {
    /// `None` for a line about something else.
    pub fn parse(line: &Value) -> Option<Self> {
        let text = |key: &str| line[key].as_str().map(str::to_owned);
        let is_held = match (line["msg"].as_str()?, line["outcome"].as_str()?) {
            ("switch", "applied") => false,
            ("held switch", "carried out") => true,
            _ => return None,
        };
        let request = RequestNumber::from_str_radix(line["request"].as_str()?, 16).ok()?;
        let (name, old, new) = (text("sub_account")?, text("old")?, text("new")?);
        Some(Self { request, name, old, new, is_held })
    }

    /// The line that a record has; `None` if it has none.
    fn of(row: &ChangeRow) -> Option<Self> {
        let Entry::Switch(switch) = &row.entry else { return None };
        if row.outcome != Outcome::Applied || row.origin.source == Source::Registration {
            return None;
        }
        let old = match &switch.old {
            Old::NotKnown => "?".to_owned(),
            Old::Absent => "-".to_owned(),
            // As the log shows odd values of others.
            Old::Value(text) if text.contains([' ', ',', '\n']) => format!("{text:?}"),
            Old::Value(text) => text.clone(),
        };
        Some(Self {
            request: row.origin.request,
            name: switch.sub_account.clone(),
            old,
            new: switch.new.clone().unwrap_or_else(|| "-".to_owned()),
            is_held: switch.due.is_some(),
        })
    }
}

impl Testimony {
    fn switches(&self) -> impl Iterator<Item = (&ChangeRow, &Switch)> {
        self.records.iter().filter_map(|row| match &row.entry {
            Entry::Switch(switch) => Some((row, switch)),
            _ => None,
        })
    }

    /// Whether the daemon was killed within a second after that moment.
    fn is_killed_after(&self, end: Instant) -> bool {
        self.kills.iter().any(|kill| end <= kill.moment && end + LOST >= kill.moment)
    }

    /// Whether the daemon was killed at about this time.
    fn is_killed_at(&self, time: i64) -> bool {
        let lost = LOST.as_millis() as i64;
        self.kills.iter().any(|kill| (kill.time - lost..kill.time + ON_ITS_WAY).contains(&time))
    }
}

impl Case {
    /// All violations.
    pub fn violations(&self) -> Violations {
        let claims = self.claims();
        let mut found = claims.found.clone();
        found.extend(self.not_recorded());
        found.extend(self.out_of_order(&claims));
        found.extend(self.unexplained(&claims));
        found.extend(self.undos(&claims));
        found.extend(self.lines());
        found.extend(self.updates());
        found
    }

    /// Entries that undos have restored, and deleted.
    pub fn undone(&self) -> [usize; 2] {
        let done = self.daemons.iter().flat_map(Testimony::switches);
        let undone =
            done.filter(|(row, _)| row.origin.undo_of.is_some() && row.outcome == Outcome::Applied);
        let (restored, deleted): (Vec<_>, Vec<_>) =
            undone.partition(|(_, switch)| switch.new.is_some());
        [restored.len(), deleted.len()]
    }

    /// Finds the write of each record with a state.
    fn claims(&self) -> Claims<'_> {
        let mut claims = Claims::default();
        for (number, daemon) in self.daemons.iter().enumerate() {
            for (row, switch) in daemon.switches() {
                let is_held = row.outcome == Outcome::Held;
                let is_done = is_held || row.outcome == Outcome::Applied;
                let Some(state) = switch.state.filter(|_| is_done) else { continue };
                let (name, state) = (switch.sub_account.as_str(), (state.created, state.version));
                let writes = self.writes(name);
                let at = writes.iter().position(|write| write.state == Some(state));
                let Some(at) = at else {
                    claims.found.push(format!("a record without a write: {}", shown(number, row)));
                    continue;
                };
                let write = &writes[at];
                let mut wrong = |what: &str| {
                    let row = shown(number, row);
                    claims.found.push(format!("{what}: {row}; ZooKeeper has {write:?}"));
                };
                let (before, value) =
                    (old(write.before.as_ref().map(|it| &it.1)), old(write.value.as_ref()));
                // A held switch names the state that it found.
                let before = if is_held { value } else { before };
                if ![&Old::NotKnown, &before].contains(&&switch.old) {
                    wrong("a record with a wrong `old`");
                }
                if is_held {
                    continue;
                }
                if write.value != switch.new {
                    wrong("a record with another value than its write");
                }
                if !daemon.sessions.contains(&write.session) {
                    wrong("a record of another session's write");
                }
                if claims.of_writes.insert((name, at), (number, row.number)).is_some() {
                    wrong("two records of one write");
                }
                claims.zxids.insert((row.origin.request, name), write.zxid);
            }
        }
        claims
    }

    fn writes(&self, name: &str) -> &[Write] {
        self.znodes.get(name).map_or(&[], Vec::as_slice)
    }

    /// Acknowledged switches without a record at the daemon that answered.
    fn not_recorded(&self) -> Violations {
        let recorded = |daemon: &Testimony| -> HashSet<(RequestNumber, String, Option<String>)> {
            let switches = daemon.switches();
            let done =
                switches.filter(|(row, _)| matches!(row.outcome, Outcome::Applied | Outcome::Held));
            done.map(|(row, it)| (row.origin.request, it.sub_account.clone(), it.new.clone()))
                .collect()
        };
        let recorded: Vec<_> = self.daemons.iter().map(recorded).collect();
        let missing = self.acknowledged.iter().filter(|it| {
            let daemon = &self.daemons[it.daemon];
            let may_lack = !daemon.syncs_all && daemon.is_killed_after(it.end);
            !may_lack
                && !recorded[it.daemon].contains(&(it.request, it.name.clone(), it.coin.clone()))
        });
        missing.map(|it| format!("acknowledged and not recorded: {it:?}")).collect()
    }

    /// Acknowledged switches that ZooKeeper has in another order than their requests were.
    fn out_of_order(&self, claims: &Claims<'_>) -> Violations {
        let mut of_names: HashMap<&str, Vec<(&Acknowledged, i64)>> = HashMap::new();
        for it in &self.acknowledged {
            if let Some(zxid) = claims.zxids.get(&(it.request, it.name.as_str())) {
                of_names.entry(&it.name).or_default().push((it, *zxid));
            }
        }
        let mut found = Violations::new();
        for mut switches in of_names.into_values() {
            switches.sort_by_key(|(it, _)| it.start);
            for (index, (later, zxid)) in switches.iter().enumerate() {
                let wrong =
                    switches[..index].iter().find(|(it, last)| it.end < later.start && last > zxid);
                found.extend(
                    wrong.map(|(it, _)| {
                        format!("a wrong order in ZooKeeper: {it:?} before {later:?}")
                    }),
                );
            }
        }
        found
    }

    /// Writes that no record explains, and records whose write is missing.
    fn unexplained(&self, claims: &Claims<'_>) -> Violations {
        let mut found = Violations::new();
        // Records that may explain a write of this value.
        let mut vague: HashMap<Target<'_>, Vec<(usize, &ChangeRow)>> = HashMap::new();
        let mut refused: HashMap<Target<'_>, (usize, &ChangeRow)> = HashMap::new();
        for (number, daemon) in self.daemons.iter().enumerate() {
            for (row, switch) in daemon.switches() {
                let key = (switch.sub_account.as_str(), switch.new.as_deref());
                match row.outcome {
                    Outcome::NotApplied => drop(refused.insert(key, (number, row))),
                    Outcome::Applied
                        if switch.state.is_some() || switch.superseded_by.is_some() => {}
                    Outcome::Applied | Outcome::Unknown => {
                        vague.entry(key).or_default().push((number, row))
                    }
                    Outcome::Held => {}
                }
            }
        }
        let mut left: HashMap<_, _> = vague.iter().map(|(key, rows)| (*key, rows.len())).collect();
        for (name, writes) in &self.znodes {
            for (at, write) in writes.iter().enumerate() {
                let of =
                    self.daemons.iter().find(|daemon| daemon.sessions.contains(&write.session));
                let (Some(daemon), false) =
                    (of, claims.of_writes.contains_key(&(name.as_str(), at)))
                else {
                    continue;
                };
                let value = write.value.as_deref();
                if let Some(left) = left.get_mut(&(name.as_str(), value)).filter(|left| **left > 0)
                {
                    *left -= 1;
                    continue;
                }
                // First coins by lists are not recorded.
                let is_first = write.state.is_some_and(|(_, version)| version == 0)
                    && value.is_some_and(|coin| GROWING.contains(&coin));
                if !is_first && !daemon.is_killed_at(write.time) {
                    let refused = refused
                        .get(&(name.as_str(), value))
                        .map(|(number, row)| shown(*number, row));
                    found.push(format!("a write that no record explains: {name}, {write:?}; not applied: {refused:?}"));
                }
            }
        }
        for ((name, value), rows) in vague {
            let is_there = self
                .writes(name)
                .iter()
                .any(|write| write.value.as_deref() == value && self.is_ours(write));
            let applied = rows.into_iter().filter(|(_, row)| {
                row.outcome == Outcome::Applied && row.origin.source != Source::Registration
            });
            found.extend(
                applied.filter(|_| !is_there).map(|(number, row)| {
                    format!("applied and never written: {}", shown(number, row))
                }),
            );
        }
        found
    }

    fn is_ours(&self, write: &Write) -> bool {
        self.daemons.iter().any(|daemon| daemon.sessions.contains(&write.session))
    }

    /// Undos that did not follow directly what they took back: they overwrote a switch that they had not seen.
    fn undos(&self, claims: &Claims<'_>) -> Violations {
        let mut found = Violations::new();
        for (number, daemon) in self.daemons.iter().enumerate() {
            let mut left: HashMap<(RequestNumber, &str), Option<State>> = HashMap::new();
            for (row, switch) in daemon.switches() {
                let name = switch.sub_account.as_str();
                if let Some(undone) = row.origin.undo_of
                    && row.outcome == Outcome::Applied
                    && let Some(write) = self.write_of(claims, daemon, switch)
                {
                    let before = write.before.as_ref().map(|(state, _)| *state);
                    if left.get(&(undone, name)) != Some(&before) {
                        let left = left.get(&(undone, name));
                        found.push(format!(
                            "an undo of something that it had not seen: {}, which left {left:?}; ZooKeeper has {write:?}",
                            shown(number, row)
                        ));
                    }
                }
                if matches!(row.outcome, Outcome::Applied | Outcome::Held) {
                    let state = switch.state.map(|it| (it.created, it.version));
                    left.insert((row.origin.request, name), state);
                }
            }
        }
        found
    }

    /// The write of a record, if that is certain.
    fn write_of(&self, claims: &Claims<'_>, daemon: &Testimony, switch: &Switch) -> Option<&Write> {
        let writes = self.writes(&switch.sub_account);
        if let Some(state) = switch.state {
            return writes.iter().find(|write| write.state == Some((state.created, state.version)));
        }
        let mut may_be = writes.iter().enumerate().filter(|(at, write)| {
            write.value == switch.new
                && daemon.sessions.contains(&write.session)
                && !claims.of_writes.contains_key(&(switch.sub_account.as_str(), *at))
        });
        may_be.next().filter(|_| may_be.next().is_none()).map(|(_, write)| write)
    }

    /// Log lines without a record, and records without a log line.
    fn lines(&self) -> Violations {
        let mut found = Violations::new();
        for (number, daemon) in self.daemons.iter().enumerate() {
            let mut balance: HashMap<Line, i32> = HashMap::new();
            daemon.lines.iter().for_each(|line| *balance.entry(line.clone()).or_default() += 1);
            let mut times = HashMap::new();
            for row in &daemon.records {
                if let Some(line) = Line::of(row) {
                    times.insert(line.clone(), row.time);
                    *balance.entry(line).or_default() -= 1;
                }
            }
            for (line, balance) in balance.into_iter().filter(|(_, balance)| *balance != 0) {
                let claimed = self
                    .writes(&line.name)
                    .iter()
                    .filter(|it| it.value.as_deref() == Some(&line.new))
                    .map(|it| it.time);
                let mut times = times.get(&line).copied().into_iter().chain(claimed);
                if !times.any(|time| daemon.is_killed_at(time)) {
                    let what = if balance > 0 {
                        "a log line without a record"
                    } else {
                        "a record without a log line"
                    };
                    found.push(format!("{what}: daemon {number}, {line:?}"));
                }
            }
        }
        found
    }

    /// Updates that are not recorded, or that were requested from a jobmaker without a record.
    fn updates(&self) -> Violations {
        let mut recorded: HashMap<(usize, &str, &str), Vec<&ChangeRow>> = HashMap::new();
        for (number, daemon) in self.daemons.iter().enumerate() {
            for row in &daemon.records {
                if let Entry::Update(Update { sub_pool, new, .. }) = &row.entry {
                    let key = (number, sub_pool.as_str(), start_of(&new.coinbase_info));
                    recorded.entry(key).or_default().push(row);
                }
            }
        }
        let find = |daemon: usize, sub_pool: &str, text: &str| {
            recorded.get(&(daemon, sub_pool, start_of(text))).cloned().unwrap_or_default()
        };
        let mut found = Violations::new();
        for it in &self.updated {
            let rows = find(it.daemon, &it.sub_pool, &it.text);
            let is_killed = self.daemons[it.daemon].is_killed_after(it.end);
            let is_good = |row: &&&ChangeRow| match row.outcome {
                Outcome::Applied => true,
                // The request is synced, its outcome is not.
                Outcome::Unknown => is_killed,
                _ => false,
            };
            if rows.iter().find(is_good).is_none() {
                found.push(format!(
                    "an update that was made is recorded otherwise: {it:?}, {rows:?}"
                ));
            }
        }
        for (name, writes) in &self.sub_pools {
            // A *get* leaves the data of the last update, and only raises the version.
            let is_get =
                |it: &&Write| it.before.as_ref().map(|(_, value)| value) == it.value.as_ref();
            for write in writes.iter().filter(|it| !is_get(it)) {
                let of =
                    self.daemons.iter().position(|daemon| daemon.sessions.contains(&write.session));
                let text = write.value.as_deref().and_then(coinbase_text);
                let Some((number, text)) = of.zip(text) else { continue };
                let is_before = |row: &&ChangeRow| {
                    let later = row.time - write.time;
                    // The clock was stepped.
                    later <= 0 || later > DAY
                };
                if !find(number, name, &text).iter().any(is_before) {
                    found.push(format!("an update without a record before it: {name}, {write:?}"));
                }
            }
        }
        found
    }
}

/// Records' writes.
#[derive(Default)]
struct Claims<'a> {
    /// For a name and the place of its write, the record that claims it.
    of_writes: HashMap<(&'a str, usize), (usize, i64)>,
    /// By request and name.
    zxids: HashMap<(RequestNumber, &'a str), i64>,
    found: Violations,
}

fn old(value: Option<&String>) -> Old {
    value.map_or(Old::Absent, |value| Old::Value(value.clone()))
}

/// The part of a coinbase text that a jobmaker neither cuts nor pads.
fn start_of(text: &str) -> &str {
    text.trim_end_matches('.')
}

/// The text that an update requests; `None` for other data.
fn coinbase_text(request: &str) -> Option<String> {
    let request: Value = serde_json::from_str(request).ok()?;
    request["coinbase_info"].as_str().map(str::to_owned)
}

/// The rule of a violation.
pub fn rule(violation: &str) -> &str {
    violation.split(':').next().unwrap_or_default()
}

fn shown(daemon: usize, row: &ChangeRow) -> String {
    let ChangeRow { number, origin, entry, outcome, cause, .. } = row;
    let undo_of =
        origin.undo_of.map(|undone| format!(" (undo of {undone:016x})")).unwrap_or_default();
    let kind: Kind = entry.kind();
    format!(
        "record {number} of daemon {daemon}, {} {:016x}{undo_of}, {} {entry:?}: {}, {cause:?}",
        origin.source.word(),
        origin.request,
        kind.word(),
        outcome.word(),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use serde_json::json;
    use switcher_history::{Coinbase, Origin, State as Recorded};

    use super::*;

    const SESSION: i64 = 7;
    const FOREIGN: i64 = 8;

    static BEGIN: LazyLock<Instant> = LazyLock::new(|| Instant::now() - Duration::from_secs(100));

    fn at(milliseconds: i64) -> Instant {
        *BEGIN + Duration::from_millis(milliseconds as u64)
    }

    /// Alice's znode with these values, `-` for a deletion. The first write has the time and zxid 10, the second 20.
    fn znode(values: &[&str]) -> Vec<Write> {
        let (mut writes, mut state, mut before) = (Vec::new(), None, None);
        for (zxid, value) in (10..).step_by(10).zip(values) {
            state = match state {
                _ if *value == "-" => None,
                Some((created, version)) => Some((created, version + 1)),
                None => Some((zxid, 0)),
            };
            let value = state.map(|_| (*value).to_owned());
            let next = state.zip(value.clone());
            let before = std::mem::replace(&mut before, next);
            writes.push(Write { zxid, session: SESSION, time: zxid, state, value, before });
        }
        writes
    }

    fn row(request: u64, entry: Entry, outcome: Outcome) -> ChangeRow {
        let (source, client, undo_of) = (Source::Api, None, None);
        let (actor, on_behalf_of, comment, cause) = (None, None, None, None);
        let origin = Origin { request, source, client, actor, on_behalf_of, comment, undo_of };
        ChangeRow { number: request as i64, time: 0, origin, entry, outcome, cause }
    }

    /// A record of request `request`; `change` is `OLD NEW CZXID VERSION`, where `?` is unknown and `-` nothing.
    fn record(request: u64, change: &str, outcome: Outcome) -> ChangeRow {
        let [old, new, created, version] = change.split(' ').collect::<Vec<_>>()[..] else {
            panic!("four words")
        };
        let old = match old {
            "?" => Old::NotKnown,
            "-" => Old::Absent,
            old => Old::Value(old.to_owned()),
        };
        let new = Some(new.to_owned()).filter(|new| new != "-");
        let state = created
            .parse()
            .ok()
            .map(|created| Recorded { created, version: version.parse().unwrap() });
        let sub_account = "alice".to_owned();
        let switch = Switch { sub_account, old, new, superseded_by: None, due: None, state };
        row(request, Entry::Switch(switch), outcome)
    }

    fn undo(request: u64, undone: u64, change: &str) -> ChangeRow {
        let mut row = record(request, change, Outcome::Applied);
        row.origin.undo_of = Some(undone);
        row
    }

    fn answered(request: u64, coin: &str, start: i64, end: i64) -> Acknowledged {
        let coin = Some(coin.to_owned()).filter(|coin| coin != "-");
        let (start, end) = (at(start), at(end));
        Acknowledged { daemon: 0, request, name: "alice".to_owned(), coin, start, end }
    }

    fn applied(request: u64, change: &str) -> ChangeRow {
        record(request, change, Outcome::Applied)
    }

    /// One daemon, whose log fits its records.
    fn case(values: &[&str], records: Vec<ChangeRow>, acknowledged: Vec<Acknowledged>) -> Case {
        let lines = records.iter().filter_map(Line::of).collect();
        let daemon = Testimony {
            records,
            lines,
            sessions: BTreeSet::from([SESSION]),
            kills: Vec::new(),
            syncs_all: true,
        };
        let znodes = HashMap::from([("alice".to_owned(), znode(values))]);
        Case { daemons: vec![daemon], znodes, acknowledged, ..Case::default() }
    }

    /// The beginnings of all violations.
    fn wrong(case: &Case) -> Vec<String> {
        let mut found: Vec<_> = case.violations().iter().map(|it| rule(it).to_owned()).collect();
        found.sort();
        found
    }

    fn two() -> Vec<ChangeRow> {
        vec![applied(1, "- c1 10 0"), applied(2, "c1 c2 10 1")]
    }

    fn killed(time: i64) -> Kill {
        Kill { moment: at(time), time }
    }

    #[test]
    fn a_true_history_is_accepted() {
        let answers = || vec![answered(1, "c1", 5, 15), answered(2, "c2", 16, 25)];
        assert!(wrong(&case(&["c1", "c2"], two(), answers())).is_empty());
        let not_known = vec![applied(1, "? c1 - -"), record(2, "? c2 - -", Outcome::Unknown)];
        assert!(
            wrong(&case(&["c1", "c2"], not_known.clone(), vec![answered(1, "c1", 5, 15)]))
                .is_empty()
        );
        assert!(wrong(&case(&["c1"], not_known, Vec::new())).is_empty(), "unknown and not written");
    }

    #[test]
    fn acknowledged_switches_need_a_record() {
        let mut lost = case(&["c1", "c2"], two(), vec![answered(3, "c3", 5, 15)]);
        assert_eq!(wrong(&lost), ["acknowledged and not recorded"]);
        lost.daemons[0].kills = vec![killed(900)];
        assert_eq!(wrong(&lost), ["acknowledged and not recorded"], "it syncs all");
        lost.daemons[0].syncs_all = false;
        assert!(wrong(&lost).is_empty());
        lost.daemons[0].kills = vec![killed(1_100)];
        assert_eq!(wrong(&lost), ["acknowledged and not recorded"], "more than a second before");
        let refused = vec![two().remove(0), record(2, "c1 c2 - -", Outcome::NotApplied)];
        assert_eq!(
            wrong(&case(&["c1"], refused, vec![answered(2, "c2", 5, 15)])),
            ["acknowledged and not recorded"]
        );
    }

    #[test]
    fn a_record_names_a_write_of_its_daemon() {
        let wrongs = |values: &[&str], change: &str| {
            wrong(&case(values, vec![applied(1, "- c1 10 0"), applied(2, change)], Vec::new()))
        };
        assert_eq!(wrongs(&["c1"], "c1 c2 10 1"), ["a record without a write"]);
        assert_eq!(wrongs(&["c1"], "c1 c2 - -"), ["applied and never written"]);
        assert_eq!(
            wrongs(&["c1", "c2"], "c1 c3 10 1"),
            ["a record with another value than its write"]
        );
        assert_eq!(wrongs(&["c1", "c2"], "c0 c2 10 1"), ["a record with a wrong `old`"]);
        assert_eq!(
            wrongs(&["c1", "-", "c2"], "c1 c2 30 0"),
            ["a record with a wrong `old`", "a write that no record explains"]
        );
        assert_eq!(wrongs(&["c1"], "- c1 10 0"), ["two records of one write"]);
        let mut foreign = case(&["c1", "c2"], two(), Vec::new());
        foreign.znodes.get_mut("alice").unwrap()[1].session = FOREIGN;
        assert_eq!(wrong(&foreign), ["a record of another session's write"]);
    }

    #[test]
    fn a_write_needs_a_record() {
        let one = || vec![two().remove(0)];
        let mut unseen = case(&["c1", "c2"], one(), Vec::new());
        assert_eq!(wrong(&unseen), ["a write that no record explains"]);
        unseen.daemons[0].kills = vec![killed(500)];
        assert!(wrong(&unseen).is_empty());
        unseen.daemons[0].kills = vec![killed(5_000)];
        assert_eq!(wrong(&unseen).len(), 1);
        let mut foreign = case(&["c1", "c2"], one(), Vec::new());
        foreign.znodes.get_mut("alice").unwrap()[1].session = FOREIGN;
        assert!(wrong(&foreign).is_empty());
        let refused = record(2, "c1 c2 - -", Outcome::NotApplied);
        assert_eq!(
            wrong(&case(&["c1", "c2"], [one(), vec![refused]].concat(), Vec::new())).len(),
            1
        );
        let unknown = record(2, "? c2 - -", Outcome::Unknown);
        let twice = case(&["c1", "c2", "c2"], [one(), vec![unknown]].concat(), Vec::new());
        assert_eq!(wrong(&twice), ["a write that no record explains"]);
        assert!(
            wrong(&case(&[GROWING[0]], Vec::new(), Vec::new())).is_empty(),
            "the first coin of a list"
        );
    }

    #[test]
    fn the_order_of_requests_is_that_of_writes() {
        let answers = |second| vec![answered(2, "c2", 5, 15), answered(1, "c1", second, 30)];
        assert_eq!(wrong(&case(&["c1", "c2"], two(), answers(16))), ["a wrong order in ZooKeeper"]);
        assert!(wrong(&case(&["c1", "c2"], two(), answers(14))).is_empty(), "at the same time");
    }

    #[test]
    fn an_undo_follows_directly_what_it_takes_back() {
        let seen = |values: &[&str], more: Vec<ChangeRow>| {
            wrong(&case(values, [two(), more].concat(), Vec::new()))
        };
        assert!(seen(&["c1", "c2", "c1"], vec![undo(9, 2, "c2 c1 10 2")]).is_empty());
        let unseen = "an undo of something that it had not seen";
        let between = vec![applied(3, "c2 c3 10 2"), undo(9, 2, "c3 c1 10 3")];
        assert_eq!(seen(&["c1", "c2", "c3", "c1"], between), [unseen]);
        assert_eq!(
            seen(&["c1", "c2", "c1"], vec![undo(9, 8, "c2 c1 10 2")]),
            [unseen],
            "not recorded"
        );
        let undone_twice = vec![undo(8, 2, "c2 c1 10 2"), undo(9, 8, "c1 c2 10 3")];
        assert!(seen(&["c1", "c2", "c1", "c2"], undone_twice).is_empty());

        let one = |values: &[&str], more: Vec<ChangeRow>| {
            wrong(&case(values, [vec![two().remove(0)], more].concat(), Vec::new()))
        };
        assert!(one(&["c1", "-"], vec![undo(9, 1, "c1 - - -")]).is_empty());
        let created_again = vec![undo(8, 1, "c1 - - -"), undo(9, 8, "- c1 30 0")];
        assert!(one(&["c1", "-", "c1"], created_again).is_empty());
        let deleted = vec![applied(2, "c1 c2 10 1"), undo(9, 1, "c2 - - -")];
        assert_eq!(one(&["c1", "c2", "-"], deleted), [unseen]);
        let held = vec![record(3, "c1 h0 10 0", Outcome::Held), undo(9, 3, "c1 c1 10 1")];
        assert!(one(&["c1", "c1"], held).is_empty(), "a held one leaves the old coin");
        let held = |change| one(&["c1"], vec![record(3, change, Outcome::Held)]);
        assert_eq!(held("c1 h0 10 1"), ["a record without a write"]);
        assert_eq!(held("c2 h0 10 0"), ["a record with a wrong `old`"]);
    }

    #[test]
    fn each_applied_switch_has_a_log_line_and_each_line_a_record() {
        let mut silent = case(&["c1", "c2"], two(), Vec::new());
        silent.daemons[0].lines.pop();
        assert_eq!(wrong(&silent), ["a record without a log line"]);
        let line = json!({"msg": "switch", "request": "0000000000000002", "sub_account": "alice", "old": "c1", "new": "c2", "outcome": "applied"});
        silent.daemons[0].lines.extend(Line::parse(&line));
        assert!(wrong(&silent).is_empty());
        silent.daemons[0].lines.extend(Line::parse(&line));
        assert_eq!(wrong(&silent), ["a log line without a record"]);
        silent.daemons[0].kills = vec![killed(500)];
        assert!(wrong(&silent).is_empty());
        assert_eq!(Line::parse(&json!({"msg": "switch", "outcome": "not applied"})), None);
    }

    #[test]
    fn an_update_is_recorded_before_it_is_requested() {
        let update = |outcome| {
            let new =
                Coinbase { coinbase_info: "c0-1".to_owned(), payout_addr: "somewhere".to_owned() };
            let entry =
                Update { coin: "btc".to_owned(), sub_pool: "pool".to_owned(), old: None, new };
            row(1, Entry::Update(entry), outcome)
        };
        let requested = |records, values: &[&str]| {
            let sub_pools = HashMap::from([("pool".to_owned(), znode(values))]);
            Case { znodes: HashMap::new(), sub_pools, ..case(&[], records, Vec::new()) }
        };
        let request = r#"{"coin":"btc","coinbase_info":"c0-1...","payout_addr":"somewhere"}"#;
        assert!(wrong(&requested(vec![update(Outcome::Unknown)], &[request, request])).is_empty());
        assert_eq!(
            wrong(&requested(Vec::new(), &[request, request])),
            ["an update without a record before it"]
        );
        let late = ChangeRow { time: 11, ..update(Outcome::Applied) };
        let late = requested(vec![late], &[request]);
        assert_eq!(wrong(&late), ["an update without a record before it"]);
        let mut made = requested(vec![update(Outcome::Unknown)], &[request]);
        made.updated = vec![Updated {
            daemon: 0,
            sub_pool: "pool".to_owned(),
            text: "c0-1...".to_owned(),
            end: at(100),
        }];
        assert_eq!(wrong(&made), ["an update that was made is recorded otherwise"]);
        made.daemons[0].kills = vec![killed(500)];
        assert!(wrong(&made).is_empty());
        made.daemons[0] =
            Testimony { records: vec![update(Outcome::Applied)], ..Testimony::default() };
        assert!(wrong(&made).is_empty());
    }
}

//! Gathers what `recorded` compares.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use switcher_history::{ChangeRow, Filter, Order, Reader, verify};

use crate::judge::Violations;
use crate::recorded::{Acknowledged, Case, Testimony, Updated, rule};
use crate::scene::{Member, Scene};
use crate::support::coinbase_history::{CoinbaseAction, Fate as Exchanged, History};
use crate::support::load::Fate;
use crate::traffic::Records;
use crate::transactions::{self, Write};

/// By then every daemon that is not busy has recorded all.
const RECORDED: Duration = Duration::from_millis(2_500);

/// Changes in a page of a history.
const PAGE: usize = 10_000;

/// What clients know of all rounds so far.
#[derive(Debug, Default)]
pub struct Known {
    acknowledged: Vec<Acknowledged>,
    updated: Vec<Updated>,
}

impl Known {
    /// Adds a round that began at `origin`.
    pub fn add(&mut self, origin: Instant, records: &Records, history: &History) {
        let moment = |nanoseconds| origin + Duration::from_nanos(nanoseconds);
        let calls = records.calls.iter().filter(|call| call.fate == Fate::Applied);
        for (call, request) in calls
            .filter_map(|call| call.request.as_ref().zip(Some(call)).map(|(it, call)| (call, it)))
        {
            self.acknowledged.extend(call.names.iter().map(|name| Acknowledged {
                daemon: call.daemon,
                request: number(request),
                name: name.clone(),
                coin: Some(call.coin.clone()),
                start: moment(call.start),
                end: moment(call.end),
            }));
        }
        for undo in &records.undos {
            self.acknowledged.extend(undo.entries.iter().map(|(name, coin)| Acknowledged {
                daemon: undo.daemon,
                request: number(&undo.request),
                name: name.clone(),
                coin: coin.clone(),
                start: undo.start,
                end: undo.end,
            }));
        }
        for record in &history.records {
            if let (CoinbaseAction::Update { asked, .. }, Exchanged::Success) =
                (&record.ask, record.fate())
            {
                self.updated.push(Updated {
                    daemon: record.daemon,
                    sub_pool: history.sub_pools[record.sub_pool].clone(),
                    text: asked.coinbase_info.clone(),
                    end: moment(record.end),
                });
            }
        }
    }

    /// Compares all with the daemons' records, once these are complete. Returns violations.
    pub async fn compare(&mut self, scene: &mut Scene) -> Violations {
        tokio::time::sleep(RECORDED).await;
        let mut found = Violations::new();
        let mut daemons = Vec::new();
        for (number, member) in scene.daemons.iter_mut().enumerate() {
            let about = |fault| format!("the history of daemon {number}: {fault}");
            found.extend(chain(member).err().map(about));
            daemons.push(testimony(member).unwrap_or_else(|fault| {
                found.push(about(fault));
                Testimony::default()
            }));
        }
        let mut logs = Vec::new();
        for server in &scene.servers {
            match transactions::read(&server.data()) {
                Ok(log) => logs.push(log),
                Err(fault) => found.push(format!("a transaction log: {fault}")),
            }
        }
        let writes = transactions::writes(&transactions::committed(logs));
        let (watch_dir, base_dir) =
            (scene.daemons[0].daemon.watch_dir(), format!("{}btc/", scene.base_dir));
        let case = Case {
            daemons,
            znodes: below(watch_dir, &writes),
            sub_pools: below(&base_dir, &writes),
            acknowledged: std::mem::take(&mut self.acknowledged),
            updated: std::mem::take(&mut self.updated),
        };
        let records: usize = case.daemons.iter().map(|daemon| daemon.records.len()).sum();
        let writes: usize = case.znodes.values().map(Vec::len).sum();
        let [restored, deleted] = case.undone();
        println!(
            "{records} records of {} acknowledged switches and {} updates, {restored} entries restored and {deleted} deleted by \
             undos, compared with {writes} writes in ZooKeeper's log",
            case.acknowledged.len(),
            case.updated.len()
        );
        if restored == 0 {
            found.push("no undo had an effect".to_owned());
        }
        found.extend(case.violations());
        let mut rules = BTreeMap::<&str, usize>::new();
        found.iter().for_each(|it| *rules.entry(rule(it)).or_default() += 1);
        rules.iter().for_each(|(rule, count)| println!("{count} times {rule}"));
        found
    }
}

/// The writes of a directory's children, by name.
fn below(directory: &str, writes: &HashMap<String, Vec<Write>>) -> HashMap<String, Vec<Write>> {
    let children = writes.iter().filter_map(|(path, writes)| {
        let name = path.strip_prefix(directory).filter(|name| !name.contains('/'))?;
        Some((name.to_owned(), writes.clone()))
    });
    children.collect()
}

fn testimony(member: &mut Member) -> Result<Testimony, String> {
    let reader = Reader::open(&member.history).map_err(|error| error.to_string())?;
    let (mut records, mut cursor) = (Vec::<ChangeRow>::new(), None);
    loop {
        let page = reader.changes(&Filter::default(), Order::Oldest, cursor, PAGE);
        let page = page.map_err(|error| error.to_string())?;
        records.extend(page.rows);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let (lines, sessions) = member.take_log();
    let (kills, syncs_all) = (member.kills.clone(), member.syncs_all);
    Ok(Testimony { records, lines, sessions, kills, syncs_all })
}

/// Verifies the chain of payout changes.
fn chain(member: &Member) -> Result<(), String> {
    let verified = verify(&member.history, &member.history.with_extension("key"), None);
    verified.map_err(|error| error.to_string())?.map(drop).map_err(|fault| fault.to_string())
}

fn number(request: &str) -> u64 {
    u64::from_str_radix(request, 16).expect("a request's id")
}

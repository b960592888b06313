//! The database beside a naive model.

use std::{collections::BTreeSet, net::Ipv4Addr};

use tempfile::TempDir;

use super::*;

const COINS: [&str; 3] = ["btc", "bcc", "ltc"];

fn random_change(random: &mut fastrand::Rng, request: u64, time: i64) -> Change {
    let coin = |random: &mut fastrand::Rng| COINS[random.usize(..3)].to_owned();
    let old = match random.u8(..4) {
        0 => Old::NotKnown,
        1 => Old::Absent,
        2 => Old::Value("x".repeat(random.usize(60..70))),
        _ => Old::Value(coin(random)),
    };
    let outcomes = [Outcome::Applied, Outcome::NotApplied, Outcome::Unknown, Outcome::Held];
    Change {
        time,
        origin: Origin {
            request,
            source: if request % 3 == 0 { Source::Poll } else { Source::Api },
            client: (request % 3 != 0).then(|| Ipv4Addr::new(10, 0, 0, (request % 4) as u8).into()),
            actor: (request % 5 == 1).then(|| "wang".to_owned()),
            on_behalf_of: None,
            comment: (request % 7 == 1).then(|| format!("reason {request}")),
            undo_of: None,
        },
        switch: Switch {
            sub_account: format!("user{}", random.u8(..20)),
            old,
            new: coin(random),
            superseded_by: random.bool().then(|| coin(random)),
            due: random.bool().then_some(1_790_000_000),
            state: random
                .bool()
                .then(|| State { created: random.i64(1..), version: random.i32(0..) }),
        },
        outcome: outcomes[random.usize(..4)],
        cause: random.bool().then(|| format!("cause {}", random.u8(..3))),
    }
}

/// Some requests at a time, each in several transactions.
fn filled(random: &mut fastrand::Rng, dir: &TempDir, count: usize) -> (Writer, Vec<(i64, Change)>) {
    let path = dir.path().join("history");
    let mut writer = Writer::open(&path, 50).unwrap();
    let mut all = Vec::new();
    while all.len() < count {
        if random.u8(..10) == 0 {
            drop(writer);
            writer = Writer::open(&path, 50).unwrap();
        }
        let changes: Vec<Change> = (0..random.usize(..20))
            .map(|_| {
                let request = (all.len() / 10) as u64 + random.u64(..5) + (1 << 63);
                let time = 1_790_000_000_000 + all.len() as i64 * 10 - random.i64(0..30);
                random_change(random, request, time)
            })
            .collect();
        all.extend(writer.append(&changes).unwrap().zip(changes));
    }
    (writer, all)
}

fn random_filter(random: &mut fastrand::Rng) -> Filter {
    let mut some = |share: u8| random.u8(..share) == 0;
    let (name, coin, request, outcome, times) = (some(3), some(3), some(6), some(4), some(3));
    let (actor, source) = (some(5), some(5));
    let from = 1_790_000_000_000 + random.i64(0..8_000);
    Filter {
        sub_account: name.then(|| format!("user{}", random.u8(..21))),
        is_prefix: random.bool(),
        coin: coin.then(|| ["btc", "bcc", "ltc", "doge"][random.usize(..4)].to_owned()),
        actor: actor.then(|| "wang".to_owned()),
        source: source.then_some(Source::Poll),
        client: (source && random.bool()).then(|| "10.0.0.1".to_owned()),
        request: request.then(|| random.u64(..90) + (1 << 63)),
        outcome: outcome.then_some(Outcome::Unknown),
        from: times.then_some(from),
        to: times.then(|| from + random.i64(0..4_000)),
    }
}

fn matches(filter: &Filter, change: &Change) -> bool {
    let Filter { sub_account, is_prefix, coin, actor, source, client, request, outcome, from, to } =
        filter;
    let switch = &change.switch;
    sub_account.as_ref().is_none_or(|name| {
        if *is_prefix {
            switch.sub_account.starts_with(&**name)
        } else {
            switch.sub_account == *name
        }
    }) && coin
        .as_ref()
        .is_none_or(|coin| switch.new == *coin || switch.old == Old::Value(coin.clone()))
        && actor.as_ref().is_none_or(|actor| change.origin.actor.as_ref() == Some(actor))
        && source.is_none_or(|source| change.origin.source == source)
        && client.as_ref().is_none_or(|client| {
            change.origin.client.map(|ip| ip.to_string()).as_ref() == Some(client)
        })
        && request.is_none_or(|request| change.origin.request == request)
        && outcome.is_none_or(|outcome| change.outcome == outcome)
        && from.is_none_or(|from| change.time >= from)
        && to.is_none_or(|to| change.time < to)
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

#[test]
fn searches_find_what_a_naive_model_finds() {
    for seed in 0..6 {
        let (mut random, dir) = (fastrand::Rng::with_seed(seed), tempfile::tempdir().unwrap());
        let (_writer, all) = filled(&mut random, &dir, 700);
        let reader = Reader::open(&dir.path().join("history")).unwrap();
        for _ in 0..40 {
            let filter = random_filter(&mut random);
            let found: Vec<_> = all.iter().filter(|(_, change)| matches(&filter, change)).collect();
            let oldest = all_pages(|at| reader.changes(&filter, Order::Oldest, at, 7).unwrap());
            assert_eq!(oldest.len(), found.len(), "seed {seed} {filter:?}");
            for (row, (number, change)) in oldest.iter().zip(&found) {
                assert_eq!(
                    (row.number, row.time, &row.switch),
                    (*number, change.time, &change.switch)
                );
                assert_eq!((row.outcome, &row.cause), (change.outcome, &change.cause));
                assert_eq!(row.origin.client, change.origin.client.map(|ip| ip.to_string()));
                assert_eq!(
                    (row.origin.request, &row.origin.actor),
                    (change.origin.request, &change.origin.actor)
                );
            }
            let mut newest = all_pages(|at| reader.changes(&filter, Order::Newest, at, 9).unwrap());
            newest.reverse();
            assert_eq!(newest, oldest);

            let expected: BTreeSet<u64> = found.iter().map(|(_, it)| it.origin.request).collect();
            let requests = all_pages(|at| reader.requests(&filter, Order::Newest, at, 5).unwrap());
            let found: BTreeSet<u64> = requests.iter().map(|row| row.origin.request).collect();
            assert_eq!(
                (requests.len(), &found),
                (expected.len(), &expected),
                "seed {seed} {filter:?}"
            );
            for row in requests {
                let of_it = || {
                    all.iter()
                        .map(|(_, it)| it)
                        .filter(|it| it.origin.request == row.origin.request)
                };
                let counts =
                    [Outcome::Applied, Outcome::NotApplied, Outcome::Unknown, Outcome::Held]
                        .map(|outcome| of_it().filter(|it| it.outcome == outcome).count() as i64);
                assert_eq!(row.outcomes, counts);
                assert_eq!(row.coins.values().sum::<i64>(), of_it().count() as i64);
                assert!(row.coins.iter().all(|(coin, count)| {
                    of_it().filter(|it| it.switch.new == *coin).count() as i64 == *count
                }));
            }
        }
    }
}

#[test]
fn the_oldest_parts_are_dropped_with_their_requests() {
    let (mut random, dir) = (fastrand::Rng::with_seed(1), tempfile::tempdir().unwrap());
    let (mut writer, all) = filled(&mut random, &dir, 700);
    let not_before = 1_790_000_000_000 + 3_500;
    while writer.expire(Limits { not_before, bytes: u64::MAX }).unwrap() {}
    let reader = Reader::open(&dir.path().join("history")).unwrap();
    let kept = all_pages(|at| reader.changes(&Filter::default(), Order::Oldest, at, 100).unwrap());
    let first = all.iter().find(|(_, change)| change.time >= not_before).unwrap().0;
    assert!(kept[0].number <= first && kept[0].number > first - 80, "{} {first}", kept[0].number);
    assert_eq!(kept.len() as u64, writer.size().unwrap().rows);
    let requests =
        all_pages(|at| reader.requests(&Filter::default(), Order::Oldest, at, 100).unwrap());
    let expected: BTreeSet<u64> = kept.iter().map(|row| row.origin.request).collect();
    assert!(requests.iter().all(|row| expected.contains(&row.origin.request)));
    while writer.expire(Limits { not_before: 0, bytes: 0 }).unwrap() {}
    assert!(writer.size().unwrap().rows < 80, "the newest part stays");
    drop(writer);
    let mut writer = Writer::open(&dir.path().join("history"), 50).unwrap();
    let numbers = writer.append(&[random_change(&mut random, 1, 5)]).unwrap();
    assert_eq!(*numbers.start(), all.last().unwrap().0 + 1, "numbers are never used again");
}

#[test]
fn an_undo_is_noted_at_the_request_that_it_takes_back() {
    let (mut random, dir) = (fastrand::Rng::with_seed(2), tempfile::tempdir().unwrap());
    let path = dir.path().join("history");
    let mut writer = Writer::open(&path, 50).unwrap();
    let change = random_change(&mut random, 7, 1);
    let mut undo = random_change(&mut random, 8, 2);
    undo.origin.undo_of = Some(7);
    writer.append(&[change]).unwrap();
    writer.append(&[undo]).unwrap();
    let rows = Reader::open(&path)
        .unwrap()
        .requests(&Filter::default(), Order::Oldest, None, 9)
        .unwrap()
        .rows;
    assert_eq!((rows[0].undone_by, rows[1].origin.undo_of), (Some(8), Some(7)));
}

#[test]
fn files_that_are_no_history_of_ours_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    std::fs::write(&path, "this is a text, not a database\n".repeat(100)).unwrap();
    assert!(matches!(Writer::open(&path, 50), Err(OpenError::Damaged(_))));
    let path = dir.path().join("newer");
    drop(Writer::open(&path, 50).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    assert!(matches!(Writer::open(&path, 50), Err(OpenError::Newer(9))));
    assert!(matches!(Reader::open(&path), Err(OpenError::Newer(9))));
    assert!(matches!(Writer::open(dir.path(), 50), Err(OpenError::Other(_))));
}

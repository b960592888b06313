use std::collections::HashSet;

use super::*;

fn random_filter(random: &mut fastrand::Rng) -> Filter {
    let mut some = |share: u8| random.u8(..share) == 0;
    let (name, coin, request, outcome, times) = (some(3), some(3), some(6), some(4), some(3));
    let (actor, source, kind, sub_pool) = (some(5), some(5), some(4), some(6));
    let from = BEGINNING + random.i64(0..9_000);
    let kinds = [Kind::Switch, Kind::Update, Kind::Reload, Kind::Approval];
    Filter {
        sub_account: name.then(|| format!("user{}", random.u8(..21))),
        is_prefix: random.bool(),
        coin: coin.then(|| ["btc", "bcc", "ltc", "doge"][random.usize(..4)].to_owned()),
        sub_pool: sub_pool.then(|| format!("pool{}", random.u8(..4))),
        actor: actor.then(|| ["wang", "li"][random.usize(..2)].to_owned()),
        source: source.then_some(Source::Poll),
        client: (source && random.bool()).then(|| "10.0.0.1".to_owned()),
        request: request.then(|| random.u64(..90) + (random.u64(..3) << 31) + (1 << 63)),
        kind: kind.then(|| kinds[random.usize(..4)]),
        outcome: outcome.then(|| OUTCOMES[random.usize(..4)]),
        from: times.then_some(from),
        to: times.then(|| from + random.i64(0..4_000)),
    }
}

fn matches(filter: &Filter, change: &Change) -> bool {
    let Filter { sub_account, is_prefix, coin, sub_pool, actor, source, .. } = filter;
    let Filter { client, request, kind, outcome, from, to, .. } = filter;
    let (name, coins, pool) = match &change.entry {
        Entry::Switch(Switch { sub_account, new, old: Old::Value(old), .. }) => {
            (Some(sub_account), new.iter().chain([old]).collect(), None)
        }
        Entry::Switch(Switch { sub_account, new, .. }) => {
            (Some(sub_account), new.iter().collect(), None)
        }
        Entry::Update(Update { coin, sub_pool, .. }) => (None, vec![coin], Some(sub_pool)),
        Entry::Reload { .. } => (None, vec![], None),
    };
    sub_account.as_ref().is_none_or(|wanted| {
        name.is_some_and(|name| if *is_prefix { name.starts_with(wanted) } else { name == wanted })
    }) && coin.as_ref().is_none_or(|coin| coins.contains(&coin))
        && sub_pool.as_ref().is_none_or(|wanted| pool == Some(wanted))
        && actor.as_ref().is_none_or(|actor| change.origin.actor.as_ref() == Some(actor))
        && source.is_none_or(|source| change.origin.source == source)
        && client.as_ref().is_none_or(|client| {
            change.origin.client.map(|ip| ip.to_string()).as_ref() == Some(client)
        })
        && request.is_none_or(|request| change.origin.request == request)
        && kind.is_none_or(|kind| change.entry.kind() == kind)
        && outcome.is_none_or(|outcome| change.outcome == outcome)
        && from.is_none_or(|from| change.time >= from)
        && to.is_none_or(|to| change.time < to)
}

impl History {
    /// Compares all searches with this filter.
    fn check(&self, reader: &Reader, filter: &Filter) {
        let found: Vec<_> = self.all.iter().filter(|(_, it)| matches(filter, it)).collect();
        let oldest = all_pages(|at| reader.changes(filter, Order::Oldest, at, 17).unwrap());
        let numbers: Vec<_> = oldest.iter().map(|row| row.number).collect();
        let expected: Vec<_> = found.iter().map(|(number, _)| **number).collect();
        assert_eq!(numbers, expected, "{filter:?}");
        for (row, (_, change)) in oldest.iter().zip(&found) {
            assert_eq!((row.time, &row.entry), (change.time, &change.entry));
            assert_eq!((row.outcome, &row.cause), (change.outcome, &change.cause));
            assert_eq!(row.origin, *change.origin);
        }
        let mut newest = all_pages(|at| reader.changes(filter, Order::Newest, at, 29).unwrap());
        newest.reverse();
        assert_eq!(newest, oldest);

        let keys = found.iter().map(|(_, it)| (it.origin.request, it.entry.kind()));
        let keys: HashSet<_> = keys.collect();
        let expected = self.requests.iter().filter(|(key, _)| keys.contains(key));
        let mut expected: Vec<_> = expected.collect();
        expected.sort_by_key(|(_, row)| row.id);
        let oldest = all_pages(|at| reader.requests(filter, Order::Oldest, at, 11).unwrap());
        assert_eq!(oldest.len(), expected.len(), "{filter:?}");
        for (row, ((request, kind), model)) in oldest.iter().zip(expected) {
            assert_eq!((row.origin.request, row.kind, row.id), (*request, *kind, model.id));
            assert_eq!((row.time, row.outcomes), (model.time, model.outcomes));
            assert_eq!((row.created, &row.coins), (model.created, &model.coins));
            assert_eq!(row.origin, *origin(*request));
            assert_eq!(row.undone_by, self.undone_by(*request, model.id));
        }
        let mut newest = all_pages(|at| reader.requests(filter, Order::Newest, at, 19).unwrap());
        newest.reverse();
        assert_eq!(newest, oldest);
    }

    pub(super) fn check_all(&mut self, count: usize) {
        let reader = self.place.reader();
        self.check(&reader, &Filter::default());
        for _ in 0..count {
            let filter = random_filter(&mut self.random);
            self.check(&reader, &filter);
        }
        let last = reader.last(5).unwrap();
        let expected: Vec<_> = self.all.keys().rev().take(5).rev().copied().collect();
        assert_eq!(last.iter().map(|row| row.number).collect::<Vec<_>>(), expected);
        let rows = self.writer().size().unwrap().rows;
        assert_eq!(rows, self.all.len() as u64);
    }
}

#[test]
fn searches_find_what_a_naive_model_finds() {
    for seed in 0..5 {
        let mut history = History::filled(seed, 600);
        history.check_all(40);
    }
}

#[test]
fn pages_continue_while_changes_are_added() {
    let mut history = History::filled(7, 300);
    let reader = history.place.reader();
    let before: Vec<_> = history.all.keys().rev().copied().collect();
    let newest = all_pages(|at| {
        history.step();
        reader.changes(&Filter::default(), Order::Newest, at, 9).unwrap()
    });
    let newest: Vec<_> = newest.iter().map(|row| row.number).collect();
    assert_eq!(newest[newest.len() - before.len()..], before);
    assert!(newest.is_sorted_by(|one, next| one > next));
}

#[test]
fn a_request_is_found_by_its_number() {
    let history = History::filled(8, 200);
    let reader = history.place.reader();
    let (number, _) = history.requests.keys().next().unwrap();
    assert_eq!(reader.request(*number).unwrap().unwrap().origin, *origin(*number));
    assert_eq!(reader.request(number ^ (1 << 40)).unwrap(), None);
}

#[test]
fn a_request_is_undone_as_long_as_its_undo_is_in_force() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut append = |request, undo_of, outcome| {
        let origin = Arc::new(Origin { undo_of, ..(*origin(request)).clone() });
        let change = change(request, request as i64, switch("alice", "btc"));
        writer.append(&[Change { origin, outcome, ..change }]).unwrap();
    };
    let undone_by = |request| place.reader().request(request).unwrap().unwrap().undone_by;
    append(4, None, Outcome::Applied);
    append(5, Some(4), Outcome::NotApplied);
    assert_eq!(undone_by(4), None, "an undo without effect");
    append(6, Some(4), Outcome::Unknown);
    assert_eq!(undone_by(4), Some(6));
    append(7, Some(6), Outcome::Applied);
    assert_eq!((undone_by(4), undone_by(6)), (None, Some(7)), "the undo is undone");
    append(8, Some(4), Outcome::Applied);
    assert_eq!(undone_by(4), Some(8));
}

#[test]
fn a_search_that_takes_too_long_is_ended() {
    let mut history = History::filled(9, 400);
    let mut reader = history.place.reader();
    let changes: Vec<_> = (0..5000).map(|n| change(1, n, switch("alice", "btc"))).collect();
    history.writer().append(&changes).unwrap();
    let filter = Filter { outcome: Some(Outcome::Held), sub_pool: None, ..Filter::default() };
    reader.set_limit(Duration::ZERO);
    let slow = reader.changes(&filter, Order::Newest, None, 10).unwrap_err();
    assert!(matches!(slow, Error::TooLong(0)), "{slow}");
    assert!(slow.to_string().contains("narrow it by dates"), "{slow}");
    let request = reader.request(1 << 50).unwrap();
    assert_eq!(request, None, "a short one is not");
    reader.set_limit(Duration::from_secs(60));
    reader.changes(&filter, Order::Newest, None, 10).unwrap();
}

#[test]
fn values_that_cannot_be_read_are_errors_at_most() {
    for change in [
        "UPDATE requests SET source = 99",
        "UPDATE requests SET source = 'x', kind = 77",
        "UPDATE requests SET coins = x'ff', client = x'ff'",
        "UPDATE requests SET client = 'here', actor = 4711",
        "UPDATE requests SET more = -9223372036854775808",
        "UPDATE requests SET id = 9223372036854775807 WHERE id = 1",
        "UPDATE requests SET undo_of = request",
        "UPDATE switches_1 SET old = 1.5, new = x'00', cause = 9999",
        "UPDATE switches_1 SET outcome = -1, version = 1 << 40",
        "UPDATE switches_1 SET sub_account = x'ff', time = 9223372036854775807",
        "UPDATE switches_1 SET back = -9223372036854775807, due = -1",
        "UPDATE notes SET text = '{}'",
        "UPDATE notes SET text = '[]', link = 7",
        "UPDATE notes SET text = json_set(text, '$.origin.request', 'ö')",
        "UPDATE notes SET text = json_set(text, '$.kind', 'approval')",
        "UPDATE notes SET text = json_set(text, '$.of', 1)",
        "UPDATE words SET text = CAST(text AS BLOB)",
        "DELETE FROM words",
        "DELETE FROM requests",
        "DELETE FROM parts",
        "UPDATE parts SET last = 9223372036854775807, first = -5, reach = -7",
        "UPDATE parts SET first_time = 'x'",
        "DROP TABLE switches_1",
        "DELETE FROM chain",
    ] {
        let mut history = History::filled(10, 120);
        let db = history.place.db();
        db.execute_batch(change).unwrap();
        let reader = history.place.reader();
        for _ in 0..10 {
            let filter = random_filter(&mut history.random);
            let _ = reader.changes(&filter, Order::Newest, None, 50);
            let _ = reader.requests(&filter, Order::Oldest, None, 50);
        }
        let _ = reader.last(9);
        let _ = verify(&history.place.file(), &history.place.key(), None);
        history.writer = None;
        let Ok(Opened { mut writer, .. }) = history.place.open() else { continue };
        let changes: Vec<_> =
            (0..60).map(|n| super::change(n, 5, switch("alice", "btc"))).collect();
        let _ = writer.append(&changes);
        let _ = writer.size();
        let _ = writer.expire(Limits { bytes: 0, ..NO_LIMITS });
    }
}

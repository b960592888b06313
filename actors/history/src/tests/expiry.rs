use super::*;

impl History {
    /// Drops what is too old, in the model too.
    fn expire(&mut self, not_before: i64, notes_not_before: i64) {
        let limits = Limits { not_before, notes_not_before, bytes: u64::MAX };
        while self.writer().expire(limits).unwrap() {}
        let filter = Filter { kind: Some(Kind::Switch), ..Filter::default() };
        let oldest = self.place.reader().changes(&filter, Order::Oldest, None, 80).unwrap().rows;
        let kept_from = oldest.first().map_or(i64::MAX, |row| row.number);
        let notes_from = self.notes_kept_from(notes_not_before);
        let is_switch = |change: &Change| change.entry.kind() == Kind::Switch;
        let switches = || self.all.iter().filter(|(_, change)| is_switch(change));
        let dropped = switches().filter(|(number, _)| **number < kept_from);
        for (_, change) in dropped {
            assert!(change.time < not_before);
        }
        let is_old = |row: &ChangeRow| row.time < not_before;
        assert!(oldest.len() < 80 || !oldest.iter().all(is_old), "parts have 70 at most");
        let kept = |kind| if kind == Kind::Switch { kept_from } else { notes_from };
        self.all.retain(|number, change| *number >= kept(change.entry.kind()));
        self.requests.retain(|(_, kind), row| row.last >= kept(*kind));
    }

    /// The first note that is kept: with the outcomes, in the order of numbers.
    fn notes_kept_from(&self, not_before: i64) -> i64 {
        let db = self.place.db();
        let notes = "SELECT number FROM notes ORDER BY number LIMIT 1";
        let first = db.query_row(notes, [], |row| row.get::<_, i64>(0)).unwrap_or(i64::MAX);
        for (number, change) in &self.all {
            if change.entry.kind() != Kind::Switch && *number < first {
                assert!(change.time < not_before && !self.open.contains(number));
            }
        }
        let orphans = "SELECT count(*) FROM notes o WHERE o.text ->> '$.of' NOT IN (SELECT number FROM notes)";
        assert_eq!(db.query_row(orphans, [], |row| row.get::<_, i64>(0)), Ok(0));
        first
    }
}

#[test]
fn after_old_changes_were_dropped_searches_find_the_others() {
    for seed in 0..4 {
        let mut history = History::filled(100 + seed, 300);
        for _ in 0..6 {
            for _ in 0..20 {
                history.step();
            }
            let now = BEGINNING + history.count as i64 * 10;
            let ages = [history.random.i64(0..3_000), history.random.i64(0..3_000)];
            history.expire(now - ages[0], now - ages[1]);
            history.check_all(8);
            history.place.verify(None).unwrap();
        }
    }
}

#[test]
fn an_update_is_dropped_with_its_outcome_and_not_while_it_runs() {
    let mut random = fastrand::Rng::with_seed(1);
    let place = Place::new();
    let mut writer = place.writer();
    let mut begin = |writer: &mut Writer, time| {
        writer.begin_update(time, &origin(time as u64), &update(&mut random)).unwrap()
    };
    let (one, two) = (begin(&mut writer, 10), begin(&mut writer, 20));
    writer.end_update(two, 30, Outcome::Applied, None, None, None).unwrap();
    let three = begin(&mut writer, 40);
    let limits = Limits { notes_not_before: 100, ..NO_LIMITS };
    writer.expire(limits).unwrap();
    let numbers = || changes(&place.file()).iter().map(|row| row.number).collect::<Vec<_>>();
    assert_eq!(numbers(), [one, two, three], "the first is not ended");
    writer.end_update(one, 110, Outcome::Applied, None, None, None).unwrap();
    writer.expire(limits).unwrap();
    assert_eq!(numbers(), [one, two, three], "its outcome is new");
    let head = writer.end_update(three, 120, Outcome::Applied, None, None, None).unwrap();
    writer.expire(Limits { notes_not_before: 200, ..limits }).unwrap();
    assert!(numbers().is_empty());
    assert_eq!(place.reader().request(10).unwrap(), None);
    assert_eq!((place.verify(Some(&head)), writer.chain_head()), (Ok(0), head));
    drop(writer);
    assert!(begin(&mut place.writer(), 50) > three + 2, "numbers are never used again");
}

#[test]
fn the_oldest_switches_are_dropped_for_the_limit_of_bytes() {
    let mut history = History::filled(3, 700);
    let last = *history.all.last_key_value().unwrap().0;
    let notes = |history: &History| {
        let kinds = changes(&history.place.file()).into_iter().map(|row| row.entry.kind());
        kinds.filter(|kind| *kind != Kind::Switch).count()
    };
    let before = notes(&history);
    let limits = Limits { bytes: 0, ..NO_LIMITS };
    let mut writer = history.writer.take().unwrap();
    while writer.expire(limits).unwrap() {}
    assert!(writer.size().unwrap().rows < before as u64 + 70, "the newest part stays");
    assert_eq!(notes(&history), before, "so do notes");
    drop(writer);
    let mut writer = history.place.writer();
    let numbers = writer.append(&[change(1, 5, switch("alice", "btc"))]).unwrap();
    assert!(*numbers.start() > last, "numbers are never used again");
}

#[test]
fn switches_of_a_quiet_pool_are_dropped_after_a_week_more_at_most() {
    let day = 24 * 60 * 60 * 1000;
    let place = Place::new();
    let mut writer = place.writer();
    for time in 0..43 {
        writer.append(&[change(time as u64, time * day, switch("alice", "btc"))]).unwrap();
        drop(writer);
        writer = place.writer();
        let not_before = (time - 10) * day;
        while writer.expire(Limits { not_before, ..NO_LIMITS }).unwrap() {}
        let rows = changes(&place.file());
        assert!(rows.len() >= 11.min(time as usize + 1) && rows.len() <= 11 + 8, "{}", rows.len());
    }
    while writer.expire(Limits { not_before: 44 * day, ..NO_LIMITS }).unwrap() {}
    assert!(changes(&place.file()).is_empty(), "although nothing follows");
    assert_eq!(writer.size().unwrap(), Size { rows: 0, oldest: None, ..writer.size().unwrap() });
}

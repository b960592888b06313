use std::{
    env, fs,
    io::{BufRead, BufReader, Write, stdout},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::*;

/// One more page than the file has now, or as many more.
fn limit_pages(writer: &Writer, more: i64) {
    let pages: i64 = writer.db().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let limit = pages + more;
    writer.db().query_row(&format!("PRAGMA max_page_count = {limit}"), [], |_| Ok(())).unwrap();
}

fn batch(request: u64, count: usize, coin: &str) -> Vec<Change> {
    let name = |n| format!("sub-account-{request}-{n}");
    (0..count).map(|n| change(request, 5, switch(&name(n), coin))).collect()
}

#[test]
fn on_a_full_disk_appending_fails_and_works_again_when_there_is_space() {
    let (mut random, place) = (fastrand::Rng::with_seed(1), Place::new());
    let mut writer = place.writer();
    writer.append(&batch(1, 5, "btc")).unwrap();
    let asked = update(&mut random);
    let number = writer.begin_update(1, &origin(2), &asked).unwrap();
    let head = writer.chain_head();
    limit_pages(&writer, 1);
    let mut failing = batch(3, 5000, "ltc");
    failing.push(change(3, 5, Entry::Update(asked.clone())));
    let error = writer.append(&failing).unwrap_err();
    assert!(!error.is_damaged() && error.to_string().contains("full"), "{error}");
    assert_eq!(writer.chain_head(), head);
    let long = Update { coin: "x".repeat(100_000), ..asked };
    writer.begin_update(9, &origin(4), &long).unwrap_err();
    let cause = "x".repeat(100_000);
    writer.end_update(number, 9, Outcome::Applied, Some(&cause), None, None).unwrap_err();
    assert_eq!(changes(&place.file()).len(), 6);
    limit_pages(&writer, 1_000_000);
    // "bcc" takes the number of the word that "ltc" had in the failed transaction.
    writer.append(&batch(5, 2, "bcc")).unwrap();
    writer.append(&batch(6, 2, "ltc")).unwrap();
    writer.end_update(number, 9, Outcome::Applied, None, None, None).unwrap();
    let rows = changes(&place.file());
    let coins = rows.iter().filter_map(|row| match &row.entry {
        Entry::Switch(switch) => switch.new.as_deref(),
        _ => None,
    });
    let expected = [["btc"; 5].as_slice(), &["bcc"; 2], &["ltc"; 2]].concat();
    assert_eq!(coins.collect::<Vec<_>>(), expected);
    assert_eq!(place.verify(None), Ok(2));
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_and_no_damage() {
    let place = Place::new();
    let mut writer = place.writer();
    writer.db().pragma_update(None, "query_only", true).unwrap();
    let error = writer.append(&batch(1, 1, "btc")).unwrap_err();
    assert!(!error.is_damaged() && error.to_string().contains("readonly"), "{error}");
    writer.db().pragma_update(None, "query_only", false).unwrap();
    writer.append(&batch(1, 1, "btc")).unwrap();
}

#[test]
fn a_full_part_whose_index_fails_is_indexed_later() {
    let place = Place::new();
    let mut writer =
        Writer::open(&place.file(), &place.key(), 2000, OnDamage::Refuse).unwrap().writer;
    writer.append(&batch(1, 1999, "btc")).unwrap();
    limit_pages(&writer, 2);
    let parts = || {
        let parts = "SELECT count(*), (SELECT count(*) FROM sqlite_schema WHERE name LIKE 'switches_%_by_name') FROM parts";
        place.db().query_row(parts, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
    };
    writer.append(&batch(2, 3, "btc")).unwrap();
    writer.append(&batch(3, 3, "btc")).unwrap();
    assert_eq!(parts(), Ok((1, 0)));
    let error = writer.expire(NO_LIMITS).unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    writer.append(&batch(4, 3, "btc")).unwrap();
    assert_eq!(changes(&place.file()).len(), 2008);
    limit_pages(&writer, 1_000_000);
    writer.append(&batch(5, 210, "btc")).unwrap();
    assert_eq!(parts(), Ok((2, 1)), "it was tried again");
    writer.append(&batch(6, 3, "btc")).unwrap();
    assert_eq!(changes(&place.file()).len(), 2221);
}

#[test]
fn expiry_ends_a_part_whose_index_failed() {
    let place = Place::new();
    let mut writer =
        Writer::open(&place.file(), &place.key(), 2000, OnDamage::Refuse).unwrap().writer;
    writer.append(&batch(1, 1999, "btc")).unwrap();
    limit_pages(&writer, 2);
    writer.append(&batch(2, 3, "btc")).unwrap();
    limit_pages(&writer, 1_000_000);
    assert!(writer.expire(Limits { bytes: 0, ..NO_LIMITS }).unwrap());
    while writer.expire(Limits { bytes: 0, ..NO_LIMITS }).unwrap() {}
    assert_eq!(changes(&place.file()).len(), 0);
}

#[test]
fn a_log_that_was_cut_anywhere_has_the_first_transactions() {
    let mut history = History::filled(20, 200);
    let whole = Place::new();
    fs::copy(history.place.file(), whole.file()).unwrap();
    let log = fs::read(history.place.companion("-wal")).unwrap();
    let all: Vec<_> = history.all.keys().copied().collect();
    for _ in 0..40 {
        let cut = history.random.usize(..log.len());
        let place = Place::new();
        fs::copy(history.place.key(), place.key()).unwrap();
        fs::copy(whole.file(), place.file()).unwrap();
        fs::write(place.companion("-wal"), &log[..cut]).unwrap();
        let Ok(Opened { mut writer, .. }) = place.open() else { panic!("at {cut}") };
        let numbers: Vec<_> = changes(&place.file()).iter().map(|row| row.number).collect();
        assert_eq!(numbers, all[..numbers.len()]);
        place.verify(None).unwrap();
        writer.append(&batch(1, 1, "btc")).unwrap();
    }
}

#[test]
fn the_log_stays_small_although_searches_overlap() {
    let place = Place::new();
    let mut writer = place.writer();
    let is_over = Arc::new(AtomicBool::new(false));
    let searches: Vec<_> = (0..2)
        .map(|_| {
            let (db, is_over) = (place.db(), Arc::clone(&is_over));
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    db.execute_batch("BEGIN; SELECT * FROM parts").unwrap();
                    thread::sleep(Duration::from_millis(40));
                    db.execute_batch("COMMIT").unwrap();
                }
            })
        })
        .collect();
    let (mut written, mut most) = (0, 0);
    while written < 6 << 20 {
        let mut changes = batch(1, 100, "btc");
        changes.iter_mut().for_each(|change| change.cause = Some("x".repeat(2000)));
        writer.set_wait(1 << 20);
        writer.append(&changes).unwrap();
        written += 100 * 2000;
        most = most.max(fs::metadata(place.companion("-wal")).unwrap().len());
    }
    is_over.store(true, Ordering::Relaxed);
    searches.into_iter().for_each(|search| search.join().unwrap());
    assert!(most < 4 << 20, "{most}");
}

/// A process of its own, which is killed; without the variable, nothing.
#[test]
fn child() {
    let Some(file) = env::var_os("HISTORY").map(PathBuf::from) else { return };
    let key = file.with_extension("key");
    let mut random = fastrand::Rng::new();
    let mut writer = Writer::open(&file, &key, 50, OnDamage::Refuse).unwrap().writer;
    loop {
        let request = random.u64(..100);
        let changes: Vec<_> =
            (0..random.usize(1..30)).map(|_| random_change(&mut random, request, 5)).collect();
        let mut last = *writer.append(&changes).unwrap().end();
        if random.bool() {
            last = writer.begin_update(5, &origin(1), &update(&mut random)).unwrap();
            writer.end_update(last, 5, Outcome::Applied, None, None, None).unwrap();
        }
        let count = writer.size().unwrap().rows;
        writeln!(stdout(), "appended {last} {count} {}", writer.chain_head()).unwrap();
    }
}

#[test]
fn after_a_kill_everything_that_was_appended_is_there() {
    let place = Place::new();
    for round in 0..4 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["tests::faults::child", "--exact", "--nocapture"])
            .env("HISTORY", place.file())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok).filter(|line| line.contains("appended "));
        let first = lines.next().unwrap();
        let reader = thread::spawn(move || lines.last());
        thread::sleep(Duration::from_millis(300 + 100 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let line = reader.join().unwrap().unwrap_or(first);
        let mut words = line.split_once("appended ").unwrap().1.split(' ');
        let mut next = || words.next().unwrap();
        let (last, count): (i64, usize) = (next().parse().unwrap(), next().parse().unwrap());
        let head: Link = next().parse().unwrap();
        let rows = changes(&place.file());
        assert!(rows.len() >= count && rows.last().unwrap().number >= last, "{line}");
        place.verify(Some(&head)).unwrap();
    }
}

#[test]
fn a_lock_of_another_program_is_waited_for() {
    let place = Place::new();
    let mut writer = place.writer();
    writer.append(&batch(1, 1, "btc")).unwrap();
    let (db, (locked, is_locked)) = (place.db(), std::sync::mpsc::channel());
    let other = thread::spawn(move || {
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        locked.send(()).unwrap();
        thread::sleep(Duration::from_millis(300));
        db.execute_batch("COMMIT").unwrap();
    });
    is_locked.recv().unwrap();
    // It reads the request before it adds to it.
    writer.append(&batch(1, 1, "bcc")).unwrap();
    other.join().unwrap();
}

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

fn one() -> [Change; 1] {
    [change(1, 5, switch("alice", "btc"))]
}

#[test]
fn files_that_are_no_history_of_ours_are_refused() {
    let place = Place::new();
    fs::write(place.file(), "this is a text, not a database\n".repeat(100)).unwrap();
    assert!(matches!(place.open(), Err(OpenError::Damaged(_))));
    fs::remove_file(place.file()).unwrap();
    drop(place.writer());
    place.db().pragma_update(None, "user_version", 9).unwrap();
    assert!(matches!(place.open(), Err(OpenError::Newer(9))));
    assert!(matches!(Reader::open(&place.file()), Err(OpenError::Newer(9))));
    assert!(matches!(verify(&place.file(), &place.key(), None), Err(OpenError::Newer(9))));
    let aside = OnDamage::MoveAside { now: 1 };
    let newer = Writer::open(&place.file(), &place.key(), 50, aside);
    assert!(matches!(newer, Err(OpenError::Newer(9))), "it is not moved");

    let place = Place::new();
    place.db().execute_batch("CREATE TABLE theirs(x)").unwrap();
    let before = fs::read(place.file()).unwrap();
    let theirs = Writer::open(&place.file(), &place.key(), 50, aside);
    assert!(theirs.err().unwrap().to_string().contains("another program"));
    assert!(Reader::open(&place.file()).is_err());
    assert_eq!(fs::read(place.file()).unwrap(), before);
    assert!(Reader::open(&place.file().with_extension("absent")).is_err());
    let directory = Writer::open(place.0.path(), &place.key(), 50, aside);
    assert!(matches!(directory, Err(OpenError::Other(_))));
}

#[test]
fn one_writer_at_a_time() {
    let place = Place::new();
    let writer = place.writer();
    assert!(matches!(place.open(), Err(OpenError::InUse)));
    let aside = OnDamage::MoveAside { now: 1 };
    let second = Writer::open(&place.file(), &place.key(), 50, aside);
    assert!(matches!(second, Err(OpenError::InUse)));
    drop(writer);
    let mut writer = place.writer();
    writer.append(&one()).unwrap();
    writer.start_over(7).unwrap();
    assert!(matches!(place.open(), Err(OpenError::InUse)), "nor after it started over");
}

#[test]
fn the_key_file_is_created_once_and_must_fit() {
    let place = Place::new();
    drop(place.writer());
    let key = fs::read_to_string(place.key()).unwrap();
    assert_eq!(fs::metadata(place.key()).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(key.len() == 65 && key.ends_with('\n'), "{key}");
    assert!(key.trim_end().bytes().all(|digit| digit.is_ascii_hexdigit()), "{key}");
    drop(place.writer());
    assert_eq!(fs::read_to_string(place.key()).unwrap(), key);

    let other = Place::new();
    drop(other.writer());
    assert_ne!(fs::read_to_string(other.key()).unwrap(), key, "keys are random");
    fs::copy(other.key(), place.key()).unwrap();
    let error = place.open().err().unwrap().to_string();
    assert!(error.contains("history.key") && error.contains("is not the one"), "{error}");
    for unusable in ["", "secret\n", &key[1..], &format!("{key}00"), "é".repeat(32).as_str()] {
        fs::write(place.key(), unusable).unwrap();
        let error = place.open().err().unwrap().to_string();
        assert!(error.contains("history.key"), "{error}");
        assert!(verify(&place.file(), &place.key(), None).is_err());
        let new =
            Writer::open(&place.file().with_extension("new"), &place.key(), 50, OnDamage::Refuse);
        assert!(new.is_err(), "an unusable key is never replaced");
    }
    fs::remove_file(place.key()).unwrap();
    let error = place.open().err().unwrap().to_string();
    assert!(error.contains("history.key") && error.contains("No such file"), "{error}");
    assert!(!place.key().exists(), "another key would not fit the chain");
    assert!(verify(&place.file(), &place.key(), None).is_err());
    fs::write(place.key(), key).unwrap();
    drop(place.writer());
}

#[test]
fn a_damaged_file_is_moved_aside_and_a_new_one_begun() {
    let place = Place::new();
    drop(place.writer());
    let text = "this is a text, not a database\n".repeat(100);
    fs::write(place.file(), &text).unwrap();
    let aside = OnDamage::MoveAside { now: 17 };
    let Opened { mut writer, moved_aside } =
        Writer::open(&place.file(), &place.key(), 50, aside).unwrap();
    let MovedAside { to, why } = moved_aside.unwrap();
    assert_eq!(to, place.companion(".damaged-17"));
    assert!(why.contains("not a database"), "{why}");
    assert_eq!(fs::read_to_string(to).unwrap(), text);
    writer.append(&one()).unwrap();
    assert_eq!(changes(&place.file()).len(), 1);
    assert_eq!(place.verify(None), Ok(0));
}

#[test]
fn a_file_that_turns_out_damaged_is_moved_aside_while_running() {
    let mut random = fastrand::Rng::with_seed(1);
    let place = Place::new();
    let mut writer = place.writer();
    writer.append(&one()).unwrap();
    let open = writer.begin_update(1, &origin(2), &update(&mut random)).unwrap();
    let reader = place.reader();
    place.db().execute_batch("DROP TABLE switches_1").unwrap();
    let error = writer.append(&one()).unwrap_err();
    assert!(error.is_damaged(), "{error}");
    let key = fs::read(place.key()).unwrap();
    fs::write(place.key(), "").unwrap();
    let error = writer.start_over(4).unwrap_err();
    assert!(error.to_string().contains("history.key"), "{error}");
    assert!(writer.append(&one()).unwrap_err().is_damaged(), "so that it is tried again");
    assert!(matches!(place.open(), Err(OpenError::InUse)));
    fs::write(place.key(), key).unwrap();
    fs::remove_file(place.file()).unwrap();
    assert_eq!(writer.start_over(5).unwrap(), place.companion(".damaged-5"));
    assert!(place.companion(".damaged-4-wal").exists(), "with what was not copied to it");
    assert_eq!(writer.chain_head(), Link::default(), "a new chain");
    let ended = writer.end_update(open, 9, Outcome::Applied, None, None, None);
    assert!(!ended.unwrap_err().is_damaged());
    let numbers = writer.append(&one()).unwrap();
    assert!(*numbers.start() > open, "numbers go on");
    assert_eq!(changes(&place.file()).len(), 1);
    assert!(reader.request(2).unwrap().is_some(), "a reader keeps its file");
}

/// A file with some of everything, and no log.
fn sound() -> (Place, Vec<u8>) {
    let mut history = History::filled(5, 300);
    history.writer = None;
    let bytes = fs::read(history.place.file()).unwrap();
    (history.place, bytes)
}

/// Does everything with the file. Nothing may panic.
fn use_all(place: &Place, random: &mut fastrand::Rng) {
    let _ = verify(&place.file(), &place.key(), None);
    if let Ok(reader) = Reader::open(&place.file()) {
        let _ = reader.changes(&Filter::default(), Order::Newest, None, 1000);
        let _ = reader.requests(&Filter::default(), Order::Oldest, None, 1000);
        let name = Filter { sub_account: Some("user1".to_owned()), ..Filter::default() };
        let _ = reader.requests(&name, Order::Oldest, None, 1000);
    }
    let aside = OnDamage::MoveAside { now: 3 };
    let Ok(Opened { mut writer, .. }) = Writer::open(&place.file(), &place.key(), 50, aside) else {
        return;
    };
    for _ in 0..2 {
        let changes: Vec<_> =
            (0..20).map(|n| random_change(random, n, 1_790_000_000_000)).collect();
        let _ = writer.begin_update(6, &origin(3), &update(random));
        let _ = writer.expire(Limits { bytes: 0, ..NO_LIMITS });
        let _ = writer.size();
        let _ = writer.sync();
        if writer.append(&changes).is_err_and(|error| error.is_damaged()) {
            writer.start_over(4).unwrap();
            writer.append(&changes).unwrap();
            assert_eq!(super::changes(&place.file()).len(), 20);
        }
    }
}

#[test]
fn whatever_is_damaged_there_is_an_error_or_a_new_file() {
    let (original, bytes) = sound();
    let mut random = fastrand::Rng::with_seed(6);
    let (mut refused, mut fine) = (0, 0);
    for round in 0..75 {
        let place = Place::new();
        fs::copy(original.key(), place.key()).unwrap();
        let mut bytes = bytes.clone();
        match round % 3 {
            0 => bytes[random.usize(..120)] ^= 1 << random.u8(..8),
            1 => {
                let at = random.usize(..bytes.len() - 64);
                bytes[at..at + 64].iter_mut().for_each(|byte| *byte = random.u8(..));
            }
            _ => bytes.truncate(random.usize(..bytes.len())),
        }
        fs::write(place.file(), &bytes).unwrap();
        match place.open() {
            Err(OpenError::Damaged(_)) => refused += 1,
            Ok(_) => fine += 1,
            Err(_) => {}
        }
        fs::write(place.file(), &bytes).unwrap();
        use_all(&place, &mut random);
    }
    assert!(refused > 5 && fine > 5, "{refused} {fine}");
}

#[test]
fn a_copy_without_write_access_can_be_searched_and_verified() {
    let mut history = History::filled(11, 200);
    history.writer = None;
    let count = history.place.verify(None).unwrap();
    let copy = Place::new();
    history.place.db().execute("VACUUM INTO ?", [copy.file().to_str()]).unwrap();
    fs::copy(history.place.key(), copy.key()).unwrap();
    assert_eq!(copy.verify(None), Ok(count));
    assert_eq!(changes(&copy.file()).len(), history.all.len());

    let copy = Place::new();
    fs::copy(history.place.file(), copy.file()).unwrap();
    fs::copy(history.place.key(), copy.key()).unwrap();
    fs::set_permissions(copy.file(), fs::Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(copy.0.path(), fs::Permissions::from_mode(0o500)).unwrap();
    assert_eq!(copy.verify(None), Ok(count));
    assert_eq!(changes(&copy.file()).len(), history.all.len());
    fs::set_permissions(copy.0.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

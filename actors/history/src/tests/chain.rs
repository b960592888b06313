use std::fs;

use super::*;

/// Five updates; returns the links.
fn filled(place: &Place) -> Vec<Link> {
    let (mut random, mut writer) = (fastrand::Rng::with_seed(1), place.writer());
    let mut links = Vec::new();
    for time in 1..=3 {
        writer.append(&[change(9, time, switch("alice", "btc"))]).unwrap();
        let number = writer.begin_update(time, &origin(time as u64), &update(&mut random)).unwrap();
        links.push(writer.chain_head());
        let ended = writer.end_update(number, time, Outcome::Applied, None, None, None);
        links.push(ended.unwrap());
    }
    links
}

/// Numbers of the notes of [`filled`]: 2 3, 5 6, 8 9.
const COUNT: u64 = 6;

#[test]
fn each_kind_of_tampering_is_found() {
    use ChainFault::*;
    for (tampering, fault) in [
        ("UPDATE notes SET text = '{}' WHERE number = 5", Note(5)),
        ("UPDATE notes SET text = '{}' WHERE number = 9", Note(9)),
        (
            "UPDATE notes SET text = json_set(text, '$.new.payout_addr', 'mine') WHERE number = 2",
            Note(2),
        ),
        (
            "UPDATE notes SET text = replace(text, 'applied', 'not_applied') WHERE number = 6",
            Note(6),
        ),
        (
            "UPDATE notes SET text = CAST(text AS BLOB) WHERE number = 5; UPDATE notes SET link = 7 WHERE number = 5",
            Note(5),
        ),
        ("DELETE FROM notes WHERE number = 5", Note(6)),
        ("DELETE FROM notes WHERE number = 2", Note(3)),
        ("DELETE FROM notes WHERE number = 9", Head),
        ("DELETE FROM notes", Head),
        ("UPDATE notes SET number = 7 WHERE number = 5", Note(6)),
        ("UPDATE notes SET number = 10 WHERE number = 9", Note(10)),
        (
            "UPDATE notes SET number = -number WHERE number IN (2, 3);
            UPDATE notes SET number = 5 + number WHERE number < 0",
            Note(2),
        ),
        ("INSERT INTO notes SELECT 4, text, link FROM notes WHERE number = 3", Note(4)),
        ("INSERT INTO notes SELECT 10, text, link FROM notes WHERE number = 9", Note(10)),
        (
            "UPDATE chain SET start = (SELECT link FROM notes WHERE number = 3); DELETE FROM notes WHERE number <= 3",
            Start,
        ),
        ("UPDATE chain SET seal = zeroblob(32)", Start),
        ("UPDATE chain SET seal = 'x', start = 5", Start),
        ("DELETE FROM chain", Start),
    ] {
        let place = Place::new();
        let links = filled(&place);
        assert_eq!(place.verify(links.last()), Ok(COUNT));
        assert_eq!(place.verify(Some(&links[1])), Ok(COUNT), "it was the head once");
        place.db().execute_batch(tampering).unwrap();
        assert_eq!(place.verify(links.last()), Err(fault), "{tampering}");
    }
}

#[test]
fn an_older_copy_that_was_put_back_is_found_by_the_head() {
    let place = Place::new();
    filled(&place);
    let copy = fs::read(place.file()).unwrap();
    let mut writer = place.writer();
    let reload = Entry::Reload { keys: vec!["Users".to_owned()] };
    writer.append(&[change(10, 9, reload.clone())]).unwrap();
    let head = writer.chain_head();
    drop(writer);
    assert_eq!(place.verify(Some(&head)), Ok(COUNT + 1));
    fs::write(place.file(), copy).unwrap();
    assert_eq!(place.verify(Some(&head)), Err(ChainFault::Head));
    // The daemon goes on with it.
    place.writer().append(&[change(10, 10, reload)]).unwrap();
    assert_eq!(place.verify(Some(&head)), Err(ChainFault::Head));
    assert_eq!(place.verify(None), Ok(COUNT + 1));
}

#[test]
fn a_chain_of_which_the_oldest_were_dropped_is_whole() {
    let place = Place::new();
    let links = filled(&place);
    let mut writer = place.writer();
    let mut expire = |notes_not_before| {
        writer.expire(Limits { notes_not_before, ..NO_LIMITS }).unwrap();
        place.verify(links.last()).unwrap()
    };
    assert_eq!([expire(1), expire(2), expire(3), expire(4)], [COUNT, 4, 2, 0]);
    let reload = Entry::Reload { keys: vec![] };
    writer.append(&[change(10, 9, reload)]).unwrap();
    assert_eq!(place.verify(links.last()), Ok(1));
    assert_eq!(place.verify(Some(&links[0])), Err(ChainFault::Head), "it was dropped");
    drop(writer);
    let other = Place::new();
    drop(other.writer());
    assert_eq!(verify(&place.file(), &other.key(), None).unwrap(), Err(ChainFault::Start));
}

#[test]
fn a_link_is_written_as_digits() {
    let place = Place::new();
    let link = *filled(&place).last().unwrap();
    let digits = link.to_string();
    assert_eq!((digits.len(), digits.parse()), (64, Ok(link)));
    assert_eq!(digits.to_uppercase().parse(), Ok(link));
    for wrong in ["", &digits[1..], &format!("{digits}0"), &digits.replace(&digits[..1], "g")] {
        assert!(wrong.parse::<Link>().is_err());
    }
}

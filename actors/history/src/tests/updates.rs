use super::*;

#[test]
fn an_update_has_its_outcome_or_is_unknown() {
    let (mut random, place) = (fastrand::Rng::with_seed(1), Place::new());
    let mut writer = place.writer();
    let asked = update(&mut random);
    let number = writer.begin_update(5, &origin(1), &asked).unwrap();
    let row = || changes(&place.file()).into_iter().find(|row| row.number == number).unwrap();
    assert_eq!((row().outcome, row().time), (Outcome::Unknown, 5));
    assert_eq!(place.reader().request(1).unwrap().unwrap().outcomes, [0, 0, 1, 0]);
    let (old, new) = (coinbase(&mut random), coinbase(&mut random));
    let head =
        writer.end_update(number, 9, Outcome::NotApplied, Some("no"), Some(&old), Some(&new));
    assert_eq!(writer.chain_head(), head.unwrap());
    assert_eq!((row().outcome, row().cause), (Outcome::NotApplied, Some("no".to_owned())));
    assert_eq!(row().entry, Entry::Update(Update { old: Some(old), new, ..asked.clone() }));
    assert_eq!(place.reader().request(1).unwrap().unwrap().outcomes, [0, 1, 0, 0]);

    let again = writer.end_update(number, 9, Outcome::Applied, None, None, None);
    assert!(again.unwrap_err().to_string().contains("awaits its outcome"));
    let open = writer.begin_update(10, &origin(2), &asked).unwrap();
    drop(writer);
    let mut writer = place.writer();
    writer.end_update(open, 11, Outcome::Applied, None, None, None).unwrap_err();
    assert_eq!(changes(&place.file()).last().unwrap().outcome, Outcome::Unknown);
}

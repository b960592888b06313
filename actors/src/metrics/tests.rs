//! Metrics as the text that Prometheus reads.

use std::net::Ipv4Addr;

use prometheus_client::encoding::text::encode;

use super::*;
use crate::domain::{Origin, RequestId, SourceKind};

const EVERY_MINUTE: Option<Duration> = Some(Duration::from_secs(60));

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text
}

#[test]
fn a_switch_is_counted_by_source_coin_and_end() {
    let (coins, mut registry) = (Coins::new(&["btc", "bcc"]).unwrap(), Registry::default());
    let watched = Metrics::new(&coins, EVERY_MINUTE, NO_LISTS, &mut registry);
    let series = text(&registry).lines().count();
    let (api, bcc) =
        (Source::api(Some(Ipv4Addr::LOCALHOST.into()), RequestId(1)), coins.get("bcc").unwrap());
    watched.switches(&api, Some(bcc), OutcomeKind::Unknown, 1);
    watched.switches(&Source::poll(RequestId(2)), Some(bcc), OutcomeKind::Skipped, 1);
    // Not counted: callers' switches are never skipped, and the other coin is not configured.
    watched.switches(&api, Some(bcc), OutcomeKind::Skipped, 1);
    let foreign = Coins::new(&["ltc"]).unwrap();
    watched.switches(&api, Some(foreign.get("ltc").unwrap()), OutcomeKind::Applied, 1);
    let undo = Source::new(Origin::of(SourceKind::Undo, RequestId(3)));
    watched.switches(&undo, None, OutcomeKind::Applied, 2);
    watched.switches(&undo, Some(bcc), OutcomeKind::NotApplied, 1);
    let counts = watched.switch_counts();
    let counted = counts.iter().filter(|it| it.count > 0);
    let counted = counted.map(|it| (it.source, it.coin.as_str(), it.result, it.count));
    let expected = [("api", "bcc", "unknown", 1), ("poll", "bcc", "skipped", 1)];
    assert_eq!(counted.collect::<Vec<_>>(), expected);
    let text = text(&registry);
    for line in [
        r#"switches_total{source="api",coin="bcc",result="unknown"} 1"#,
        r#"switches_total{source="poll",coin="bcc",result="skipped"} 1"#,
        r#"switches_total{source="api",coin="btc",result="unknown"} 0"#,
        r#"switches_total{source="undo",coin="-",result="applied"} 2"#,
        r#"switches_total{source="undo",coin="bcc",result="not_applied"} 1"#,
    ] {
        assert!(text.lines().any(|it| it == line), "no {line} in {text}");
    }
    assert_eq!(text.lines().count(), series, "new series have appeared");
}

#[test]
fn a_coin_that_comes_later_is_counted_and_one_that_goes_keeps_its_count() {
    let (coins, mut registry) = (Coins::new(&["btc", "bcc"]).unwrap(), Registry::default());
    let watched = Metrics::new(&coins, EVERY_MINUTE, NO_LISTS, &mut registry);
    let api = Source::api(None, RequestId(1));
    watched.switches(&api, Some(coins.get("bcc").unwrap()), OutcomeKind::Applied, 1);
    let later = Coins::new(&["ltc", "btc"]).unwrap();
    watched.allow(&later);
    watched.switches(&api, Some(later.get("ltc").unwrap()), OutcomeKind::Applied, 1);
    // Accepted before.
    watched.switches(&api, Some(coins.get("bcc").unwrap()), OutcomeKind::Applied, 1);
    let text = text(&registry);
    for line in [
        r#"switches_total{source="api",coin="bcc",result="applied"} 2"#,
        r#"switches_total{source="api",coin="ltc",result="applied"} 1"#,
        r#"switches_total{source="api",coin="btc",result="applied"} 0"#,
    ] {
        assert!(text.lines().any(|it| it == line), "no {line} in {text}");
    }
}

#[test]
fn each_end_has_its_own_place() {
    let is_in_order = |places: &mut dyn Iterator<Item = usize>| places.eq(0..places.size_hint().0);
    assert!(is_in_order(&mut switches::RESULTS.map(|end| end as usize).into_iter()));
    assert!(is_in_order(&mut ExchangeEnd::ALL.map(|end| end as usize).into_iter()));
    assert!(is_in_order(&mut PollEnd::ALL.map(|end| end as usize).into_iter()));
    assert!(is_in_order(&mut Asked::ALL.map(|asked| asked as usize).into_iter()));
}

#[test]
fn a_daemon_that_does_not_poll_shows_nothing_of_polls() {
    let (coins, mut registry) = (Coins::new(&["btc"]).unwrap(), Registry::default());
    Metrics::new(&coins, None, NO_LISTS, &mut registry);
    let text = text(&registry);
    assert!(!text.contains("poll_duration") && !text.contains(r#"source="poll""#), "{text}");
}

#[test]
fn standby_follows_the_last_poll() {
    let (coins, mut registry) = (Coins::new(&["btc"]).unwrap(), Registry::default());
    let watched = Metrics::new(&coins, EVERY_MINUTE, NO_LISTS, &mut registry);
    // A cancelled poll does not know which daemon polls.
    for (end, expected) in [
        (PollEnd::Standby, 1),
        (PollEnd::GivenUp, 1),
        (PollEnd::Failed, 0),
        (PollEnd::Standby, 1),
        (PollEnd::Complete, 0),
    ] {
        watched.poll(end, Duration::ZERO, 0);
        assert_eq!(watched.0.polls.standby.get(), expected, "{end:?}");
    }
}

#[test]
fn only_a_complete_poll_moves_the_time_of_success() {
    let (coins, mut registry) = (Coins::new(&["btc"]).unwrap(), Registry::default());
    let watched = Metrics::new(&coins, EVERY_MINUTE, NO_LISTS, &mut registry);
    for end in [PollEnd::Failed, PollEnd::Incomplete, PollEnd::Standby] {
        watched.poll(end, Duration::from_secs(1), 1);
        assert_eq!(watched.last_complete_poll(), None, "{end:?}");
        assert_eq!(watched.last_poll(), Some(end.label()));
    }
    watched.poll(PollEnd::Complete, Duration::from_secs(1), 0);
    assert!(watched.last_complete_poll().unwrap() > 1_600_000_000);
    let text = text(&registry);
    assert!(text.contains("poll_interval_seconds 60"), "{text}");
    assert!(text.contains("poll_invalid_entries_total 3"), "{text}");
    assert!(text.contains("poll_duration_seconds_count 3"), "standby takes no time: {text}");
}

//! How long each failed login waits for its answer: a plain struct without clock, network or lock.
//!
//! Each client address may fail [`FREE`] times at once. After that its failed logins are answered one after the
//! other, one per [`INTERVAL`]; each interval without a failure gives one free failure back. An address that has
//! [`MOST_HELD`] answers outstanding gets no further place in that queue. The state of an address is one moment, so
//! an address that fails costs a map entry and no timer.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// Failed logins of an address that are answered at once: typing errors, or several programs with an old password.
pub const FREE: u32 = 10;

/// From one answer to a failed login to the next one of the same address.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Answers of one address that are held back at a time.
pub const MOST_HELD: u32 = 4;

/// Addresses that are remembered. Beyond this number, the address that would recover first is forgotten.
const MOST_ADDRESSES: usize = 4096;

/// When a failed login is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Without a delay.
    AtOnce,
    /// After this time.
    After(Duration),
    /// At once, by 429: the address has too many answers outstanding. It may try again after this time.
    TooMany(Duration),
}

/// The failed logins of all addresses.
#[derive(Default)]
pub struct Slowdown {
    addresses: HashMap<IpAddr, Address>,
}

/// One address that has failed.
struct Address {
    /// When the address has all its free failures back.
    recovers: Instant,
    /// Whether its slowdown was reported.
    is_reported: bool,
}

impl Slowdown {
    /// Notes a failed login of `client`. The flag says whether the slowdown of that address begins with this one.
    pub fn failed(&mut self, client: IpAddr, now: Instant) -> (Answer, bool) {
        let client = network(client);
        self.make_room(client, now);
        let address = self
            .addresses
            .entry(client)
            .and_modify(|address| {
                if address.recovers <= now {
                    *address = Address { recovers: now, is_reported: false };
                }
            })
            .or_insert(Address { recovers: now, is_reported: false });
        let recovers = address.recovers + INTERVAL;
        let delay = (recovers - now).saturating_sub(FREE * INTERVAL);
        if delay > MOST_HELD * INTERVAL {
            return (Answer::TooMany(delay), false);
        }
        address.recovers = recovers;
        if delay.is_zero() {
            return (Answer::AtOnce, false);
        }
        let begins = !std::mem::replace(&mut address.is_reported, true);
        (Answer::After(delay), begins)
    }

    fn make_room(&mut self, client: IpAddr, now: Instant) {
        if self.addresses.len() < MOST_ADDRESSES || self.addresses.contains_key(&client) {
            return;
        }
        self.addresses.retain(|_, address| address.recovers > now);
        if self.addresses.len() >= MOST_ADDRESSES {
            let first = self.addresses.iter().min_by_key(|(_, address)| address.recovers);
            if let Some(first) = first.map(|(client, _)| *client) {
                self.addresses.remove(&first);
            }
        }
    }
}

/// The addresses that count as one: an IPv4 address, or a /64 of IPv6, which is what one host is given.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// A client that sends its next wrong password as soon as the last one was answered.
    fn verdicts_within(seconds: u64) -> u32 {
        let (mut slowdown, start) = (Slowdown::default(), Instant::now());
        let (mut now, mut verdicts) = (start, 0);
        while now - start < Duration::from_secs(seconds) {
            match slowdown.failed(address(1), now).0 {
                Answer::AtOnce => {}
                Answer::After(delay) => now += delay,
                Answer::TooMany(_) => panic!("one at a time is never too many"),
            }
            now += Duration::from_millis(1);
            verdicts += 1;
        }
        verdicts
    }

    #[test]
    fn the_first_failures_are_answered_at_once_and_later_ones_once_a_second() {
        assert_eq!(verdicts_within(1), FREE + 1);
        assert_eq!(verdicts_within(100), FREE + 100);
    }

    #[test]
    fn failures_at_the_same_time_wait_for_one_another_up_to_a_limit() {
        let (mut slowdown, now) = (Slowdown::default(), Instant::now());
        for _ in 0..FREE {
            assert_eq!(slowdown.failed(address(1), now), (Answer::AtOnce, false));
        }
        for place in 1..=MOST_HELD {
            let begins = place == 1;
            assert_eq!(slowdown.failed(address(1), now), (Answer::After(place * INTERVAL), begins));
        }
        // Those without a place take nothing from the queue: the wait does not grow.
        for _ in 0..1000 {
            let too_many = Answer::TooMany((MOST_HELD + 1) * INTERVAL);
            assert_eq!(slowdown.failed(address(1), now), (too_many, false));
        }
        let later = now + INTERVAL;
        assert_eq!(slowdown.failed(address(1), later).0, Answer::After(MOST_HELD * INTERVAL));
    }

    #[test]
    fn an_address_that_stops_is_answered_at_once_again() {
        let (mut slowdown, now) = (Slowdown::default(), Instant::now());
        for _ in 0..100 {
            slowdown.failed(address(1), now);
        }
        let soon = now + (MOST_HELD + 1) * INTERVAL;
        assert_eq!(slowdown.failed(address(1), soon), (Answer::AtOnce, false));
        let (held, begins) = slowdown.failed(address(1), soon);
        assert!(matches!(held, Answer::After(_)) && !begins, "reported once");
        let recovered = soon + 20 * INTERVAL;
        for _ in 0..FREE {
            assert_eq!(slowdown.failed(address(1), recovered), (Answer::AtOnce, false));
        }
        assert!(slowdown.failed(address(1), recovered).1, "another slowdown, another report");
    }

    #[test]
    fn addresses_do_not_slow_each_other_but_for_those_of_one_host() {
        let (mut slowdown, now) = (Slowdown::default(), Instant::now());
        let mut exhaust = |client: IpAddr| {
            while slowdown.failed(client, now).0 == Answer::AtOnce {}
        };
        exhaust(address(1));
        exhaust("2001:db8::1".parse().unwrap());
        for (client, is_slow) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.2", false),
            ("2001:db8::ffff:1", true),
            ("2001:db8:0:1::1", false),
        ] {
            let answer = slowdown.failed(client.parse().unwrap(), now).0;
            assert_eq!(answer != Answer::AtOnce, is_slow, "{client}");
        }
    }

    #[test]
    fn many_addresses_take_bounded_memory_and_push_out_those_with_the_fewest_failures() {
        let (mut slowdown, now) = (Slowdown::default(), Instant::now());
        while slowdown.failed(address(1), now).0 == Answer::AtOnce {}
        for number in 0..3 * u32::try_from(MOST_ADDRESSES).unwrap() {
            slowdown.failed(IpAddr::from((0x0a00_0000 + number).to_be_bytes()), now);
            assert!(slowdown.addresses.len() <= MOST_ADDRESSES);
        }
        assert_ne!(slowdown.failed(address(1), now).0, Answer::AtOnce);
        slowdown.failed(address(2), now + 100 * INTERVAL);
        assert_eq!(slowdown.addresses.len(), 1, "those that have recovered are forgotten first");
    }
}

//! The delay of each failed login's answer: a plain struct without clock, network or lock.
//!
//! Each client address may fail [`FREE`] times at once. Later failures are answered one after the other, one per
//! [`INTERVAL`]; each interval without a failure restores one free failure. An address with [`MAX_DELAYED`] answers
//! outstanding gets no further place in that queue. One moment is the whole state of an address, so a failed login
//! costs a map entry and no timer.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// Failures of an address that are answered at once: typing errors, or several programs with an old password.
pub const FREE: u32 = 10;

/// Time between two answers to failed logins of one address.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Most delayed answers of one address at a time.
pub const MAX_DELAYED: u32 = 4;

/// Most addresses in memory. Beyond this number, the address that would recover first is forgotten.
const MAX_ADDRESSES: usize = 4096;

/// Time of the answer to a failed login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerTime {
    AtOnce,
    After(Duration),
    /// At once, with 429: the address has too many answers outstanding, and may try again after this time.
    TooMany(Duration),
}

/// The failed logins of all addresses.
#[derive(Default)]
pub struct Slowdown {
    addresses: HashMap<IpAddr, Address>,
}

struct Address {
    /// When all free failures are restored.
    recovers: Instant,
    /// Whether this slowdown has been reported.
    is_reported: bool,
}

impl Slowdown {
    /// Notes a failed login of `client`. The flag is set where the slowdown of the address begins.
    pub fn failed(&mut self, client: IpAddr, now: Instant) -> (AnswerTime, bool) {
        let client = network(client);
        self.make_room(client, now);
        let unknown = || Address { recovers: now, is_reported: false };
        let address = self.addresses.entry(client).or_insert_with(unknown);
        if address.recovers <= now {
            *address = unknown();
        }
        let recovers = address.recovers + INTERVAL;
        let delay = (recovers - now).saturating_sub(FREE * INTERVAL);
        if delay > MAX_DELAYED * INTERVAL {
            return (AnswerTime::TooMany(delay), false);
        }
        address.recovers = recovers;
        if delay.is_zero() {
            return (AnswerTime::AtOnce, false);
        }
        let begins = !std::mem::replace(&mut address.is_reported, true);
        (AnswerTime::After(delay), begins)
    }

    /// Time until all free failures of `client` are restored: the longer, the more have failed.
    pub fn recovery(&self, client: IpAddr, now: Instant) -> Duration {
        let address = self.addresses.get(&network(client));
        address.map_or(Duration::ZERO, |address| address.recovers.saturating_duration_since(now))
    }

    /// The answer to the next failed login of `client`, if it would be [`AnswerTime::TooMany`].
    pub fn refused(&self, client: IpAddr, now: Instant) -> Option<Duration> {
        let delay = (self.recovery(client, now) + INTERVAL).saturating_sub(FREE * INTERVAL);
        (delay > MAX_DELAYED * INTERVAL).then_some(delay)
    }

    fn make_room(&mut self, client: IpAddr, now: Instant) {
        if self.addresses.len() < MAX_ADDRESSES || self.addresses.contains_key(&client) {
            return;
        }
        self.addresses.retain(|_, address| address.recovers > now);
        if self.addresses.len() >= MAX_ADDRESSES {
            let first = self.addresses.iter().min_by_key(|(_, address)| address.recovers);
            if let Some(first) = first.map(|(client, _)| *client) {
                self.addresses.remove(&first);
            }
        }
    }
}

/// Addresses that count as one: an IPv4 address, or a /64 of IPv6, which is what one host gets.
pub fn network(client: IpAddr) -> IpAddr {
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

    /// Answers to a client that sends the next wrong password as soon as the last one was answered.
    fn answers_within(seconds: u64) -> u32 {
        let (mut slowdown, start) = (Slowdown::default(), Instant::now());
        let (mut now, mut answers) = (start, 0);
        while now - start < Duration::from_secs(seconds) {
            match slowdown.failed(address(1), now).0 {
                AnswerTime::AtOnce => {}
                AnswerTime::After(delay) => now += delay,
                AnswerTime::TooMany(_) => panic!("one at a time is never too many"),
            }
            now += Duration::from_millis(1);
            answers += 1;
        }
        answers
    }

    #[test]
    fn the_first_failures_are_answered_at_once_and_later_ones_once_a_second() {
        assert_eq!(answers_within(1), FREE + 1);
        assert_eq!(answers_within(100), FREE + 100);
    }

    #[test]
    fn failures_at_the_same_time_wait_for_one_another_up_to_a_limit() {
        let (mut slowdown, now) = (Slowdown::default(), Instant::now());
        for _ in 0..FREE {
            assert_eq!(slowdown.failed(address(1), now), (AnswerTime::AtOnce, false));
        }
        for place in 1..=MAX_DELAYED {
            let begins = place == 1;
            assert_eq!(
                slowdown.failed(address(1), now),
                (AnswerTime::After(place * INTERVAL), begins)
            );
        }
        // Failures without a place do not lengthen the queue.
        assert_eq!(slowdown.refused(address(1), now), Some((MAX_DELAYED + 1) * INTERVAL));
        assert_eq!(slowdown.refused(address(2), now), None);
        for _ in 0..1000 {
            let too_many = AnswerTime::TooMany((MAX_DELAYED + 1) * INTERVAL);
            assert_eq!(slowdown.failed(address(1), now), (too_many, false));
        }
        let later = now + INTERVAL;
        assert_eq!(slowdown.refused(address(1), later), None);
        assert_eq!(slowdown.recovery(address(1), later), (FREE + MAX_DELAYED - 1) * INTERVAL);
        assert_eq!(slowdown.failed(address(1), later).0, AnswerTime::After(MAX_DELAYED * INTERVAL));
    }

    #[test]
    fn an_address_that_stops_is_answered_at_once_again() {
        let (mut slowdown, now) = (Slowdown::default(), Instant::now());
        for _ in 0..100 {
            slowdown.failed(address(1), now);
        }
        let soon = now + (MAX_DELAYED + 1) * INTERVAL;
        assert_eq!(slowdown.failed(address(1), soon), (AnswerTime::AtOnce, false));
        let (held, begins) = slowdown.failed(address(1), soon);
        assert!(matches!(held, AnswerTime::After(_)) && !begins, "reported once");
        let recovered = soon + 20 * INTERVAL;
        for _ in 0..FREE {
            assert_eq!(slowdown.failed(address(1), recovered), (AnswerTime::AtOnce, false));
        }
        assert!(slowdown.failed(address(1), recovered).1, "another slowdown, another report");
    }

    #[test]
    fn only_addresses_of_one_host_slow_each_other() {
        let (mut slowdown, now) = (Slowdown::default(), Instant::now());
        let mut exhaust = |client: IpAddr| {
            while slowdown.failed(client, now).0 == AnswerTime::AtOnce {}
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
            assert_eq!(answer != AnswerTime::AtOnce, is_slow, "{client}");
        }
    }

    #[test]
    fn memory_is_bounded_and_addresses_with_the_fewest_failures_are_forgotten_first() {
        let (mut slowdown, now) = (Slowdown::default(), Instant::now());
        while slowdown.failed(address(1), now).0 == AnswerTime::AtOnce {}
        for number in 0..3 * u32::try_from(MAX_ADDRESSES).unwrap() {
            slowdown.failed(IpAddr::from((0x0a00_0000 + number).to_be_bytes()), now);
            assert!(slowdown.addresses.len() <= MAX_ADDRESSES);
        }
        assert_ne!(slowdown.failed(address(1), now).0, AnswerTime::AtOnce);
        slowdown.failed(address(2), now + 100 * INTERVAL);
        assert_eq!(slowdown.addresses.len(), 1, "recovered addresses are forgotten first");
    }
}

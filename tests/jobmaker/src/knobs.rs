//! How a jobmaker differs from one that is instant and never fails.

use std::time::Duration;

/// Behaviour of a jobmaker. The default is faithful: instant, never failing, acking unasked at its
/// start and every five minutes. Probabilities go from 0 (never) to 1 (always).
#[derive(Clone, Debug)]
pub struct Knobs {
    /// Time between an event and the read of the request node. Several writes within this time are read once.
    pub delay_before_read: Duration,
    /// Time between the read, with which the value is applied, and the ack.
    pub delay_before_ack: Duration,
    /// Each of the two delays is longer by a random part of this.
    pub jitter: Duration,
    /// Probability of a crash when an event was read and applied and is about to be acked. The reads
    /// of a start never end in one.
    pub crash: f64,
    /// How long it is gone after a crash, on demand or not.
    pub down: Duration,
    /// After its n-th crash it starts with the coinbase text `restart-n` in place of the configured
    /// one, so that its values before and after differ.
    pub number_restarts: bool,
    /// Probability that an ack is written twice.
    pub double_acks: f64,
    /// Time between the two writes of such an ack.
    pub double_ack_delay: Duration,
    /// Probability that garbage is written to the ack node just before the ack.
    pub garbage_before: f64,
    /// Probability that garbage is written in place of the ack.
    pub garbage_instead: f64,
    /// Bytes at which coinbase texts are cut.
    pub coinbase_max: usize,
    /// Time between two unsolicited reads, at least a millisecond. Counts from the start and from each
    /// connection.
    pub unasked_every: Duration,
    /// The host's name in the acks; `None` is this host's.
    pub hostname: Option<String>,
    /// Where the random numbers start. Two jobmakers with one seed that meet the same events in the
    /// same order decide alike.
    pub seed: u64,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            delay_before_read: Duration::ZERO,
            delay_before_ack: Duration::ZERO,
            jitter: Duration::ZERO,
            crash: 0.0,
            down: Duration::ZERO,
            number_restarts: false,
            double_acks: 0.0,
            double_ack_delay: Duration::from_millis(20),
            garbage_before: 0.0,
            garbage_instead: 0.0,
            coinbase_max: 30,
            unasked_every: Duration::from_secs(300),
            hostname: None,
            seed: 0,
        }
    }
}

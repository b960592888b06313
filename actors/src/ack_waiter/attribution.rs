//! Attribution: when an ack is certainly the jobmaker's answer to a caller's request.
//!
//! An ack carries no request id, so the proof rests on order. The jobmaker (contract, section 3) handles one event at a
//! time (reads the request, acts, writes the ack), acts on each read, and has its watch fired again by a write after
//! its read. It may write the ack of one read twice, or after an ack that cannot be parsed. ZooKeeper orders all writes:
//! our write returns its place Z in that order, and reading an ack returns the ack's place. Hence:
//!
//! * An ack at or before Z is never an answer to us.
//! * **A get** may take any ack after Z. The ack reports the jobmaker's coinbase at the time of the ack, which is after
//!   the get's arrival, since our write followed the arrival.
//! * **An update may take an ack after Z that grants the request** (up to the cut of long texts and the spelling of
//!   addresses): the jobmaker held that coinbase then, whatever request the ack answers.
//! * **Any other ack after Z** may answer a read before our write. If the request znode has changed since our write,
//!   another writer came after us and the jobmaker may never read our request: the outcome is unknown, and reported as
//!   such. Else we write the same bytes again, on the condition that the znode is unchanged, to provoke another ack. An
//!   ack of a later read than the first is certain: that read came after the first ack, so after our write, and the
//!   znode still holds our bytes.
//!
//! A jobmaker may write one ack several times, so another ack does not prove a later read:
//!
//! * An ack counts only if it was written after our latest write. So acks in a row count once, and between two counting
//!   acks lies a write of ours. Three must count.
//! * A coinbase that differs from the request is a success only after two acks that cannot be the same ack
//!   ([`Ack::is_of_another_read`]). A jobmaker that reads again provides them: its first ack reports the old coinbase as
//!   `old`, its next one the new coinbase. If the jobmaker held the new coinbase from the beginning, only the acks'
//!   creation times differ, so we wait for another second.
//! * Refusals have no such mark, since nothing changes: a refusal that is repeated after each of our writes is
//!   accepted.
//!
//! All this assumes one jobmaker at a time. Rules against two jobmakers, or the late ack of a dead one:
//!
//! * Acks of two hosts within one exchange settle nothing except what they grant.
//! * The last two acks must agree. After too many contradictions the outcome is unknown.
//! * A success that cannot be the caller's own is never reported, whatever the order: a jobmaker may change an
//!   address's spelling, but can only cut a text.
//!
//! Other writers may exist: a sighting contains the znode's state as read *after* the ack, on the same connection, so
//! that no write before the ack is missed.

use super::ack::Ack;
use crate::{
    domain::Coinbase,
    zk::{Mark, Revision, Zxid},
};

/// Number of counting acks before one that does not grant the request is the answer.
const CERTAIN: u8 = 3;

/// Number of counting acks without a decision after which the outcome is unknown.
const CONTRADICTING: u8 = 6;

/// Number of counting acks that cannot be parsed after which the exchange fails.
const UNPARSABLE: u8 = 2;

/// Decides what the acks of one exchange mean for its callers: at most one update, and gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attribution {
    /// The update's coinbase, until the update is settled.
    asked: Option<Coinbase>,
    /// Whether gets wait for an ack.
    gets_wait: bool,
    first_write: Option<Zxid>,
    latest_write: Option<Zxid>,
    /// The request znode's state after our last write.
    ours: Option<Revision>,
    /// The last ack seen.
    last_ack: Option<Zxid>,
    /// The first and the last counting ack that did not grant the update.
    first_and_last_ack: Option<(Ack, Ack)>,
    /// Number of these acks.
    acks: u8,
    /// Whether two successive ones cannot be the same ack.
    is_read_again: bool,
    /// Number of counting acks that cannot be parsed.
    unparsable: u8,
}

/// An ack, and the request znode's state read afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// The write of the ack.
    pub(crate) zxid: Zxid,
    /// The ack; `None` if it cannot be parsed.
    pub(crate) ack: Option<Ack>,
    /// The request znode's state; `None` if it is gone.
    pub(crate) request: Option<Revision>,
}

/// The exchange's next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait for the next ack.
    Wait,
    /// Write the same bytes again, if the request znode is unchanged since our write.
    Provoke,
    /// The same, in another second by the jobmaker's clock.
    ProvokeLater,
    /// Read the request again and write it: another writer came first, and only gets wait.
    ReadAgain,
    /// None: all callers have their answers.
    Over,
}

/// The update's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The jobmaker holds the requested coinbase, or its own spelling.
    Granted(Ack),
    Refused(Ack),
    /// Another writer, or another jobmaker's answer, came within the exchange.
    Overtaken,
    Unparsable,
}

/// No ack can be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unparsable;

/// The consequences of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The gets' answer, if they are settled now.
    pub(crate) gets: Option<Result<Ack, Unparsable>>,
    pub(crate) update: Option<Verdict>,
    pub(crate) next: Next,
}

impl Attribution {
    /// An exchange of an update, if `asked` is given, and of gets, if any wait.
    pub(crate) fn new(asked: Option<Coinbase>, gets_wait: bool) -> Self {
        Self {
            asked,
            gets_wait,
            first_write: None,
            latest_write: None,
            ours: None,
            last_ack: None,
            first_and_last_ack: None,
            acks: 0,
            is_read_again: false,
            unparsable: 0,
        }
    }

    /// Whether a write of this exchange succeeded.
    pub(crate) fn has_written(&self) -> bool {
        self.first_write.is_some()
    }

    pub(crate) fn written(&mut self, mark: Mark) -> Decision {
        self.first_write.get_or_insert(mark.zxid);
        self.latest_write = Some(mark.zxid);
        self.ours = Some(mark.revision);
        self.decide(None, None, Next::Wait)
    }

    /// Our conditional write failed, since another writer came first.
    pub(crate) fn overtaken(&mut self) -> Decision {
        if self.asked.is_some() {
            return self.settle(None, Verdict::Overtaken);
        }
        self.ours = None;
        self.decide(None, None, Next::ReadAgain)
    }

    /// Whether the ack was written after our first write.
    pub(crate) fn is_after_write(&self, sighting: &Sighting) -> bool {
        self.first_write.is_some_and(|first_write| sighting.zxid > first_write)
    }

    pub(crate) fn seen(&mut self, sighting: Sighting) -> Decision {
        let is_new = self.is_after_write(&sighting);
        let Sighting { zxid, ack, request } = sighting;
        if !is_new || self.last_ack == Some(zxid) {
            return self.decide(None, None, Next::Wait);
        }
        self.last_ack = Some(zxid);
        let counts = self.latest_write.is_some_and(|latest_write| zxid > latest_write);
        let Some(ack) = ack else {
            self.unparsable += u8::from(counts);
            return match (counts, self.unparsable) {
                (false, _) => self.decide(None, None, Next::Wait),
                (true, UNPARSABLE..) => self.settle(None, Verdict::Unparsable),
                (true, _) => self.decide(None, None, Next::Provoke),
            };
        };
        let Some(asked) = &self.asked else {
            return self.decide(Some(ack), None, Next::Over);
        };
        if ack.grants(asked) {
            return self.settle(Some(ack.clone()), Verdict::Granted(ack));
        }
        let is_of_another_host = |(first, _): &(Ack, Ack)| first.origin != ack.origin;
        if request.is_none()
            || request != self.ours
            || self.first_and_last_ack.as_ref().is_some_and(is_of_another_host)
        {
            return self.settle(Some(ack), Verdict::Overtaken);
        }
        if !counts {
            return self.decide(Some(ack), None, Next::Wait);
        }
        self.count(ack)
    }

    /// Counts an ack that was written after our latest write and does not grant the request.
    fn count(&mut self, ack: Ack) -> Decision {
        self.acks += 1;
        let Some((first, last)) = &mut self.first_and_last_ack else {
            self.first_and_last_ack = Some((ack.clone(), ack.clone()));
            return self.decide(Some(ack), None, Next::Provoke);
        };
        let last = std::mem::replace(last, ack.clone());
        self.is_read_again |= ack.is_of_another_read(&last);
        let (has_text, is_repeated) = match (&self.asked, &ack.new) {
            (Some(asked), Some(_)) => (ack.grants_text(asked), !self.is_read_again),
            _ => (true, false),
        };
        let is_certain = self.acks >= CERTAIN && last.says_the_same(&ack);
        if is_certain && !has_text {
            return self.settle(Some(ack), Verdict::Overtaken);
        }
        if is_certain && !is_repeated {
            let old = held_before(first, &ack);
            let verdict = match &ack.new {
                None => Verdict::Refused(ack.clone()),
                Some(_) => Verdict::Granted(Ack { old, ..ack.clone() }),
            };
            return self.settle(Some(ack), verdict);
        }
        if self.acks >= CONTRADICTING {
            return self.settle(Some(ack), Verdict::Overtaken);
        }
        let next = if is_certain { Next::ProvokeLater } else { Next::Provoke };
        self.decide(Some(ack), None, next)
    }

    fn settle(&mut self, ack: Option<Ack>, verdict: Verdict) -> Decision {
        let update = self.asked.take().map(|_| verdict);
        self.decide(ack, update, Next::Over)
    }

    /// Gets take the first ack after the write; if the exchange ends without one, they get none.
    fn decide(&mut self, ack: Option<Ack>, update: Option<Verdict>, next: Next) -> Decision {
        let settled = self.gets_wait && (ack.is_some() || next == Next::Over);
        self.gets_wait &= !settled;
        Decision { gets: settled.then(|| ack.ok_or(Unparsable)), update, next }
    }
}

/// The coinbase before our update, by the first ack and one that is certainly ours: the coinbase that the first ack
/// left, unless that is our own already, in which case the first ack's `old`.
fn held_before(first: &Ack, certain: &Ack) -> Coinbase {
    if first.new == certain.new { first.old.clone() } else { first.held().clone() }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

//! When a caller may be told "this is the jobmaker's answer to your request".
//!
//! An ack carries no request id, so the argument rests on order. What is known of a jobmaker (contract,
//! section 3): it handles one event at a time (read the request, act, write the ack), acts on what it
//! reads every time, and a write that comes after its read fires its watch again. What it has to say of
//! one read it may write twice, or after something that nobody can parse. Our write returns its place Z in
//! ZooKeeper's order of all writes, and so does reading an ack. Hence:
//!
//! * An ack at or before Z is never an answer to us.
//! * **A get** may take any ack after Z: the ack states what the jobmaker held as it was written, and
//!   that was after the get had arrived, since what we wrote was sent after that.
//! * **An update may take an ack after Z that grants what was asked** (up to the cut of long texts and the
//!   spelling of addresses): whatever it was written for, the jobmaker held that value then.
//! * **Any other ack after Z** may have been made from a read before our write. If the request znode is no
//!   longer as we left it, somebody wrote after us and the jobmaker may never read ours: nobody can
//!   tell, and the caller is told so. Else we write the same bytes again, on the condition that the
//!   znode is still ours, to provoke another ack. One that was made from a later read than the first is
//!   certain: the read came after the first ack, so after our write, and the znode still holds our bytes.
//!
//! A jobmaker may write one ack several times, so another ack is not always of a later read:
//!
//! * An ack counts only if it was written after our latest write. So acks that come in a row count once, and
//!   between any two that count lies a write of ours. There must be three.
//! * A value that differs from what was asked for is told as a success only after two acks that cannot
//!   be one ack written twice ([`Ack::is_of_another_read`]). From a jobmaker that reads again they come by
//!   themselves: its first ack says what it held before, its next that it holds the new value. If it held that value
//!   from the beginning, only the second in which an ack was made tells them apart, so we wait for another second.
//! * Refusals have no such mark, since nothing changes: one that is written again after each of our writes is
//!   believed.
//!
//! This assumes one jobmaker at a time. Against two of them, or the late ack of one that is no more:
//!
//! * Acks of two hosts within one exchange settle nothing but what they grant.
//! * The last two acks must say the same. If they contradict each other too often, nobody can tell.
//! * No success is told that cannot be the caller's own, whatever the order says: a jobmaker may spell an
//!   address in its own way, but a text it only cuts.
//!
//! Nothing here assumes that we are the only ones who write. Sightings come with the znode's state as it was
//! seen *after* the ack, on the same connection, so that a write before the ack is never missed.

use super::ack::Ack;
use crate::{
    domain::Coinbase,
    zk::{Mark, Revision, Zxid},
};

/// Acks that must count before one that does not grant what was asked for is the answer.
const CERTAIN: u8 = 3;

/// After so many acks that settle nothing, nobody can tell.
const CONTRADICTING: u8 = 6;

/// After so many acks that nobody can parse, the jobmaker is taken to have no other.
const UNPARSABLE: u8 = 2;

/// Decides what the acks of one exchange mean for those who wait for it: maybe an update, and gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attribution {
    /// What the update asks for, until it is settled.
    asked: Option<Coinbase>,
    /// Whether gets wait.
    gets_wait: bool,
    /// The exchange's first write.
    first_write: Option<Zxid>,
    /// Its latest write.
    latest_write: Option<Zxid>,
    /// The state in which our last write left the request znode.
    ours: Option<Revision>,
    /// The last ack that was looked at.
    last_ack: Option<Zxid>,
    /// The first ack after our write that does not settle the update, and the last before this one.
    first_and_last_ack: Option<(Ack, Ack)>,
    /// How many such acks there were.
    acks: u8,
    /// Whether two of them, one after the other, cannot be one ack that was written twice.
    is_read_again: bool,
    /// How many that cannot be parsed.
    unparsable: u8,
}

/// An ack, and what the request znode was like afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// When the ack was written.
    pub(crate) zxid: Zxid,
    /// What it says; `None` if that cannot be parsed.
    pub(crate) ack: Option<Ack>,
    /// The request znode's state; `None` if it is gone.
    pub(crate) request: Option<Revision>,
}

/// What is to be done next with the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait for the next ack.
    Wait,
    /// Write the same bytes again, if the request znode is as we left it.
    Provoke,
    /// The same, once jobmakers date their acks with another second.
    ProvokeLater,
    /// Read the request anew and write that: somebody else wrote, and only gets wait.
    ReadAgain,
    /// Nothing: all are settled.
    Over,
}

/// What became of the update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The jobmaker holds what was asked for, or its own spelling of it.
    Granted(Ack),
    /// The jobmaker refused what was asked for.
    Refused(Ack),
    /// Somebody else wrote, or answered, within the exchange.
    Overtaken,
    /// The acks cannot be parsed.
    Unparsable,
}

/// There is no ack that can be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unparsable;

/// What follows from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// For the gets, if they are settled now: an ack that holds for them.
    pub(crate) gets: Option<Result<Ack, Unparsable>>,
    /// For the update, if it is settled now.
    pub(crate) update: Option<Verdict>,
    /// What to do.
    pub(crate) next: Next,
}

impl Attribution {
    /// An exchange of an update, if anything is `asked`, and of gets, if any wait.
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

    /// Whether anything of this exchange was written.
    pub(crate) fn has_written(&self) -> bool {
        self.first_write.is_some()
    }

    /// Our write went through. What follows is to wait.
    pub(crate) fn written(&mut self, mark: Mark) -> Step {
        self.first_write.get_or_insert(mark.zxid);
        self.latest_write = Some(mark.zxid);
        self.ours = Some(mark.revision);
        self.step(None, None, Next::Wait)
    }

    /// Our write was refused, since somebody else had written.
    pub(crate) fn overtaken(&mut self) -> Step {
        if self.asked.is_some() {
            return self.settle(None, Verdict::Overtaken);
        }
        self.ours = None;
        self.step(None, None, Next::ReadAgain)
    }

    /// Whether the ack was written after our first write.
    pub(crate) fn is_after_write(&self, sighting: &Sighting) -> bool {
        self.first_write.is_some_and(|first_write| sighting.zxid > first_write)
    }

    /// An ack was seen.
    pub(crate) fn seen(&mut self, sighting: Sighting) -> Step {
        let is_new = self.is_after_write(&sighting);
        let Sighting { zxid, ack, request } = sighting;
        if !is_new || self.last_ack == Some(zxid) {
            return self.step(None, None, Next::Wait);
        }
        self.last_ack = Some(zxid);
        let counts = self.latest_write.is_some_and(|latest_write| zxid > latest_write);
        let Some(ack) = ack else {
            self.unparsable += u8::from(counts);
            return match (counts, self.unparsable) {
                (false, _) => self.step(None, None, Next::Wait),
                (true, UNPARSABLE..) => self.settle(None, Verdict::Unparsable),
                (true, _) => self.step(None, None, Next::Provoke),
            };
        };
        let Some(asked) = &self.asked else {
            return self.step(Some(ack), None, Next::Over);
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
            return self.step(Some(ack), None, Next::Wait);
        }
        self.count(ack)
    }

    /// An ack was written after our latest write, and does not grant what was asked for.
    fn count(&mut self, ack: Ack) -> Step {
        self.acks += 1;
        let Some((first, last)) = &mut self.first_and_last_ack else {
            self.first_and_last_ack = Some((ack.clone(), ack.clone()));
            return self.step(Some(ack), None, Next::Provoke);
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
        self.step(Some(ack), None, next)
    }

    fn settle(&mut self, ack: Option<Ack>, verdict: Verdict) -> Step {
        let update = self.asked.take().map(|_| verdict);
        self.step(ack, update, Next::Over)
    }

    /// Gets take the first ack that comes by; an exchange that is over without one leaves them none.
    fn step(&mut self, ack: Option<Ack>, update: Option<Verdict>, next: Next) -> Step {
        let settled = self.gets_wait && (ack.is_some() || next == Next::Over);
        self.gets_wait &= !settled;
        Step { gets: settled.then(|| ack.ok_or(Unparsable)), update, next }
    }
}

/// What the jobmaker held before our update, by the first ack and one that is certainly ours: what it held
/// with the first; unless that shows ours already, when it is what the first replaced.
fn held_before(first: &Ack, certain: &Ack) -> Coinbase {
    if first.new == certain.new { first.old.clone() } else { first.held().clone() }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

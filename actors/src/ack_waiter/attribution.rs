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
//!   It was made from a later read if it says something else than the first, since a jobmaker that repeats
//!   itself repeats the same; or if it is the third, since it repeats itself once.
//! * Acks of two hosts within one exchange void all this, which assumes one jobmaker at a time. The
//!   caller is told that nobody can tell, unless the ack grants what was asked.
//!
//! Nothing here assumes that we are the only ones who write. Sightings come with the znode's state as it was
//! seen *after* the ack, on the same connection, so that a write before the ack is never missed.

use super::ack::Ack;
use crate::{
    domain::Coinbase,
    zk::{Mark, Revision, Zxid},
};

/// A jobmaker repeats itself once at most: the third ack was made from a later read than the first.
const CERTAIN: u8 = 3;

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
    /// The state in which our last write left the request znode.
    ours: Option<Revision>,
    /// The last ack that was looked at.
    last_ack: Option<Zxid>,
    /// The first ack after our write that does not settle the update.
    first_ack: Option<Ack>,
    /// How many such acks there were.
    acks: u8,
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

/// What follows from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// For the gets, if they are settled now: an ack that holds for them, or none that can be parsed.
    pub(crate) gets: Option<Option<Ack>>,
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
            ours: None,
            last_ack: None,
            first_ack: None,
            acks: 0,
            unparsable: 0,
        }
    }

    /// Whether anything of this exchange was written.
    pub(crate) fn has_written(&self) -> bool {
        self.first_write.is_some()
    }

    /// Our write went through. What follows is to wait, unless all is over: the update is lost if the
    /// znode is another one than we wrote to before, under the same path. To gets that is all one.
    pub(crate) fn written(&mut self, mark: Mark) -> Step {
        let is_another = self.ours.is_some_and(|ours| !ours.is_same_znode(mark.revision));
        if is_another && self.asked.is_some() {
            return self.settle(None, Verdict::Overtaken);
        }
        self.first_write.get_or_insert(mark.zxid);
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

    /// An ack was seen.
    pub(crate) fn seen(&mut self, sighting: Sighting) -> Step {
        let Sighting { zxid, ack, request } = sighting;
        let is_old = self.first_write.is_none_or(|first_write| zxid <= first_write);
        if is_old || self.last_ack == Some(zxid) {
            return self.step(None, None, Next::Wait);
        }
        self.last_ack = Some(zxid);
        let Some(ack) = ack else {
            self.unparsable += 1;
            return if self.unparsable >= UNPARSABLE {
                self.settle(None, Verdict::Unparsable)
            } else {
                self.step(None, None, Next::Provoke)
            };
        };
        let Some(asked) = &self.asked else {
            return self.step(Some(ack), None, Next::Over);
        };
        if ack.grants(asked) {
            return self.settle(Some(ack.clone()), Verdict::Granted(ack));
        }
        if request.is_none() || request != self.ours {
            return self.settle(Some(ack), Verdict::Overtaken);
        }
        self.acks += 1;
        let Some(first) = &self.first_ack else {
            self.first_ack = Some(ack.clone());
            return self.step(Some(ack), None, Next::Provoke);
        };
        if first.host != ack.host {
            return self.settle(Some(ack), Verdict::Overtaken);
        }
        if *first == ack && self.acks < CERTAIN {
            return self.step(Some(ack), None, Next::Provoke);
        }
        let verdict = if ack.new.is_some() {
            Verdict::Granted(Ack { old: held_before(first, &ack), ..ack.clone() })
        } else {
            Verdict::Refused(ack.clone())
        };
        self.settle(Some(ack), verdict)
    }

    fn settle(&mut self, ack: Option<Ack>, verdict: Verdict) -> Step {
        let update = self.asked.take().map(|_| verdict);
        self.step(ack, update, Next::Over)
    }

    /// Gets take the first ack that comes by; an exchange that is over without one leaves them none.
    fn step(&mut self, ack: Option<Ack>, update: Option<Verdict>, next: Next) -> Step {
        let settled = self.gets_wait && (ack.is_some() || next == Next::Over);
        self.gets_wait &= !settled;
        Step { gets: settled.then_some(ack), update, next }
    }
}

/// What the jobmaker held before our update, by two acks of which the second is certainly ours: what it
/// held with the first; unless that shows ours already, when it is what the first replaced.
fn held_before(first: &Ack, certain: &Ack) -> Coinbase {
    if first.new == certain.new { first.old.clone() } else { first.held().clone() }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

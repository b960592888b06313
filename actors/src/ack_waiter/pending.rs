//! One exchange and those who wait for it: takes in what happens, gives every answer, logs one line.

use std::time::Instant;

use tokio::sync::oneshot;

use super::{
    ack::Ack,
    attribution::{Attribution, Next, Step, Unparsable, Verdict},
    journal::{Journal, Line, Outcome},
    messages::{Caller, Event, ExchangeFailure, ExchangeReply, JobmakerAnswer, Turn},
};
use crate::{
    domain::{RequestId, Source},
    zk::WriteError,
};

/// An exchange that is not over.
pub(super) struct Pending {
    update: Option<Caller>,
    gets: Vec<Caller>,
    attribution: Attribution,
    line: Line,
    /// Tells the exchange's task, by being dropped, that all is settled.
    _over: oneshot::Sender<()>,
}

impl Pending {
    pub(super) fn new(turn: Turn, over: oneshot::Sender<()>) -> Self {
        let Turn { sub_pool, update, gets } = turn;
        let (update, asked) = match update {
            Some((caller, update)) => (Some(caller), Some(update.coinbase().clone())),
            None => (None, None),
        };
        let first = update.as_ref().or(gets.first());
        let nobody = Source::Api { client: None, request: RequestId::default() };
        Self {
            line: Line {
                sub_pool,
                // There is one, or nobody would have asked.
                source: first.map_or(nobody, |caller| caller.source),
                is_update: update.is_some(),
                gets: gets.len(),
                old: None,
                new: asked.clone(),
                host: String::new(),
                began: Instant::now(),
                sent: None,
            },
            attribution: Attribution::new(asked, !gets.is_empty()),
            update,
            gets,
            _over: over,
        }
    }

    /// Takes in what happened. After [`Next::Over`] everybody has been answered.
    pub(super) fn on(&mut self, event: Event, journal: &Journal) -> Next {
        let step = match event {
            Event::Sending => {
                self.line.sent.get_or_insert_with(Instant::now);
                return Next::Wait;
            }
            Event::Written(mark) => self.attribution.written(mark),
            Event::Overwrote(overwrite, request) => {
                journal.overwrote(&self.line, &overwrite, &request);
                return self.fail(ExchangeFailure::Overtaken, journal);
            }
            Event::NotWritten(WriteError::Overtaken) => self.attribution.overtaken(),
            Event::Seen(sighting) => {
                if let Some(ack) = &sighting.ack
                    && self.attribution.is_after_write(&sighting)
                {
                    self.line.host.clone_from(&ack.host);
                }
                self.attribution.seen(sighting)
            }
            Event::NoSubPool => return self.fail(self.no_sub_pool(), journal),
            Event::NoJobmaker => return self.fail(ExchangeFailure::NoJobmaker, journal),
            Event::NotRead(error) => {
                return self.fail(ExchangeFailure::NotRead(error.to_string()), journal);
            }
            Event::NotWritten(error) => return self.fail(self.not_written(error), journal),
            Event::AckGone => {
                return self.fail(ExchangeFailure::AckNotRead("it is gone".to_owned()), journal);
            }
            Event::NotSeen(error) => return self.fail(not_seen(error), journal),
            Event::CutOff(cause) => {
                let failure = if self.is_sent() {
                    ExchangeFailure::Unknown(cause)
                } else {
                    ExchangeFailure::NotRead(cause)
                };
                return self.fail(failure, journal);
            }
        };
        self.take(step, journal)
    }

    /// Whether the request may have gone out.
    pub(super) fn is_sent(&self) -> bool {
        self.line.sent.is_some()
    }

    /// The time is over.
    pub(super) fn time_out(&mut self, journal: &Journal) {
        let failure = if self.is_sent() {
            ExchangeFailure::TimedOut
        } else {
            ExchangeFailure::NotRead("no answer from ZooKeeper in time".to_owned())
        };
        self.fail(failure, journal);
    }

    fn not_written(&self, error: WriteError) -> ExchangeFailure {
        match error {
            WriteError::Unknown(cause) => ExchangeFailure::Unknown(cause),
            error if self.attribution.has_written() => ExchangeFailure::Unknown(format!(
                "the request was written, but not again to make sure of its ack: {error}"
            )),
            WriteError::Missing => self.no_sub_pool(),
            error => ExchangeFailure::NotWritten(error.to_string()),
        }
    }

    fn no_sub_pool(&self) -> ExchangeFailure {
        ExchangeFailure::NoSubPool(self.line.sub_pool.name().to_owned())
    }

    fn take(&mut self, step: Step, journal: &Journal) -> Next {
        let Step { gets, update, next } = step;
        let told = gets.map(|ack| self.answer_gets(ack));
        if let Some(verdict) = update {
            let reply = self.reply_to_update(verdict);
            self.record(&reply, journal);
            if let Some(caller) = self.update.take() {
                caller.answer(reply);
            }
        } else if let (Some(told), Next::Over) = (told, next) {
            self.record(&told, journal);
        }
        next
    }

    fn answer_gets(&mut self, ack: Result<Ack, Unparsable>) -> ExchangeReply {
        let reply = ack.map_err(|Unparsable| ExchangeFailure::AckUnparsable).map(|ack| {
            let asked_nothing = ack.is_empty_request();
            JobmakerAnswer {
                success: ack.new.is_some() || asked_nothing,
                old: ack.held().clone(),
                new: None,
                err_msg: if asked_nothing { "success".to_owned() } else { ack.err_msg },
                subpool_name: ack.subpool_name,
            }
        });
        self.line.old = reply.as_ref().ok().map(|answer| answer.old.clone());
        for caller in self.gets.drain(..) {
            caller.answer(reply.clone());
        }
        reply
    }

    fn reply_to_update(&mut self, verdict: Verdict) -> ExchangeReply {
        let ack = match verdict {
            Verdict::Granted(ack) | Verdict::Refused(ack) => ack,
            Verdict::Overtaken => return Err(ExchangeFailure::Overtaken),
            Verdict::Unparsable => return Err(ExchangeFailure::AckUnparsable),
        };
        self.line.old = Some(ack.old.clone());
        if let Some(new) = &ack.new {
            self.line.new = Some(new.clone());
        }
        Ok(JobmakerAnswer {
            success: ack.new.is_some(),
            err_msg: ack.err_msg,
            subpool_name: ack.subpool_name,
            old: ack.old,
            new: ack.new,
        })
    }

    /// Nobody gets an answer of the jobmaker.
    fn fail(&mut self, failure: ExchangeFailure, journal: &Journal) -> Next {
        let reply = Err(failure);
        self.record(&reply, journal);
        for caller in self.update.take().into_iter().chain(self.gets.drain(..)) {
            caller.answer(reply.clone());
        }
        Next::Over
    }

    fn record(&self, reply: &ExchangeReply, journal: &Journal) {
        let outcome = match reply {
            Err(failure) => Outcome::Failed(failure),
            Ok(answer) if !answer.success => Outcome::Refused(&answer.err_msg),
            Ok(_) if self.line.is_update => Outcome::Applied,
            Ok(_) => Outcome::Read,
        };
        journal.exchange(&self.line, &outcome);
    }
}

fn not_seen(error: WriteError) -> ExchangeFailure {
    match error {
        WriteError::Unknown(cause) => ExchangeFailure::Unknown(cause),
        error => ExchangeFailure::AckNotRead(error.to_string()),
    }
}

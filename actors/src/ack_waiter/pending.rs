//! One exchange and its callers: handles the events, gives every answer, logs one line.

use std::time::Instant;

use tokio::sync::oneshot;

use super::{
    ack::Ack,
    attribution::{Attribution, Decision, Next, Unparsable, Verdict},
    journal::{ExchangeRecord, Journal},
    messages::{Caller, Event, ExchangeFailure, ExchangeReply, JobmakerAnswer, Turn},
};
use crate::{
    domain::{RequestId, Source},
    zk::WriteError,
};

/// A running exchange.
pub(super) struct Pending {
    update: Option<Caller>,
    gets: Vec<Caller>,
    attribution: Attribution,
    record: ExchangeRecord,
    /// Its drop ends the exchange's task.
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
        // Not used: an exchange has a caller.
        let no_caller = || Source::api(None, RequestId::default());
        Self {
            record: ExchangeRecord {
                sub_pool,
                source: first.map_or_else(no_caller, |caller| caller.source.clone()),
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

    /// Handles an event. With [`Next::Over`], all callers have their answers.
    pub(super) fn on(&mut self, event: Event, journal: &Journal) -> Next {
        let decision = match event {
            Event::Sending => {
                self.record.sent.get_or_insert_with(Instant::now);
                return Next::Wait;
            }
            Event::Written(mark) => self.attribution.written(mark),
            Event::Overwrote(overwrite, request) => {
                journal.overwrote(&self.record, &overwrite, &request);
                return self.fail(ExchangeFailure::Overtaken, journal);
            }
            Event::NotWritten(WriteError::Overtaken) => self.attribution.overtaken(),
            Event::Seen(sighting) => {
                if let Some(ack) = &sighting.ack
                    && self.attribution.is_after_write(&sighting)
                {
                    self.record.host.clone_from(&ack.host);
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
                return self
                    .fail(ExchangeFailure::AckNotRead("it was deleted".to_owned()), journal);
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
        self.take(decision, journal)
    }

    /// Whether the request may have been sent.
    pub(super) fn is_sent(&self) -> bool {
        self.record.sent.is_some()
    }

    /// Handles the deadline.
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
                "the request was written, but could not be written again to confirm its ack: {error}"
            )),
            WriteError::Missing => self.no_sub_pool(),
            error => ExchangeFailure::NotWritten(error.to_string()),
        }
    }

    fn no_sub_pool(&self) -> ExchangeFailure {
        ExchangeFailure::NoSubPool(self.record.sub_pool.name().to_owned())
    }

    fn take(&mut self, decision: Decision, journal: &Journal) -> Next {
        let Decision { gets, update, next } = decision;
        let answer = gets.map(|ack| self.answer_gets(ack));
        if let Some(verdict) = update {
            let reply = self.reply_to_update(verdict);
            journal.exchange(&self.record, &reply);
            if let Some(caller) = self.update.take() {
                caller.answer(reply);
            }
        } else if let (Some(answer), Next::Over) = (answer, next) {
            journal.exchange(&self.record, &answer);
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
        self.record.old = reply.as_ref().ok().map(|answer| answer.old.clone());
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
        self.record.old = Some(ack.old.clone());
        if let Some(new) = &ack.new {
            self.record.new = Some(new.clone());
        }
        Ok(JobmakerAnswer {
            success: ack.new.is_some(),
            err_msg: ack.err_msg,
            subpool_name: ack.subpool_name,
            old: ack.old,
            new: ack.new,
        })
    }

    /// Answers all callers with a failure.
    fn fail(&mut self, failure: ExchangeFailure, journal: &Journal) -> Next {
        let reply = Err(failure);
        journal.exchange(&self.record, &reply);
        for caller in self.update.take().into_iter().chain(self.gets.drain(..)) {
            caller.answer(reply.clone());
        }
        Next::Over
    }
}

fn not_seen(error: WriteError) -> ExchangeFailure {
    match error {
        WriteError::Unknown(cause) => ExchangeFailure::Unknown(cause),
        error => ExchangeFailure::AckNotRead(error.to_string()),
    }
}

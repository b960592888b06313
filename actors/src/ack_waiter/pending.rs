//! One exchange and those who wait for it: takes in what happens, gives every answer, logs one line.

use std::time::Instant;

use slog::Logger;
use tokio::sync::oneshot;

use super::{
    ack::Ack,
    attribution::{Attribution, Next, Step, Verdict},
    journal::{self, Outcome},
    messages::{Caller, Event, ExchangeFailure, JobmakerAnswer, Turn},
};
use crate::{
    domain::{Coinbase, CoinbaseUpdate, Source, SubPool},
    zk::WriteError,
};

/// An exchange that is not over.
pub(super) struct Pending {
    sub_pool: SubPool,
    update: Option<(Caller, CoinbaseUpdate)>,
    gets: Vec<Caller>,
    attribution: Attribution,
    /// Whether the request may have gone out.
    sent: bool,
    began: Instant,
    line: Line,
    /// Tells the exchange's task, by being dropped, that all is settled.
    _over: oneshot::Sender<()>,
}

/// What the log line will say.
struct Line {
    source: Option<Source>,
    is_update: bool,
    gets: usize,
    host: String,
    old: Option<Coinbase>,
    new: Option<Coinbase>,
}

impl Pending {
    pub(super) fn new(turn: Turn, over: oneshot::Sender<()>) -> Self {
        let Turn { sub_pool, update, gets } = turn;
        let asked = update.as_ref().map(|(_, update)| update.coinbase().clone());
        let first = update.as_ref().map(|(caller, _)| caller).or(gets.first());
        Self {
            line: Line {
                source: first.map(|caller| caller.source),
                is_update: update.is_some(),
                gets: gets.len(),
                host: String::new(),
                old: None,
                new: asked.clone(),
            },
            attribution: Attribution::new(asked, !gets.is_empty()),
            sub_pool,
            update,
            gets,
            sent: false,
            began: Instant::now(),
            _over: over,
        }
    }

    /// Takes in what happened. After [`Next::Over`] everybody has been answered.
    pub(super) fn on(&mut self, event: Event, log: &Logger) -> Next {
        let step = match event {
            Event::Sending => {
                self.sent = true;
                return Next::Wait;
            }
            Event::Written(mark) => self.attribution.written(mark),
            Event::NotWritten(WriteError::Overtaken) => self.attribution.overtaken(),
            Event::Seen(sighting) => {
                if let Some(ack) = &sighting.ack {
                    self.line.host.clone_from(&ack.host);
                }
                self.attribution.seen(sighting)
            }
            Event::NoSubPool => return self.fail(self.no_sub_pool(), log),
            Event::NoJobmaker => return self.fail(ExchangeFailure::NoJobmaker, log),
            Event::NotRead(error) => {
                return self.fail(ExchangeFailure::NotRead(error.to_string()), log);
            }
            Event::NotWritten(error) => return self.fail(self.not_written(error), log),
            Event::NotSeen(error) => return self.fail(not_seen(error), log),
            Event::CutOff(cause) => {
                let failure = if self.sent {
                    ExchangeFailure::Unknown(cause)
                } else {
                    ExchangeFailure::NotRead(cause)
                };
                return self.fail(failure, log);
            }
        };
        self.take(step, log)
    }

    /// Whether the request may have gone out.
    pub(super) fn is_sent(&self) -> bool {
        self.sent
    }

    /// The time is over.
    pub(super) fn time_out(&mut self, log: &Logger) {
        let failure =
            if self.sent { ExchangeFailure::TimedOut } else { ExchangeFailure::NotServed };
        self.fail(failure, log);
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
        ExchangeFailure::NoSubPool(self.sub_pool.name().to_owned())
    }

    fn take(&mut self, step: Step, log: &Logger) -> Next {
        let Step { gets, update, next } = step;
        if let Some(ack) = gets {
            self.answer_gets(ack);
        }
        if let Some(verdict) = update {
            self.settle_update(verdict, log);
        } else if next == Next::Over {
            let outcome = match &self.line.old {
                Some(_) => Outcome::Read,
                None => Outcome::Failed(&ExchangeFailure::AckUnparsable),
            };
            self.record(outcome, log);
        }
        next
    }

    fn answer_gets(&mut self, ack: Option<Ack>) {
        let reply = match ack {
            None => Err(ExchangeFailure::AckUnparsable),
            Some(ack) => {
                self.line.old = Some(ack.held().clone());
                let held = ack.held().clone();
                let asked_nothing = ack.is_empty_request();
                Ok(JobmakerAnswer {
                    success: ack.new.is_some() || asked_nothing,
                    err_msg: if asked_nothing { "success".to_owned() } else { ack.err_msg },
                    subpool_name: ack.subpool_name,
                    old: held,
                    new: None,
                })
            }
        };
        for caller in self.gets.drain(..) {
            caller.answer(reply.clone());
        }
    }

    fn settle_update(&mut self, verdict: Verdict, log: &Logger) {
        let reply = match verdict {
            Verdict::Granted(ack) | Verdict::Refused(ack) => {
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
            Verdict::Overtaken => Err(ExchangeFailure::Overtaken),
            Verdict::Unparsable => Err(ExchangeFailure::AckUnparsable),
        };
        let outcome = match &reply {
            Ok(answer) if answer.success => Outcome::Applied,
            Ok(answer) => Outcome::Refused(&answer.err_msg),
            Err(failure) => Outcome::Failed(failure),
        };
        self.record(outcome, log);
        if let Some((caller, _)) = self.update.take() {
            caller.answer(reply);
        }
    }

    /// Nobody gets an answer of the jobmaker.
    fn fail(&mut self, failure: ExchangeFailure, log: &Logger) -> Next {
        self.record(Outcome::Failed(&failure), log);
        if let Some((caller, _)) = self.update.take() {
            caller.answer(Err(failure.clone()));
        }
        for caller in self.gets.drain(..) {
            caller.answer(Err(failure.clone()));
        }
        Next::Over
    }

    fn record(&self, outcome: Outcome<'_>, log: &Logger) {
        let Line { source, is_update, gets, host, old, new } = &self.line;
        journal::record(
            log,
            &journal::Exchange {
                sub_pool: &self.sub_pool,
                source: *source,
                is_update: *is_update,
                gets: *gets,
                old: old.as_ref(),
                new: new.as_ref(),
                host,
                took: self.began.elapsed(),
                outcome,
            },
        );
    }
}

fn not_seen(error: Option<WriteError>) -> ExchangeFailure {
    match error {
        None => ExchangeFailure::AckNotRead("it is gone".to_owned()),
        Some(WriteError::Unknown(cause)) => ExchangeFailure::Unknown(cause),
        Some(error) => ExchangeFailure::AckNotRead(error.to_string()),
    }
}

//! Switches on their way to `ZkWriter`: one message for all requests that a worker reads in one turn of its event loop.
//!
//! A message to an idle `ZkWriter` wakes its thread: a system call, and often a switch to that thread, which finds a
//! single request.

use std::{cell::RefCell, rc::Rc};

use actix::{Recipient, prelude::SendError};
use actix_web::rt;
use switcher_actors::{WriteBatch, WriteBatches, WriteReply};

use super::switch::refusal;

/// The outbox of one worker. Each request in it has a connection that waits, so it needs no limit. Clones share it.
#[derive(Clone)]
pub struct Outbox {
    writer: Recipient<WriteBatches>,
    waiting: Rc<RefCell<Vec<WriteBatch>>>,
}

impl Outbox {
    pub fn new(writer: Recipient<WriteBatches>) -> Self {
        Self { writer, waiting: Rc::default() }
    }

    /// Sends `batch` when the worker has served the connections that are readable now. If `ZkWriter` does not take it,
    /// it is answered here.
    pub fn send(&self, batch: WriteBatch) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            let outbox = self.clone();
            // Runs after the tasks of all connections that are readable now: they were queued earlier.
            rt::spawn(async move { outbox.flush() });
        }
        waiting.push(batch);
    }

    fn flush(&self) {
        let batches = WriteBatches(self.waiting.take());
        let Err(error) = self.writer.try_send(batches) else { return };
        let failure = refusal(&error);
        let (SendError::Full(unsent) | SendError::Closed(unsent)) = error;
        for batch in unsent.0 {
            let _ = batch.reply.send(WriteReply::refused(failure.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix::{Actor, ActorContext, Context, Handler};
    use switcher_actors::{RequestId, Source, SwitchesBuilder, WriteFailure};
    use tokio::sync::oneshot;

    use super::*;

    /// Answers with the number of batches in a message.
    struct Writer;

    impl Actor for Writer {
        type Context = Context<Self>;
    }

    impl Handler<WriteBatches> for Writer {
        type Result = ();

        fn handle(&mut self, WriteBatches(batches): WriteBatches, _: &mut Self::Context) {
            let count = batches.len();
            for batch in batches {
                let reply = WriteReply::refused(WriteFailure::Refused(count.to_string()));
                batch.reply.send(reply).unwrap();
            }
        }
    }

    fn refused(failure: WriteFailure) -> WriteReply {
        WriteReply::refused(failure)
    }

    fn send(outbox: &Outbox) -> oneshot::Receiver<WriteReply> {
        let (reply, answer) = oneshot::channel();
        let switches = Arc::new(SwitchesBuilder::new(false).build());
        outbox.send(WriteBatch {
            source: Source::poll(RequestId::default()),
            switches,
            wants_results: false,
            reply,
        });
        answer
    }

    #[actix_web::test]
    async fn batches_that_come_together_are_one_message() {
        let outbox = Outbox::new(Writer.start().recipient());
        for count in [2, 1] {
            let answers: Vec<_> = (0..count).map(|_| send(&outbox)).collect();
            for answer in answers {
                assert_eq!(answer.await, Ok(refused(WriteFailure::Refused(count.to_string()))));
            }
        }
    }

    #[actix_web::test]
    async fn batches_that_are_not_taken_are_answered() {
        let ended = Writer::create(|ctx| {
            ctx.terminate();
            Writer
        });
        while ended.connected() {
            tokio::task::yield_now().await;
        }
        let outbox = Outbox::new(ended.recipient());
        for answer in [send(&outbox), send(&outbox)] {
            assert_eq!(answer.await, Ok(refused(WriteFailure::ShuttingDown)));
        }
    }
}

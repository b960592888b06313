//! [`Jobmakers`]: sends requests to jobmakers, through `ZkWriter`.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    slice,
    sync::Arc,
};

use actix::{Recipient, prelude::SendError};
use tokio::sync::{RwLock, RwLockWriteGuard, oneshot};

use crate::{
    ack_waiter::{Caller, ExchangeFailure, ExchangeReply, Journal},
    domain::{Source, SubPool},
    history::History,
    zk_writer::{CoinbaseAction, CoinbaseRequest},
};

/// Turns, each of the sub-pools with the same hash.
const TURNS: usize = 64;

/// Sends requests to jobmakers. An update begins only after its record is on the disk.
#[derive(Clone)]
pub struct Jobmakers {
    zk_writer: Recipient<CoinbaseRequest>,
    history: History,
    journal: Arc<Journal>,
    /// Updates share a turn. An undo has it alone from its get to its update, so that no update comes in between.
    turns: Arc<[RwLock<()>]>,
}

/// A sub-pool whose other updates wait until this is dropped.
pub struct Alone<'a> {
    jobmakers: &'a Jobmakers,
    sub_pool: SubPool,
    _turn: RwLockWriteGuard<'a, ()>,
}

impl Alone<'_> {
    /// As [`Jobmakers::ask`].
    ///
    /// # Errors
    /// The reason why there is no answer.
    pub async fn ask(&self, action: CoinbaseAction, source: Source) -> ExchangeReply {
        self.jobmakers.exchange(self.sub_pool.clone(), action, source).await
    }
}

impl Jobmakers {
    pub(crate) fn new(
        zk_writer: Recipient<CoinbaseRequest>,
        history: History,
        journal: Journal,
    ) -> Self {
        let turns = (0..TURNS).map(|_| RwLock::default()).collect();
        Self { zk_writer, history, journal: Arc::new(journal), turns }
    }

    /// Sends a request to the sub-pool's jobmaker, and returns its answer. Dropping the future cancels an exchange that
    /// has not begun.
    ///
    /// # Errors
    /// The reason why there is no answer; [`ExchangeFailure::wrote_nothing`] shows whether the outcome is unknown.
    pub async fn ask(
        &self,
        sub_pool: SubPool,
        action: CoinbaseAction,
        source: Source,
    ) -> ExchangeReply {
        let _turn = match action {
            CoinbaseAction::Update(_) => Some(self.turn(&sub_pool).read().await),
            CoinbaseAction::Get => None,
        };
        self.exchange(sub_pool, action, source).await
    }

    /// Waits until no update of the sub-pool is under way, and holds further ones of this daemon up.
    pub async fn alone_with(&self, sub_pool: SubPool) -> Alone<'_> {
        let _turn = self.turn(&sub_pool).write().await;
        Alone { jobmakers: self, sub_pool, _turn }
    }

    fn turn(&self, sub_pool: &SubPool) -> &RwLock<()> {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let hash = hasher.hash_one((sub_pool.coin(), sub_pool.name()));
        &self.turns[hash as usize % TURNS]
    }

    async fn exchange(
        &self,
        sub_pool: SubPool,
        action: CoinbaseAction,
        source: Source,
    ) -> ExchangeReply {
        let (reply, answer) = oneshot::channel();
        let caller = Caller { source, reply };
        let is_update = matches!(action, CoinbaseAction::Update(_));
        let request = CoinbaseRequest { sub_pool, action, caller };
        // In a task of its own: a recorded update must reach `ZkWriter`, whose journal records the outcome.
        tokio::spawn(self.clone().send(request));
        let ended = |_| Err(ExchangeFailure::Unknown("the actors ended meanwhile".to_owned()));
        let answer = answer.await.unwrap_or_else(ended);
        if is_update {
            // A crash after the answer does not lose the outcome, unless the disk is slow.
            self.history.flush().await;
        }
        answer
    }

    /// Hands a request over to `ZkWriter`, or answers it with the failure.
    async fn send(self, request: CoinbaseRequest) {
        let CoinbaseRequest { sub_pool, action, caller } = &request;
        if let CoinbaseAction::Update(update) = action
            && let Err(cause) = self.history.begin_update(&caller.source, sub_pool, update).await
        {
            return self.refuse(request, ExchangeFailure::NotRecorded(cause));
        }
        match self.zk_writer.try_send(request) {
            Ok(()) => {}
            Err(SendError::Full(request)) => self.refuse(request, ExchangeFailure::QueueFull),
            Err(SendError::Closed(request)) => self.refuse(request, ExchangeFailure::ShuttingDown),
        }
    }

    fn refuse(&self, request: CoinbaseRequest, failure: ExchangeFailure) {
        let CoinbaseRequest { sub_pool, action, caller } = request;
        match action {
            CoinbaseAction::Get => self.journal.gets_not_begun(slice::from_ref(&caller), &failure),
            CoinbaseAction::Update(update) => {
                let cause = failure.to_string();
                self.journal.update_not_begun(&sub_pool, &caller.source, &update, &cause);
            }
        }
        caller.answer(Err(failure));
    }
}

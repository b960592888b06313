//! Runs the messages of `UserLists`.

use actix::{ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future};
use tokio::sync::oneshot;

use super::{
    create::create_missing,
    marks,
    messages::{FirstCoins, FirstCoinsEnd, ReadMarks, WriteMarks},
};
use crate::{
    domain::ZnodeDir,
    zk::{Connection, WriteError},
    zk_writer::{actor::ZkWriter, session::live},
};

impl ZkWriter {
    /// Runs `work` with the connection and replies with its result. The drain waits for it; a lost connection ends it.
    pub(in crate::zk_writer) fn run_to_reply<T, F, W>(
        &mut self,
        reply: oneshot::Sender<Result<T, String>>,
        work: W,
        ctx: &mut Context<Self>,
    ) where
        T: 'static,
        F: Future<Output = Result<T, String>> + 'static,
        W: FnOnce(Connection) -> F,
    {
        let (None, Some(connection)) = (&self.draining, live(&self.connection)) else {
            let _ = reply.send(Err("there is no session with ZooKeeper".to_owned()));
            return;
        };
        let working = connection.spawn(work(connection.clone()));
        self.replies_under_way += 1;
        ctx.spawn(wrap_future::<_, Self>(working).map(move |end, act, ctx| {
            act.replies_under_way -= 1;
            let lost = || Err("the connection to ZooKeeper was lost".to_owned());
            // The sender may have been stopped.
            let _ = reply.send(end.unwrap_or_else(lost));
            act.close_if_drained(ctx);
        }));
    }
}

async fn create(
    connection: &Connection,
    FirstCoins { coin, entries, index, .. }: &FirstCoins,
    watch_dir: &ZnodeDir,
) -> FirstCoinsEnd {
    let mut end = FirstCoinsEnd::default();
    if let Some(index) = index {
        let (places, indexed): (Vec<usize>, Vec<(&str, &str)>) = entries
            .iter()
            .enumerate()
            .filter_map(|(place, it)| {
                Some((place, (it.index_name.as_ref()?.as_str(), it.puname.as_str())))
            })
            .unzip();
        for (place, entry) in
            places.into_iter().zip(create_missing(connection, index, &indexed).await)
        {
            match entry {
                Ok(is_created) => end.indexed += usize::from(is_created),
                Err(fault) => {
                    end.not_indexed.push(place);
                    end.index_fault = end.index_fault.or(Some(fault.into_cause()));
                }
            }
        }
    }
    let coins: Vec<(&str, &str)> =
        entries.iter().map(|it| (it.puname.as_str(), coin.as_str())).collect();
    for entry in create_missing(connection, watch_dir, &coins).await {
        end.created += usize::from(entry == Ok(true));
        end.ends.push(entry.map(|_| ()));
    }
    end
}

impl Handler<FirstCoins> for ZkWriter {
    type Result = ();

    fn handle(&mut self, mut message: FirstCoins, ctx: &mut Self::Context) {
        let (unused, _) = oneshot::channel();
        let reply = std::mem::replace(&mut message.reply, unused);
        let dir = self.settings.watch_dir.clone();
        let work =
            |connection: Connection| async move { Ok(create(&connection, &message, &dir).await) };
        self.run_to_reply(reply, work, ctx);
    }
}

impl Handler<ReadMarks> for ZkWriter {
    type Result = ();

    fn handle(&mut self, message: ReadMarks, ctx: &mut Self::Context) {
        let ReadMarks { dir, coins, reply } = message;
        let work = |connection: Connection| async move {
            // A refusal does not matter here: the first write below the directory fails with its cause.
            if let Err(error @ WriteError::Unknown(_)) = connection.ensure_directory(&dir).await {
                return Err(format!("cannot create {dir}: {error}"));
            }
            let mut read = Vec::with_capacity(coins.len());
            for coin in &coins {
                let marks = marks::read(&connection, &dir, coin).await;
                read.push(marks.map_err(|error| format!("cannot read {dir}{coin}: {error}"))?);
            }
            Ok(read)
        };
        self.run_to_reply(reply, work, ctx);
    }
}

impl Handler<WriteMarks> for ZkWriter {
    type Result = ();

    fn handle(&mut self, message: WriteMarks, ctx: &mut Self::Context) {
        let WriteMarks { dir, coin, marks, reply } = message;
        let work = |connection: Connection| async move {
            let written = marks::write(&connection, &dir, &coin, &marks).await;
            written.map_err(|error| format!("cannot write {dir}{coin}: {error}"))
        };
        self.run_to_reply(reply, work, ctx);
    }
}

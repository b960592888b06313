//! Lists and deletes requests for registration.

use actix::{ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future};
use tokio::sync::oneshot;

use super::messages::{ConfirmElection, DeleteRequest, RequestsSeen, WatchRequests};
use crate::{
    domain::ZnodeDir,
    zk::{Connection, WriteError},
    zk_writer::{
        actor::ZkWriter,
        election::{Election, elect},
        session::live,
    },
};

impl ZkWriter {
    /// Answers with the result of `work`, or with `cut_off` if there is no session, or the session ends first.
    fn answer_registrar<T: 'static, F: Future<Output = T> + 'static>(
        &mut self,
        reply: oneshot::Sender<T>,
        cut_off: T,
        work: impl FnOnce(Connection) -> F,
        ctx: &mut Context<Self>,
    ) {
        let (None, Some(connection)) = (&self.draining, live(&self.connection)) else {
            let _ = reply.send(cut_off);
            return;
        };
        let working = connection.spawn(work(connection.clone()));
        self.registrations_under_way += 1;
        ctx.spawn(wrap_future::<_, Self>(working).map(|result, act, ctx| {
            act.registrations_under_way -= 1;
            // The Registrar may have been stopped.
            let _ = reply.send(result.unwrap_or(cut_off));
            act.close_if_drained(ctx);
        }));
    }
}

impl Handler<WatchRequests> for ZkWriter {
    type Result = ();

    fn handle(&mut self, watch: WatchRequests, ctx: &mut Self::Context) {
        let WatchRequests { dir, lock, creates_dir, reply } = watch;
        let work = move |connection: Connection| async move {
            match elect(&connection, &lock).await {
                Election::Ours => list(&connection, &dir, creates_dir).await,
                Election::Standby { holder } => RequestsSeen::Standby { holder },
                Election::NoSession => RequestsSeen::NoSession,
                Election::Refused(cause) => RequestsSeen::Refused(cause),
            }
        };
        self.answer_registrar(reply, RequestsSeen::NoSession, work, ctx);
    }
}

impl Handler<ConfirmElection> for ZkWriter {
    type Result = ();

    fn handle(&mut self, confirm: ConfirmElection, ctx: &mut Self::Context) {
        let ConfirmElection { lock, reply } = confirm;
        let work = move |connection: Connection| async move { elect(&connection, &lock).await };
        self.answer_registrar(reply, Election::NoSession, work, ctx);
    }
}

impl Handler<DeleteRequest> for ZkWriter {
    type Result = ();

    fn handle(&mut self, DeleteRequest { path, reply }: DeleteRequest, ctx: &mut Self::Context) {
        let work = |connection: Connection| async move {
            match connection.remove(&path).await {
                Ok(true) => Ok(()),
                Ok(false) => {
                    Err("there are more znodes below it than are deleted at a time".to_owned())
                }
                Err(error) => Err(error.to_string()),
            }
        };
        let cut_off = Err("there is no session with ZooKeeper, or it ended".to_owned());
        self.answer_registrar(reply, cut_off, work, ctx);
    }
}

async fn list(connection: &Connection, dir: &ZnodeDir, creates_dir: bool) -> RequestsSeen {
    let refused = |attempt: &str, error: &WriteError| {
        if connection.is_lost() {
            return RequestsSeen::NoSession;
        }
        RequestsSeen::Refused(format!("cannot {attempt} {}: {error}", dir.node()))
    };
    if creates_dir && let Err(error) = connection.ensure_shared_directory(dir).await {
        return refused("create the directory", &error);
    }
    match connection.watch_children(dir.node()).await {
        Ok((Some(names), changed)) => RequestsSeen::Requests { names, changed },
        Ok((None, created)) => RequestsSeen::NoDirectory { created },
        Err(error) => refused("list the children of", &error),
    }
}

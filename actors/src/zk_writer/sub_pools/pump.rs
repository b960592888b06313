//! Begins exchanges and takes in their ends.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture, fut::wrap_future};

use crate::{
    domain::SubPool,
    zk_writer::{actor::ZkWriter, session::live},
};

impl ZkWriter {
    /// Begins the next exchange with a sub-pool's jobmaker, if none is under way and a request waits.
    pub(in crate::zk_writer) fn begin_exchange(
        &mut self,
        sub_pool: &SubPool,
        ctx: &mut Context<Self>,
    ) {
        let Some(connection) = live(&self.connection) else { return };
        let sub_pools = self.sub_pools.as_mut();
        let begun = sub_pools.and_then(|it| it.begin(sub_pool, connection));
        let Some((id, task)) = begun else { return };
        let sub_pool = sub_pool.clone();
        ctx.spawn(wrap_future::<_, Self>(task).map(move |ended, act, ctx| {
            if let Some(sub_pools) = &mut act.sub_pools {
                sub_pools.lanes.finish(&sub_pool);
                if ended.is_none() {
                    let cause = match act.draining {
                        None => "the connection to ZooKeeper was lost",
                        Some(_) => "the daemon is shutting down",
                    };
                    ctx.spawn(sub_pools.cut_off(id, cause).into_actor(act));
                }
            }
            act.begin_exchange(&sub_pool, ctx);
            act.close_if_drained(ctx);
        }));
    }
}

//! Reads dry runs part by part, beside the chunks of switches.

use actix::{ActorFutureExt, AsyncContext, Context, fut::wrap_future};

use crate::zk_writer::{actor::ZkWriter, held::now, session::live};

impl ZkWriter {
    /// Reads what waits, as many parts as may be under way.
    pub(crate) fn pump_dry_runs(&mut self, ctx: &mut Context<Self>) {
        let Some(connection) = live(&self.connection) else { return };
        while let Some(part) = self.dry_runs.take() {
            let dir = &self.settings.watch_dir;
            let paths: Vec<String> = part.names().map(|name| dir.child(name)).collect();
            let reading = connection.spawn({
                let connection = connection.clone();
                async move {
                    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                    // Switches that other clients were answered for must be seen.
                    connection.read_caught_up(&paths).await
                }
            });
            ctx.spawn(wrap_future::<_, Self>(reading).map(move |read, act, ctx| {
                let read = match read {
                    Some(read) => read.map_err(|error| error.to_string()),
                    None => Err("the connection was lost".to_owned()),
                };
                let (period, now) = (&act.held.period, now());
                act.dry_runs.finish(&part, read, |coin, name| period.due(coin, name, now));
                act.pump_dry_runs(ctx);
                act.close_if_drained(ctx);
            }));
        }
    }
}

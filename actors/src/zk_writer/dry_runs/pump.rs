//! Dry runs: part after part of what is asked about, read beside the chunks.

use actix::{ActorFutureExt, AsyncContext, Context, fut::wrap_future};

use crate::zk_writer::{actor::ZkWriter, session::live};

impl ZkWriter {
    /// Reads what waits, as much as may be under way at a time.
    pub(crate) fn pump_looks(&mut self, ctx: &mut Context<Self>) {
        let Some(connection) = live(&self.connection) else { return };
        while let Some(part) = self.looks.take() {
            let dir = &self.settings.watch_dir;
            let paths: Vec<String> = part.names().map(|name| dir.child(name)).collect();
            let reading = connection.spawn({
                let connection = connection.clone();
                async move {
                    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                    // What somebody else was told to have been switched must be seen.
                    connection.read_caught_up(&paths).await
                }
            });
            ctx.spawn(wrap_future::<_, Self>(reading).map(move |read, act, ctx| {
                let read = match read {
                    Ok(read) => read.map_err(|error| error.to_string()),
                    // Cut off with its connection.
                    Err(_) => Err("the connection was lost".to_owned()),
                };
                act.looks.finish(&part, read);
                act.pump_looks(ctx);
                act.close_if_drained(ctx);
            }));
        }
    }
}

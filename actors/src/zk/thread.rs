//! The thread on which a session's owner, its connection and its socket run together.

use std::io;

use tokio::{runtime::Builder, task::LocalSet};

/// Runs `work` on this thread, which waits for ZooKeeper's socket itself meanwhile: else the client crate's own thread
/// would receive each answer and wake this one (docs/develop/decisions/0026-zk-writer-thread.md). Fails if the
/// operating system refuses a thread for timers.
pub(crate) fn run(work: impl Future<Output = ()>) -> io::Result<()> {
    // For timers, and sockets that are not the client crate's. It ends with the work, not before.
    let timers = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("zk-timers")
        .enable_all()
        .build()?;
    {
        let _timers = timers.enter();
        async_io::block_on(LocalSet::new().run_until(work));
    }
    // Does not wait for a host name that is still being resolved.
    timers.shutdown_background();
    Ok(())
}

//! Tasks of one connection. They run on the thread that starts them, and end with the connection.
//!
//! The client crate runs each session in a task. After a lost connection that task would reconnect and send old
//! requests, so it is one of these.

use std::{future::poll_fn, pin::pin};

use spawns_core::{Spawn, Task, enter};
use tokio::{sync::watch, task::spawn_local};

/// Ends the connection's tasks when dropped: none is polled again.
#[derive(Debug)]
pub(super) struct TasksEnd {
    _open: watch::Sender<()>,
}

/// Starts tasks that end with the connection. Clones start tasks of the same connection.
#[derive(Clone, Debug)]
pub(super) struct Tasks {
    /// Closed at the connection's end.
    end: watch::Receiver<()>,
}

impl Tasks {
    pub(super) fn new() -> (Self, TasksEnd) {
        let (open, end) = watch::channel(());
        (Self { end }, TasksEnd { _open: open })
    }

    /// Starts `work` and returns its result; `None` if the connection ended first. The work stays on the caller's
    /// thread, which needs a [`LocalSet`](tokio::task::LocalSet).
    pub(super) fn spawn<F>(&self, work: F) -> impl Future<Output = Option<F::Output>> + use<F>
    where
        F: Future<Output: 'static> + 'static,
    {
        let mut end = self.end.clone();
        let task = spawn_local(async move {
            tokio::select! {
                // First of all, so that the work is not polled after the end.
                biased;
                _ = end.changed() => None,
                result = work => Some(result),
            }
        });
        async move { task.await.ok().flatten() }
    }

    /// Runs `work`; all that it starts through the client crate's spawner is a task of the connection.
    pub(super) async fn adopt_from<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let _adopting = enter(self);
            work.as_mut().poll(cx)
        })
        .await
    }
}

impl Spawn for Tasks {
    fn spawn(&self, task: Task) {
        drop(Tasks::spawn(self, Box::into_pin(task.future)));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use tokio::{
        sync::Notify,
        time::{sleep, timeout},
    };

    use super::*;

    /// Counts how often it is dropped.
    struct Counted(Arc<AtomicUsize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[actix_rt::test]
    async fn a_result_is_returned_while_the_connection_lasts() {
        let (tasks, _end) = Tasks::new();
        assert_eq!(Tasks::spawn(&tasks, async { 7 }).await, Some(7));
    }

    #[actix_rt::test]
    async fn no_task_runs_after_the_end_even_if_its_work_is_due() {
        let (tasks, end) = Tasks::new();
        let (due, ran, dropped) = (Arc::new(Notify::new()), Arc::default(), Arc::default());
        let work = {
            let (due, ran) = (Arc::clone(&due), Arc::clone(&ran));
            let counted = Counted(Arc::clone(&dropped));
            async move {
                due.notified().await;
                AtomicUsize::fetch_add(&ran, 1, Ordering::SeqCst);
                drop(counted);
            }
        };
        let running = Tasks::spawn(&tasks, work);
        tokio::task::yield_now().await;
        due.notify_one();
        drop(end);
        assert_eq!(running.await, None);
        assert_eq!((ran.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst)), (0, 1));
    }

    #[actix_rt::test]
    async fn tasks_of_the_client_crate_end_too() {
        let (tasks, end) = Tasks::new();
        let dropped = Arc::new(AtomicUsize::new(0));
        let counted = Counted(Arc::clone(&dropped));
        let connecting = async move {
            tokio::task::yield_now().await;
            spawns_core::spawn(async move {
                let _counted = counted;
                std::future::pending::<()>().await;
            });
        };
        tasks.adopt_from(connecting).await;
        sleep(Duration::from_millis(1)).await;
        assert_eq!(dropped.load(Ordering::SeqCst), 0);
        drop(end);
        let ended = async {
            while dropped.load(Ordering::SeqCst) == 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(5), ended).await.unwrap();
    }
}

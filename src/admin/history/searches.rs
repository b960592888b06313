//! Access to the history for the pages: two searches at a time, each on a blocking thread.

use std::{path::PathBuf, sync::Arc, time::Duration};

use actix::Recipient;
use actix_web::web;
use switcher_actors::{Actors, History, ListHeld};
use switcher_history::{Error, Reader};
use tokio::{sync::Semaphore, time::timeout};

use crate::admin::answer::PageError;

/// Maximum concurrent searches; more wait. Each has a thread and a connection to the database.
pub const SEARCHES: usize = 2;

/// Descriptors of a search: the database, its log and the log's index.
pub const SEARCH_DESCRIPTORS: usize = 3;

/// Maximum wait for a turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Access to the history.
pub struct Searches {
    file: PathBuf,
    history: History,
    writer: Recipient<ListHeld>,
    turns: Turns,
}

impl Searches {
    /// `file` is the database that the actors fill.
    pub fn new(file: PathBuf, actors: &Actors) -> Self {
        let turns = Turns::new(SEARCHES, PATIENCE);
        Self { file, history: actors.history.clone(), writer: actors.held(), turns }
    }

    /// Does a search that finds all settled changes, also those of all sent answers.
    ///
    /// # Errors
    /// If the history cannot be opened or searched, or no turn comes within five seconds.
    pub async fn search<T: Send + 'static>(
        &self,
        search: impl FnOnce(&Reader) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, PageError> {
        let file = self.file.clone();
        let search = move || {
            let reader = Reader::open(&file).map_err(PageError::NotOpened)?;
            search(&reader).map_err(PageError::NotSearched)
        };
        // `ZkWriter` answers a request and hands over its changes in one turn, so this answer comes after both.
        let _ = self.writer.send(ListHeld { limit: 0 }).await;
        self.history.flush().await;
        self.turns.take(search).await
    }
}

/// Turns on blocking threads.
struct Turns {
    free: Arc<Semaphore>,
    patience: Duration,
}

impl Turns {
    fn new(count: usize, patience: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), patience }
    }

    async fn take<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PageError> + Send + 'static,
    ) -> Result<T, PageError> {
        let turn = timeout(self.patience, Arc::clone(&self.free).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(PageError::TooManySearches) };
        let done = web::block(move || {
            // Held until the work ends, even if its client has disconnected.
            let _turn = turn;
            work()
        });
        done.await.unwrap_or(Err(PageError::TooManySearches))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[actix_web::test]
    async fn searches_wait_for_a_turn_and_are_then_refused() {
        let turns = Turns::new(1, Duration::from_millis(50));
        let (end, ended) = mpsc::channel::<()>();
        let abandoned = turns.take(move || {
            let _ = ended.recv();
            Ok(())
        });
        // Its client goes; the work goes on and keeps its turn.
        assert!(timeout(Duration::from_millis(10), abandoned).await.is_err());
        let refused = turns.take(|| Ok(())).await;
        assert!(matches!(refused, Err(PageError::TooManySearches)), "{refused:?}");
        end.send(()).unwrap();
        let turns = Turns { patience: Duration::from_secs(60), ..turns };
        assert!(turns.take(|| Ok(())).await.is_ok());
    }
}

//! The server: one loop for each list, one for each miner.

use std::{
    collections::HashMap,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use zookeeper_client::{Acls, Client, CreateMode, Error, OneshotWatcher};

use crate::{Event, UserList, fetch};

/// A miner that has not logged in is cut off after this time.
const LOGIN: Duration = Duration::from_secs(15);

/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Places and times of one server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// ZooKeeper's servers, with commas between.
    pub zookeeper: String,
    /// Directory of the sub-accounts' znodes, with a slash at its end.
    pub watch_dir: String,
    /// Directory of the requests for registration, with a slash at its end; `None`: unknown miners are refused.
    pub registration_dir: Option<String>,
    /// Coin and URL of each list.
    pub lists: Vec<(String, String)>,
    /// Pause between two polls of a list; 10 s at sserver.
    pub poll_interval: Duration,
}

/// A running server. Clones share it.
#[derive(Clone)]
pub struct StratumServer(Rc<Inner>);

struct Inner {
    settings: Settings,
    client: Client,
    lists: Arc<Mutex<HashMap<String, UserList>>>,
    /// Changes with each new sub-account.
    news: watch::Sender<()>,
    events: mpsc::UnboundedSender<Event>,
}

impl StratumServer {
    /// Connects to ZooKeeper. Events go to `events`.
    pub async fn connect(
        settings: Settings,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<Self, Error> {
        let client = Client::connect(&settings.zookeeper).await?;
        let lists = settings.lists.iter().map(|(coin, _)| (coin.clone(), UserList::default()));
        let lists = Arc::new(Mutex::new(lists.collect()));
        Ok(Self(Rc::new(Inner { client, lists, news: watch::channel(()).0, events, settings })))
    }

    /// The list of a coin, as far as this server knows it.
    pub fn list(&self, coin: &str) -> UserList {
        self.lists().get(coin).cloned().unwrap_or_default()
    }

    /// Polls the list of one coin until the future is dropped.
    pub async fn poll(&self, coin: &str, url: &str) {
        loop {
            let last_id = self.list(coin).last_id();
            match fetch(url, last_id).await {
                Ok(answer) => self.take(coin, &answer),
                Err(error) => self.event(Event::Failed(format!("the list of {coin}: {error}"))),
            }
            sleep(self.0.settings.poll_interval).await;
        }
    }

    /// Logs a miner in and follows its znode until the future is dropped, or the miner is refused.
    pub async fn follow(&self, miner: &str) {
        let (mut coin, mut stays) = (None, None);
        loop {
            let mut news = self.0.news.subscribe();
            match self.look(miner, &mut coin, &mut stays).await {
                Ok(Some(event)) => {
                    // A list that learns the name repairs a miner that stayed.
                    tokio::select! {
                        _ = event.changed() => {}
                        _ = news.changed() => {}
                    }
                }
                Ok(None) => return self.event(Event::Refused { miner: miner.to_owned() }),
                Err(error) => {
                    self.event(Event::Failed(format!("ZooKeeper, for {miner}: {error}")));
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Reads the miner's znode and moves the miner. `None` if its sub-account is unknown. `stays` is the coin that the
    /// last [`Event::Stays`] named.
    async fn look(
        &self,
        miner: &str,
        coin: &mut Option<String>,
        stays: &mut Option<String>,
    ) -> Result<Option<OneshotWatcher>, Error> {
        let path = format!("{}{miner}", self.0.settings.watch_dir);
        let (data, _, watcher) = match self.0.client.get_and_watch_data(&path).await {
            Err(Error::NoNode) => {
                if !self.register(miner).await? {
                    return Ok(None);
                }
                match self.0.client.get_and_watch_data(&path).await {
                    Err(Error::NoNode) => return Ok(None),
                    found => found?,
                }
            }
            found => found?,
        };
        let wanted = String::from_utf8_lossy(&data).into_owned();
        if coin.as_ref() != Some(&wanted) {
            let miner = miner.to_owned();
            if self.list(&wanted).puid(&miner).is_some() {
                *stays = None;
                let from = coin.replace(wanted.clone());
                self.event(Event::Moved { miner, from, to: wanted });
            } else if stays.as_ref() != Some(&wanted) {
                *stays = Some(wanted.clone());
                self.event(Event::Stays { miner, coin: wanted });
            }
        }
        Ok(Some(watcher))
    }

    /// Requests a registration and waits until the request is removed. Returns whether it was, in time.
    async fn register(&self, miner: &str) -> Result<bool, Error> {
        let Some(dir) = &self.0.settings.registration_dir else { return Ok(false) };
        let path = format!("{dir}{miner}");
        let data = format!("{{\"SessionID\":1,\"Worker\":\"{miner}.rig1\"}}");
        let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
        match self.0.client.create(&path, data.as_bytes(), &persistent).await {
            Ok(_) | Err(Error::NodeExists) => {}
            Err(error) => return Err(error),
        }
        self.event(Event::Requested { miner: miner.to_owned() });
        let removed = async {
            loop {
                match self.0.client.check_and_watch_stat(&path).await? {
                    (None, _) => return Ok::<_, Error>(()),
                    (Some(_), watcher) => watcher.changed().await,
                };
            }
        };
        timeout(LOGIN, removed).await.map_or(Ok(false), |removed| removed.map(|()| true))
    }

    fn take(&self, coin: &str, answer: &[u8]) {
        let taken = self.lists().entry(coin.to_owned()).or_default().take(answer);
        match taken {
            Ok(0) => {}
            Ok(sub_accounts) => {
                self.0.news.send_replace(());
                self.event(Event::Learned { coin: coin.to_owned(), sub_accounts });
            }
            Err(error) => self.event(Event::Failed(format!("the list of {coin}: {error}"))),
        }
    }

    fn lists(&self) -> MutexGuard<'_, HashMap<String, UserList>> {
        self.0.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, event: Event) {
        // Without a receiver, events do not matter.
        let _ = self.0.events.send(event);
    }
}

//! Log lines and metrics of registrations. Neither credentials nor the fields of the operator's `PostData` are in them.

use std::{iter, sync::Arc, time::Duration};

use slog::{Logger, info, warn};

use super::backend::NotRegistered;
use crate::{
    domain::{Coin, Origin, RequestIds, Shown, Source, SourceKind, clip, seconds},
    metrics::{Change, ChangeEnd, ChangeKind, Metrics, RegistrationEnd},
};

/// Characters of a name that the log shows.
const NAME_CHARS: usize = 200;

const NO_COIN: &str =
    "the sub-account gets no first coin: UserAutoRegAPI.DefaultCoin has no entry in UserListAPI";

#[derive(Clone)]
pub(super) struct Journal {
    log: Logger,
    metrics: Metrics,
    ids: Arc<RequestIds>,
}

impl Journal {
    pub(super) fn new(log: &Logger, metrics: &Metrics) -> Self {
        let ids = Arc::new(RequestIds::random());
        Self { log: log.clone(), metrics: metrics.clone(), ids }
    }

    /// A request for registration was taken up.
    pub(super) fn taken_up(&self, name: &str) {
        self.metrics.registration_begun(shown(name));
    }

    /// A request was left to another daemon.
    pub(super) fn left(&self, name: &str) {
        self.metrics.registration_left(&shown(name));
    }

    /// A request to the backend begins.
    pub(super) fn requested(&self, name: &str) {
        info!(self.log, "registration requested from the backend"; "sub_account" => shown(name));
    }

    /// The backend has registered the name; the wait begins.
    pub(super) fn confirmed(&self, name: &str, puid: u32) {
        info!(self.log, "registration confirmed by the backend"; "sub_account" => shown(name), "puid" => puid);
    }

    /// ZooKeeper refused, or is away. Logged once for each registration and step.
    pub(super) fn not_done(&self, name: &str, consequence: &str, cause: &str) {
        self.metrics.registration_delayed();
        warn!(self.log, "registration: {}; trying again", consequence; "sub_account" => shown(name),
            "cause" => cause);
    }

    /// The request is gone. Without a coin the sub-account has got no znode.
    pub(super) fn ended(
        &self,
        name: &str,
        registered: Result<u32, NotRegistered>,
        coin: Option<&Coin>,
        took: Duration,
    ) {
        let end = registered.as_ref().map_or_else(|not| not.end, |_| RegistrationEnd::Registered);
        let (outcome, seconds) = (end.words(), seconds(took));
        match (&registered, coin) {
            (Ok(puid), Some(coin)) => info!(self.log, "registration"; "sub_account" => shown(name),
                "outcome" => outcome, "puid" => puid, "first_coin" => coin.as_str(), "seconds" => seconds),
            (Ok(puid), None) => warn!(self.log, "registration"; "sub_account" => shown(name),
                "outcome" => outcome, "puid" => puid, "seconds" => seconds, "cause" => NO_COIN),
            (Err(not), _) => warn!(self.log, "registration"; "sub_account" => shown(name),
                "outcome" => outcome, "seconds" => seconds, "cause" => &not.cause),
        }
        let cause = match &registered {
            Ok(_) => coin.is_none().then(|| NO_COIN.to_owned()),
            Err(not) => Some(not.cause.clone()),
        };
        self.metrics.registration(shown(name), end, cause.clone(), took);
        let (start, ellipsis) = clip(name, NAME_CHARS);
        let (puid, cause) = (registered.ok(), cause.map(Arc::from));
        let what = ChangeKind::Registration {
            sub_account: format!("{start}{ellipsis}"),
            puid,
            first_coin: puid.and(coin.cloned()),
            took,
        };
        let end = if puid.is_some() { ChangeEnd::Applied } else { ChangeEnd::NotApplied };
        let source = Source::new(Origin::of(SourceKind::Registration, self.ids.next_id()));
        let change = || Change::new(source, what, (end, outcome), cause);
        self.metrics.recent().note(1, iter::once(change));
    }

    /// The daemon's turn to register came or went. `holder` is the other daemon.
    pub(super) fn turn(&self, holder: Option<&str>) {
        match holder {
            Some(holder) => {
                info!(self.log, "standing by: another daemon registers"; "holder" => holder);
            }
            None => info!(self.log, "taking over: this daemon registers now"),
        }
    }

    pub(super) fn under_way(&self, registrations: usize) {
        self.metrics.registrations_under_way(registrations);
    }

    /// The requests cannot be listed.
    pub(super) fn not_listed(&self, cause: &str) {
        warn!(self.log, "requests for registration cannot be read; trying again: no sub-account is registered until \
            then"; "cause" => cause);
    }

    pub(super) fn no_directory(&self, dir: &str) {
        warn!(self.log, "the directory of requests for registration is gone; waiting until it is created again, \
            which a restart of the daemon does"; "directory" => dir);
    }

    pub(super) fn listed_again(&self, dir: &str) {
        info!(self.log, "requests for registration can be read again"; "directory" => dir);
    }

    /// The daemon stops.
    pub(super) fn abandoned(&self, under_way: usize) {
        if under_way > 0 {
            info!(self.log, "registrations dropped, since the daemon is stopping; their requests stay in ZooKeeper for the \
                next start"; "registrations" => under_way);
        }
    }
}

/// A name of any length, fit for the log.
fn shown(name: &str) -> String {
    let (start, ellipsis) = clip(name, NAME_CHARS);
    format!("{}{ellipsis}", Shown(start))
}

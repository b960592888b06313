//! Log lines and metrics of registrations. Neither credentials nor the fields of the operator's `PostData` are in them.

use std::time::Duration;

use slog::{Logger, info, warn};

use super::backend::BackendFault;
use crate::{
    domain::{Coin, PunameError, Shown, clip},
    metrics::{Metrics, RegistrationEnd},
};

/// Characters of a name that the log shows.
const NAME_CHARS: usize = 200;

/// Why a registered sub-account has no znode.
pub(super) const NO_FIRST_COIN: &str =
    "the sub-account gets no first coin: UserAutoRegAPI.DefaultCoin has no entry in UserListAPI";

#[derive(Clone)]
pub(super) struct Journal {
    log: Logger,
    metrics: Metrics,
}

impl Journal {
    pub(super) fn new(log: &Logger, metrics: &Metrics) -> Self {
        Self { log: log.clone(), metrics: metrics.clone() }
    }

    /// A request for registration was taken up.
    pub(super) fn taken_up(&self, name: &str) {
        self.metrics.registration_begun(shown(name));
    }

    /// A request to the backend begins.
    pub(super) fn requested(&self, name: &str) {
        info!(self.log, "registration requested from the backend"; "sub_account" => shown(name));
    }

    /// Without a coin the sub-account gets no znode.
    pub(super) fn registered(&self, name: &str, puid: u32, coin: Option<&Coin>) {
        match coin {
            Some(coin) => info!(self.log, "registration"; "sub_account" => shown(name),
                "outcome" => "registered", "puid" => puid, "first_coin" => coin.as_str()),
            None => warn!(self.log, "registration"; "sub_account" => shown(name),
                "outcome" => "registered", "puid" => puid, "cause" => NO_FIRST_COIN),
        }
    }

    pub(super) fn not_registered(&self, name: &str, fault: &BackendFault) {
        let outcome = match fault {
            BackendFault::Refused(_) => "refused",
            BackendFault::TimedOut(_) => "timed out",
            BackendFault::Failed(_) => "failed",
        };
        warn!(self.log, "registration"; "sub_account" => shown(name), "outcome" => outcome,
            "cause" => %fault);
    }

    /// No sub-account can have this name.
    pub(super) fn invalid_name(&self, name: &str, fault: PunameError) {
        warn!(self.log, "registration"; "sub_account" => shown(name), "outcome" => "invalid name",
            "cause" => %fault);
    }

    /// ZooKeeper refused, or is away. Logged once for each registration and step.
    pub(super) fn not_done(&self, name: &str, consequence: &str, cause: &str) {
        self.metrics.registration_delayed();
        warn!(self.log, "registration: {}; trying again", consequence; "sub_account" => shown(name),
            "cause" => cause);
    }

    /// The request is gone.
    pub(super) fn ended(
        &self,
        name: &str,
        end: RegistrationEnd,
        cause: Option<String>,
        took: Duration,
    ) {
        self.metrics.registration(shown(name), end, cause, took);
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

    pub(super) fn directory_is_back(&self, dir: &str) {
        info!(self.log, "the directory of requests for registration is there again"; "directory" => dir);
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

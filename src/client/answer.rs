//! The daemon's answers, and what each lets us claim: done, nothing written, or unknown.

use serde::Deserialize;
use switcher_actors::Shown;

use super::{
    api::CallError,
    report::{Failure, Kind},
};

/// An answer of the API (contract, section 2).
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Answer {
    /// Whether it was done.
    pub success: bool,
    /// What was wrong, 0 for nothing.
    pub err_no: i64,
    /// The same in words, the daemon's or a jobmaker's.
    pub err_msg: String,
    /// What the jobmaker holds, or held before an update; `None` if no jobmaker answered.
    pub old: Option<Held>,
    /// What the jobmaker holds after an update.
    pub new: Option<Held>,
}

/// What a sub-pool's jobmaker holds.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Held {
    /// What the blocks carry.
    pub coinbase_info: String,
    /// Whom they pay.
    pub payout_addr: String,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was done.
    Done,
    /// Nothing was written, and the same request will not do better.
    Refused,
    /// Nothing was written; later it may be.
    NotNow,
    /// It may have been written or not.
    Unknown,
}

impl Answer {
    /// Reads an answer; `None` if it is not one of the daemon's.
    pub fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// What the answer lets us claim (README, "The API"). What is not known to be harmless is unknown.
    pub fn fate(&self) -> Fate {
        match self.err_no {
            0 if self.success => Fate::Done,
            // Of two words that contradict each other none is believed.
            _ if self.success => Fate::Unknown,
            101..=104 | 108 | 400..=499 => Fate::Refused,
            105 | 503 => Fate::NotNow,
            // A jobmaker that refuses says what it holds.
            _ if self.old.is_some() => Fate::Refused,
            500 | 504 if self.says_that_nothing_was_written() => Fate::NotNow,
            _ => Fate::Unknown,
        }
    }

    fn says_that_nothing_was_written(&self) -> bool {
        self.err_msg.contains("nothing was written")
            || ["read data node failed", "write data node failed"].contains(&&*self.err_msg)
    }

    /// The failure that it tells of, if it does. `what` was asked for.
    pub fn into_failure(self, what: &str) -> Option<Failure> {
        let (kind, fate) = match self.fate() {
            Fate::Done => return None,
            Fate::Refused if self.err_no == 429 => {
                (Kind::Credentials, "refused, nothing was written")
            }
            Fate::Refused => (Kind::Refused, "refused, nothing was written"),
            Fate::NotNow => (Kind::Unavailable, "not done, nothing was written"),
            Fate::Unknown => (Kind::Unknown, "outcome unknown"),
        };
        let who = if self.old.is_some() { "the jobmaker says" } else { "the daemon says" };
        let Self { err_no, err_msg, .. } = &self;
        let text = format!("{what}: {fate}; {who} {err_no} {}{}", Shown(err_msg), self.advice());
        Some(Failure { kind, text, err_no: Some(*err_no) })
    }

    /// What to do about it, as the README has it.
    fn advice(&self) -> &'static str {
        match self.err_no {
            _ if self.old.is_some() => "",
            104 => ": the coin is in the daemon's AvailableCoins if it is spelt exactly so",
            105 => ": ZooKeeper is away, try again",
            107 => ": the daemon's log tells what became of it; trying again is harmless",
            403 if self.err_msg == "API disabled" => {
                ": set ZKSubPoolUpdateBaseDir in the daemon's configuration"
            }
            404 => ": its jobmaker creates the znode",
            413 => ": send smaller chunks (--chunk)",
            503 if self.err_msg.contains("jobmaker") => ": start its jobmaker",
            500 | 504 => match self.fate() {
                Fate::Unknown => ": ask get-coinbase before trying again",
                _ => ": try again",
            },
            _ => "",
        }
    }
}

impl CallError {
    /// The failure of a request whose outcome matters: without an answer it is unknown.
    pub fn of_change(self, what: &str) -> Failure {
        self.with(what, Kind::Unknown, "outcome unknown")
    }

    /// The failure of a request that changes nothing.
    pub fn of_question(self, what: &str) -> Failure {
        self.with(what, Kind::Unavailable, "not done")
    }

    fn with(self, what: &str, no_answer: Kind, fate: &str) -> Failure {
        let (kind, fate) = match self {
            Self::NotSent { .. } => (Kind::Unavailable, "not done, nothing was written"),
            Self::NoAnswer { .. } => (no_answer, fate),
            Self::Unauthorized { .. } => (Kind::Credentials, "refused, nothing was written"),
            // A proxy may have passed it on.
            Self::NotTheDaemon { .. } => (Kind::Protocol, fate),
        };
        Failure::new(kind, format!("{what}: {fate}; {self}"))
    }
}

#[cfg(test)]
mod tests {
    use switcher_actors::ExchangeFailure;

    use super::*;
    use crate::{api::ApiError, http::error::RequestError};

    fn fate(error: ApiError) -> Fate {
        let (err_no, err_msg) = (error.err_no().into(), error.to_string());
        Answer { success: false, err_no, err_msg, old: None, new: None }.fate()
    }

    #[test]
    fn too_many_failed_logins_are_a_matter_of_credentials() {
        let error = ApiError::from(RequestError::TooManyFailedLogins(3));
        let (err_no, err_msg) = (error.err_no().into(), error.to_string());
        let answer = Answer { success: false, err_no, err_msg, old: None, new: None };
        assert_eq!(
            answer.into_failure("switch").map(|failure| failure.kind),
            Some(Kind::Credentials)
        );
    }

    #[test]
    fn the_daemons_errors_are_understood_as_the_readme_has_them() {
        let text = String::new;
        for (error, expected) in [
            (ApiError::PunameInvalid, Fate::Refused),
            (ApiError::CoinInexistent, Fate::Refused),
            (ApiError::UserCoinsEmpty, Fate::Refused),
            (ApiError::wrong_json(""), Fate::Refused),
            (ApiError::SubPoolsDisabled, Fate::Refused),
            (RequestError::BodyTooLarge(1).into(), Fate::Refused),
            (ApiError::ReadFailed, Fate::NotNow),
            (ApiError::WriteFailed, Fate::Unknown),
            (ApiError::Exchange(ExchangeFailure::NoSubPool(text())), Fate::Refused),
            (ApiError::Exchange(ExchangeFailure::NoJobmaker), Fate::NotNow),
            (ApiError::Exchange(ExchangeFailure::QueueFull), Fate::NotNow),
            (ApiError::Exchange(ExchangeFailure::ShuttingDown), Fate::NotNow),
            (ApiError::Exchange(ExchangeFailure::NotServed), Fate::NotNow),
            (ApiError::Exchange(ExchangeFailure::NotRead(text())), Fate::NotNow),
            (ApiError::Exchange(ExchangeFailure::NotWritten(text())), Fate::NotNow),
            (ApiError::Exchange(ExchangeFailure::TimedOut), Fate::Unknown),
            (ApiError::Exchange(ExchangeFailure::Overtaken), Fate::Unknown),
            (ApiError::Exchange(ExchangeFailure::AckNotRead(text())), Fate::Unknown),
            (ApiError::Exchange(ExchangeFailure::AckUnparsable), Fate::Unknown),
            (ApiError::Exchange(ExchangeFailure::Unknown(text())), Fate::Unknown),
        ] {
            let told = format!("{error:?}");
            assert_eq!(fate(error), expected, "{told}");
        }
    }

    #[test]
    fn a_jobmaker_that_refuses_is_told_from_a_daemon_that_does_not_know() {
        let body = br#"{"success":false,"err_no":500,"err_msg":"invalid payout address",
            "subpool_name":"p","old":{"coinbase_info":"","payout_addr":""}}"#;
        let answer = Answer::read(body).unwrap();
        assert_eq!(answer.fate(), Fate::Refused);
        assert!(answer.into_failure("x").unwrap().text.contains("the jobmaker says 500"));
        let torn = br#"{"success":true,"err_no":107,"err_msg":""}"#;
        assert_eq!(Answer::read(torn).unwrap().fate(), Fate::Unknown);
        assert_eq!(Answer::read(b"<html>"), None);
        assert_eq!(Answer::read(b"{}"), None);
    }
}

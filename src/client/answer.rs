//! The daemon's answers, and the effect that each proves: done, nothing written, or unknown.

use serde::Deserialize;
use switcher_actors::{Coinbase, Shown, is_invisible, push_escaped};

use super::{
    api::CallError,
    report::{CommandFailure, FailureKind},
};

/// An answer of the API (contract, section 2).
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct DaemonAnswer {
    pub success: bool,
    /// 0 for no error.
    pub err_no: i64,
    /// Error text, the daemon's or a jobmaker's.
    pub err_msg: String,
    /// The jobmaker's values, for an update those before it; `None` if no jobmaker answered.
    pub old: Option<Coinbase>,
    /// The jobmaker's values after an update.
    pub new: Option<Coinbase>,
}

/// Effect of a request, as far as its answer proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Done,
    /// Nothing was written, and a repetition of the same request is refused again.
    Refused,
    /// Nothing was written; a later repetition may succeed.
    NotNow,
    /// The request may have been written or not.
    Unknown,
}

impl DaemonAnswer {
    /// Parses an answer; `None` if it is not one of the daemon.
    pub fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// Effect of the request (docs/guide/api.md). Unknown, unless the answer proves another.
    pub fn effect(&self) -> Effect {
        match self.err_no {
            0 if self.success => Effect::Done,
            // The two fields contradict each other.
            _ if self.success => Effect::Unknown,
            101..=104 | 108 | 400..=499 => Effect::Refused,
            105 | 503 => Effect::NotNow,
            // A jobmaker that refuses reports its values.
            _ if self.old.is_some() => Effect::Refused,
            500 | 504 if self.says_that_nothing_was_written() => Effect::NotNow,
            _ => Effect::Unknown,
        }
    }

    fn says_that_nothing_was_written(&self) -> bool {
        self.err_msg.contains("nothing was written")
            || ["read data node failed", "write data node failed"].contains(&&*self.err_msg)
    }

    /// The failure, unless the request `what` was done.
    pub fn into_failure(self, what: &str) -> Option<CommandFailure> {
        let text = match self.err_no {
            // The daemon's own text, which quotes a user.
            403 => self.visible_text(),
            _ => Shown(&self.err_msg).to_string(),
        };
        self.failure(what, &(text + self.advice()))
    }

    /// Like [`into_failure`](Self::into_failure), for a page of the admin listener, with the daemon's text unquoted. A
    /// question changes nothing, so its outcome is never unknown.
    pub fn into_page_failure(self, what: &str, is_question: bool) -> Option<CommandFailure> {
        let visible = self.visible_text();
        let failure = self.failure(what, &visible)?;
        if !is_question || failure.kind != FailureKind::Unknown {
            return Some(failure);
        }
        let text = format!("{what}: not done; the daemon says {} {visible}", self.err_no);
        Some(CommandFailure { kind: FailureKind::Unavailable, text, ..failure })
    }

    /// The text, unquoted.
    fn visible_text(&self) -> String {
        let mut visible = String::new();
        let escape = |out: &mut String, c: char| out.extend(c.escape_default());
        push_escaped(&mut visible, &self.err_msg, is_invisible, escape);
        visible
    }

    fn failure(&self, what: &str, text: &str) -> Option<CommandFailure> {
        let (kind, effect) = match self.effect() {
            Effect::Done => return None,
            Effect::Refused if self.err_no == 429 => {
                (FailureKind::Credentials, "refused, nothing was written")
            }
            Effect::Refused => (FailureKind::Refused, "refused, nothing was written"),
            Effect::NotNow => (FailureKind::Unavailable, "not done, nothing was written"),
            Effect::Unknown => (FailureKind::Unknown, "outcome unknown"),
        };
        let source = if self.old.is_some() { "the jobmaker says" } else { "the daemon says" };
        let err_no = self.err_no;
        let text = format!("{what}: {effect}; {source} {err_no} {text}");
        Some(CommandFailure { kind, text, err_no: Some(err_no) })
    }

    /// Remedy (docs/guide/api.md).
    fn advice(&self) -> &'static str {
        match self.err_no {
            _ if self.old.is_some() => "",
            104 => ": the coin must be in the daemon's AvailableCoins in this spelling",
            105 => ": ZooKeeper is away, try again",
            107 => ": the daemon's log has the outcome; trying again is harmless",
            403 if self.err_msg == "API disabled" => {
                ": set ZKSubPoolUpdateBaseDir in the daemon's configuration"
            }
            404 => ": its jobmaker creates the znode",
            413 => ": send smaller chunks (--chunk)",
            503 if self.err_msg.contains("jobmaker") => ": start its jobmaker",
            500 | 504 => match self.effect() {
                Effect::Unknown => ": ask get-coinbase before trying again",
                _ => ": try again",
            },
            _ => "",
        }
    }
}

impl CallError {
    /// Effect of a request without an answer of the daemon. A proxy may have forwarded it.
    pub fn effect(&self) -> Effect {
        match self {
            Self::NotSent { .. } | Self::Unauthorized { .. } | Self::TokenRefused { .. } => {
                Effect::NotNow
            }
            Self::NoAnswer { .. } | Self::NotTheDaemon { .. } => Effect::Unknown,
        }
    }

    /// Failure of a request that changes something.
    pub fn of_change(self, what: &str) -> CommandFailure {
        self.failure(what, FailureKind::Unknown, "outcome unknown")
    }

    /// Failure of a request that changes nothing.
    pub fn of_question(self, what: &str) -> CommandFailure {
        self.failure(what, FailureKind::Unavailable, "not done")
    }

    fn failure(self, what: &str, no_answer: FailureKind, unknown: &str) -> CommandFailure {
        let (kind, effect) = match self {
            Self::NotSent { .. } => (FailureKind::Unavailable, "not done, nothing was written"),
            Self::NoAnswer { .. } => (no_answer, unknown),
            Self::Unauthorized { .. } | Self::TokenRefused { .. } => {
                (FailureKind::Credentials, "refused, nothing was written")
            }
            Self::NotTheDaemon { .. } => (FailureKind::Protocol, unknown),
        };
        kind.failure(format!("{what}: {effect}; {self}"))
    }
}

#[cfg(test)]
mod tests {
    use switcher_actors::{ExchangeFailure, NotRecorded};

    use super::*;
    use crate::{api::ApiError, http::error::RequestError};

    fn effect(error: ApiError) -> Effect {
        let (err_no, err_msg) = (error.err_no().into(), error.to_string());
        DaemonAnswer { success: false, err_no, err_msg, old: None, new: None }.effect()
    }

    #[test]
    fn too_many_failed_logins_are_a_matter_of_credentials() {
        let error = ApiError::from(RequestError::TooManyFailedLogins(3));
        let (err_no, err_msg) = (error.err_no().into(), error.to_string());
        let answer = DaemonAnswer { success: false, err_no, err_msg, old: None, new: None };
        assert_eq!(
            answer.into_failure("switch").map(|failure| failure.kind),
            Some(FailureKind::Credentials)
        );
    }

    #[test]
    fn the_daemons_errors_have_their_documented_effect() {
        let text = String::new;
        for (error, expected) in [
            (ApiError::PunameInvalid, Effect::Refused),
            (ApiError::CoinInexistent, Effect::Refused),
            (ApiError::UserCoinsEmpty, Effect::Refused),
            (ApiError::wrong_json(""), Effect::Refused),
            (ApiError::SubPoolsDisabled, Effect::Refused),
            (RequestError::BodyTooLarge(1).into(), Effect::Refused),
            (ApiError::ReadFailed, Effect::NotNow),
            (ApiError::WriteFailed, Effect::Unknown),
            (ApiError::Exchange(ExchangeFailure::NoSubPool(text())), Effect::Refused),
            (ApiError::Exchange(ExchangeFailure::NoJobmaker), Effect::NotNow),
            (ApiError::Exchange(ExchangeFailure::QueueFull), Effect::NotNow),
            (ApiError::Exchange(ExchangeFailure::ShuttingDown), Effect::NotNow),
            (ApiError::Exchange(ExchangeFailure::NotServed), Effect::NotNow),
            (
                ApiError::Exchange(ExchangeFailure::NotRecorded(NotRecorded("…".into()))),
                Effect::NotNow,
            ),
            (ApiError::Exchange(ExchangeFailure::NotRead(text())), Effect::NotNow),
            (ApiError::Exchange(ExchangeFailure::NotWritten(text())), Effect::NotNow),
            (ApiError::Exchange(ExchangeFailure::TimedOut), Effect::Unknown),
            (ApiError::Exchange(ExchangeFailure::Overtaken), Effect::Unknown),
            (ApiError::Exchange(ExchangeFailure::AckNotRead(text())), Effect::Unknown),
            (ApiError::Exchange(ExchangeFailure::AckUnparsable), Effect::Unknown),
            (ApiError::Exchange(ExchangeFailure::Unknown(text())), Effect::Unknown),
        ] {
            let shown = format!("{error:?}");
            assert_eq!(effect(error), expected, "{shown}");
        }
    }

    #[test]
    fn a_jobmaker_that_refuses_differs_from_a_daemon_that_does_not_know() {
        let body = br#"{"success":false,"err_no":500,"err_msg":"invalid payout address",
            "subpool_name":"p","old":{"coinbase_info":"","payout_addr":""}}"#;
        let answer = DaemonAnswer::read(body).unwrap();
        assert_eq!(answer.effect(), Effect::Refused);
        assert!(answer.into_failure("x").unwrap().text.contains("the jobmaker says 500"));
        let torn = br#"{"success":true,"err_no":107,"err_msg":""}"#;
        assert_eq!(DaemonAnswer::read(torn).unwrap().effect(), Effect::Unknown);
        assert_eq!(DaemonAnswer::read(b"<html>"), None);
        assert_eq!(DaemonAnswer::read(b"{}"), None);
    }
}

//! The client crate's errors, sorted by what they prove about a write.

use thiserror::Error;
use zookeeper_client::Error as ClientError;

/// Failure of one write.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum WriteError {
    /// Not applied: the znode to set, or the parent of the one to create, does not exist.
    #[error("no such znode")]
    Missing,
    /// Not applied: the znode to create exists.
    #[error("the znode exists already")]
    Exists,
    /// Not applied: the znode is not in the state that the write was meant for.
    #[error("the znode was written meanwhile")]
    Overtaken,
    /// Not applied: ZooKeeper refused it.
    #[error("ZooKeeper refused it: {0}")]
    Refused(String),
    /// Applied or not: the answer never came.
    #[error("no answer from ZooKeeper: {0}")]
    Unknown(String),
}

/// Failure of a transaction.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum TransactionError {
    /// Nothing was applied, because of the operation at `index`.
    #[error("operation {index}: {error}")]
    Operation {
        index: usize,
        /// Its failure; never [`WriteError::Unknown`].
        error: WriteError,
    },
    /// Nothing was applied, because a state that guards it has changed.
    #[error("a guard does not hold")]
    Guard,
    /// The transaction as a whole failed.
    #[error(transparent)]
    Whole(WriteError),
}

impl WriteError {
    /// Adds the attempt and the path to a refusal, for callers of several operations.
    pub(crate) fn when(self, doing: &str, path: &str) -> Self {
        match self {
            Self::Refused(cause) => Self::Refused(format!("{cause}, when {doing} {path}")),
            other => other,
        }
    }
}

impl From<ClientError> for WriteError {
    /// Lists the refusals that the server decides before it logs a transaction, and the crate's own argument checks.
    /// Anything else is unknown: `SessionExpired` and `ClientClosed` too were seen after a write that had been applied.
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NoNode => Self::Missing,
            ClientError::NodeExists => Self::Exists,
            ClientError::BadVersion => Self::Overtaken,
            ClientError::NoAuth
            | ClientError::InvalidAcl
            | ClientError::NoChildrenForEphemerals
            | ClientError::NotEmpty
            | ClientError::NotReadOnly
            | ClientError::QuotaExceeded
            | ClientError::Throttled
            | ClientError::BadArguments(_) => Self::Refused(error.to_string()),
            _ => Self::Unknown(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_definite_refusal_is_unknown() {
        for error in [
            ClientError::ConnectionLoss,
            ClientError::SessionExpired,
            ClientError::ClientClosed,
            ClientError::SessionMoved,
            ClientError::Timeout,
            ClientError::MarshallingError,
            ClientError::UnexpectedErrorCode(-99),
        ] {
            assert!(matches!(WriteError::from(error), WriteError::Unknown(_)));
        }
    }
}

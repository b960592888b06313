//! Who asks.

use std::{fmt, net::IpAddr};

/// Who asks for something, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A client of the HTTP API, by its address; `None` if its connection was gone already.
    Api(Option<IpAddr>),
    /// The Poller, out of the user-coin map.
    Poll,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(Some(address)) => write!(f, "api {address}"),
            Self::Api(None) => f.write_str("api"),
            Self::Poll => f.write_str("poll"),
        }
    }
}

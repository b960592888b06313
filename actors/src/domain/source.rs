//! The origin of a request.

use std::{fmt, net::IpAddr};

use slog::{KV, Record, Serializer};

/// The origin of a request. In the log: the fields `source`, `client` and `request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A client of the HTTP API.
    Api {
        /// The client's address; `None` if the connection was gone.
        client: Option<IpAddr>,
        /// The request's number.
        request: RequestId,
    },
    /// The Poller, from the user-coin map.
    Poll,
}

/// A request's number: 16 hexadecimal digits in the answer's header and in log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestId(pub u64);

impl RequestId {
    /// The digits, for a header.
    pub fn digits(self) -> [u8; 16] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; 16];
        for (digit, place) in digits.iter_mut().zip((0..16).rev()) {
            *digit = DIGITS[(self.0 >> (4 * place)) as usize & 0xf];
        }
        digits
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl Source {
    /// The name in the log, in metrics and in the recent changes.
    pub fn label(self) -> &'static str {
        match self {
            Self::Api { .. } => "api",
            Self::Poll => "poll",
        }
    }
}

impl KV for Source {
    /// In reverse order, as slog wants.
    fn serialize(&self, _: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        if let Self::Api { client, request } = self {
            serializer
                .emit_str("request", str::from_utf8(&request.digits()).unwrap_or_default())?;
            if let Some(client) = client {
                serializer.emit_arguments("client", &format_args!("{client}"))?;
            }
        }
        serializer.emit_str("source", self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_all_its_digits() {
        for id in [0, 0x1f, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(RequestId(id).to_string(), format!("{id:016x}"));
        }
    }
}

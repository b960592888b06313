//! Who asks.

use std::{fmt, net::IpAddr};

use slog::{KV, Record, Serializer};

/// Who asks for something, for the log. There it is the fields `source`, `client` and `request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A client of the HTTP API.
    Api {
        /// Its address; `None` if its connection was gone already.
        client: Option<IpAddr>,
        /// Which of all requests.
        request: RequestId,
    },
    /// The Poller, out of the user-coin map.
    Poll,
}

/// A request's number, which its answer's header and its log lines carry: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestId(pub u64);

impl RequestId {
    /// The digits.
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
    /// What it is called in the log, in figures and among the changes.
    pub fn label(self) -> &'static str {
        match self {
            Self::Api { .. } => "api",
            Self::Poll => "poll",
        }
    }
}

impl KV for Source {
    /// The last one first, as slog has it.
    fn serialize(&self, _: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        if let Self::Api { client, request } = self {
            serializer.emit_arguments("request", &format_args!("{request}"))?;
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

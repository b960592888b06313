//! The origin of a request.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::BuildHasher,
    net::IpAddr,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use slog::{KV, Record, Serializer, Value};

use super::Shown;

/// Maximum bytes of [`Origin::on_behalf_of`].
pub const ON_BEHALF_OF_BYTES: usize = 64;

/// Maximum bytes of [`Origin::comment`].
pub const COMMENT_BYTES: usize = 200;

/// The origin of a request, shared by all its entries. In the log: the fields `source`, `client`, `actor`,
/// `on_behalf_of`, `comment` and `request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source(Arc<Origin>);

/// Contents of a [`Source`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// How the request came.
    pub kind: SourceKind,
    /// The request's number.
    pub request: RequestId,
    /// The client's address; `None` for the daemon's own requests, and if the connection was gone.
    pub client: Option<IpAddr>,
    /// Name of the request's user; `None` for the daemon's own requests.
    pub actor: Option<Arc<str>>,
    /// The person for whom a backend acts (`X-On-Behalf-Of`): not verified, and grants nothing.
    pub on_behalf_of: Option<Box<str>>,
    /// The user's reason.
    pub comment: Option<Box<str>>,
    /// The request that an undo takes back.
    pub undo_of: Option<RequestId>,
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// From a client of the HTTP API.
    Api,
    /// From a user that is signed in to the console.
    Console,
    /// From the Poller, of the user-coin map.
    Poll,
    /// From an undo.
    Undo,
    /// From a stratum server that requests the registration of a new sub-account.
    Registration,
    /// From a signal: a reload.
    Signal,
}

/// A request's number: 16 hexadecimal digits in the answer's header and in log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestId(pub u64);

/// Generator of request numbers: counts from a random number on, so that numbers differ between listeners, actors and
/// processes.
#[derive(Debug)]
pub struct RequestIds(AtomicU64);

impl RequestIds {
    /// Begins at a random number.
    pub fn random() -> Self {
        // The standard library's hasher has a random seed.
        Self(AtomicU64::new(RandomState::new().hash_one(std::process::id())))
    }

    /// The next number.
    pub fn next_id(&self) -> RequestId {
        RequestId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

impl RequestId {
    /// Parses the digits, as answers and the log show them.
    pub fn parse(digits: &str) -> Option<Self> {
        let is_hex = digits.len() == 16 && digits.bytes().all(|it| it.is_ascii_hexdigit());
        is_hex.then(|| u64::from_str_radix(digits, 16).ok().map(Self)).flatten()
    }

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
    /// Shares an origin.
    pub fn new(origin: Origin) -> Self {
        Self(Arc::new(origin))
    }

    /// A client's request.
    pub fn api(client: Option<IpAddr>, request: RequestId) -> Self {
        Self::new(Origin { client, ..Origin::of(SourceKind::Api, request) })
    }

    /// A poll.
    pub fn poll(request: RequestId) -> Self {
        Self::new(Origin::of(SourceKind::Poll, request))
    }

    /// Whether it is a poll's.
    pub fn is_poll(&self) -> bool {
        self.kind == SourceKind::Poll
    }
}

impl Origin {
    /// An origin without client, comment and undone request.
    pub fn of(kind: SourceKind, request: RequestId) -> Self {
        Self {
            kind,
            request,
            client: None,
            actor: None,
            on_behalf_of: None,
            comment: None,
            undo_of: None,
        }
    }

    /// The name in the log, in metrics and in the recent changes.
    pub fn label(&self) -> &'static str {
        match self.kind {
            SourceKind::Api => "api",
            SourceKind::Console => "console",
            SourceKind::Poll => "poll",
            SourceKind::Undo => "undo",
            SourceKind::Registration => "registration",
            SourceKind::Signal => "signal",
        }
    }
}

impl Deref for Source {
    type Target = Origin;

    fn deref(&self) -> &Origin {
        &self.0
    }
}

impl KV for Source {
    /// In reverse order, as slog wants.
    fn serialize(&self, record: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        let digits = self.request.digits();
        serializer.emit_str("request", str::from_utf8(&digits).unwrap_or_default())?;
        let texts = [
            ("comment", self.comment.as_deref()),
            ("on_behalf_of", self.on_behalf_of.as_deref()),
            ("actor", self.actor.as_deref()),
        ];
        for (field, text) in texts {
            if let Some(text) = text {
                Shown(text).serialize(record, field, serializer)?;
            }
        }
        if let Some(client) = self.client {
            serializer.emit_arguments("client", &format_args!("{client}"))?;
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

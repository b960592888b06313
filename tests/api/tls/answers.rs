//! Requests and answers over TLS.

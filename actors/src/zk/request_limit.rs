//! Size of the requests that the servers accept (`jute.maxbuffer`, 1 MiB by default).
//!
//! A server closes the connection on a larger request without an answer, so the outcome of all requests under way is
//! unknown. No command shows the limit. But a server checks a request's length as soon as it has read those four bytes:
//! sent alone, on a connection without a session, they find the limit and change nothing.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::timeout,
};

use super::{dial::dial, tls::ZkTls};

/// Maximum bytes of a request, even if the servers accept more: larger transactions bring little.
pub(super) const MOST: usize = 60 * 1024;

/// Bytes of a request until the servers' limit is known.
const UNTIL_KNOWN: usize = SIZES[4];

/// Sizes to try, the largest first. Each is a little below a power of two, since limits often are powers of two.
const SIZES: [usize; 8] = [MOST, 31_000, 15_500, 7_700, 3_800, 1_900, 950, 475];

/// Time within which a server closes the connection on a length above its limit.
const CLOSING_TIME: Duration = Duration::from_millis(500);

/// Time for a connection to be accepted.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// The limit, once it is known. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct RequestLimit(watch::Receiver<Option<usize>>);

impl RequestLimit {
    /// The limit, and the future that finds it with these brokers.
    pub(super) fn of(brokers: Vec<String>, tls: Option<ZkTls>) -> (Self, impl Future<Output = ()>) {
        let (known, limit) = watch::channel(None);
        let finding = async move {
            let limits = brokers.iter().map(|broker| limit_of(broker, tls.as_ref()));
            let limits = join_all(limits).await;
            // A server whose limit was not found counts as one with the default.
            let limit = limits.into_iter().flatten().min().unwrap_or(MOST);
            known.send_replace(Some(limit));
        };
        (Self(limit), finding)
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.borrow().unwrap_or(UNTIL_KNOWN)
    }

    /// Resolves when the limit is known: to the limit, if it is smaller than the largest request that we send.
    pub(super) async fn small(mut self) -> Option<usize> {
        let known = self.0.wait_for(Option::is_some).await.ok().and_then(|limit| *limit);
        known.filter(|&limit| limit < MOST)
    }
}

/// The largest of [`SIZES`] that a broker accepts; `None` if it could not be found.
async fn limit_of(broker: &str, tls: Option<&ZkTls>) -> Option<usize> {
    for size in SIZES {
        if takes(broker, tls, size).await? {
            return Some(size);
        }
    }
    // The broker closes every connection, for another reason.
    None
}

/// Whether a broker accepts requests of this size; `None` if it accepts no connections.
async fn takes(broker: &str, tls: Option<&ZkTls>, size: usize) -> Option<bool> {
    let mut stream = dial(broker, tls, CONNECT_PATIENCE).await.ok()?;
    let length = u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes();
    stream.write_all(&length).await.ok()?;
    stream.flush().await.ok()?;
    let closed = timeout(CLOSING_TIME, stream.read(&mut [0])).await;
    // The end, or a reset.
    Some(!matches!(closed, Ok(Ok(0) | Err(_))))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that closes the connection on a length beyond `limit`.
    async fn server(limit: u32) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if stream.read_u32().await.is_ok_and(|length| length <= limit) {
                    held.push(stream);
                }
            }
        });
        address
    }

    async fn found(brokers: Vec<String>) -> (usize, Option<usize>) {
        let (limit, finding) = RequestLimit::of(brokers, None);
        assert_eq!(limit.bytes(), UNTIL_KNOWN);
        finding.await;
        (limit.bytes(), limit.small().await)
    }

    #[tokio::test]
    async fn the_smallest_limit_of_all_servers_counts() {
        let default = server(1 << 20).await;
        assert_eq!(found(vec![default.clone()]).await, (MOST, None));
        let small = server(8 * 1024).await;
        assert_eq!(found(vec![default, small]).await, (7_700, Some(7_700)));
    }

    #[tokio::test]
    async fn what_cannot_be_found_out_is_the_default() {
        let closes_all = server(0).await;
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(found(vec![closes_all, gone.to_string()]).await, (MOST, None));
    }
}

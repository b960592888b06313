//! Clients that attack TLS: slowly, with garbage, or with much of it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connections::drip;
use super::siege::{Scale, Sent};
use crate::support::client::shake_hands;
use crate::support::daemon::Daemon;
use crate::support::seconds;
use crate::tls::handshakes::{long_client_hello, old_client_hello};

const PATIENCE: Duration = seconds(60);

/// First messages that never end: so long that the daemon would wait for more of them than the test.
pub async fn slow(daemon: &Daemon, scale: Scale) -> Sent {
    let hello = long_client_hello(60_000);
    drip(daemon, scale.connections, vec![hello[..20].to_vec()], b"x").await
}

/// First messages of 60 KB that end a byte early.
pub async fn large(daemon: &Daemon, scale: Scale) -> Sent {
    let hello = long_client_hello(60_000);
    drip(daemon, scale.connections, vec![hello[..hello.len() - 1].to_vec()], b"").await
}

/// Bytes that are no TLS, or TLS that is not spoken here, as fast as they are refused.
pub async fn garbage(daemon: &Daemon, scale: Scale) -> Sent {
    const CLIENTS: usize = 20;
    let mut clients = JoinSet::new();
    for seed in 0..CLIENTS {
        let address = daemon.base().to_owned();
        clients.spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed as u64);
            for number in 0..scale.requests / CLIENTS / 10 {
                let mut bytes: Vec<u8> =
                    (0..random.usize(1..20_000)).map(|_| random.u8(..)).collect();
                match number % 4 {
                    0 => bytes = old_client_hello([3, random.u8(0..3)]),
                    // A handshake's record, of any length and content.
                    1 => bytes.splice(..0, [22, 3, 1]).for_each(drop),
                    2 => bytes.splice(..0, [22, 3, 1, 0x3f, 0xff, 1, 0]).for_each(drop),
                    _ => {}
                }
                let mut stream = TcpStream::connect(&address).await.unwrap();
                // It may be refused before all was sent.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                let read = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
                assert!(read.is_ok(), "the daemon does not hang up on garbage");
            }
        });
    }
    clients.join_all().await;
    Sent { connections: scale.requests / 10, requests: 0 }
}

/// Handshakes without a request, until the daemon hangs up.
pub async fn silent(daemon: &Daemon, scale: Scale) -> Sent {
    let mut clients = JoinSet::new();
    for _ in 0..scale.connections {
        let (address, tls) = (daemon.base().to_owned(), daemon.tls().unwrap());
        clients.spawn(async move {
            let stream = TcpStream::connect(&address).await.unwrap();
            // On a busy machine it may come too late.
            if let Ok(mut stream) = shake_hands(stream, &tls).await {
                let read = timeout(PATIENCE, stream.read(&mut [0])).await;
                assert!(read.is_ok(), "the daemon does not hang up on a silent client");
            }
        });
    }
    clients.join_all().await;
    Sent { connections: scale.connections, requests: 0 }
}

/// New keys over and over, each of which asks the daemon for new ones; and records that no key decrypts.
pub async fn new_keys(daemon: &Daemon, scale: Scale) -> Sent {
    let mut clients = JoinSet::new();
    for number in 0..scale.deaf {
        let (address, tls) = (daemon.base().to_owned(), daemon.tls().unwrap());
        clients.spawn(async move {
            let stream = TcpStream::connect(&address).await.unwrap();
            let Ok(mut stream) = shake_hands(stream, &tls).await else { return };
            let flood = async {
                if number % 2 == 0 {
                    while stream.get_mut().1.refresh_traffic_keys().is_ok()
                        && stream.flush().await.is_ok()
                    {}
                } else {
                    let record = [&[23, 3, 3, 0x40, 0][..], &[7; 0x4000]].concat();
                    while stream.get_mut().0.write_all(&record).await.is_ok() {}
                }
            };
            let end = timeout(PATIENCE, flood).await;
            assert!(end.is_ok(), "the daemon does not hang up on a flood ({number})");
        });
    }
    clients.join_all().await;
    sleep(seconds(1)).await;
    Sent { connections: scale.deaf, requests: 0 }
}

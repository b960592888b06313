//! Clients of the list API, which need no credentials: each request names another coin, or another path.

use tokio::task::JoinSet;

use super::siege::{Scale, Sent};
use crate::support::client::{Connection, Request};
use crate::support::daemon::Daemon;

const CLIENTS: usize = 10;
const AT_ONCE: usize = 100;
const PADDING: usize = 200;

/// Requests for the lists of coins that there are not.
pub async fn coins(daemon: &Daemon, scale: Scale, answer: &'static str) -> Sent {
    ask(daemon, scale, answer, |client, number, padding| {
        format!("/?coin={client}-{number}-{padding}&last_id={number}")
    })
    .await
}

/// Requests for paths that there are not.
pub async fn paths(daemon: &Daemon, scale: Scale, answer: &'static str) -> Sent {
    ask(daemon, scale, answer, |client, number, padding| format!("/{client}-{number}-{padding}"))
        .await
}

async fn ask(
    daemon: &Daemon,
    scale: Scale,
    answer: &'static str,
    target: fn(usize, usize, &str) -> String,
) -> Sent {
    let each = scale.targets / CLIENTS;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let address = daemon.base().to_owned();
        clients.spawn(async move {
            let padding = "x".repeat(PADDING);
            let mut connection = Connection::open(&address).await.unwrap();
            for first in (0..each).step_by(AT_ONCE) {
                let numbers = first..(first + AT_ONCE).min(each);
                let count = numbers.len();
                let request = |number| Request::get(&target(client, number, &padding));
                let heads = numbers.flat_map(|number| request(number).head_bytes());
                connection.write(&heads.collect::<Vec<u8>>()).await.unwrap();
                for _ in 0..count {
                    let response = connection.read_response().await.unwrap();
                    assert_eq!((response.status, response.text().as_str()), (200, answer));
                }
            }
        });
    }
    clients.join_all().await;
    Sent { connections: CLIENTS, requests: each * CLIENTS }
}

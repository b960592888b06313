//! Hostile clients of the list API: they have no credentials, and must not fill the memory.

use std::time::Duration;

use super::{ALICE, EMPTY, get, many, ready, with_list};
use crate::support::client::{self, Connection, Request};

#[tokio::test]
async fn coins_and_paths_by_the_thousand_leave_the_memory_flat() {
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 5_000;
    let (_upstream, builder) = with_list(ALICE).await;
    let daemon = builder.start().await;
    ready(daemon.base()).await;
    let attack = async |from: usize| {
        let padding = "x".repeat(1000);
        let attackers = (0..CLIENTS).map(|client| {
            let (address, padding) = (daemon.base().to_owned(), padding.clone());
            tokio::spawn(async move {
                let mut connection = Connection::open(&address).await.unwrap();
                for number in from..from + REQUESTS {
                    let target = format!(
                        "/{client}-{number}-{padding}?coin={number}{padding}&last_id={number}"
                    );
                    let response = connection.send(&Request::get(&target)).await.unwrap();
                    assert_eq!((response.status, response.text().as_str()), (200, EMPTY));
                }
            })
        });
        for attacker in attackers.collect::<Vec<_>>() {
            attacker.await.unwrap();
        }
        daemon.peak_megabytes()
    };
    let before = attack(0).await;
    let after = attack(REQUESTS).await;
    assert!(after <= before + 4, "{before} MB have become {after} MB");
}

#[tokio::test]
async fn parameters_by_the_thousand_are_read_and_too_long_a_target_is_refused() {
    let (_upstream, builder) = with_list(ALICE).await;
    let daemon = builder.start().await;
    ready(daemon.base()).await;
    let target = format!("/?{}coin=btc", "a&".repeat(3_000));
    assert_eq!(get(daemon.base(), &target).await.text(), ALICE);
    let target = format!("/?{}coin=btc", "a&".repeat(500_000));
    let refused = client::send(daemon.base(), &Request::get(&target)).await;
    assert!(refused.is_err() || refused.is_ok_and(|it| [414, 431].contains(&it.status)));
    assert_eq!(get(daemon.base(), "/").await.text(), ALICE);
}

#[tokio::test]
async fn slow_readers_of_a_large_list_hold_no_copies() {
    const READERS: usize = 60;
    let (_upstream, builder) = with_list(&many(150_000)).await;
    let daemon = builder.start().await;
    let whole = ready(daemon.base()).await.body.len();
    let before = daemon.peak_megabytes();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = Connection::open_narrow(daemon.base(), 4096).await.unwrap();
        reader.write(&Request::get("/").head_bytes()).await.unwrap();
        readers.push(reader);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Others are served meanwhile.
    assert_eq!(get(daemon.base(), "/?last_id=150000").await.text(), EMPTY);
    let copies = READERS as u64 * whole as u64 / (1 << 20);
    let grown = daemon.peak_megabytes() - before;
    assert!(grown < copies / 4, "{grown} MB for {READERS} readers of {whole} bytes");
}

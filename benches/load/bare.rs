//! The baseline: the client crate in a bare loop, without HTTP, validation, log or answers.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::join_all, stream};
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions};

use crate::report::median;

/// Operations of one transaction, and transactions under way.
const OPERATIONS: usize = 500;
const DEPTH: usize = 4;

fn persistent() -> CreateOptions<'static> {
    CreateMode::Persistent.with_acls(Acls::anyone_all())
}

pub async fn make_directory(client: &Client, directory: &str) {
    client.mkdir(directory, &persistent()).await.unwrap();
}

/// Creates per second.
pub async fn create_in_transactions(client: &Client, directory: &str, names: &[String]) -> f64 {
    in_transactions(names, |chunk| async move {
        let mut writer = client.new_multi_writer();
        for name in chunk {
            writer.add_create(&format!("{directory}/{name}"), b"btc", &persistent()).unwrap();
        }
        writer.commit().await.unwrap();
    })
    .await
}

/// Sets per second.
pub async fn set_in_transactions(
    client: &Client,
    directory: &str,
    names: &[String],
    coin: &str,
) -> f64 {
    in_transactions(names, |chunk| async move {
        let mut writer = client.new_multi_writer();
        for name in chunk {
            writer.add_set_data(&format!("{directory}/{name}"), coin.as_bytes(), None).unwrap();
        }
        writer.commit().await.unwrap();
    })
    .await
}

async fn in_transactions<'a, F>(names: &'a [String], transact: impl Fn(&'a [String]) -> F) -> f64
where
    F: Future<Output = ()>,
{
    let began = Instant::now();
    stream::iter(names.chunks(OPERATIONS)).for_each_concurrent(DEPTH, transact).await;
    names.len() as f64 / began.elapsed().as_secs_f64()
}

/// Single sets per second, so many in flight at a time.
pub async fn sets(
    client: &Client,
    directory: &str,
    names: &[String],
    in_flight: usize,
    time: Duration,
) -> f64 {
    let began = Instant::now();
    let done = AtomicUsize::new(0);
    join_all((0..in_flight).map(|first| {
        let done = &done;
        async move {
            let mut names = names.iter().cycle().skip(first * names.len() / in_flight);
            while began.elapsed() < time {
                let path = format!("{directory}/{}", names.next().unwrap());
                client.set_data(&path, b"bcc", None).await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    }))
    .await;
    done.into_inner() as f64 / began.elapsed().as_secs_f64()
}

/// The median of single sets, one after another, in milliseconds.
pub async fn median_ms(client: &Client, directory: &str, names: &[String]) -> f64 {
    let mut times = Vec::with_capacity(names.len());
    for name in names {
        let path = format!("{directory}/{name}");
        let began = Instant::now();
        client.set_data(&path, b"bcc", None).await.unwrap();
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    median(times)
}

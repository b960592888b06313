//! The baseline: the client crate in a bare loop, without HTTP, validation, log or answers.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, future::join_all, stream};
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions};

use crate::load::{Load, Names, ms_since};

/// Operations of one transaction, and transactions under way.
const OPERATIONS: usize = 500;
const DEPTH: usize = 4;

pub fn persistent() -> CreateOptions<'static> {
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

/// Batches of `size` sets, one after another, each in transactions as above.
pub async fn batches(
    client: &Client,
    directory: &str,
    names: &[String],
    size: usize,
    time: Duration,
) -> Load {
    let mut times = Vec::new();
    let began = Instant::now();
    let twice = ["bcc", "btc"]
        .into_iter()
        .flat_map(|coin| names.chunks_exact(size).map(move |batch| (batch, coin)));
    for (batch, coin) in twice.cycle() {
        let sent = Instant::now();
        set_in_transactions(client, directory, batch, coin).await;
        times.push(ms_since(sent));
        if began.elapsed() >= time {
            break;
        }
    }
    Load::new(times, size, began.elapsed())
}

/// Single sets of existing znodes, or creates of new ones, so many in flight.
pub async fn singles(
    client: &Client,
    directory: &str,
    in_flight: usize,
    names: Names<'_>,
    time: Duration,
) -> Load {
    let began = Instant::now();
    let times = join_all((0..in_flight).map(|index| async move {
        let mut times = Vec::new();
        while began.elapsed() < time {
            let path = format!("{directory}/{}", names.name(index, in_flight, times.len()));
            let sent = Instant::now();
            match names {
                Names::Existing(_) => drop(client.set_data(&path, b"bcc", None).await.unwrap()),
                Names::New(_) => drop(client.create(&path, b"bcc", &persistent()).await.unwrap()),
            }
            times.push(ms_since(sent));
        }
        times
    }))
    .await;
    Load::new(times.concat(), 1, began.elapsed())
}

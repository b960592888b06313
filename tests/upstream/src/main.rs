//! `upstream-sim`: simulates a pool backend until SIGINT or SIGTERM: a changing user-coin map, user lists,
//! registrations.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use upstream_sim::{Backend, Reply, Request, Upstream};

/// Simulates a pool backend. `GET …?last_date=N` is answered with the sub-accounts that changed since; one of them is
/// switched every few seconds. `GET /userlist/COIN?last_id=N` is answered with the sub-accounts of that coin's list,
/// and `POST /autoreg` with `{"sub_name":"…"}` adds one to the list of the first coin. Prints a line when it is ready,
/// for each switch, registration and answer.
///
/// Exit status: 0 after SIGINT or SIGTERM, 1 if it could not start, 2 for a bad argument.
#[derive(Debug, Parser)]
#[command(name = "upstream-sim", version)]
struct Arguments {
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8000")]
    listen: String,

    /// The coins that sub-accounts are switched between
    #[arg(long, value_name = "COIN,…", value_delimiter = ',', default_value = "btc,bcc")]
    coins: Vec<String>,

    /// How many sub-accounts there are: demo01, demo02 and so on
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    sub_accounts: usize,

    /// Seconds between two switches
    #[arg(long, value_name = "S", default_value_t = 4,
          value_parser = clap::value_parser!(u64).range(1..))]
    change_every: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "upstream-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> io::Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut backend = Backend::default();
    let coins: Vec<&str> = arguments.coins.iter().map(String::as_str).collect();
    for number in 0..arguments.sub_accounts {
        backend.switch(&name(number), &arguments.coins[number % arguments.coins.len()], now());
        backend.list(&name(number), &coins);
    }
    let backend = Arc::new(Mutex::new(backend));
    let (answering, first_coin) =
        (Arc::clone(&backend), coins.first().map(|coin| coin.to_string()));
    let upstream = Upstream::start_at(&arguments.listen, move |request| {
        let mut backend = answering.lock().unwrap_or_else(PoisonError::into_inner);
        answer(&mut backend, first_coin.as_deref().unwrap_or_default(), request)
    })
    .await?;
    say(&format!("ready {}", upstream.address()));
    let switching = async {
        loop {
            tokio::time::sleep(Duration::from_secs(arguments.change_every)).await;
            let name = name(fastrand::usize(..arguments.sub_accounts.max(1)));
            let coin = &arguments.coins[fastrand::usize(..arguments.coins.len())];
            backend.lock().unwrap_or_else(PoisonError::into_inner).switch(&name, coin, now());
            say(&format!("switched {name} to {coin}"));
        }
    };
    tokio::select! {
        () = switching => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn answer(backend: &mut Backend, first_coin: &str, request: &Request) -> Reply {
    let path = request.target.split('?').next().unwrap_or_default();
    if request.method == "POST" {
        return register(backend, first_coin, &request.body);
    }
    if let Some(coin) = path.strip_prefix("/userlist/") {
        let last_id = request.query("last_id").and_then(|puid| puid.parse().ok()).unwrap_or(0);
        return backend.list_answer(coin, last_id);
    }
    let last_date = request.last_date().and_then(|date| date.parse().ok()).unwrap_or(0);
    say(&format!("asked from {last_date}: {} entries", backend.changed_since(last_date)));
    backend.answer(last_date, now())
}

fn register(backend: &mut Backend, coin: &str, body: &str) -> Reply {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let Some(name) = body.get("sub_name").and_then(Value::as_str).filter(|it| !it.is_empty())
    else {
        return Reply::json(r#"{"status":"failed","message":"sub_name is missing","data":null}"#);
    };
    let puid = backend.list(name, &[coin]);
    say(&format!("registered {name} with puid {puid}"));
    Reply::registered(puid)
}

fn name(number: usize) -> String {
    format!("demo{:02}", number + 1)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A closed standard output is no reason to fail.
fn say(line: &str) {
    let mut output = io::stdout();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

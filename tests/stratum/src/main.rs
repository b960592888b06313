//! `stratum-sim`: simulates a stratum server until SIGINT or SIGTERM.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use stratum_sim::{Settings, StratumServer};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::LocalSet,
};

/// Simulates a stratum server for several coins: polls their user lists, follows the znodes of its miners'
/// sub-accounts, and requests the registration of unknown ones. Prints a line when it is ready and one for each event.
///
/// Exit status: 0 after SIGINT or SIGTERM, 1 if it could not start, 2 for a bad argument.
#[derive(Debug, Parser)]
#[command(name = "stratum-sim", version)]
struct Arguments {
    /// ZooKeeper's servers, with commas between
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2181")]
    zookeeper: String,

    /// Directory of the sub-accounts' znodes
    #[arg(long, value_name = "PATH", default_value = "/stratumSwitcher/btcbcc/")]
    watch_dir: String,

    /// Directory of the requests for registration; without it, unknown miners are refused
    #[arg(long, value_name = "PATH")]
    registration_dir: Option<String>,

    /// A coin and the URL of its user list, like `btc=http://127.0.0.1:8082/?coin=btc`; may be given many times
    #[arg(long = "list", value_name = "COIN=URL", required = true, value_parser = list)]
    lists: Vec<(String, String)>,

    /// Seconds between two polls of a list
    #[arg(long, value_name = "S", default_value_t = 10)]
    poll_secs: u64,

    /// Sub-account of a miner, and seconds until it logs in, like `newbie@20`; may be given many times
    #[arg(long = "miner", value_name = "NAME[@S]", value_parser = miner)]
    miners: Vec<(String, u64)>,
}

fn list(text: &str) -> Result<(String, String), String> {
    let (coin, url) = text.split_once('=').ok_or("a list is COIN=URL")?;
    Ok((coin.to_owned(), url.to_owned()))
}

fn miner(text: &str) -> Result<(String, u64), String> {
    let Some((name, seconds)) = text.split_once('@') else { return Ok((text.to_owned(), 0)) };
    let seconds = seconds.parse().map_err(|_| format!("{seconds:?} is no number of seconds"))?;
    Ok((name.to_owned(), seconds))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match LocalSet::new().run_until(run(Arguments::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "stratum-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let slash = |dir: String| if dir.ends_with('/') { dir } else { dir + "/" };
    let Arguments { zookeeper, watch_dir, registration_dir, lists, poll_secs, miners } = arguments;
    let settings = Settings {
        zookeeper,
        watch_dir: slash(watch_dir),
        registration_dir: registration_dir.map(slash),
        lists: lists.clone(),
        poll_interval: Duration::from_secs(poll_secs),
    };
    let (sender, mut events) = mpsc::unbounded_channel();
    let server = StratumServer::connect(settings, sender).await?;
    say("ready");
    for (coin, url) in lists {
        let server = server.clone();
        tokio::task::spawn_local(async move { server.poll(&coin, &url).await });
    }
    for (name, seconds) in miners {
        let server = server.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            server.follow(&name).await;
        });
    }
    let print = async {
        while let Some(event) = events.recv().await {
            say(&event.to_string());
        }
    };
    tokio::select! {
        () = print => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// A closed standard output is no reason to fail.
fn say(line: &str) {
    let mut output = io::stdout();
    let _ = writeln!(output, "stratum-sim: {line}").and_then(|()| output.flush());
}

//! `jobmaker-sim`: simulates the jobmaker of some sub-pools until SIGINT or SIGTERM.

use std::{
    io::{self, Write},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use jobmaker_sim::{Applied, Jobmaker, Knobs, SubPool};
use tokio::signal::unix::{SignalKind, signal};

/// Interval between two looks for new values to print.
const GLANCE: Duration = Duration::from_millis(50);

/// Simulates the jobmaker of some sub-pools: watches their request nodes in ZooKeeper and acks what it reads
/// there. Prints a line when it is ready and one for every value applied. Without other options it
/// is instant and never fails.
///
/// Exit status: 0 after SIGINT or SIGTERM, 1 if it could not start, 2 for a bad argument.
#[derive(Debug, Parser)]
#[command(name = "jobmaker-sim", version)]
struct Arguments {
    /// Where ZooKeeper is; several servers with commas between
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2181")]
    zookeeper: String,

    /// A request node and its configured coinbase, like
    /// `/subpool/btc/pool3=hellobtc,34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4`; may be given many times
    #[arg(long = "sub-pool", value_name = "PATH=COINBASE,ADDRESS", required = true)]
    sub_pools: Vec<SubPool>,

    /// Milliseconds between an event and the read of the request node
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay_ms: u64,

    /// Milliseconds between the read and the ack
    #[arg(long, value_name = "MS", default_value_t = 0)]
    ack_delay_ms: u64,

    /// Each delay is longer by up to so many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    jitter_ms: u64,

    /// Probability of a crash between read and ack
    #[arg(long, value_name = "0..1", default_value_t = 0.0, value_parser = probability)]
    crash: f64,

    /// Milliseconds between a crash and the next start
    #[arg(long, value_name = "MS", default_value_t = 0)]
    down_ms: u64,

    /// Start with the coinbase text `restart-N` after the N-th crash
    #[arg(long)]
    number_restarts: bool,

    /// Probability that an ack is written twice
    #[arg(long, value_name = "0..1", default_value_t = 0.0, value_parser = probability)]
    double_acks: f64,

    /// Milliseconds between two such acks
    #[arg(long, value_name = "MS", default_value_t = 20)]
    double_ack_delay_ms: u64,

    /// Probability that garbage is written just before the ack
    #[arg(long, value_name = "0..1", default_value_t = 0.0, value_parser = probability)]
    garbage: f64,

    /// Probability that garbage is written in place of the ack
    #[arg(long, value_name = "0..1", default_value_t = 0.0, value_parser = probability)]
    garbage_instead: f64,

    /// Bytes at which coinbase texts are cut
    #[arg(long, value_name = "BYTES", default_value_t = 30)]
    coinbase_max: usize,

    /// Seconds between two unsolicited acks, at least 1
    #[arg(long, value_name = "S", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(1..))]
    unasked_secs: u64,

    /// The host's name in the acks [default: this host's]
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,

    /// Where the random numbers start
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
}

impl Arguments {
    fn knobs(&self) -> Knobs {
        Knobs {
            delay_before_read: Duration::from_millis(self.delay_ms),
            delay_before_ack: Duration::from_millis(self.ack_delay_ms),
            jitter: Duration::from_millis(self.jitter_ms),
            crash: self.crash,
            down: Duration::from_millis(self.down_ms),
            number_restarts: self.number_restarts,
            double_acks: self.double_acks,
            double_ack_delay: Duration::from_millis(self.double_ack_delay_ms),
            garbage_before: self.garbage,
            garbage_instead: self.garbage_instead,
            coinbase_max: self.coinbase_max,
            unasked_every: Duration::from_secs(self.unasked_secs),
            hostname: self.hostname.clone(),
            seed: self.seed,
        }
    }
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "a probability goes from 0 to 1".to_owned())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "jobmaker-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut told_to_stop = pin!(async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    });
    let knobs = arguments.knobs();
    let jobmaker = tokio::select! {
        started = Jobmaker::start(&arguments.zookeeper, arguments.sub_pools, knobs) => started?,
        () = &mut told_to_stop => return Ok(()),
    };
    say(&format!("jobmaker-sim: ready at {}", arguments.zookeeper));
    tokio::select! {
        () = tell_all(&jobmaker) => {}
        () = &mut told_to_stop => {}
    }
    jobmaker.stop().await;
    Ok(())
}

/// Prints every new value, for ever.
async fn tell_all(jobmaker: &Jobmaker) {
    let mut told = 0;
    loop {
        let applied = jobmaker.applied();
        applied[told..].iter().for_each(tell);
        told = applied.len();
        tokio::time::sleep(GLANCE).await;
    }
}

fn tell(applied: &Applied) {
    let Applied { path, coinbase_info, payout_addr, restart, .. } = applied;
    let how = if *restart { "starts with" } else { "applies" };
    say(&format!("jobmaker-sim: {path} {how} coinbase {coinbase_info:?}, payout {payout_addr}"));
}

/// A closed standard output is no reason to fail.
fn say(line: &str) {
    let mut output = io::stdout();
    let _ = writeln!(output, "{line}");
    let _ = output.flush();
}

//! A daemon as it runs at a pool: the release build, its log in a file.

use std::{
    fs,
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::sub_pools::BASE_DIR;
use crate::support::{Guarded, daemon::Daemon as Tested, flag, free_port, zookeeper::ZooKeeper};

pub struct Daemon {
    process: Guarded,
    pub address: String,
    pub started_in_ms: f64,
    _builder: crate::support::daemon::Builder,
}

impl Daemon {
    /// Starts one and waits until it listens and has its session.
    pub async fn start(zookeeper: &ZooKeeper) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let builder = Tested::builder(zookeeper)
            .set("ListenAddr", address.clone())
            .set("ZKSubPoolUpdateBaseDir", BASE_DIR);
        let config = builder.write_config();
        let log = builder.folder().join("log");
        let began = Instant::now();
        let (mut process, _) = builder.spawn(&[flag("--config", config), flag("--log_dir", &log)]);
        while TcpStream::connect(&address).is_err() {
            assert!(process.try_wait().is_none(), "the daemon ended");
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        let started_in_ms = began.elapsed().as_secs_f64() * 1000.0;
        let log = log.join("switcher-api-server.log");
        while !fs::read_to_string(&log).unwrap_or_default().contains("session is up") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { process, address, started_in_ms, _builder: builder }
    }

    /// Megabytes (10⁶) that the process has in memory.
    pub fn resident_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024.0 / 1e6
    }
}

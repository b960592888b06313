//! A daemon as it runs at a pool: the release build, its log in a file.

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    net::TcpStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::sub_pools::BASE_DIR;
use crate::support::{
    Guarded,
    daemon::{Builder, Daemon as Tested},
    flag, free_port,
    zookeeper::ZooKeeper,
};

/// Bytes read of the end of a log.
const LOG_END: u64 = 64 * 1024;

pub struct Daemon {
    process: Guarded,
    pub address: String,
    directory: String,
    pub started_in_ms: f64,
    log: PathBuf,
    _builder: Builder,
}

impl Daemon {
    /// Starts one and waits until it listens and has its session.
    pub async fn start(zookeeper: &ZooKeeper) -> Self {
        Self::start_with(Tested::builder(zookeeper).set("ZKSubPoolUpdateBaseDir", BASE_DIR)).await
    }

    /// As [`start`](Self::start), with a configuration of one's own.
    pub async fn start_with(builder: Builder) -> Self {
        Self::start_as_it_is(builder.without_environment("LogFormat")).await
    }

    /// The same, with log lines for people.
    pub async fn start_for_people(zookeeper: &ZooKeeper) -> Self {
        Self::start_as_it_is(Tested::builder(zookeeper)).await
    }

    async fn start_as_it_is(builder: Builder) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        // Measurements find their place in the log by its length, so no rotation.
        let builder = builder.set("ListenAddr", address.clone()).set("LogFileSize", 0);
        let config = builder.write_config();
        let directory = watch_directory(&config);
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
        Self { process, address, directory, started_in_ms, log, _builder: builder }
    }

    /// Bytes of the log so far.
    pub fn log_length(&self) -> u64 {
        fs::metadata(&self.log).unwrap().len()
    }

    /// The end of the log, as far as it lies behind `from`. To read a million lines would cost as much as to
    /// write them.
    pub fn log_end(&self, from: u64) -> String {
        let mut file = fs::File::open(&self.log).unwrap();
        let start = from.max(self.log_length().saturating_sub(LOG_END));
        file.seek(SeekFrom::Start(start)).unwrap();
        let mut end = Vec::new();
        file.read_to_end(&mut end).unwrap();
        String::from_utf8_lossy(&end).into_owned()
    }

    /// Where the sub-accounts' znodes are, without the slash at the end.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

fn watch_directory(config: &Path) -> String {
    let config: serde_json::Value = serde_json::from_slice(&fs::read(config).unwrap()).unwrap();
    config["ZKSwitcherWatchDir"].as_str().unwrap().trim_end_matches('/').to_owned()
}

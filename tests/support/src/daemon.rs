//! The daemon as a process: a configuration file, an address and a log.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio_rustls::rustls::ClientConfig;

use crate::certificates::{self, Authority, VERSIONS};
use crate::client::{Answer, Connection, Request, Response};
use crate::zookeeper::ZooKeeper;
use crate::{Guarded, Output, eventually, seconds, unique, write_private};

const NAME: &str = "switcher-api-server";
pub const USER: &str = "admin";
pub const PASSWORD: &str = "admin";

/// Path of the daemon's executable, which cargo builds for the integration tests and the benches of its package.
///
/// Cargo names it in the environment. A test binary started by hand finds it next to its own folder.
pub fn program() -> &'static str {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| {
        let beside = || {
            let test = std::env::current_exe().unwrap();
            let folder = test.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST");
            folder.join(NAME).to_str().expect("a path in UTF-8").to_owned()
        };
        std::env::var(format!("CARGO_BIN_EXE_{NAME}")).unwrap_or_else(|_| beside())
    });
    &PROGRAM
}

/// A running daemon.
pub struct Daemon {
    process: Guarded,
    address: String,
    watch_dir: String,
    /// The side of clients, if its API has TLS.
    tls: Option<Arc<ClientConfig>>,
    log: Log,
    stdout: Log,
    _folder: Arc<TempDir>,
}

impl Daemon {
    pub fn builder(zookeeper: &ZooKeeper) -> Builder {
        Builder::new(&zookeeper.address())
    }

    /// A daemon with the usual configuration.
    pub async fn start(zookeeper: &ZooKeeper) -> Self {
        Self::builder(zookeeper).start().await
    }

    /// Where it listens, as `127.0.0.1:40123`.
    pub fn base(&self) -> &str {
        &self.address
    }

    /// Where its admin pages are; waits until they are up.
    pub async fn admin(&self) -> String {
        loopback_address(&self.wait_for_log(&["admin pages are up"]).await)
    }

    /// The watch directory with its slash.
    pub fn watch_dir(&self) -> &str {
        &self.watch_dir
    }

    /// The path of a sub-account's znode.
    pub fn path(&self, user: &str) -> String {
        format!("{}{user}", self.watch_dir)
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    pub fn kill9(&mut self) {
        self.process.kill();
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn is_alive(&mut self) -> bool {
        self.process.try_wait().is_none()
    }

    /// Waits for the end; panics when it does not come in time.
    pub async fn wait_exit(&mut self, patience: Duration) -> ExitStatus {
        self.process.wait(patience).await
    }

    /// Lines on standard error so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Lines on standard error, without the `first` ones.
    pub fn log_from(&self, first: usize) -> Vec<String> {
        self.log.lines_from(first)
    }

    /// Lines on standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.lines()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// The most memory that it ever held, in megabytes.
    pub fn peak_megabytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        let kilobytes = peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
        kilobytes.div_ceil(1024)
    }

    /// The log lines so far that contain every one of `parts`.
    pub fn log_with(&self, parts: &[&str]) -> Vec<String> {
        self.log.lines_with(parts)
    }

    /// Waits for a log line that contains every one of `parts`.
    pub async fn wait_for_log(&self, parts: &[&str]) -> String {
        let what = format!("a log line with {parts:?} in {:#?}", self.log());
        eventually(&what, seconds(20), || async { self.log_with(parts).into_iter().next() }).await
    }

    /// Sends a request, with the right credentials, over a connection of its own.
    pub async fn send(&self, request: Request) -> Response {
        self.send_as_is(&request.credentials(USER, PASSWORD)).await
    }

    /// Sends a request as it is over a connection of its own.
    pub async fn send_as_is(&self, request: &Request) -> Response {
        let response = self.connect().await.send(request).await;
        response.unwrap_or_else(|error| panic!("{error} instead of an answer to {request:?}"))
    }

    /// `/switch`, and its answer, which has status 200.
    pub async fn switch(&self, user: impl AsRef<[u8]>, coin: impl AsRef<[u8]>) -> Answer {
        let response = self.send(Request::switch(user, coin)).await;
        assert_eq!(response.status, 200, "{response:?}");
        response.answer()
    }

    /// Switches to `btc` and then to `bcc`. Afterwards the daemon knows the znode's state, and writes without a read.
    pub async fn switch_twice(&self, user: &str) {
        for coin in ["btc", "bcc"] {
            assert_eq!(self.switch(user, coin).await, Answer::success());
        }
    }

    /// `/switch/multi-user`, and its answer, which has status 200.
    pub async fn batch(&self, json: impl Into<Vec<u8>>) -> Answer {
        let response = self.send(Request::batch(json)).await;
        assert_eq!(response.status, 200, "{response:?}");
        response.answer()
    }

    /// A connection to keep.
    pub async fn connect(&self) -> Connection {
        let connection = match &self.tls {
            None => Connection::open(&self.address).await,
            Some(tls) => Connection::open_tls(&self.address, tls).await,
        };
        connection.unwrap_or_else(|error| panic!("{error} instead of a connection"))
    }

    /// The side of clients of an API with TLS.
    pub fn tls(&self) -> Option<Arc<ClientConfig>> {
        self.tls.clone()
    }
}

/// Builds a configuration, and starts the daemon with it.
#[derive(Clone)]
pub struct Builder {
    config: Map<String, Value>,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    descriptors: Option<u32>,
    program: PathBuf,
    tls: Option<Arc<ClientConfig>>,
    folder: Arc<TempDir>,
}

impl Builder {
    fn new(broker: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("switcher-daemon-").tempdir().unwrap();
        let watch_dir = format!("/t/{}/", unique("watch"));
        let config = json!({
            "EnableAPIServer": true,
            "APIUser": USER,
            "APIPassword": PASSWORD,
            "ListenAddr": "127.0.0.1:0",
            "AdminListenAddr": "",
            "AvailableCoins": ["btc", "bcc"],
            "ZKBroker": [broker],
            "ZKSwitcherWatchDir": watch_dir,
            "EnableCronJob": false,
            "CronIntervalSeconds": 60,
            "UserCoinMapURL": "http://127.0.0.1:8000/usercoin.php",
            "StratumServerCaseInsensitive": false,
            "ZKSubPoolUpdateBaseDir": "",
            "ZKSubPoolUpdateAckTimeout": 5,
        });
        let Value::Object(config) = config else { unreachable!("it is an object") };
        Self {
            config,
            arguments: Vec::new(),
            // Most tests search the log for lines in this format.
            environment: BTreeMap::from([("LogFormat".into(), "human".into())]),
            descriptors: None,
            program: program().into(),
            tls: None,
            folder: Arc::new(folder),
        }
    }

    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config.insert(key.to_owned(), value.into());
        self
    }

    /// Turns the admin pages on.
    pub fn admin(self) -> Self {
        self.set("AdminListenAddr", "127.0.0.1:0")
    }

    /// Turns TLS on, with a certificate of `authority`. The daemon's own clients here trust it.
    pub fn secure(self, authority: &Authority) -> Self {
        let (certificate, key) = certificates::write(&authority.server(), self.folder(), "server");
        let tls = Some(authority.trusting(&VERSIONS, None));
        let secure = self
            .set("TLSCertificateFile", certificate.to_str().unwrap())
            .set("TLSPrivateKeyFile", key.to_str().unwrap());
        Self { tls, ..secure }
    }

    pub fn without(mut self, key: &str) -> Self {
        self.config.remove(key);
        self
    }

    /// Replaces the whole configuration.
    pub fn replace(mut self, config: Map<String, Value>) -> Self {
        self.config = config;
        self
    }

    pub fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Removes a variable that is set by default.
    pub fn without_environment(mut self, name: &str) -> Self {
        self.environment.remove(OsStr::new(name));
        self
    }

    /// Lets the daemon open no more descriptors.
    pub fn limit_descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// Another build's executable.
    pub fn program(mut self, path: &Path) -> Self {
        self.program = path.to_owned();
        self
    }

    /// A folder for the test's own files, which lives as long as the daemon.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the configuration file and returns its path.
    pub fn write_config(&self) -> PathBuf {
        let text = serde_json::to_string_pretty(&self.config).unwrap();
        write_private(&self.folder.path().join("config.json"), &text)
    }

    fn command(&self, arguments: &[OsString]) -> Command {
        let mut command = match self.descriptors {
            None => Command::new(&self.program),
            Some(limit) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", r#"ulimit -n "$0" && exec "$@""#, &limit.to_string()]);
                shell.arg(&self.program);
                shell
            }
        };
        command.args(arguments).args(&self.arguments).envs(&self.environment);
        command
    }

    /// Starts the daemon and waits until it listens.
    pub async fn start(&self) -> Daemon {
        let arguments = [OsString::from("--config"), self.write_config().into()];
        self.start_with(&arguments).await
    }

    /// As [`Builder::start`], with these arguments instead of `--config FILE`.
    pub async fn start_with(&self, arguments: &[OsString]) -> Daemon {
        let (mut process, log, stdout) = self.spawn_and_watch(arguments);
        let what = format!("the daemon with {arguments:?} listens");
        let address = eventually(&what, seconds(30), || {
            let ended = process.try_wait();
            let line = log.lines_with(&["listening", "127.0.0.1:"]).into_iter().next();
            if line.is_none() {
                assert!(ended.is_none(), "the daemon ended, {ended:?}: {:#?}", log.lines());
            }
            async { line.map(|line| loopback_address(&line)) }
        })
        .await;
        let watch_dir = self.config.get("ZKSwitcherWatchDir").and_then(Value::as_str);
        let watch_dir = watch_dir.unwrap_or_default().trim_end_matches('/').to_owned() + "/";
        let (tls, _folder) = (self.tls.clone(), Arc::clone(&self.folder));
        Daemon { process, address, watch_dir, tls, log, stdout, _folder }
    }

    /// Starts the daemon without waiting for anything.
    pub fn spawn(&self, arguments: &[OsString]) -> (Guarded, Log) {
        let (process, log, _) = self.spawn_and_watch(arguments);
        (process, log)
    }

    fn spawn_and_watch(&self, arguments: &[OsString]) -> (Guarded, Log, Log) {
        let command = self.command(arguments);
        let mut process = Guarded::spawn(&command, self.folder(), Output::Piped).unwrap();
        let (stdout, stderr) = process.take_output();
        (process, Log::collect(stderr).0, Log::collect(stdout).0)
    }

    /// Runs the program to its end.
    pub async fn run(&self, arguments: &[OsString]) -> Finished {
        let command = self.command(arguments);
        let mut process = Guarded::spawn(&command, self.folder(), Output::Piped).unwrap();
        let (stdout, stderr) = process.take_output();
        let (stdout, stdout_end) = Log::collect(stdout);
        let (stderr, stderr_end) = Log::collect(stderr);
        let status = process.wait(seconds(30)).await;
        stdout_end.join().unwrap();
        stderr_end.join().unwrap();
        let text = |log: Log| log.lines().join("\n");
        Finished { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// `check --config FILE`.
    pub async fn check(&self) -> Finished {
        self.run(&["check".into(), "--config".into(), self.write_config().into()]).await
    }

    /// `--config FILE`, for a configuration with which it must not start.
    pub async fn refuse_to_start(&self) -> Finished {
        self.run(&["--config".into(), self.write_config().into()]).await
    }
}

/// A program that ran to its end.
#[derive(Debug)]
pub struct Finished {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Standard output and standard error.
    pub fn shown(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// Panics unless standard error contains every one of `parts`.
    pub fn assert_stderr_names(&self, parts: &[&str]) {
        let missing: Vec<_> = parts.iter().filter(|part| !self.stderr.contains(**part)).collect();
        assert!(missing.is_empty(), "no {missing:?} in:\n{}", self.stderr);
    }
}

/// Lines of a stream. A thread collects them, so that the pipe never fills.
#[derive(Clone, Default)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Log {
    fn collect(stream: impl Read + Send + 'static) -> (Self, JoinHandle<()>) {
        let log = Self::default();
        let lines = Arc::clone(&log.lines);
        let thread = std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                lines.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        (log, thread)
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines_from(0)
    }

    /// All lines without the `first` ones.
    pub fn lines_from(&self, first: usize) -> Vec<String> {
        self.lines.lock().unwrap().iter().skip(first).cloned().collect()
    }

    pub fn lines_with(&self, parts: &[&str]) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        let all = |line: &&String| parts.iter().all(|part| line.contains(part));
        lines.iter().filter(all).cloned().collect()
    }
}

fn loopback_address(line: &str) -> String {
    let start = line.find("127.0.0.1:").expect("an address on loopback");
    let end = |c: char| !c.is_ascii_digit() && c != '.' && c != ':';
    line[start..].split(end).next().unwrap_or_default().to_owned()
}

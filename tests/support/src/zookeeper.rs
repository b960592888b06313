//! Private ZooKeeper servers, and access to their trees.
//!
//! Ordinary tests share one server, each with its own watch directory. A test that kills or freezes its server
//! has a private one. At most three of these tests run at a time, to bound the memory of JVMs.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use zookeeper_client::{Acl, Acls, AuthId, Client, CreateMode, Error, Permission, Stat};

use crate::{Guarded, Output, eventually, find_program, free_port, seconds};

const DEBIAN_JAR: &str = "/usr/share/java/zookeeper.jar";
/// What Debian's jar does not name in its manifest, and TLS needs.
const DEBIAN_TLS_JARS: &str = "/usr/share/java/netty-codec.jar:/usr/share/java/netty-resolver.jar";
const MAIN_CLASS: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";

/// A name and password as ZooKeeper's digest scheme takes them.
pub const DIGEST_CREDENTIALS: &str = "switcher:zk-s3cr3t";

/// Role of a server in its ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// No ensemble.
    Alone,
    Leader,
    Follower,
}

/// TLS of a server, all in PEM form.
#[derive(Clone)]
pub struct ServerTls {
    /// Its certificate, with the chain.
    pub certificate: String,
    pub key: String,
    /// Authorities of clients' certificates; clients need one.
    pub clients: Option<String>,
}

struct Tls {
    /// The port with TLS; the other one stays plain, for the tests.
    port: u16,
    files: ServerTls,
}

/// One server on a loopback port, with its data in a temporary folder.
pub struct ZooKeeper {
    port: u16,
    folder: TempDir,
    /// Lines of the configuration about the ensemble; empty for a single server.
    ensemble: String,
    /// Largest request in bytes (`jute.maxbuffer`); `None` for the default.
    request_limit: Option<usize>,
    tls: Option<Tls>,
    process: Option<Guarded>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl ZooKeeper {
    /// The server that ordinary tests share. It ends with the test process.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<ZooKeeper> = OnceCell::const_new();
        SHARED.get_or_init(|| Self::start(None)).await
    }

    /// A server for one test, which may stop, kill and fill it.
    pub async fn private() -> Self {
        let permit = Self::permit().await;
        Self::start(Some(permit)).await
    }

    /// A server for one test that takes requests of so many bytes only.
    pub async fn with_request_limit(bytes: usize) -> Self {
        let mut server = Self::placed(Some(Self::permit().await));
        server.request_limit = Some(bytes);
        server.restart().await;
        server
    }

    /// A server for one test with a port for TLS, too.
    pub async fn with_tls(tls: ServerTls) -> Self {
        let mut server = Self::placed(Some(Self::permit().await));
        server.set_tls(tls);
        server.restart().await;
        server
    }

    /// From the next start on, the server has these certificates.
    pub fn set_tls(&mut self, files: ServerTls) {
        let port = self.tls.as_ref().map_or_else(free_port, |tls| tls.port);
        self.tls = Some(Tls { port, files });
    }

    /// From the next start on, the server takes requests of so many bytes only.
    pub fn limit_requests(&mut self, bytes: usize) {
        self.request_limit = Some(bytes);
    }

    /// A place where no server runs yet: [`ZooKeeper::restart`] starts it.
    pub async fn absent() -> Self {
        Self::placed(Some(Self::permit().await))
    }

    /// Three servers that are one ensemble, followers first. A server may be stopped for nearly ten
    /// seconds and is still a member when it goes on.
    pub async fn ensemble() -> Vec<Self> {
        Self::ensemble_that_waits(20).await
    }

    /// Three servers that are one ensemble, followers first. One that keeps silent for so many half seconds
    /// is no member any more.
    pub async fn ensemble_that_waits(ticks: u32) -> Vec<Self> {
        Self::ensemble_with(ticks, None).await
    }

    /// The same, with a port for TLS, too.
    pub async fn ensemble_with(ticks: u32, tls: Option<ServerTls>) -> Vec<Self> {
        let permit = Self::permit().await;
        let mut servers: Vec<Self> = (0..3).map(|_| Self::placed(None)).collect();
        if let Some(tls) = tls {
            servers.iter_mut().for_each(|server| server.set_tls(tls.clone()));
        }
        servers[0]._permit = Some(permit);
        let peers: String = (1..=servers.len())
            .map(|id| format!("server.{id}=127.0.0.1:{}:{}\n", free_port(), free_port()))
            .collect();
        for (index, server) in servers.iter_mut().enumerate() {
            server.ensemble = format!("initLimit=20\nsyncLimit={ticks}\n{peers}");
            let data = server.folder.path().join("data");
            std::fs::create_dir_all(&data).unwrap();
            std::fs::write(data.join("myid"), format!("{}\n", index + 1)).unwrap();
            server.start_again();
        }
        let mut leads = Vec::new();
        for server in &mut servers {
            server.wait_until_it_serves().await;
            leads.push(server.role().await == Some(Role::Leader));
        }
        let leader = leads.iter().position(|leads| *leads).expect("a leader");
        servers.swap(leader, 2);
        servers
    }

    async fn permit() -> OwnedSemaphorePermit {
        static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(3)));
        Arc::clone(&ROOM).acquire_owned().await.unwrap()
    }

    fn placed(permit: Option<OwnedSemaphorePermit>) -> Self {
        let folder = tempfile::Builder::new().prefix("switcher-zookeeper-").tempdir().unwrap();
        Self {
            port: free_port(),
            folder,
            ensemble: String::new(),
            request_limit: None,
            tls: None,
            process: None,
            _permit: permit,
        }
    }

    async fn start(permit: Option<OwnedSemaphorePermit>) -> Self {
        let mut server = Self::placed(permit);
        server.restart().await;
        server
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Address of the port for TLS.
    pub fn tls_address(&self) -> String {
        format!("127.0.0.1:{}", self.tls.as_ref().expect("a server with TLS").port)
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("ZooKeeper runs").pid()
    }

    /// SIGKILL: acknowledged writes are on disk, others may be.
    pub fn kill9(&mut self) {
        self.process.take().expect("ZooKeeper runs").kill();
    }

    /// SIGSTOP: connections stay open and nothing answers any more.
    pub fn stop(&self) {
        self.process.as_ref().expect("ZooKeeper runs").signal(Signal::STOP);
    }

    /// SIGCONT, after [`ZooKeeper::stop`].
    pub fn cont(&self) {
        self.process.as_ref().expect("ZooKeeper runs").signal(Signal::CONT);
    }

    /// Starts the server on the same port with the same data, and waits until it serves.
    pub async fn restart(&mut self) {
        self.start_again();
        self.wait_until_it_serves().await;
    }

    /// From now on its disk takes no more.
    pub fn fill_disk(&self) {
        let pid = Pid::from_raw(self.process.as_ref().expect("ZooKeeper runs").pid() as i32);
        // As long as a file that is full: each write beyond it fails.
        let limit = Rlimit { current: Some(1), maximum: None };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    }

    /// Whether the process is there, stopped or not.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.try_wait().is_none())
    }

    /// Role by the server's own account; `None` if it does not serve.
    pub async fn role(&self) -> Option<Role> {
        let answer = self.four_letter_word("srvr").await.ok()?;
        let mode = answer.split("Mode: ").nth(1)?;
        match mode.split_whitespace().next()? {
            "standalone" => Some(Role::Alone),
            "leader" => Some(Role::Leader),
            "follower" => Some(Role::Follower),
            _ => None,
        }
    }

    /// A metric of the server, from `mntr`.
    pub async fn figure(&self, name: &str) -> Option<u64> {
        let answer = self.four_letter_word("mntr").await.ok()?;
        let line = answer.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    }

    /// The directory of its snapshots and transaction logs.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Starts the server on the same port with the same data.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "ZooKeeper runs already");
        let (command, output) = (self.command(), Output::File(self.log()));
        self.process = Some(Guarded::spawn(&command, self.folder.path(), output).unwrap());
    }

    async fn wait_until_it_serves(&mut self) {
        let start = Instant::now();
        while !self.serves().await {
            let ended = self.process.as_mut().and_then(Guarded::try_wait);
            if ended.is_some() || start.elapsed() > seconds(60) {
                let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                panic!("ZooKeeper does not serve ({ended:?}):\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn command(&self) -> Command {
        let folder = self.folder.path();
        let configuration = folder.join("zoo.cfg");
        // Keys that a server does not know (3.4 knows neither the admin server nor the list of
        // four-letter words) do no harm. Short ticks make for short sessions.
        let text = format!(
            "dataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\ntickTime=500\n\
             minSessionTimeout=1000\nmaxSessionTimeout=40000\nmaxClientCnxns=0\n\
             preAllocSize=4096\nadmin.enableServer=false\n\
             4lw.commands.whitelist=srvr,ruok,mntr,cons,dump\n{}{}",
            folder.join("data").display(),
            self.port,
            self.ensemble,
            self.tls_lines(),
        );
        std::fs::write(&configuration, text).unwrap();
        let mut command = Command::new(java());
        // A million znodes, if a bench asks for them; most servers stay small.
        command.args(["-Xmx2g", "-XX:+UseSerialGC", "-Dreadonlymode.enabled=true"]);
        if let Some(bytes) = self.request_limit {
            command.arg(format!("-Djute.maxbuffer={bytes}"));
        }
        let mut classpath = classpath();
        if self.tls.is_some() && classpath.contains(DEBIAN_JAR) {
            classpath = format!("{classpath}:{DEBIAN_TLS_JARS}");
        }
        command.arg("-cp").arg(classpath).arg(MAIN_CLASS).arg(configuration);
        command
    }

    /// Writes the files for TLS; returns their lines of the configuration.
    fn tls_lines(&self) -> String {
        let Some(Tls { port, files }) = &self.tls else { return String::new() };
        let ServerTls { certificate, key, clients } = files;
        let write = |name: &str, text: &str| {
            let file = self.folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file.display().to_string()
        };
        let store = write("server.pem", &format!("{key}{certificate}"));
        let clients = match clients {
            None => "ssl.clientAuth=none\n".to_owned(),
            Some(authorities) => format!(
                "ssl.trustStore.location={}\nssl.trustStore.type=PEM\n",
                write("clients.pem", authorities)
            ),
        };
        format!(
            "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
             secureClientPort={port}\nsecureClientPortAddress=127.0.0.1\n\
             ssl.keyStore.location={store}\nssl.keyStore.type=PEM\n{clients}",
        )
    }

    async fn serves(&self) -> bool {
        self.role().await.is_some()
    }

    /// Answer to a four-letter word, such as `srvr` or `cons`.
    async fn four_letter_word(&self, word: &str) -> io::Result<String> {
        let asking = async {
            let mut stream = TcpStream::connect(self.address()).await?;
            stream.write_all(word.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        timeout(seconds(5), asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The sessions that are connected, as `cons` names them.
    pub async fn connected_sessions(&self) -> Vec<String> {
        let answer = self.four_letter_word("cons").await.unwrap();
        let words = answer.split(['(', ')', ',']);
        words.filter_map(|word| word.strip_prefix("sid=").map(str::to_owned)).collect()
    }

    /// All sessions that have neither been closed nor expired, connected or not, among other text.
    pub async fn sessions(&self) -> String {
        self.four_letter_word("dump").await.unwrap()
    }

    /// Its version.
    pub async fn version(&self) -> (u32, u32, u32) {
        let answer = self.four_letter_word("srvr").await.unwrap();
        let text = answer.split("version: ").nth(1).unwrap_or_default();
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        let mut next = || numbers.next().and_then(Result::ok).expect("a version in three parts");
        (next(), next(), next())
    }

    /// Version, as `3.8.0`.
    pub async fn version_text(&self) -> String {
        let (major, minor, patch) = self.version().await;
        format!("{major}.{minor}.{patch}")
    }

    /// A client of the tests, independent of the daemon.
    pub async fn client(&self) -> Client {
        let (major, minor, patch) = self.version().await;
        eventually("a ZooKeeper client of our own", seconds(30), || async {
            let connector = Client::connector()
                .with_session_timeout(seconds(30))
                .with_server_version(major, minor, patch);
            connector.connect(&self.address()).await.ok()
        })
        .await
    }

    pub async fn znodes(&self) -> Znodes {
        Znodes { client: self.client().await }
    }
}

fn java() -> PathBuf {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    home.filter(|file| file.is_file())
        .or_else(|| find_program("java"))
        .expect("no java in PATH: run the tests with `make test`, which installs it")
}

fn classpath() -> String {
    match std::env::var("ZOOKEEPER_CLASSPATH") {
        Ok(path) if !path.is_empty() => path,
        _ if PathBuf::from(DEBIAN_JAR).is_file() => DEBIAN_JAR.to_owned(),
        _ => panic!("no ZooKeeper: run the tests with `make test`, or set ZOOKEEPER_CLASSPATH"),
    }
}

/// The tree, as a session of the tests sees it.
pub struct Znodes {
    client: Client,
}

impl Znodes {
    pub async fn get(&self, path: &str) -> Option<String> {
        self.get_with_stat(path).await.map(|(data, _)| data)
    }

    pub async fn get_with_stat(&self, path: &str) -> Option<(String, Stat)> {
        found(self.client.get_data(path).await)
    }

    /// The values of many znodes, asked for all at once.
    pub async fn get_all(&self, paths: &[String]) -> Vec<Option<String>> {
        let mut values = Vec::with_capacity(paths.len());
        for chunk in paths.chunks(500) {
            // The client sends when it is asked, not when it is awaited.
            let asked: Vec<_> = chunk.iter().map(|path| self.client.get_data(path)).collect();
            for answer in asked {
                values.push(found(answer.await).map(|(data, _)| data));
            }
        }
        values
    }

    pub async fn stat(&self, path: &str) -> Option<Stat> {
        self.client.check_stat(path).await.unwrap()
    }

    pub async fn acl(&self, path: &str) -> Vec<Acl> {
        self.client.get_acl(path).await.unwrap().0
    }

    /// Creates or overwrites a znode, with the parents that it lacks.
    pub async fn put(&self, path: &str, data: &str) {
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        self.client.mkdir(path, &options).await.unwrap();
        self.client.set_data(path, data.as_bytes(), None).await.unwrap();
    }

    /// Creates many znodes whose parents exist, in few transactions.
    pub async fn create_all(&self, paths: &[String], data: &str) {
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        for paths in paths.chunks(1_000) {
            let mut writer = self.client.new_multi_writer();
            for path in paths {
                writer.add_create(path, data.as_bytes(), &options).unwrap();
            }
            writer.commit().await.unwrap();
        }
    }

    /// Whether a client without credentials may write a znode.
    pub async fn may_be_written_by_anyone(&self, path: &str) -> bool {
        match self.client.set_data(path, b"by anyone", None).await {
            Ok(_) => true,
            Err(Error::NoAuth) => false,
            Err(error) => panic!("our own write of {path} failed: {error}"),
        }
    }

    /// Creates a znode that only a foreign user may write or read.
    pub async fn put_forbidden(&self, path: &str, data: &str) {
        self.put_with_acl(path, data, &[somebody_else()]).await;
    }

    /// Creates a znode that only the user of [`DIGEST_CREDENTIALS`] may touch or read.
    pub async fn put_for_digest_user(&self, path: &str, data: &str) {
        let digest = AuthId::new("digest", "switcher:nDNRwTP18XoTCSCyrlA2qGySxeA=");
        self.put_with_acl(path, data, &[Acl::new(Permission::ALL, digest)]).await;
    }

    /// Creates a znode that all may read but only the holder of a certain password may write.
    pub async fn put_read_only(&self, path: &str, data: &str) {
        let anyone = Acl::new(Permission::READ, AuthId::anyone());
        self.put_with_acl(path, data, &[anyone, somebody_else()]).await;
    }

    async fn put_with_acl(&self, path: &str, data: &str, acls: &[Acl]) {
        let options = CreateMode::Persistent.with_acls(Acls::new(acls));
        self.client.create(path, data.as_bytes(), &options).await.unwrap();
    }

    pub async fn children(&self, path: &str) -> Vec<String> {
        match self.client.list_children(path).await {
            Ok(names) => names,
            Err(Error::NoNode) => Vec::new(),
            Err(error) => panic!("children of {path}: {error}"),
        }
    }

    /// Every znode at or below `path` with its data.
    pub async fn tree(&self, path: &str) -> BTreeMap<String, String> {
        let mut tree = BTreeMap::new();
        let mut left = vec![path.to_owned()];
        while let Some(path) = left.pop() {
            let Some(data) = self.get(&path).await else {
                continue;
            };
            left.extend(self.children(&path).await.iter().map(|name| format!("{path}/{name}")));
            tree.insert(path, data);
        }
        tree
    }

    /// Deletes `path` and all below it.
    pub async fn remove(&self, path: &str) {
        for path in self.tree(path).await.keys().rev() {
            self.client.delete(path, None).await.unwrap();
        }
    }
}

/// All rights for a foreign user, whose password no test has.
fn somebody_else() -> Acl {
    Acl::new(Permission::ALL, AuthId::new("digest", "somebody:WXluAv3o0OoxmpaMuqXMJ8y4Pvs="))
}

fn found(answer: Result<(Vec<u8>, Stat), Error>) -> Option<(String, Stat)> {
    match answer {
        Ok((data, stat)) => Some((String::from_utf8_lossy(&data).into_owned(), stat)),
        Err(Error::NoNode) => None,
        Err(error) => panic!("our own look at ZooKeeper failed: {error}"),
    }
}

//! nginx or Caddy with the packaged sample. Only ports, names of files, and what needs rights of root differ.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::support::certificates::{Authority, Draft, VERSIONS};
use crate::support::client::{Connection, Request, Response};
use crate::support::{
    Guarded, Output, eventually, find_program, free_port, seconds, untested, write_private,
};

/// Names in the samples.
pub const API: &str = "switcher.example.com";
pub const CONSOLE: &str = "console.example.com";

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Nginx,
    Caddy,
}

impl Kind {
    /// The installed ones. Reports the others as untested.
    pub fn installed() -> Vec<Self> {
        let mut kinds = vec![Self::Nginx, Self::Caddy];
        kinds.retain(|kind| {
            let is_installed = kind.program().is_some();
            if !is_installed {
                untested(match kind {
                    Self::Nginx => "config/nginx.conf: no nginx on PATH",
                    Self::Caddy => "config/Caddyfile: no caddy on PATH",
                });
            }
            is_installed
        });
        kinds
    }

    fn program(self) -> Option<PathBuf> {
        match self {
            // Debian's folder for it is not on every user's PATH.
            Self::Nginx => find_program("nginx")
                .or_else(|| Some(PathBuf::from("/usr/sbin/nginx")).filter(|it| it.is_file())),
            Self::Caddy => find_program("caddy"),
        }
    }
}

/// A running proxy.
pub struct Proxy {
    pub kind: Kind,
    port: u16,
    tls: Arc<ClientConfig>,
    _process: Guarded,
    _folder: TempDir,
}

impl Proxy {
    /// Starts one in front of these addresses of a daemon, and waits until it serves.
    pub async fn start(kind: Kind, api: &str, admin: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("switcher-proxy-").tempdir().unwrap();
        let authority = Authority::new("root");
        for name in [API, CONSOLE] {
            let identity = authority.issue(Draft::new(&[name]));
            write_private(&folder.path().join(format!("{name}.pem")), identity.pem());
            write_private(&folder.path().join(format!("{name}.key")), &identity.key_pem());
        }
        let port = free_port();
        let log = folder.path().join("log");
        let output = Output::File(log.clone());
        let process = match kind {
            Kind::Nginx => {
                let command = nginx(folder.path(), port, api, admin);
                Guarded::spawn_with_children(&command, folder.path(), output)
            }
            Kind::Caddy => {
                let command = caddy(folder.path(), port, api, admin);
                Guarded::spawn(&command, folder.path(), output)
            }
        };
        let mut process = process.unwrap();
        eventually(&format!("{kind:?} listens"), seconds(30), || {
            let ended = process.try_wait();
            let log = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "{kind:?} ended, {ended:?}: {}", log());
            async { TcpStream::connect(("127.0.0.1", port)).await.ok() }
        })
        .await;
        let tls = authority.trusting(&VERSIONS, None);
        Self { kind, port, tls, _process: process, _folder: folder }
    }

    /// One of its names, with the port.
    pub fn host(&self, name: &str) -> String {
        format!("{name}:{}", self.port)
    }

    /// A connection from that address to the site of that name.
    pub async fn connect(&self, name: &'static str, client: [u8; 4]) -> TlsStream<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((IpAddr::from(client), 0).into()).unwrap();
        let stream = socket.connect(([127, 0, 0, 1], self.port).into()).await.unwrap();
        let name = ServerName::try_from(name).unwrap();
        TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.unwrap()
    }

    /// Sends a request to the site of that name over a connection from that address.
    pub async fn send(&self, name: &'static str, client: [u8; 4], request: Request) -> Response {
        let request = request.host(&self.host(name));
        let mut connection = Connection::over(self.connect(name, client).await);
        let response = connection.send(&request).await;
        response.unwrap_or_else(|error| panic!("{:?}: {error}", self.kind))
    }
}

/// The packaged file of that name, with replacements: a text, how often it must occur, and its replacement.
fn sample(name: &str, replacements: &[(&str, usize, &str)]) -> String {
    let text = std::fs::read_to_string(Path::new(CONFIG).join(name)).unwrap();
    replacements.iter().fold(text, |text, (from, times, to)| {
        assert_eq!(text.matches(from).count(), *times, "{from} in:\n{text}");
        text.replace(from, to)
    })
}

fn nginx(folder: &Path, port: u16, api: &str, admin: &str) -> Command {
    let place = folder.to_str().expect("a path in UTF-8");
    let sample = sample(
        "nginx.conf",
        &[
            ("listen 443 ssl;", 2, &format!("listen 127.0.0.1:{port} ssl;")),
            ("/etc/nginx/tls/", 4, &format!("{place}/")),
            ("127.0.0.1:8082", 1, api),
            ("127.0.0.1:8083", 1, admin),
        ],
    );
    std::fs::write(folder.join("sample.conf"), sample).unwrap();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {place}/{name};\n"))
        .concat();
    // As Debian's nginx.conf, but with `user root`: started by root, workers of another user cannot enter the folder.
    let main = format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {place}/pid;\nerror_log stderr;\n\
         events {{ worker_connections 768; }}\n\
         http {{\n    sendfile on;\n    tcp_nopush on;\n    gzip on;\n    access_log off;\n\
         {temporary}    include {place}/sample.conf;\n}}\n"
    );
    std::fs::write(folder.join("nginx.conf"), main).unwrap();
    let mut command = Command::new(Kind::Nginx.program().unwrap());
    command.arg("-p").arg(folder).arg("-e").arg("stderr");
    command.arg("-c").arg(folder.join("nginx.conf"));
    command
}

fn caddy(folder: &Path, port: u16, api: &str, admin: &str) -> Command {
    let place = folder.to_str().expect("a path in UTF-8");
    let site = |name: &str| format!("{name} {{\n\ttls {place}/{name}.pem {place}/{name}.key\n");
    let sample = sample(
        "Caddyfile",
        &[
            (&format!("\n{API} {{\n"), 1, &format!("\n{}", site(API))),
            (&format!("\n{CONSOLE} {{\n"), 1, &format!("\n{}", site(CONSOLE))),
            ("127.0.0.1:8082", 1, api),
            ("127.0.0.1:8083", 1, admin),
        ],
    );
    let options = format!(
        "{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port {}\n\thttps_port {port}\n}}\n",
        free_port()
    );
    let file = folder.join("Caddyfile");
    std::fs::write(&file, options + &sample).unwrap();
    let mut command = Command::new(Kind::Caddy.program().unwrap());
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(variable, folder);
    }
    command
}

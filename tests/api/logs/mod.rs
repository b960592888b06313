//! The log as operators and their programs read it: lines, levels, files, and the requests that lines are of.

mod files;
mod lines;
mod requests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Map, Value};

use crate::support::client::{self, Connection, Request};
use crate::support::daemon::{Builder, PASSWORD, USER};
use crate::support::{Guarded, eventually, flag, free_port, seconds};

/// What a line is, as a program reads it.
type Line = Map<String, Value>;

fn parse(line: &str) -> Line {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// A daemon that logs into a folder, as programs read it.
struct Logging {
    process: Guarded,
    address: String,
    folder: PathBuf,
    _builder: Builder,
}

impl Logging {
    async fn start(builder: Builder) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let builder = builder.set("ListenAddr", address.clone()).without_environment("LogFormat");
        let folder = builder.folder().join("log");
        let arguments: [OsString; 2] =
            [flag("-config", builder.write_config()), flag("-log_dir", &folder)];
        let (process, _) = builder.spawn(&arguments);
        let logging = Self { process, address, folder, _builder: builder };
        logging.wait_for("a session", |line| line["msg"] == "ZooKeeper session is up").await;
        eventually("it listens", seconds(20), || async {
            Connection::open(&logging.address).await.ok()
        })
        .await;
        logging
    }

    fn file(&self) -> PathBuf {
        self.folder.join("switcher-api-server.log")
    }

    fn old(&self, number: usize) -> PathBuf {
        self.folder.join(format!("switcher-api-server.log.{number}"))
    }

    /// Waits until there is such a line in the file that grows.
    async fn wait_for(&self, what: &str, is_it: impl Fn(&Line) -> bool) -> Line {
        eventually(what, seconds(30), || async {
            // The last line may be on its way.
            let text = std::fs::read_to_string(self.file()).unwrap_or_default();
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            whole.lines().map(parse).find(&is_it)
        })
        .await
    }

    /// Switches each of these on connections of their own; every one is answered with success.
    async fn switch_all(&self, names: Vec<String>) {
        const CONNECTIONS: usize = 16;
        let part = names.len().div_ceil(CONNECTIONS);
        let clients = names.chunks(part).map(|names| async move {
            let mut connection = Connection::open(&self.address).await.unwrap();
            for name in names {
                let request = Request::switch(name, "btc").credentials(USER, PASSWORD);
                assert!(connection.send(&request).await.unwrap().answer().success, "{name}");
            }
        });
        futures_util::future::join_all(clients).await;
    }

    /// SIGTERM, and its end.
    async fn stop(&mut self) {
        self.process.signal(Signal::TERM);
        assert_eq!(self.process.wait(seconds(20)).await.code(), Some(0));
    }

    async fn metric(&self, admin: &str, name: &str) -> f64 {
        let request = Request::get("/metrics").credentials(USER, PASSWORD);
        let text = client::send(admin, &request).await.unwrap().text();
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }
}

/// How often each sub-account was switched by the lines of these files, of which each has to be whole.
fn switched<'a>(files: impl IntoIterator<Item = &'a Path>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.ends_with('\n'), "{} ends within a line", file.display());
        for line in text.lines().map(parse).filter(|line| line["msg"] == "switch") {
            *counts.entry(line["sub_account"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Panics unless each of these was told once, and no other.
fn assert_each_once(names: &[String], told: &BTreeMap<String, usize>) {
    let missing: Vec<_> = names.iter().filter(|name| !told.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{} lines are lost: {missing:?}", missing.len());
    let repeated: Vec<_> = told.iter().filter(|(_, count)| **count != 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
    assert_eq!(told.len(), names.len());
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number:05}")).collect()
}

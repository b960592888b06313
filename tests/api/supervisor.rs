//! The daemon under a real supervisord, with the entry that we ship: started, started again when
//! it is killed, told to reload, and stopped without force.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::client::{self, Answer, Request};
use crate::support::daemon::{Builder, Daemon, PASSWORD, USER, program};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{Guarded, Output, eventually, find_program, free_port, seconds};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/supervisor.conf");

#[tokio::test]
async fn supervisord_starts_restarts_reloads_and_stops_the_daemon() {
    let zookeeper = ZooKeeper::shared().await;
    let address = format!("127.0.0.1:{}", free_port());
    let builder = Daemon::builder(zookeeper).set("ListenAddr", address.clone());
    let supervisor = Supervisor::start(&builder);

    let first = supervisor.running_pid().await;
    assert_switches(&address, "btc").await;

    let pid = Pid::from_raw(first.parse().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let second = eventually("a new daemon runs", seconds(30), || async {
        Some(supervisor.running_pid().await).filter(|pid| *pid != first)
    })
    .await;
    assert_switches(&address, "bcc").await;

    builder.clone().set("AvailableCoins", serde_json::json!(["ltc"])).write_config();
    supervisor.control(&["signal", "HUP", "all"]).await;
    let log = supervisor.folder.join("log/switcher-api-server.log");
    eventually("the configuration is reloaded", seconds(20), || async {
        let log = std::fs::read_to_string(&log).unwrap();
        log.contains(r#""msg":"configuration reloaded","changed":"AvailableCoins"#).then_some(())
    })
    .await;
    assert_switches(&address, "ltc").await;

    supervisor.control(&["stop", "all"]).await;
    assert!(supervisor.control(&["status"]).await.contains("STOPPED"));
    let log = std::fs::read_to_string(supervisor.folder.join("supervisord.log")).unwrap();
    assert!(log.contains("exit status 0"), "{second} drained and ended by itself:\n{log}");
    assert!(!log.contains("with SIGKILL"), "{second} had to be killed:\n{log}");
}

async fn assert_switches(address: &str, coin: &str) {
    let request = Request::switch("alice", coin).credentials(USER, PASSWORD);
    let what = format!("the daemon at {address} answers");
    let response =
        eventually(&what, seconds(20), || async { client::send(address, &request).await.ok() })
            .await;
    assert_eq!(response.answer(), Answer::success());
}

struct Supervisor {
    _process: Guarded,
    folder: PathBuf,
    control: PathBuf,
}

impl Supervisor {
    fn start(builder: &Builder) -> Self {
        let [daemon, control] = ["supervisord", "supervisorctl"].map(|name| {
            let missing = || panic!("no {name} in PATH: run the tests with `make test`");
            find_program(name).unwrap_or_else(missing)
        });
        let folder = builder.folder().to_owned();
        let file = folder.join("supervisord.conf");
        std::fs::write(&file, configuration(builder, &folder)).unwrap();
        let mut command = Command::new(daemon);
        command.arg("-n").arg("-c").arg(&file);
        let output = Output::File(folder.join("supervisord.out"));
        let process = Guarded::spawn_with_children(&command, &folder, output).unwrap();
        Self { _process: process, folder, control }
    }

    /// Runs `supervisorctl` and returns what it said.
    async fn control(&self, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::new(&self.control);
        command.arg("-c").arg(self.folder.join("supervisord.conf")).args(arguments);
        let output = tokio::time::timeout(seconds(40), command.kill_on_drop(true).output());
        let output = output.await.expect("supervisorctl ends").unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn running_pid(&self) -> String {
        eventually("supervisor reports the daemon as running", seconds(30), || async {
            let status = self.control(&["status"]).await;
            let pid = status.split("RUNNING   pid ").nth(1)?.split(',').next()?;
            Some(pid.to_owned())
        })
        .await
    }
}

/// A supervisord of our own around the entry that we ship. Only what names a place on the
/// operator's machine is changed: files, folders, and the user, whom only root could become.
fn configuration(builder: &Builder, folder: &Path) -> String {
    let place = folder.display();
    let mut text = format!(
        "[unix_http_server]\nfile={place}/supervisor.sock\n\n\
         [supervisord]\nlogfile={place}/supervisord.log\npidfile={place}/supervisord.pid\n\
         childlogdir={place}\n\n\
         [rpcinterface:supervisor]\n\
         supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\n\
         [supervisorctl]\nserverurl=unix://{place}/supervisor.sock\n\n"
    );
    let logs = folder.join("log");
    std::fs::create_dir(&logs).unwrap();
    let config = builder.write_config();
    for line in std::fs::read_to_string(SHIPPED).unwrap().lines() {
        let name = line.split('=').next().unwrap_or_default().trim();
        let line = match name {
            "command" => {
                let (config, logs) = (config.display(), logs.display());
                format!("command={} -config={config} -log_dir={logs} -v 2", program())
            }
            "directory" => format!("directory={place}"),
            "stdout_logfile" | "stderr_logfile" => format!("{name}={place}/{name}"),
            "user" => continue,
            _ => line.to_owned(),
        };
        text += &line;
        text.push('\n');
    }
    text
}

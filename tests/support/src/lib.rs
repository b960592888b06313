//! Tools that the integration tests, the fault campaign and the benches share.
//!
//! * this file: child processes that cannot outlive the tests, waiting with a deadline, unique names and ports;
//! * [`zookeeper`], [`daemon`]: private servers and the daemon's process;
//! * [`users`]: entries of a `UsersFile`;
//! * [`client`]: an HTTP client that sends exact bytes;
//! * [`certificates`]: authorities, and what they issue;
//! * [`load`], [`coinbase_load`]: clients that write and remember every answer;
//! * [`coinbase_history`], [`register`]: judges that decide whether all answers can be true together.

// A test that cannot go on panics, and the items are for tests alone.
#![allow(clippy::unwrap_used, missing_docs)]

pub mod certificates;
pub mod client;
pub mod coinbase_history;
pub mod coinbase_load;
pub mod daemon;
pub mod load;
pub mod register;
pub mod users;
pub mod zookeeper;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Reports a test that cannot run, once for each reason, on the real standard error, which libtest does not capture.
/// Panics in continuous integration (`CI=true`). `make test` installs missing tools where it can (`.ci/test-tools`).
pub fn untested(what: &'static str) {
    static REPORTED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "NOT TESTED: {what}");
    if REPORTED.lock().unwrap().insert(what) {
        let _ = writeln!(io::stderr(), "NOT TESTED: {what}");
    }
}

/// A child process that ends when the tests end, even when they are killed with SIGKILL.
///
/// The child starts as a shell that leaves a watcher behind and then becomes the program, so the
/// program has the child's pid and exit status. The watcher waits on a pipe whose other end only the tests hold:
/// `bye` means that the tests have collected the child (its pid may belong to another process by then), and end of
/// file means that the tests have died.
pub struct Guarded {
    child: Child,
    leash: Option<ChildStdin>,
    last_signal: Signal,
}

const WATCHER: &str = r#"
exec 3<&0 </dev/null
{
    read -r word <&3
    if [ "$word" != bye ]; then
        kill -s "$1" $$
        for _ in 1 2 3 4 5 6 7 8 9 10; do kill -s 0 $$ || break; sleep 1; done
        rm -rf -- "$2"
    fi
} >/dev/null 2>&1 &
shift 2
exec "$@" 3<&-
"#;

impl Guarded {
    /// Starts `command`; its standard input is closed. The watcher removes the folder `leftovers` if the tests
    /// die.
    pub fn spawn(command: &Command, leftovers: &Path, output: Output) -> io::Result<Self> {
        Self::spawn_ended_by(Signal::KILL, command, leftovers, output)
    }

    /// As [`Guarded::spawn`], for a program that has children of its own to end: it is asked with
    /// SIGTERM first.
    pub fn spawn_with_children(
        command: &Command,
        leftovers: &Path,
        output: Output,
    ) -> io::Result<Self> {
        Self::spawn_ended_by(Signal::TERM, command, leftovers, output)
    }

    fn spawn_ended_by(
        last_signal: Signal,
        command: &Command,
        leftovers: &Path,
        output: Output,
    ) -> io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(WATCHER).arg("sh");
        shell.arg(if last_signal == Signal::TERM { "TERM" } else { "KILL" });
        shell.arg(leftovers);
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let (stdout, stderr) = output.into_pair()?;
        let mut child = shell.stdin(Stdio::piped()).stdout(stdout).stderr(stderr).spawn()?;
        let leash = child.stdin.take();
        Ok(Self { child, leash, last_signal })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal. A process that has ended and was not collected yet takes it in silence. One that is to
    /// stop has stopped when this returns: its threads may go on for a moment after the signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            kill_process(pid, signal).unwrap();
        }
        let start = Instant::now();
        while signal == Signal::STOP && self.has_a_thread_that_runs() {
            assert!(start.elapsed() < seconds(20), "a process takes no SIGSTOP");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn has_a_thread_that_runs(&self) -> bool {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.child.id())) else {
            return false;
        };
        threads.flatten().any(|thread| {
            // The state follows the name, which stands in brackets. A thread may end meanwhile.
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            state.is_some_and(|state| !['T', 't', 'Z', 'X'].contains(&state))
        })
    }

    /// The two output streams of a child that was started with [`Output::Piped`].
    pub fn take_output(&mut self) -> (ChildStdout, ChildStderr) {
        let streams = (self.child.stdout.take(), self.child.stderr.take());
        let (Some(stdout), Some(stderr)) = streams else { panic!("the output is not piped to us") };
        (stdout, stderr)
    }

    /// The exit status, or `None` while the process runs.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap();
        if status.is_some() {
            self.release();
        }
        status
    }

    /// Waits for the end; panics when it does not come in time.
    pub async fn wait(&mut self, patience: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.try_wait() {
                return status;
            }
            assert!(
                start.elapsed() < patience,
                "process {} still runs after {patience:?}",
                self.pid()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// SIGKILL, and collects the process.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.release();
    }

    fn release(&mut self) {
        if let Some(mut leash) = self.leash.take() {
            let _ = leash.write_all(b"bye\n");
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.leash.is_some() && self.last_signal == Signal::TERM && self.try_wait().is_none() {
            self.signal(Signal::TERM);
            let start = Instant::now();
            while self.try_wait().is_none() && start.elapsed() < Duration::from_secs(15) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.kill();
    }
}

/// Where a child's two output streams go.
pub enum Output {
    /// To us, through pipes: the reader is [`Guarded::take_output`].
    Piped,
    /// Both into one file, appended.
    File(PathBuf),
}

impl Output {
    fn into_pair(self) -> io::Result<(Stdio, Stdio)> {
        match self {
            Self::Piped => Ok((Stdio::piped(), Stdio::piped())),
            Self::File(path) => {
                let file = fs::File::options().create(true).append(true).open(path)?;
                Ok((file.try_clone()?.into(), file.into()))
            }
        }
    }
}

/// Asks until there is an answer; panics with this description after `patience`.
pub async fn eventually<T, F, Fut>(what: &str, patience: Duration, mut ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < patience, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A name that no other test of this run uses.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A free loopback port.
///
/// It lies below the range of outgoing connections: a server that is killed and started again must find its port
/// free, not taken by a client of another test.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 500) as u16 * 20;
    for _ in 0..10_000 {
        let offset = (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let port = 20_000 + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 20000 and 30000");
}

/// Writes a file that only its owner may read, in one step: a daemon that reads it meanwhile, as after a SIGHUP, finds
/// the old text or the new one, never a part.
pub fn write_private(file: &Path, text: &str) -> PathBuf {
    let new = file.with_extension(unique("new"));
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&new, file).unwrap();
    file.to_owned()
}

/// The program's full path when `PATH` has it.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// `--name=value`, for values of any bytes.
pub fn flag(name: &str, value: impl AsRef<OsStr>) -> OsString {
    let mut flag = OsString::from(name);
    flag.push("=");
    flag.push(value);
    flag
}

pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

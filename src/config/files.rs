//! Reads and checks the files that the configuration names. [`super::load`] reads the configuration file alone, since a
//! client's machine has no such files.

use std::{
    env,
    fmt::Display,
    fs::{self, File},
    io::{self, Read},
    mem,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use rustix::fs::OFlags;
use switcher_actors::{Quoted, Shown, ZkTls};

use super::{CertificateEnd, Checked, Problem, Rejected, Settings, Snapshot};
use crate::{tls::ServerTls, users::User};

/// Largest file that is read, in bytes. Ten thousand users take three megabytes.
const MAX_BYTES: u64 = 16 << 20;

/// Contents of the files that the configuration names. Only [`Checked::read_files`] makes it.
pub struct FileContents {
    /// Users of `UsersFile`.
    pub users: Vec<User>,
    /// `None` without TLS.
    pub listener_tls: Option<ServerTls>,
    /// `None` without TLS.
    pub zookeeper_tls: Option<ZkTls>,
    /// The ends of the certificates that the daemon shows.
    pub certificates: Vec<CertificateEnd>,
}

/// Problems and warnings so far, and the ends of the certificates that were read. A method that reads returns `None` for
/// a file that is not configured or not usable. Contents count only if there is no problem at all.
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    pub(super) certificates: Vec<CertificateEnd>,
    values: Snapshot,
}

impl Checked {
    /// Reads the files for TLS to ZooKeeper alone, for commands that call nothing but ZooKeeper and the backend. `None`
    /// without TLS.
    pub fn read_zookeeper_files(self) -> Result<(Self, Option<ZkTls>), Rejected> {
        self.read(|findings, settings| findings.read_zookeeper_tls(settings.zookeeper_tls.as_ref()))
    }

    /// Reads and checks all files, or reports every problem.
    pub fn read_files(self) -> Result<(Self, FileContents), Rejected> {
        self.read(|findings, settings| {
            findings.look_at_history(settings.history.as_ref());
            let users = findings.read_users(&settings.callers, settings.sub_pools.is_some());
            FileContents {
                users: users.unwrap_or_default(),
                listener_tls: findings.read_tls(settings.tls.as_ref()),
                zookeeper_tls: findings.read_zookeeper_tls(settings.zookeeper_tls.as_ref()),
                // Last, since the reads above add to them.
                certificates: mem::take(&mut findings.certificates),
            }
        })
    }

    /// Warns if every user of the machine may read the configuration `file` with `APIPassword` in it. For `check` and
    /// `doctor`: the daemon's log must not change for a pool that only replaces the binary.
    pub fn doubt_file_mode(mut self, file: Option<&Path>) -> Self {
        let mode = file.and_then(mode).filter(|mode| mode & 0o004 != 0);
        let is_in_file = env::var_os("APIPassword").is_none();
        if let Some((file, mode)) = file.zip(mode)
            && self.settings.callers.credentials.is_some()
            && is_in_file
        {
            let file = file.to_string_lossy();
            self.warnings.push(format!(
                "file {} has APIPassword in it, and every user of this machine may read it (mode {mode:03o}): run chmod o= on it",
                Shown(&file)
            ));
        }
        self
    }

    fn read<T>(
        self,
        read: impl FnOnce(&mut Findings, &Settings) -> T,
    ) -> Result<(Self, T), Rejected> {
        let Self { settings, warnings, listing, values } = self;
        let (problems, certificates) = (Vec::new(), Vec::new());
        let mut findings = Findings { problems, warnings, certificates, values };
        let contents = read(&mut findings, &settings);
        let Findings { problems, warnings, certificates: _, values } = findings;
        match problems.is_empty() {
            true => Ok((Self { settings, warnings, listing, values }, contents)),
            false => Err(Rejected { problems, warnings, values: Some(values) }),
        }
    }
}

impl Findings {
    pub(super) fn problem(&mut self, key: &'static str, text: impl Into<String>) {
        self.problems.push(Problem::of(key, text));
    }

    /// Records a problem with a file; `fault` continues "is FILE, ".
    pub(super) fn refuse_file(&mut self, key: &'static str, file: &Path, fault: impl Display) {
        let file = file.to_string_lossy();
        self.problem(key, format!("is {}, {fault}", Quoted(&file)));
    }

    /// Refuses a file with a secret that every user of the machine may read. An absent file passes.
    pub(super) fn refuse_public(&mut self, key: &'static str, file: &Path) {
        if let Some(mode) = mode(file)
            && mode & 0o007 != 0
        {
            let fault = "which every user of this machine may use";
            self.refuse_file(key, file, format!("{fault} (mode {mode:03o}): run chmod o= on it"));
        }
    }

    /// Reads a file, and notes its digest for the comparison of a reload; `None` after a recorded problem.
    pub(super) fn read(&mut self, key: &'static str, file: &Path) -> Option<Vec<u8>> {
        match read(file) {
            Ok(bytes) => {
                self.values.note_content(key, &bytes);
                Some(bytes)
            }
            Err(error) => {
                self.refuse_file(key, file, format!("which cannot be read: {error}"));
                None
            }
        }
    }
}

/// Mode bits of a file, like 0o640; `None` if they cannot be read.
pub(super) fn mode(file: &Path) -> Option<u32> {
    fs::metadata(file).ok().map(|it| it.permissions().mode() & 0o777)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    // Without waiting: a FIFO has no writer.
    let no_wait = OFlags::NONBLOCK.bits().cast_signed();
    let opened = File::options().read(true).custom_flags(no_wait).open(file)?;
    if !opened.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    opened.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(io::Error::other(format!("it is larger than {MAX_BYTES} bytes"))),
        false => Ok(bytes),
    }
}

//! The bytes of a batch: from a regular file, or from a stream such as standard input, a FIFO or `<(command)`.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{self, Path},
};

use switcher_actors::Shown;

use super::report::{CommandFailure, FailureKind};

/// Largest batch, in bytes: about five million entries. Sources without an end, like `/dev/zero`, stop here.
const SIZE_LIMIT: u64 = 128 << 20;

/// Content of a batch.
pub struct BatchInput {
    pub content: Vec<u8>,
    /// Device and inode of a regular file; `None` for a stream, which a later run cannot read again.
    identity: Option<(u64, u64)>,
}

impl BatchInput {
    /// Reads the file, or standard input for `-`.
    pub fn read(file: &Path) -> Result<Self, CommandFailure> {
        let failed = |kind: FailureKind, fault: &str| {
            kind.failure(format!("nothing was sent: {}: {fault}", shown(file)))
        };
        let not_read = |error: io::Error| failed(FailureKind::NoInput, &error.to_string());
        let too_large = || {
            let fault = format!("it is larger than {} MiB; split it", SIZE_LIMIT >> 20);
            failed(FailureKind::Refused, &fault)
        };
        let mut identity = None;
        let source: Box<dyn Read> = if is_standard_input(file) {
            Box::new(io::stdin().lock())
        } else {
            let opened = File::open(file).map_err(not_read)?;
            let metadata = opened.metadata().map_err(not_read)?;
            if metadata.is_dir() {
                let fault = "it is a directory, expected a file";
                return Err(failed(FailureKind::NoInput, fault));
            }
            if metadata.is_file() && !is_descriptor(file) {
                if metadata.len() > SIZE_LIMIT {
                    return Err(too_large());
                }
                identity = Some(identity_of(&metadata));
            }
            Box::new(opened)
        };
        let mut content = Vec::new();
        source.take(SIZE_LIMIT + 1).read_to_end(&mut content).map_err(not_read)?;
        if content.len() as u64 > SIZE_LIMIT {
            return Err(too_large());
        }
        Ok(Self { content, identity })
    }

    /// Whether the batch cannot be read again: a resume file is then of no use by default.
    pub fn is_stream(&self) -> bool {
        self.identity.is_none()
    }

    /// Whether the path leads to the batch's file.
    pub fn is_at(&self, path: &Path) -> bool {
        self.identity.is_some()
            && fs::metadata(path).ok().map(|it| identity_of(&it)) == self.identity
    }
}

fn identity_of(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn is_standard_input(file: &Path) -> bool {
    let names = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
    file == Path::new("-")
        || path::absolute(file).is_ok_and(|it| names.map(Path::new).contains(&&*it))
}

/// Whether the path names an open file descriptor: its directory cannot hold a resume file.
fn is_descriptor(file: &Path) -> bool {
    path::absolute(file).is_ok_and(|it| it.starts_with("/dev/fd") || it.starts_with("/proc"))
}

/// The file's name, fit for a terminal.
pub fn shown(file: &Path) -> String {
    match file.to_string_lossy().as_ref() {
        "-" => "standard input".to_owned(),
        file => Shown(file).to_string(),
    }
}

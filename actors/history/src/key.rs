//! The chain's key, and its links.

use std::{
    fmt::{self, Display},
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    str::FromStr,
};

use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};

use crate::error::OpenError;

/// A link of the chain; shown as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link(pub(crate) [u8; 32]);

impl Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Link {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: Option<Vec<u8>> =
            text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
        let Some(digits) = digits.filter(|digits| digits.len() == 64) else {
            return Err("not 64 hexadecimal digits");
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(bytes))
    }
}

/// Key of the chain.
#[derive(Clone, Debug)]
pub(crate) struct ChainKey(hmac::Key);

impl ChainKey {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Reads the key file: 64 hexadecimal digits.
    pub(crate) fn read(file: &Path) -> Result<Self, OpenError> {
        let text = fs::read_to_string(file).map_err(|error| unusable(file, error))?;
        let bytes: Link = text.trim_end().parse().map_err(|error| unusable(file, error))?;
        Ok(Self::new(&bytes.0))
    }

    /// Reads the key file, or creates it with a random key and mode 0600. A new key is on the disk before its first use: no
    /// power cut may lose it, since its notes could never be verified.
    pub(crate) fn read_or_create(file: &Path) -> Result<Self, OpenError> {
        if !fs::exists(file).map_err(|error| unusable(file, error))? {
            let mut key = Link::default();
            SystemRandom::new().fill(&mut key.0).map_err(|error| unusable(file, error))?;
            write_durably(file, &format!("{key}\n")).map_err(|error| unusable(file, error))?;
        }
        Self::read(file)
    }

    pub(crate) fn link(&self, before: &Link, number: i64, text: &[u8]) -> Link {
        self.sign(&[b"note", &before.0, &number.to_be_bytes(), text])
    }

    /// Seal of the chain's beginning `start`, the link before the first kept note.
    pub(crate) fn seal(&self, start: &Link) -> Link {
        self.sign(&[b"start", &start.0])
    }

    fn sign(&self, parts: &[&[u8]]) -> Link {
        let mut context = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        let mut link = Link::default();
        link.0.copy_from_slice(context.sign().as_ref());
        link
    }
}

fn unusable(file: &Path, error: impl Display) -> OpenError {
    OpenError::Other(format!("key file '{}': {error}", file.display()))
}

fn write_durably(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_added_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut opened = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()?;
    fs::rename(&new, file)?;
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

//! Where lines go in the end: standard error, or a file.

use std::io::{self, Write};

/// Takes whole lines, many at a time. The spool's thread alone calls it.
pub trait Output: Send + 'static {
    /// Writes `lines`, each of them whole or not at all as far as the system lets it.
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), Unwritten>;

    /// Somebody may have moved the file away: goes on in one of the same name.
    fn reopen(&mut self) {}
}

/// What could not be written.
#[derive(Debug)]
pub struct Unwritten {
    /// So many bytes, at the end of what was to be written.
    pub bytes: usize,
    /// Why.
    pub cause: io::Error,
}

/// Anything that takes bytes. After a write that broke off within a line, the next begins a line of its own.
#[derive(Debug)]
pub struct Stream<W> {
    output: W,
    is_torn: bool,
}

impl<W: Write> Stream<W> {
    /// At the beginning of a line.
    pub fn new(output: W) -> Self {
        Self { output, is_torn: false }
    }

    /// At the end of what others have written, which may have broken off within a line.
    pub fn after(output: W, is_torn: bool) -> Self {
        Self { output, is_torn }
    }

    /// What is written to.
    pub fn get(&self) -> &W {
        &self.output
    }
}

impl<W: Write + Send + 'static> Output for Stream<W> {
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        if self.is_torn {
            let unwritten = |cause| Unwritten { bytes: lines.len(), cause };
            self.output.write_all(b"\n").map_err(unwritten)?;
            self.is_torn = false;
        }
        let mut written = 0;
        while written < lines.len() {
            let cause = match self.output.write(&lines[written..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(more) => {
                    written += more;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.is_torn = written > 0 && lines[written - 1] != b'\n';
            return Err(Unwritten { bytes: lines.len() - written, cause });
        }
        // Neither a file nor standard error keeps anything back.
        let _ = self.output.flush();
        Ok(())
    }
}

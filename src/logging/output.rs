//! The output of the log: standard error, or a file.

use std::io::{self, Write};

/// Takes many whole lines at once. Only the log buffer's thread calls it.
pub trait Output: Send + 'static {
    /// Writes `lines`; the system may cut a line.
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), Unwritten>;

    /// Opens the file of the same name again, since another program may have renamed it.
    fn reopen(&mut self) {}
}

/// Bytes that were not written.
#[derive(Debug)]
pub struct Unwritten {
    /// Number of bytes, at the end of the lines.
    pub bytes: usize,
    pub cause: io::Error,
}

/// Anything that takes bytes. After a write that was cut within a line, the next write begins a new line.
#[derive(Debug)]
pub struct Stream<W> {
    output: W,
    is_torn: bool,
}

impl<W: Write> Stream<W> {
    pub fn new(output: W) -> Self {
        Self { output, is_torn: false }
    }

    /// Appends to an output whose last line may be cut.
    pub fn after(output: W, is_torn: bool) -> Self {
        Self { output, is_torn }
    }

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
        // Neither a file nor standard error buffers.
        let _ = self.output.flush();
        Ok(())
    }
}

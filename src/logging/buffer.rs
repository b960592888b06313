//! The log buffer: gathers lines in memory; its own thread writes many at once.
//!
//! Lines that arrive during a write go out with the next one, as switches do. A short pause before each write lets a
//! burst gather, so a line costs a copy instead of a system call.
//!
//! When the output does not keep up, logging waits for room, but not long: a stuck reader must not stop the miners'
//! switches. Lines that find no room in time are dropped and counted, and the next write reports the count.
//!
//! The thread owns the output and also reopens the log file. A signal handler requests that by a flag, which the thread
//! reads before each write, and twice a second while it is idle.

use std::{
    io::{self, Write},
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use slog::{Level, b};

use super::{
    format::LogFormat,
    line::note,
    output::{Output, Unwritten},
};

/// Size of the buffer in bytes; above it, logging waits.
const LIMIT: usize = 8 * 1024 * 1024;

/// How long logging waits for room, once; afterwards lines are dropped until there is room.
const ROOM_TIMEOUT: Duration = Duration::from_millis(500);

/// Pause before each write. A killed process loses no more than these lines.
const GATHER: Duration = Duration::from_millis(5);

/// Timeout of [`LogBuffer::flush`].
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// How often an idle thread reads the reopen flag.
const IDLE_INTERVAL: Duration = Duration::from_millis(500);

/// The buffer, as a writer of lines. Clones share it.
#[derive(Clone)]
pub struct LogBuffer(Arc<SharedBuffer>);

struct SharedBuffer {
    state: Mutex<BufferState>,
    lines_came: Condvar,
    lines_went: Condvar,
    /// Dropped lines since the start.
    dropped: Counter,
    reopen: Arc<AtomicBool>,
}

#[derive(Default)]
struct BufferState {
    waiting: Vec<u8>,
    writing: bool,
    /// A logging thread has waited for room in vain, and there has been none since.
    stuck: bool,
    /// Dropped lines since the last write.
    dropped: usize,
}

impl LogBuffer {
    /// Starts the thread that writes to `output` until the process ends. `format` is that of lines about the log.
    pub fn start(output: impl Output, format: LogFormat) -> io::Result<Self> {
        let shared = Arc::new(SharedBuffer {
            state: Mutex::default(),
            lines_came: Condvar::new(),
            lines_went: Condvar::new(),
            dropped: Counter::default(),
            reopen: Arc::default(),
        });
        let writer = Arc::clone(&shared);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_to(output, format))?;
        Ok(Self(shared))
    }

    pub fn dropped(&self) -> Counter {
        self.0.dropped.clone()
    }

    /// Flag that makes the thread reopen the output before the next write.
    pub fn reopen(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.reopen)
    }

    /// Waits until all lines are written, at most two seconds.
    pub fn flush(&self) {
        let is_busy = |state: &mut BufferState| !state.waiting.is_empty() || state.writing;
        // Lines that are not written by then are lost.
        drop(self.0.lines_went.wait_timeout_while(self.0.lock(), FLUSH_TIMEOUT, is_busy));
    }
}

impl Write for LogBuffer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.waiting.len() >= LIMIT && !state.stuck {
            let is_full = |state: &mut BufferState| state.waiting.len() >= LIMIT;
            let waited = self.0.lines_went.wait_timeout_while(state, ROOM_TIMEOUT, is_full);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.waiting.len() >= LIMIT {
            state.stuck = true;
            state.dropped += 1;
            self.0.dropped.inc();
            return Ok(line.len());
        }
        let is_first = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        // The woken thread must not wait for the lock.
        drop(state);
        if is_first {
            self.0.lines_came.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SharedBuffer {
    /// Ignores poison: a panic while a line is copied leaves the buffer intact.
    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines or the reopen flag.
    fn wait_for_work(&self) {
        let is_idle = |state: &mut BufferState| {
            state.waiting.is_empty() && !self.reopen.load(Ordering::Relaxed)
        };
        let mut state = self.lock();
        while is_idle(&mut state) {
            let waited = self.lines_came.wait_timeout(state, IDLE_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn write_to(&self, mut output: impl Output, format: LogFormat) {
        let mut lines = Vec::new();
        let (mut dropped, mut lost, mut cause) = (0, 0, String::new());
        loop {
            self.wait_for_work();
            thread::sleep(GATHER);
            let mut state = self.lock();
            mem::swap(&mut state.waiting, &mut lines);
            state.writing = true;
            state.stuck = false;
            dropped += mem::take(&mut state.dropped);
            drop(state);
            // There is room again before the write, which may take long.
            self.lines_went.notify_all();

            if self.reopen.swap(false, Ordering::Relaxed) {
                output.reopen();
            }
            let bytes = lines.len();
            let reported = if lost > 0 {
                let values = b!("bytes" => lost, "cause" => &cause);
                output.write_lines(&note(format, Level::Error, "log could not be written", values))
            } else {
                Ok(())
            };
            let written = reported.map_err(|error| Unwritten { bytes, ..error }).and_then(|()| {
                lost = 0;
                if dropped > 0 {
                    let message = "lines of log were dropped: the output did not keep up";
                    lines.extend(note(format, Level::Warning, message, b!("lines" => dropped)));
                }
                output.write_lines(&lines).map_err(|unwritten| {
                    // The line about dropped lines does not count as lost: the next write repeats it.
                    let bytes = unwritten.bytes.saturating_sub(lines.len() - bytes);
                    Unwritten { bytes, ..unwritten }
                })
            });
            match written {
                Ok(()) => dropped = 0,
                Err(unwritten) => {
                    let gone = &lines[bytes - unwritten.bytes.min(bytes)..bytes];
                    let gone = gone.iter().filter(|byte| **byte == b'\n').count();
                    self.dropped.inc_by(gone as u64);
                    (lost, cause) = (lost + unwritten.bytes, unwritten.cause.to_string());
                }
            }
            lines.clear();
            lines.shrink_to(256 * 1024);
            self.lock().writing = false;
            self.lines_went.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::logging::output::Stream;

    /// Takes nothing until it is released.
    struct Stuck(mpsc::Receiver<()>, mpsc::Sender<String>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_output_holds_up_no_thread_and_the_loss_is_reported() {
        let ((release, stuck), (writes, written)) = (mpsc::channel(), mpsc::channel());
        let output = Stream::new(Stuck(stuck, writes));
        let mut buffer = LogBuffer::start(output, LogFormat::Human).expect("a thread");
        let line = vec![b'x'; 1024 * 1024];
        // Eight may be with the writer, eight more wait; the rest is dropped.
        for _ in 0..40 {
            buffer.write_all(&line).expect("taken");
        }
        drop(release);
        LogBuffer::flush(&buffer);
        let all = written.try_iter().collect::<String>();
        let reported = format!("did not keep up, lines: {}\n", buffer.dropped().get());
        assert!(all.ends_with(&reported) && buffer.dropped().get() > 0, "the loss is not reported");
        assert!(all.len() < 17 * 1024 * 1024 + 200, "{}", all.len());
    }

    /// Fails a number of times, then forwards each write.
    struct Flaky {
        failures: usize,
        writes: mpsc::Sender<String>,
    }

    impl Write for Flaky {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.failures > 0 {
                self.failures -= 1;
                return Err(io::Error::other("disk full"));
            }
            let _ = self.writes.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn buffer(failures: usize) -> (LogBuffer, mpsc::Receiver<String>) {
        let (writes, written) = mpsc::channel();
        let output = Stream::new(Flaky { failures, writes });
        (LogBuffer::start(output, LogFormat::Human).expect("a thread"), written)
    }

    #[test]
    fn after_a_flush_every_line_is_written_in_order() {
        let (mut buffer, written) = buffer(0);
        let lines: Vec<String> = (0..1000).map(|n| format!("line {n}\n")).collect();
        for line in &lines {
            buffer.write_all(line.as_bytes()).expect("taken");
        }
        LogBuffer::flush(&buffer);
        assert_eq!(written.try_iter().collect::<String>(), lines.concat());
    }

    #[test]
    fn lost_lines_are_reported() {
        let (mut buffer, written) = buffer(2);
        for line in [b"los", b"t \n"] {
            buffer.write_all(line).expect("taken");
            LogBuffer::flush(&buffer);
        }
        buffer.write_all(b"kept\n").expect("taken");
        LogBuffer::flush(&buffer);
        let text = written.try_iter().collect::<String>();
        let reported = "ERRO log could not be written, bytes: 6, cause: disk full\nkept\n";
        assert_eq!(&text["Nov 25 03:50:11.917 ".len()..], reported);
        // Of the two writes that failed, one had the end of a line.
        assert_eq!(buffer.dropped().get(), 1);
    }

    /// Takes a few bytes, then fails once.
    struct Small(Option<usize>, mpsc::Sender<String>);

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = match self.0.as_mut() {
                Some(0) => {
                    self.0 = None;
                    return Err(io::Error::other("disk full"));
                }
                Some(left) => {
                    let taken = bytes.len().min(*left);
                    *left -= taken;
                    taken
                }
                None => bytes.len(),
            };
            let _ = self.1.send(String::from_utf8_lossy(&bytes[..taken]).into_owned());
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn after_a_line_that_was_torn_the_next_is_whole() {
        let (writes, written) = mpsc::channel();
        let output = Stream::new(Small(Some(9), writes));
        let mut buffer = LogBuffer::start(output, LogFormat::Human).expect("a thread");
        for line in [b"first\nsecond\n".as_slice(), b"third\n"] {
            buffer.write_all(line).expect("taken");
            LogBuffer::flush(&buffer);
        }
        let text = written.try_iter().collect::<String>();
        assert!(text.starts_with("first\nsec\n") && text.ends_with("\nthird\n"), "{text}");
        assert!(text.contains("bytes: 4, cause: disk full\n"), "{text}");
        assert_eq!(text.lines().count(), 4);
    }

    /// Records reopening.
    struct Reopened(mpsc::Sender<String>);

    impl Output for Reopened {
        fn write_lines(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
            let _ = self.0.send(String::from_utf8_lossy(lines).into_owned());
            Ok(())
        }

        fn reopen(&mut self) {
            let _ = self.0.send("reopened\n".to_owned());
        }
    }

    #[test]
    fn the_output_is_opened_again_while_nothing_is_logged_and_once_for_each_time() {
        let (writes, written) = mpsc::channel();
        let mut buffer = LogBuffer::start(Reopened(writes), LogFormat::Human).expect("a thread");
        buffer.reopen().store(true, Ordering::Relaxed);
        let first = written.recv_timeout(Duration::from_secs(20)).expect("it is opened again");
        buffer.write_all(b"line\n").expect("taken");
        LogBuffer::flush(&buffer);
        let rest = written.try_iter().filter(|write| !write.is_empty()).collect::<String>();
        assert_eq!((&*first, &*rest), ("reopened\n", "line\n"));
    }
}

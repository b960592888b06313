//! Gathers log lines in memory and writes them in one go, by a thread of its own.
//!
//! The same idea as the switches' batching: what arrives while a write is under way goes out with the
//! next one. A short pause before each write lets a burst gather, so that a line costs a copy, not a
//! system call.
//!
//! When the output cannot keep up, logging waits for it, but not for long: a reader that has stopped must
//! not stop the miners' switches. Lines that found no room in time are dropped and counted, and the count
//! is written behind those that did.
//!
//! The thread owns the output, so it is the one that opens a log file again: when a flag says so, which a signal's
//! handler may set at any time. It looks at the flag before each write, and twice a second while there is none.

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
    format::Face,
    line::note,
    output::{Output, Unwritten},
};

/// Bytes that may wait before logging itself has to.
const LIMIT: usize = 8 * 1024 * 1024;

/// How long logging waits for room, once; while there is none after that, lines are dropped at once.
const ROOM_PATIENCE: Duration = Duration::from_millis(500);

/// How long a burst may gather. A process that is killed loses no more of its log than this.
const GATHER: Duration = Duration::from_millis(5);

/// How long [`LogBuffer::flush`] waits for an output that takes nothing.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// How often an idle log looks whether its file is to be opened again.
const GLANCE: Duration = Duration::from_millis(500);

/// A place to write lines to. Clones share it.
#[derive(Clone)]
pub struct LogBuffer(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    lines_came: Condvar,
    lines_went: Condvar,
    /// Lines that found no room, ever.
    dropped: Counter,
    /// The output is to be opened again.
    reopen: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    writing: bool,
    /// Somebody has waited for room in vain since the last time there was some.
    stuck: bool,
    /// Lines that found no room since the last write.
    dropped: usize,
}

impl LogBuffer {
    /// Starts the thread that writes to `output` for as long as the process lives. What it has to say itself has
    /// this `format`.
    pub fn start(output: impl Output, face: Face) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            lines_came: Condvar::new(),
            lines_went: Condvar::new(),
            dropped: Counter::default(),
            reopen: Arc::default(),
        });
        let writer = Arc::clone(&shared);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_to(output, face))?;
        Ok(Self(shared))
    }

    /// How many lines found no room, for who watches.
    pub fn dropped(&self) -> Counter {
        self.0.dropped.clone()
    }

    /// Set, it has the output opened again before the next write.
    pub fn reopen(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.reopen)
    }

    /// Waits until everything is written, at most two seconds.
    pub fn flush(&self) {
        let is_busy = |state: &mut State| !state.waiting.is_empty() || state.writing;
        // What could not be written in that time will not be.
        drop(self.0.lines_went.wait_timeout_while(self.0.lock(), FLUSH_PATIENCE, is_busy));
    }
}

impl Write for LogBuffer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.waiting.len() >= LIMIT && !state.stuck {
            let is_full = |state: &mut State| state.waiting.len() >= LIMIT;
            let waited = self.0.lines_went.wait_timeout_while(state, ROOM_PATIENCE, is_full);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.waiting.len() >= LIMIT {
            state.stuck = true;
            state.dropped += 1;
            self.0.dropped.inc();
            return Ok(line.len());
        }
        if state.waiting.is_empty() {
            self.0.lines_came.notify_one();
        }
        state.waiting.extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    /// A panic while a line was copied leaves the buffer whole: the lock's poison means nothing here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there are lines, or the output is to be opened again.
    fn wait_for_work(&self) {
        let is_idle =
            |state: &mut State| state.waiting.is_empty() && !self.reopen.load(Ordering::Relaxed);
        let mut state = self.lock();
        while is_idle(&mut state) {
            let waited = self.lines_came.wait_timeout(state, GLANCE);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn write_to(&self, mut output: impl Output, face: Face) {
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
            // There is room again; what is written meanwhile may take long.
            self.lines_went.notify_all();

            if self.reopen.swap(false, Ordering::Relaxed) {
                output.reopen();
            }
            let bytes = lines.len();
            let told = if lost > 0 {
                let values = b!("bytes" => lost, "cause" => &cause);
                output.write_lines(&note(face, Level::Error, "log could not be written", values))
            } else {
                Ok(())
            };
            let written = told.map_err(|told| Unwritten { bytes, ..told }).and_then(|()| {
                lost = 0;
                if dropped > 0 {
                    let message = "lines of log were dropped: the output did not keep up";
                    lines.extend(note(face, Level::Warning, message, b!("lines" => dropped)));
                }
                output.write_lines(&lines).map_err(|unwritten| {
                    // The note is no loss: it comes again.
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

    /// Takes nothing until it is told to.
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
    fn an_output_that_is_stuck_holds_nobody_up_and_the_loss_is_told() {
        let ((release, stuck), (writes, written)) = (mpsc::channel(), mpsc::channel());
        let output = Stream::new(Stuck(stuck, writes));
        let mut spool = LogBuffer::start(output, Face::Human).expect("a thread");
        let line = vec![b'x'; 1024 * 1024];
        // Eight may be with the writer, eight more wait; the rest is dropped.
        for _ in 0..40 {
            spool.write_all(&line).expect("taken");
        }
        drop(release);
        LogBuffer::flush(&spool);
        let all = written.try_iter().collect::<String>();
        let told = format!("did not keep up, lines: {}\n", spool.dropped().get());
        assert!(all.ends_with(&told) && spool.dropped().get() > 0, "the loss is not told");
        assert!(all.len() < 17 * 1024 * 1024 + 200, "{}", all.len());
    }

    /// Sends each write somewhere else, after failing as often as asked.
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

    fn spool(failures: usize) -> (LogBuffer, mpsc::Receiver<String>) {
        let (writes, written) = mpsc::channel();
        let output = Stream::new(Flaky { failures, writes });
        (LogBuffer::start(output, Face::Human).expect("a thread"), written)
    }

    #[test]
    fn after_a_flush_every_line_is_written_in_order() {
        let (mut spool, written) = spool(0);
        let lines: Vec<String> = (0..1000).map(|n| format!("line {n}\n")).collect();
        for line in &lines {
            spool.write_all(line.as_bytes()).expect("taken");
        }
        LogBuffer::flush(&spool);
        assert_eq!(written.try_iter().collect::<String>(), lines.concat());
    }

    #[test]
    fn lines_that_could_not_be_written_are_told_of() {
        let (mut spool, written) = spool(2);
        for line in [b"los", b"t \n"] {
            spool.write_all(line).expect("taken");
            LogBuffer::flush(&spool);
        }
        spool.write_all(b"kept\n").expect("taken");
        LogBuffer::flush(&spool);
        let text = written.try_iter().collect::<String>();
        let told = "ERRO log could not be written, bytes: 6, cause: disk full\nkept\n";
        assert_eq!(&text["Nov 25 03:50:11.917 ".len()..], told);
        // Of the two writes that failed, one had the end of a line.
        assert_eq!(spool.dropped().get(), 1);
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
        let mut spool = LogBuffer::start(output, Face::Human).expect("a thread");
        for line in [b"first\nsecond\n".as_slice(), b"third\n"] {
            spool.write_all(line).expect("taken");
            LogBuffer::flush(&spool);
        }
        let text = written.try_iter().collect::<String>();
        assert!(text.starts_with("first\nsec\n") && text.ends_with("\nthird\n"), "{text}");
        assert!(text.contains("bytes: 4, cause: disk full\n"), "{text}");
        assert_eq!(text.lines().count(), 4);
    }

    /// Notes that it was opened again.
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
        let mut spool = LogBuffer::start(Reopened(writes), Face::Human).expect("a thread");
        spool.reopen().store(true, Ordering::Relaxed);
        let first = written.recv_timeout(Duration::from_secs(20)).expect("it is opened again");
        spool.write_all(b"line\n").expect("taken");
        LogBuffer::flush(&spool);
        let rest = written.try_iter().filter(|write| !write.is_empty()).collect::<String>();
        assert_eq!((&*first, &*rest), ("reopened\n", "line\n"));
    }
}

//! A record as a line: `Nov 25 03:50:11.917 INFO switch, source: api 127.0.0.1, sub_account: alice`.
//!
//! Each switch is a line, so this is the larger part of what a switch costs the daemon. Nothing is
//! allocated for one: the texts it is made of are kept by each thread for its next one.

use std::{cell::Cell, fmt, fmt::Write, io, str, time::SystemTime};

use slog::{Drain, KV, Key, Never, OwnedKVList, Record, Serializer};

/// Makes lines of records and hands them to an output that takes a line at a time.
pub struct Lines<W>(W);

impl<W: Clone + io::Write> Lines<W> {
    /// Clones of `output` are written to by many threads at a time.
    pub fn new(output: W) -> Self {
        Self(output)
    }
}

impl<W: Clone + io::Write> Drain for Lines<W> {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        // Taken for the time being: what is logged while a value is formatted finds another one.
        let mut draft = DRAFT.try_with(Cell::take).unwrap_or_default();
        draft.fill(record, values);
        // Where the log itself cannot be written there is nobody to tell.
        let _ = self.0.clone().write_all(draft.line.as_bytes());
        let _ = DRAFT.try_with(|kept| kept.set(draft));
        Ok(())
    }
}

thread_local! {
    static DRAFT: Cell<Draft> = Cell::default();
}

/// A line that is being made.
#[derive(Default)]
struct Draft {
    line: String,
    clock: Clock,
    /// The pairs in slog's order, the last one first, and where each begins.
    pairs: String,
    begins: Vec<usize>,
}

impl Draft {
    fn fill(&mut self, record: &Record<'_>, values: &OwnedKVList) {
        let Self { line, clock, pairs, begins } = self;
        line.clear();
        pairs.clear();
        begins.clear();
        line.push_str(clock.text());
        line.push(' ');
        line.push_str(record.level().as_short_str());
        line.push(' ');
        let message = line.len();
        // A text takes all that is written to it.
        let _ = line.write_fmt(*record.msg());
        let mut taken = Pairs { pairs, begins };
        let _ = record.kv().serialize(record, &mut taken);
        let _ = values.serialize(record, &mut taken);
        let mut end = pairs.len();
        for &begin in begins.iter().rev() {
            if line.len() > message {
                line.push_str(", ");
            }
            line.push_str(&pairs[begin..end]);
            end = begin;
        }
        line.push('\n');
    }
}

struct Pairs<'a> {
    pairs: &'a mut String,
    begins: &'a mut Vec<usize>,
}

impl Pairs<'_> {
    fn begin(&mut self, key: &str) {
        self.begins.push(self.pairs.len());
        self.pairs.push_str(key);
        self.pairs.push_str(": ");
    }
}

impl Serializer for Pairs<'_> {
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        self.begin(key);
        // What a value says before it fails stays.
        let _ = self.pairs.write_fmt(*value);
        Ok(())
    }

    fn emit_str(&mut self, key: Key, value: &str) -> slog::Result {
        self.begin(key);
        self.pairs.push_str(value);
        Ok(())
    }
}

/// The local time, as text that is made once a millisecond.
#[derive(Default)]
struct Clock {
    millis: u128,
    text: Vec<u8>,
}

impl Clock {
    fn text(&mut self) -> &str {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.text.is_empty() || self.millis != now.as_millis() {
            self.millis = now.as_millis();
            self.text.clear();
            let _ = slog_term::timestamp_local(&mut self.text);
        }
        str::from_utf8(&self.text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use slog::{Logger, info, o};

    use super::*;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("whole").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What was logged, each line without its time.
    fn logged(log: impl FnOnce(&Logger)) -> Vec<String> {
        let output = Output::default();
        log(&Logger::root(Lines::new(output.clone()).fuse(), o!("a" => 1, "b" => "x")));
        let text = String::from_utf8(output.0.lock().expect("whole").clone()).expect("text");
        text.lines().map(|line| line["Nov 25 03:50:11.917 ".len()..].to_owned()).collect()
    }

    #[test]
    fn pairs_come_in_the_order_in_which_they_were_written() {
        let lines = logged(|log| {
            info!(log, "one {}", 1; "c" => %2, "d" => 3.5);
            info!(log, "two");
            info!(log.new(o!("c" => ())), ""; "d" => true);
        });
        let expected = [
            "INFO one 1, a: 1, b: x, c: 2, d: 3.5",
            "INFO two, a: 1, b: x",
            "INFO a: 1, b: x, c: (), d: true",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_value_that_logs_makes_a_line_of_its_own() {
        struct Talkative<'a>(&'a Logger);
        impl fmt::Display for Talkative<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                info!(self.0, "inner");
                f.write_str("said")
            }
        }
        let lines = logged(|log| info!(log, "outer"; "c" => %Talkative(log)));
        assert_eq!(lines, ["INFO inner, a: 1, b: x", "INFO outer, a: 1, b: x, c: said"]);
    }

    #[test]
    fn the_time_goes_on() {
        let mut clock = Clock::default();
        let before = clock.text().to_owned();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert_ne!(clock.text(), before);
        assert_eq!(clock.text().len(), "Nov 25 03:50:11.917".len());
    }
}

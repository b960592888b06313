//! A record as a line, in one of the [formats](super::format).
//!
//! Each switch is a line, and formatting it is the larger part of a switch's CPU time. So each thread reuses its
//! buffers: a line allocates nothing.

use std::{cell::Cell, fmt, io};

use slog::{BorrowedKV, Drain, KV, Key, Level, Never, OwnedKVList, Record, Serializer, o};

use super::format::{Clock, LogFormat};

/// A drain that formats records and writes each line at once.
pub struct Lines<W> {
    output: W,
    format: LogFormat,
}

impl<W: Clone + io::Write> Lines<W> {
    /// Several threads write to clones of `output` at the same time.
    pub fn new(output: W, format: LogFormat) -> Self {
        Self { output, format }
    }
}

impl<W: Clone + io::Write> Drain for Lines<W> {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        // Taken out meanwhile: a record that is logged while a value is formatted gets another draft.
        let mut draft = DRAFT.try_with(Cell::take).unwrap_or_default();
        draft.fill(self.format, record, values);
        // An error of the log has no place to be reported.
        let _ = self.output.clone().write_all(draft.line.as_bytes());
        let _ = DRAFT.try_with(|kept| kept.set(draft));
        Ok(())
    }
}

/// A line about the log itself.
pub(super) fn note(
    format: LogFormat,
    level: Level,
    message: &str,
    values: BorrowedKV<'_>,
) -> Vec<u8> {
    let location = slog::RecordLocation {
        file: file!(),
        line: line!(),
        column: column!(),
        function: "",
        module: module_path!(),
    };
    let place = slog::RecordStatic { location: &location, level, tag: "" };
    let mut draft = Draft::default();
    draft.fill(format, &Record::new(&place, &format_args!("{message}"), values), &o!().into());
    draft.line.into_bytes()
}

thread_local! {
    static DRAFT: Cell<Draft> = Cell::default();
}

/// A line in progress.
#[derive(Default)]
struct Draft {
    line: String,
    clock: Clock,
    /// Fields in slog's order, the last one first, and their positions.
    fields: String,
    begins: Vec<usize>,
}

impl Draft {
    fn fill(&mut self, format: LogFormat, record: &Record<'_>, values: &OwnedKVList) {
        let Self { line, clock, fields, begins } = self;
        line.clear();
        fields.clear();
        begins.clear();
        // A record that came through `log` has the library's module as its tag.
        let module = if record.tag().is_empty() { record.module() } else { record.tag() };
        let time = clock.text(format);
        let head = format.begin(line, time, record.level(), module, *record.msg());
        let mut taken = FieldCollector { format, fields, begins };
        let _ = record.kv().serialize(record, &mut taken);
        let _ = values.serialize(record, &mut taken);
        let mut end = fields.len();
        for &begin in begins.iter().rev() {
            if line.len() > head {
                line.push_str(format.separator());
            }
            line.push_str(&fields[begin..end]);
            end = begin;
        }
        line.push_str(format.end());
    }
}

struct FieldCollector<'a> {
    format: LogFormat,
    fields: &'a mut String,
    begins: &'a mut Vec<usize>,
}

impl FieldCollector<'_> {
    fn begin(&mut self) -> (LogFormat, &mut String) {
        self.begins.push(self.fields.len());
        (self.format, self.fields)
    }
}

macro_rules! bare {
    ($($name:ident: $kind:ty),*) => {
        $(fn $name(&mut self, key: Key, value: $kind) -> slog::Result {
            let (format, fields) = self.begin();
            format.bare_field(fields, key, value);
            Ok(())
        })*
    };
}

impl Serializer for FieldCollector<'_> {
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        let (format, fields) = self.begin();
        format.field(fields, key, *value);
        Ok(())
    }

    fn emit_str(&mut self, key: Key, value: &str) -> slog::Result {
        let (format, fields) = self.begin();
        format.text_field(fields, key, value);
        Ok(())
    }

    bare!(emit_bool: bool, emit_u8: u8, emit_u16: u16, emit_u32: u32, emit_u64: u64,
        emit_usize: usize, emit_i8: i8, emit_i16: i16, emit_i32: i32, emit_i64: i64,
        emit_isize: isize);

    fn emit_f64(&mut self, key: Key, value: f64) -> slog::Result {
        let (format, fields) = self.begin();
        if value.is_finite() {
            format.bare_field(fields, key, value);
        } else {
            format.field(fields, key, format_args!("{value}"));
        }
        Ok(())
    }

    fn emit_unit(&mut self, key: Key) -> slog::Result {
        let (format, fields) = self.begin();
        format.null_field(fields, key, "()");
        Ok(())
    }

    fn emit_none(&mut self, key: Key) -> slog::Result {
        let (format, fields) = self.begin();
        format.null_field(fields, key, "");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use proptest::prelude::*;
    use serde_json::{Value, json};
    use slog::{Logger, info, warn};
    use switcher_actors::is_invisible;

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

    fn written(format: LogFormat, log: impl FnOnce(&Logger)) -> Vec<String> {
        let output = Output::default();
        log(&Logger::root(Lines::new(output.clone(), format).fuse(), o!("a" => 1, "b" => "x")));
        let text = String::from_utf8(output.0.lock().expect("whole").clone()).expect("text");
        assert!(text.ends_with('\n'), "{text}");
        text.trim_end_matches('\n').split('\n').map(str::to_owned).collect()
    }

    /// Lines for people, without their times.
    fn logged(log: impl FnOnce(&Logger)) -> Vec<String> {
        let lines = written(LogFormat::Human, log);
        lines.iter().map(|line| line["Nov 25 03:50:11.917 ".len()..].to_owned()).collect()
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
    fn json_has_numbers_as_numbers_and_nothing_as_null() {
        let lines = written(LogFormat::Json, |log| {
            warn!(log.new(o!("c" => ())), "one {}", 1; "d" => %2, "e" => -3.5, "f" => true,
                "g" => u64::MAX, "h" => f64::NAN, "i" => None::<u8>, "j" => Some("y"));
        });
        let [line] = &lines[..] else { panic!("{lines:?}") };
        let (head, fields) = line.split_at(r#"{"ts":"2026-11-25T03:50:11.917Z","#.len());
        assert!(head.starts_with(r#"{"ts":"2"#) && head.ends_with(r#"Z","#), "{line}");
        assert_eq!(
            fields,
            concat!(
                r#""level":"warn","module":"switcher_api_server::logging::line::tests","#,
                r#""msg":"one 1","a":1,"b":"x","c":null,"d":"2","e":-3.5,"f":true,"#,
                r#""g":18446744073709551615,"h":"NaN","i":null,"j":"y"}"#
            )
        );
    }

    #[test]
    fn a_line_about_the_log_itself_is_like_others() {
        let line = note(LogFormat::Json, Level::Warning, "lost", slog::b!("lines" => 7));
        let line: Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!(
            (&line["msg"], &line["lines"], &line["level"]),
            (&json!("lost"), &json!(7), &json!("warn"))
        );
        let line =
            String::from_utf8(note(LogFormat::Human, Level::Info, "back", slog::b!())).unwrap();
        assert_eq!(&line["Nov 25 03:50:11.917 ".len()..], "INFO back\n");
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
    fn line_ends_and_cursor_movements_are_escaped() {
        let lines = logged(|log| info!(log, "a\nb"; "c" => "\u{1b}[2J\u{202e}", "d" => "\"é\\"));
        assert_eq!(lines, [r#"INFO a\nb, a: 1, b: x, c: \u{1b}[2J\u{202e}, d: "é\"#]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Any text stays within one line, JSON returns the same text, and both formats have the same fields.
        #[test]
        fn no_text_is_more_than_a_text(
            message in "(?s).{0,20}",
            text in "(?s)[\\x00-\\x1f\"\\\\,:{}\u{7f}-\u{a0}\u{2020}-\u{2070}\u{1f600}\u{fe0f}\u{3164}\u{e0041}a-z]{0,20}",
            number: i64,
        ) {
            let log = |log: &Logger| {
                info!(log, "{}", message; "text" => &text, "shown" => %text, "number" => number);
            };
            let (json, human) = (written(LogFormat::Json, log), logged(log));
            prop_assert_eq!((json.len(), human.len()), (1, 1));
            let line: serde_json::Map<String, Value> = serde_json::from_str(&json[0]).expect(&json[0]);
            let keys: Vec<_> = line.keys().map(String::as_str).collect();
            prop_assert_eq!(line.len(), 9, "{:?}", keys);
            prop_assert_eq!(&line["msg"], &json!(message));
            prop_assert_eq!((&line["text"], &line["shown"]), (&json!(text), &json!(text)));
            prop_assert_eq!(&line["number"], &json!(number));
            for key in ["a", "b", "text", "shown", "number"] {
                let field = format!(", {key}: ");
                prop_assert!(human[0].contains(&field) || message.is_empty(), "{}", human[0]);
            }
            prop_assert!(!json[0].contains(is_invisible) && !human[0].contains(is_invisible));
        }
    }
}

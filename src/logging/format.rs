//! The two formats of a line: for people, and as a JSON object. Both have the same fields in the same order. No text
//! can end a line or move a terminal's cursor.
//!
//! ```text
//! Nov 25 03:50:11.917 INFO switch, source: poll, sub_account: alice
//! {"ts":"2026-11-25T03:50:11.917Z","level":"info","module":"switcher_actors::zk_writer::journal","msg":"switch","source":"poll","sub_account":"alice"}
//! ```

use std::{
    fmt::{self, Write},
    mem,
    time::SystemTime,
};

use slog::Level;
use switcher_actors::{is_invisible, push_escaped, push_json_escape};
use time::OffsetDateTime;

/// Format of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Human,
    /// Keys `ts`, `level`, `module` and `msg` are reserved: no record has them.
    Json,
}

impl LogFormat {
    /// Begins a line. Returns the position at which the first field needs no separator.
    pub(super) fn begin(
        self,
        line: &mut String,
        time: &str,
        level: Level,
        module: &str,
        message: fmt::Arguments<'_>,
    ) -> usize {
        // Writing to a String cannot fail, here and below.
        match self {
            Self::Human => {
                let _ = write!(line, "{time} {} ", level.as_short_str());
                let begin = line.len();
                self.push_arguments(line, message);
                begin
            }
            Self::Json => {
                line.push_str(r#"{"ts":""#);
                line.push_str(time);
                line.push_str(r#"","level":""#);
                line.push_str(word(level));
                line.push_str(r#"","module":""#);
                self.push(line, module);
                line.push_str(r#"","msg":""#);
                self.push_arguments(line, message);
                line.push('"');
                0
            }
        }
    }

    pub(super) fn separator(self) -> &'static str {
        match self {
            Self::Human => ", ",
            Self::Json => ",",
        }
    }

    pub(super) fn end(self) -> &'static str {
        match self {
            Self::Human => "\n",
            Self::Json => "}\n",
        }
    }

    /// Appends a text field.
    pub(super) fn field(self, text: &mut String, key: &'static str, value: fmt::Arguments<'_>) {
        self.key(text, key);
        self.quote(text);
        self.push_arguments(text, value);
        self.quote(text);
    }

    pub(super) fn text_field(self, text: &mut String, key: &'static str, value: &str) {
        self.key(text, key);
        self.quote(text);
        self.push(text, value);
        self.quote(text);
    }

    /// Appends a number, `true` or `false`.
    pub(super) fn bare_field(self, text: &mut String, key: &'static str, value: impl fmt::Display) {
        self.key(text, key);
        let _ = write!(text, "{value}");
    }

    /// Appends `null` in JSON, `human` otherwise.
    pub(super) fn null_field(self, text: &mut String, key: &'static str, human: &str) {
        let word = if self == Self::Json { "null" } else { human };
        self.bare_field(text, key, word);
    }

    /// Keys are names in the code, so they need no escapes.
    fn key(self, text: &mut String, key: &'static str) {
        self.quote(text);
        text.push_str(key);
        text.push_str(if self == Self::Json { "\":" } else { ": " });
    }

    fn quote(self, text: &mut String) {
        if self == Self::Json {
            text.push('"');
        }
    }

    /// Appends a formatted text, escaped.
    fn push_arguments(self, text: &mut String, more: fmt::Arguments<'_>) {
        if let Some(more) = more.as_str() {
            return self.push(text, more);
        }
        let begin = text.len();
        // The text before a formatting error stays.
        let _ = text.write_fmt(more);
        if !is_plain(&text[begin..]) {
            let more = text.split_off(begin);
            self.push(text, &more);
        }
    }

    /// Appends a text, escaped.
    fn push(self, text: &mut String, more: &str) {
        if is_plain(more) {
            return text.push_str(more);
        }
        push_escaped(
            text,
            more,
            |c| self.escapes(c),
            |text, c| match self {
                Self::Human => text.extend(c.escape_default()),
                Self::Json => push_json(text, c),
            },
        );
    }

    fn escapes(self, c: char) -> bool {
        is_invisible(c) || (self == Self::Json && matches!(c, '"' | '\\'))
    }

    /// Local time for people, UTC in JSON.
    fn write_time(self, time: SystemTime, text: &mut Vec<u8>) {
        match self {
            Self::Human => {
                // Reads the clock itself.
                let _ = slog_term::timestamp_local(text);
            }
            Self::Json => {
                let time = OffsetDateTime::from(time);
                let _ = write_rfc_3339(text, time);
            }
        }
    }
}

/// Whether no format escapes any byte of the text. No early exit: without branches the compiler compares many bytes at
/// once.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |is_plain, byte| {
        is_plain & matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\')
    })
}

fn push_json(text: &mut String, c: char) {
    match c {
        '"' => text.push_str("\\\""),
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        c => push_json_escape(text, c),
    }
}

/// RFC 3339 with milliseconds, so that texts sort like times.
pub fn write_rfc_3339(text: &mut Vec<u8>, time: OffsetDateTime) -> std::io::Result<()> {
    use std::io::Write;
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second, milli) = time.to_hms_milli();
    let month = u8::from(month);
    write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Critical => "critical",
        Level::Error => "error",
        Level::Warning => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Text of the time, made once a millisecond.
#[derive(Default)]
pub(super) struct Clock {
    format: LogFormat,
    millis: u128,
    text: String,
}

impl Clock {
    pub(super) fn text(&mut self, format: LogFormat) -> &str {
        let now = SystemTime::now();
        let millis = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        if self.text.is_empty() || (self.millis, self.format) != (millis, format) {
            (self.millis, self.format) = (millis, format);
            let mut text = mem::take(&mut self.text).into_bytes();
            text.clear();
            format.write_time(now, &mut text);
            self.text = String::from_utf8(text).unwrap_or_default();
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_text_of_the_time_is_renewed() {
        for (format, like) in [
            (LogFormat::Human, "Nov 25 03:50:11.917"),
            (LogFormat::Json, "2026-11-25T03:50:11.917Z"),
        ] {
            let mut clock = Clock::default();
            let before = clock.text(format).to_owned();
            std::thread::sleep(Duration::from_millis(2));
            assert_ne!(clock.text(format), before);
            assert_eq!(clock.text(format).len(), like.len());
        }
    }

    #[test]
    fn json_has_utc_to_the_millisecond() {
        let time = |nanos| {
            let mut text = Vec::new();
            LogFormat::Json
                .write_time(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos), &mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(1_709_210_096_780_999_999), "2024-02-29T12:34:56.780Z");
    }
}

//! How a log line looks: its length, its fields, and how misleading characters are escaped. Does not know where it goes.

use std::fmt::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use tracing::Level;
use tracing::field::{Field, Visit};

use crate::cli::escapes;
use crate::cli::time_words::END_OF_CALENDAR;
use crate::clock::UnixTime;
use crate::config::LogFormat;
use crate::json::{is_plain_ascii, ten_digits};

/// The longest line, with its end: what a pipe writes without mixing it with others (`PIPE_BUF`, pipe(7)).
pub(super) const MAX_LINE_BYTES: usize = 4096;
/// The longest value of a field. A line has room for the five texts of a delivery, which others choose.
const MAX_VALUE_BYTES: usize = 700;
/// The room for fields. The rest of a line is for the quotes and marks at its end.
const MAX_FIELDS_BYTES: usize = MAX_LINE_BYTES - 24;
/// A field is left out if there is less room than this in addition to its name. A number always fits.
const MIN_FIELD_BYTES: usize = 64;
/// The end of a value that was too long.
const CUT: char = '…';
/// Characters of the longest name of a level.
const MAX_LEVEL_CHARS: usize = 5;
/// The field that is the line's text.
const MESSAGE: &str = "message";
const USUAL_BYTES: usize = 256;

/// A line that is being written. It is used again for the next one.
#[derive(Debug)]
pub(super) struct Line {
    text: String,
    format: LogFormat,
    is_short: bool,
    /// The second that `text` begins with, and where it ends there. Most lines come within the same second as the one before.
    second: Option<u64>,
    second_end: usize,
}

impl Line {
    pub(super) fn new(format: LogFormat) -> Self {
        Self { text: String::with_capacity(USUAL_BYTES), format, is_short: false, second: None, second_end: 0 }
    }

    /// Begins a line of `level` at `now`.
    pub(super) fn begin(&mut self, level: Level, now: UnixTime) {
        self.is_short = false;
        let second = now.as_secs().min(END_OF_CALENDAR);
        if self.second != Some(second) {
            self.text.clear();
            self.begin_second(second);
            (self.second, self.second_end) = (Some(second), self.text.len());
        }
        self.text.truncate(self.second_end);
        let micros = u64::from(now.subsec_nanos() / 1000);
        let digits = ten_digits(micros.saturating_add(1_000_000_000)).unwrap_or_default();
        self.text.push_str(digits.get(4..).and_then(|six| str::from_utf8(six).ok()).unwrap_or_default());
        self.text.push_str(match self.format {
            LogFormat::Text if level.as_str().len() < MAX_LEVEL_CHARS => "Z  ",
            LogFormat::Text => "Z ",
            LogFormat::Json => r#"Z","level":""#,
        });
        self.text.push_str(level.as_str());
        if self.format == LogFormat::Json {
            self.text.push('"');
        }
    }

    fn begin_second(&mut self, second: u64) {
        if self.format == LogFormat::Json {
            self.text.push_str(r#"{"timestamp":""#);
        }
        let time = UNIX_EPOCH.checked_add(Duration::from_secs(second)).unwrap_or(UNIX_EPOCH);
        let _ = write!(self.text, "{}", humantime::format_rfc3339_seconds(time));
        self.text.pop(); // the Z, which comes after the fraction
        self.text.push('.');
    }

    /// The line, with its line end.
    pub(super) fn end(&mut self) -> &str {
        self.text.push_str(match (self.format, self.is_short) {
            (LogFormat::Text, false) => "\n",
            (LogFormat::Text, true) => " …\n",
            (LogFormat::Json, false) => "}\n",
            (LogFormat::Json, true) => ",\"cut\":true}\n",
        });
        &self.text
    }

    pub(super) fn plain(&mut self, name: &str, value: impl fmt::Display) {
        self.field(name, Escape::Bare, |text| write!(text, "{value}"));
    }

    /// Adds a text, in quotes if `is_quoted` or in JSON.
    pub(super) fn text(&mut self, name: &str, is_quoted: bool, value: &str) {
        self.field(name, self.escape(is_quoted), |text| text.write_str(value));
    }

    fn escape(&self, is_quoted: bool) -> Escape {
        match self.format {
            LogFormat::Json => Escape::Json,
            LogFormat::Text if is_quoted => Escape::Quoted,
            LogFormat::Text => Escape::Bare,
        }
    }

    /// Adds a field, whose value `write` writes. Text lines do not show the name of the message.
    #[inline]
    fn field(&mut self, name: &str, escape: Escape, write: impl FnOnce(&mut FieldValue<'_>) -> fmt::Result) {
        if self.text.len().saturating_add(name.len()).saturating_add(MIN_FIELD_BYTES) > MAX_FIELDS_BYTES {
            self.is_short = true;
            return;
        }
        match self.format {
            LogFormat::Text => {
                self.text.push(' ');
                if name != MESSAGE {
                    self.text.push_str(name);
                    self.text.push('=');
                }
            }
            LogFormat::Json => {
                self.text.push_str(",\"");
                self.text.push_str(name);
                self.text.push_str("\":");
            }
        }
        let is_quoted = escape != Escape::Bare;
        if is_quoted {
            self.text.push('"');
        }
        let end = self.text.len().saturating_add(MAX_VALUE_BYTES).min(MAX_FIELDS_BYTES);
        append(&mut self.text, end, escape, write);
        if is_quoted {
            self.text.push('"');
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), true, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field.name(), self.escape(false), |text| write!(text, "{value:?}"));
    }
}

pub(super) fn message(words: impl fmt::Display) -> String {
    let mut text = "roomkey: ".to_owned();
    append(&mut text, MAX_FIELDS_BYTES, Escape::Bare, |text| write!(text, "{words}"));
    text + "\n"
}

/// Appends the value that `write` writes. Cuts it if `text` becomes longer than `end`.
fn append(text: &mut String, end: usize, escape: Escape, write: impl FnOnce(&mut FieldValue<'_>) -> fmt::Result) {
    let mut value = FieldValue { text, end, escape };
    if write(&mut value).is_err() {
        value.text.push(CUT);
    }
}

/// What is escaped in addition to hidden characters, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    /// Nothing.
    Bare,
    /// Quotes and backslashes, as Rust does.
    Quoted,
    /// Quotes and backslashes, as JSON does.
    Json,
}

/// The value at the end of `text`. Writing fails once it is too long, so that no longer text is made.
struct FieldValue<'a> {
    text: &'a mut String,
    end: usize,
    escape: Escape,
}

impl FieldValue<'_> {
    /// Bytes that still fit.
    fn room(&self) -> usize {
        self.end.saturating_sub(self.text.len())
    }

    fn push(&mut self, character: char) -> fmt::Result {
        let before = self.text.len();
        match (character, self.escape) {
            ('"' | '\\', Escape::Quoted | Escape::Json) => self.text.extend(['\\', character]),
            (character, Escape::Json) if escapes::is_hidden(character) => escapes::push_json_escaped(self.text, character),
            (character, _) if escapes::is_hidden(character) => escapes::push_escaped(self.text, character),
            (character, _) => self.text.push(character),
        }
        if self.text.len() <= self.end {
            return Ok(());
        }
        self.text.truncate(before);
        Err(fmt::Error)
    }
}

impl Write for FieldValue<'_> {
    fn write_str(&mut self, mut rest: &str) -> fmt::Result {
        // Most values are entirely plain and copied in one step.
        if rest.len() <= self.room() && is_plain_ascii(rest.as_bytes()) {
            self.text.push_str(rest);
            return Ok(());
        }
        loop {
            let room = self.room();
            let (plain, after) = rest.split_at(rest.bytes().position(|byte| !is_plain_ascii(&[byte])).unwrap_or(rest.len()));
            self.text.push_str(plain.get(..room).unwrap_or(plain));
            if plain.len() > room {
                return Err(fmt::Error);
            }
            let mut characters = after.chars();
            let Some(character) = characters.next() else { return Ok(()) };
            self.push(character)?;
            rest = characters.as_str();
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_millis(1_795_317_315_042);
    const TEXT: &str = "a\"\\\r\n\u{1b}\u{85}\u{9b}\u{61c}\u{200f}\u{2028}\u{202e}\u{2069}ü";

    fn line(format: LogFormat, fields: impl FnOnce(&mut Line)) -> String {
        let mut line = Line::new(format);
        line.begin(Level::INFO, NOW);
        fields(&mut line);
        line.end().to_owned()
    }

    #[test]
    fn a_line_in_both_forms() {
        let fields = |line: &mut Line| {
            line.text("message", false, "delivery");
            line.text("request", false, "0a");
            line.text("room", true, TEXT);
            line.plain("bytes", 7);
        };
        let escaped = r#"a\"\\\r\n\u{1b}\u{85}\u{9b}\u{61c}\u{200f}\u{2028}\u{202e}\u{2069}ü"#;
        let text = format!("2026-11-22T03:15:15.042000Z  INFO delivery request=0a room=\"{escaped}\" bytes=7\n");
        assert_eq!(line(LogFormat::Text, fields), text);
        let json: serde_json::Value = serde_json::from_str(&line(LogFormat::Json, fields)).unwrap();
        let expected = serde_json::json!({
            "timestamp": "2026-11-22T03:15:15.042000Z", "level": "INFO", "message": "delivery", "request": "0a", "room": TEXT, "bytes": 7,
        });
        assert_eq!(json, expected);
        let bare = line(LogFormat::Text, |line| line.text("message", false, TEXT));
        assert_eq!(bare.matches(escapes::is_hidden).collect::<Vec<_>>(), ["\n"], "{bare:?}");
    }

    #[test]
    fn a_line_that_is_used_again_keeps_nothing_but_its_second() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let mut again = Line::new(format);
            let times = [(0, 1), (0, 999_999), (0, 999_999), (1, 0), (0, 10), (u64::MAX, 7)];
            for ((seconds, micros), level) in times.into_iter().zip([Level::INFO, Level::ERROR, Level::WARN].into_iter().cycle())
            {
                let now = UnixTime::from_secs(seconds).saturating_add(Duration::from_micros(micros));
                let mut new = Line::new(format);
                for line in [&mut again, &mut new] {
                    line.begin(level, now);
                    line.text("message", false, &"x".repeat(usize::try_from(micros).unwrap()));
                }
                assert_eq!(again.end(), new.end());
                let time = humantime::format_rfc3339_micros(
                    UNIX_EPOCH + Duration::new(seconds.min(END_OF_CALENDAR), 0) + Duration::from_micros(micros),
                );
                assert!(new.end().contains(&time.to_string()), "{time}");
            }
        }
    }

    #[test]
    fn no_line_is_too_long_and_each_stays_what_it_is() {
        for letter in ["x", "ü", "\u{202e}", "\\", "\"", "\n", "\u{e0041}", "😀"] {
            for (format, count) in
                [LogFormat::Text, LogFormat::Json].into_iter().flat_map(|format| [(format, 1), (format, 5), (format, 12)])
            {
                let line = line(format, |line| {
                    line.text("message", false, &letter.repeat(3));
                    for field in 0..count {
                        line.text(&format!("field{field}"), true, &letter.repeat(100_000));
                    }
                    line.plain("last", u64::MAX);
                });
                assert!(line.len() <= MAX_LINE_BYTES && line.ends_with('\n'), "{} bytes", line.len());
                assert_eq!(line.matches(escapes::is_hidden).count(), 1, "{line:?}");
                assert!(line.matches(CUT).count() >= count.min(5), "{line}");
                assert!(line.contains("last") || count > 5, "{line}");
                if format == LogFormat::Json {
                    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
                    assert_eq!(json["cut"], if count > 5 { true.into() } else { serde_json::Value::Null });
                }
            }
        }
        assert_eq!(message("x".repeat(10_000)).len(), MAX_FIELDS_BYTES + CUT.len_utf8() + 1);
    }
}

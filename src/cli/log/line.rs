//! How a log line looks: its length, its fields, and how misleading characters are escaped. Does not know where it goes.

use std::fmt::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use tracing::Level;
use tracing::field::{Field, Visit};

use crate::cli::escapes;
use crate::cli::time_words::END_OF_CALENDAR;
use crate::clock::UnixTime;
use crate::config::LogFormat;

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
const USUAL_BYTES: usize = 256;

#[derive(Debug)]
pub(super) struct Line {
    text: String,
    format: LogFormat,
    is_short: bool,
}

impl Line {
    pub(super) fn new(format: LogFormat, level: Level, now: UnixTime) -> Self {
        let mut text = String::with_capacity(USUAL_BYTES);
        let since = Duration::new(now.as_secs().min(END_OF_CALENDAR), now.subsec_nanos());
        let time = humantime::format_rfc3339_micros(UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH));
        let _ = match format {
            LogFormat::Text => write!(text, "{time} {level:>5}"),
            LogFormat::Json => write!(text, r#"{{"timestamp":"{time}","level":"{level}""#),
        }; // writing to a string cannot fail
        Self { text, format, is_short: false }
    }

    /// The line, with its line end.
    pub(super) fn finish(mut self) -> String {
        self.text.push_str(match (self.format, self.is_short) {
            (LogFormat::Text, false) => "\n",
            (LogFormat::Text, true) => " …\n",
            (LogFormat::Json, false) => "}\n",
            (LogFormat::Json, true) => ",\"cut\":true}\n",
        });
        self.text
    }

    pub(super) fn plain(&mut self, name: &str, value: impl fmt::Display) {
        self.field(name, Escape::Bare, value);
    }

    /// Adds a text, in quotes if `is_quoted` or in JSON.
    pub(super) fn text(&mut self, name: &str, is_quoted: bool, value: impl fmt::Display) {
        let escape = match self.format {
            LogFormat::Json => Escape::Json,
            LogFormat::Text if is_quoted => Escape::Quoted,
            LogFormat::Text => Escape::Bare,
        };
        self.field(name, escape, value);
    }

    /// Text lines do not show the name of the message.
    fn field(&mut self, name: &str, escape: Escape, value: impl fmt::Display) {
        if self.text.len().saturating_add(name.len()).saturating_add(MIN_FIELD_BYTES) > MAX_FIELDS_BYTES {
            self.is_short = true;
            return;
        }
        let quote = if escape == Escape::Bare { "" } else { "\"" };
        self.text.extend(match self.format {
            LogFormat::Text if name == "message" => [" ", "", "", quote],
            LogFormat::Text => [" ", name, "=", quote],
            LogFormat::Json => [",\"", name, "\":", quote],
        });
        let end = self.text.len().saturating_add(MAX_VALUE_BYTES).min(MAX_FIELDS_BYTES);
        append(&mut self.text, end, escape, value);
        self.text.push_str(quote);
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
        self.text(field.name(), false, format_args!("{value:?}"));
    }
}

pub(super) fn message(words: impl fmt::Display) -> String {
    let mut text = "roomkey: ".to_owned();
    append(&mut text, MAX_FIELDS_BYTES, Escape::Bare, words);
    text + "\n"
}

/// Appends `value`. Cuts it if `text` becomes longer than `end`.
fn append(text: &mut String, end: usize, escape: Escape, value: impl fmt::Display) {
    if write!(FieldValue { text, end, escape }, "{value}").is_err() {
        text.push(CUT);
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
        loop {
            // Most values are entirely plain and copied in one step.
            let is_plain = |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
            let (plain, after) = rest.split_at(rest.bytes().position(|byte| !is_plain(byte)).unwrap_or(rest.len()));
            let room = self.end.saturating_sub(self.text.len());
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
        let mut line = Line::new(format, Level::INFO, NOW);
        fields(&mut line);
        line.finish()
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
    fn no_line_is_too_long_and_each_stays_what_it_is() {
        for letter in ["x", "ü", "\u{202e}", "\\", "\"", "\n", "\u{e0041}", "😀"] {
            for (format, count) in
                [LogFormat::Text, LogFormat::Json].into_iter().flat_map(|format| [(format, 1), (format, 5), (format, 12)])
            {
                let line = line(format, |line| {
                    line.text("message", false, letter.repeat(3));
                    for field in 0..count {
                        line.text(&format!("field{field}"), true, letter.repeat(100_000));
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

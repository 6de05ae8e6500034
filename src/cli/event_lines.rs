//! Owns how an event of the inbox is shown on one line: in words, or as JSON. Whoever wrote it, it does nothing to a terminal.

use std::borrow::Cow;

use crate::cli::letters;
use crate::json::Members;
use crate::livekit::event::WebhookEvent;

/// For whom a line is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// For people: when it came, what it is, and its cursor.
    Words,
    /// For programs: all of it, as it came.
    Json,
}

impl Form {
    /// The line, without its end, of an `entry` of a page, which is valid JSON.
    pub(super) fn line(self, entry: &str) -> String {
        match self {
            Self::Words => in_words(entry),
            // Within strings there are no line ends, and elsewhere one blank is as good as another.
            Self::Json => letters::visible_json(&entry.replace(['\r', '\n'], " ")),
        }
    }
}

fn in_words(entry: &str) -> String {
    let entry = Members::parse(entry.as_bytes()).ok();
    let text = |name: &str| entry.as_ref().and_then(|entry| entry.text(name)).unwrap_or_default();
    let body = entry.as_ref().and_then(|entry| entry.value("event"));
    let event = body.and_then(|body| WebhookEvent::parse(body.get().as_bytes()).ok());
    let name = event.as_ref().map_or("", |event| &event.event);
    let room = event.as_ref().and_then(|event| event.room_name());
    let participant = event.as_ref().and_then(|event| event.participant.as_ref());
    let room = room.map(|room| format!(" room={room:?}")).unwrap_or_default();
    let participant = participant.map(|who| format!(" participant={:?}", who.identity)).unwrap_or_default();
    format!("{} {}{room}{participant} cursor={}", plain(&text("receivedAt")), plain(name), plain(&text("cursor")))
}

/// `text` as it is, where that is one word; else in quotes, and what could be anything but a letter escaped.
fn plain(text: &str) -> Cow<'_, str> {
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_word { text.into() } else { format!("{text:?}").into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_its_values_are_kept() {
        let entry = "{\"cursor\":\"1\",\r\n\"event\":{\"n\": 1.50E+3 ,\n\"s\":\"\u{9b}31m\u{7f}\\n\u{fc}\"}}";
        let line = "{\"cursor\":\"1\",  \"event\":{\"n\": 1.50E+3 , \"s\":\"\\u009b31m\\u007f\\n\u{fc}\"}}";
        assert_eq!(Form::Json.line(entry), line);
    }

    #[test]
    fn words_obey_nobody() {
        let entry = concat!(
            r#"{"cursor":"0001","receivedAt":"2026","event":{"event":"a b\u001b[31m","room":{"name":"\u001b]0;x\u0007 \u202e"},"#,
            r#""participant":{"identity":"al\rice\u009b"}}}"#
        );
        let line = r#"2026 "a b\u{1b}[31m" room="\u{1b}]0;x\u{7} \u{202e}" participant="al\rice\u{9b}" cursor=0001"#;
        assert_eq!(Form::Words.line(entry), line);
        assert_eq!(Form::Words.line(r#"{"cursor":"\n","event":"no JSON"}"#), r#""" "" cursor="\n""#);
    }
}

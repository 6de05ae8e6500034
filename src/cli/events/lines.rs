//! Shows an event of the inbox on one line, in words or as JSON, with everything escaped that a terminal would obey. Does not know
//! where events come from.

use crate::cli::escapes::{self, word};
use crate::json::Members;
use crate::livekit::event::WebhookEvent;

#[derive(Clone, Copy, Debug)]
pub(super) enum LineFormat {
    /// For people: when the event arrived, what it is, and its cursor.
    Words,
    /// For programs: the whole event, as it arrived.
    Json,
}

impl LineFormat {
    /// The line for an `entry` of a page, which is valid JSON, without a line end.
    pub(super) fn line(self, entry: &str) -> String {
        match self {
            Self::Words => in_words(entry),
            // There are no line ends within strings, and elsewhere they can be blanks.
            Self::Json => escapes::visible_json(&entry.replace(['\r', '\n'], " ")),
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
    let participant = participant.map(|participant| format!(" participant={:?}", participant.identity)).unwrap_or_default();
    format!("{} {}{room}{participant} cursor={}", word(&text("receivedAt")), word(name), word(&text("cursor")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_its_values_are_kept() {
        let entry = "{\"cursor\":\"1\",\r\n\"event\":{\"n\": 1.50E+3 ,\n\"s\":\"\u{9b}31m\u{7f}\\n\u{fc}\"}}";
        let line = "{\"cursor\":\"1\",  \"event\":{\"n\": 1.50E+3 , \"s\":\"\\u009b31m\\u007f\\n\u{fc}\"}}";
        assert_eq!(LineFormat::Json.line(entry), line);
    }

    #[test]
    fn words_are_quoted_and_escaped() {
        let entry = concat!(
            r#"{"cursor":"0001","receivedAt":"2026","event":{"event":"a b\u001b[31m","room":{"name":"\u001b]0;x\u0007 \u202e"},"#,
            r#""participant":{"identity":"al\rice\u009b"}}}"#
        );
        let line = r#"2026 "a b\u{1b}[31m" room="\u{1b}]0;x\u{7} \u{202e}" participant="al\rice\u{9b}" cursor=0001"#;
        assert_eq!(LineFormat::Words.line(entry), line);
        assert_eq!(LineFormat::Words.line(r#"{"cursor":"\n","event":"no JSON"}"#), r#""" "" cursor="\n""#);
    }
}

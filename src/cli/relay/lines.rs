//! Shows a target or an owed event on one line, with everything escaped that a terminal would obey. Does not know where it comes from.

use serde_json::value::RawValue;

use crate::cli::escapes::{self, word};
use crate::cli::time_words::span;
use crate::json::Members;

/// For programs: as it came. There are no line ends within strings, and elsewhere they can be blanks.
pub(super) fn json(value: &RawValue) -> String {
    escapes::visible_json(&value.get().replace(['\r', '\n'], " "))
}

/// The name of a target.
pub(super) fn name(target: &RawValue) -> Option<String> {
    members(target)?.text("name").map(String::from)
}

/// A target for people: its name, how it is, and its numbers.
pub(super) fn status(target: &RawValue) -> String {
    let Some(target) = members(target) else { return json(target) };
    let text = |name| target.text(name).unwrap_or_default();
    let number = |object: &str, name| {
        let object = target.value(object).and_then(members);
        object.and_then(|object| object.read::<u64>(name)).unwrap_or_default()
    };
    let how = match (target.read("paused"), &*text("circuit")) {
        (Some(true), _) => "paused",
        (_, "open") => "down",
        _ => "up",
    };
    let [entries, seconds] = ["entries", "seconds"].map(|name| number("lag", name));
    let [held, aside, dead] = ["held", "aside", "dead"].map(|name| number("owed", name));
    let behind = if entries > 0 { format!(" behind={:?}", span(seconds)) } else { String::new() };
    let error = target.text("lastError").map(|error| format!(" error={error:?}")).unwrap_or_default();
    let cursor = target.text("cursor").unwrap_or("none".into());
    format!(
        "{} {how} lag={entries}{behind} held={held} aside={aside} dead={dead} cursor={}{error}",
        word(&text("name")),
        word(&cursor)
    )
}

/// An owed event for people: its cursor, its state, and what happened.
pub(super) fn owed(event: &RawValue) -> String {
    let Some(event) = members(event) else { return json(event) };
    let text = |name| event.text(name).unwrap_or_default();
    let mut line = format!("{} {}", word(&text("cursor")), word(&text("state")));
    if let Some(lane) = event.text("lane").filter(|lane| !lane.is_empty()) {
        line += &format!(" room={lane:?}");
    }
    line += &format!(" attempts={}", event.read::<u64>("attempts").unwrap_or_default());
    for name in ["first", "next"] {
        line += &event.text(name).map(|time| format!(" {name}={}", word(&time))).unwrap_or_default();
    }
    line += &event.read::<u16>("status").map(|status| format!(" status={status}")).unwrap_or_default();
    line + &event.text("error").map(|error| format!(" error={error:?}")).unwrap_or_default()
}

fn members(value: &RawValue) -> Option<Members<'_>> {
    Members::parse(value.get().as_bytes()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn a_target_is_one_line() {
        let target = r#"{"name":"app","cursor":"1a20140363300000","paused":false,"lag":{"entries":12,"seconds":185},"circuit":"open",
            "owed":{"held":1,"aside":2,"dead":3},"lastError":"no connection\n\u001b[31m"}"#;
        let line = r#"app down lag=12 behind="3 minutes 5 seconds" held=1 aside=2 dead=3 cursor=1a20140363300000 error="no connection\n\u{1b}[31m""#;
        assert_eq!(status(&raw(target)), line);
        let target = r#"{"name":"a b","cursor":null,"paused":true,"lag":null,"circuit":"closed","owed":{},"lastError":null}"#;
        assert_eq!(status(&raw(target)), r#""a b" paused lag=0 held=0 aside=0 dead=0 cursor=none"#);
        assert_eq!(status(&raw("7")), "7");
    }

    #[test]
    fn an_owed_event_is_one_line() {
        let event = r#"{"cursor":"1a20140363300000","lane":"da\u202eily","state":"dead","attempts":9,"first":"2026-11-22T03:15:15.000Z",
            "next":null,"status":500,"error":"500"}"#;
        let line =
            r#"1a20140363300000 dead room="da\u{202e}ily" attempts=9 first=2026-11-22T03:15:15.000Z status=500 error="500""#;
        assert_eq!(owed(&raw(event)), line);
        let event = r#"{"cursor":"1","lane":"","state":"\n","attempts":0,"first":null,"next":null,"status":null,"error":null}"#;
        assert_eq!(owed(&raw(event)), r#"1 "\n" attempts=0"#);
        assert!(!json(&raw("{\"a\":\n\"\u{9b}\"}")).contains(['\n', '\u{9b}']));
    }
}

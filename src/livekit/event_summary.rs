//! Reads only the names in an event: what happened, in which room, and to which participant. Does not know what they are used for.

use crate::json::{self, Scan, Scanner};
use crate::livekit::event::{BOUNDS, WebhookEvent};

/// A longer body is read as a whole event, which [`BOUNDS`] limit. A body of this length cannot exceed them.
const QUICK_BYTES: usize = 16 * 1024;
const _: () = assert!(QUICK_BYTES <= BOUNDS.values);

/// What happened, and to whom. What the event lacks is empty.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct EventSummary<'a> {
    pub(crate) event: &'a str,
    pub(crate) id: &'a str,
    pub(crate) room: &'a str,
    /// The identity of the participant.
    pub(crate) participant: &'a str,
}

impl<'a> EventSummary<'a> {
    /// The summary of `body`, with much less work than reading the event. Does not notice a mistake in what it skips. `None` if `body` is
    /// unusual; then the whole event has to be read.
    pub(crate) fn quick(body: &'a [u8]) -> Option<Self> {
        if body.len() > QUICK_BYTES { None } else { json::scan(str::from_utf8(body).ok()?) }
    }
}

impl<'a> From<&'a WebhookEvent<'a>> for EventSummary<'a> {
    fn from(event: &'a WebhookEvent<'a>) -> Self {
        let participant = event.participant.as_ref().map_or("", |participant| &participant.identity);
        Self { event: &event.event, id: &event.id, room: event.room_name().unwrap_or_default(), participant }
    }
}

impl<'a> Scan<'a> for EventSummary<'a> {
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        let mut summary = Self::default();
        scanner.object(|scanner, name| {
            match name {
                "event" => summary.event = scanner.string()?,
                "id" => summary.id = scanner.string()?,
                "room" => summary.room = member("name", scanner)?,
                "participant" => summary.participant = member("identity", scanner)?,
                "egressInfo" | "ingressInfo" | "job" => return None, // the room may be named there, see `room_name`
                _ => scanner.skip_unread()?,
            }
            Some(())
        })?;
        Some(summary)
    }
}

/// The string `wanted` in the next object; empty if it is not there.
fn member<'a>(wanted: &str, scanner: &mut Scanner<'a>) -> Option<&'a str> {
    let mut found = "";
    scanner.object(|scanner, name| {
        if name != wanted {
            return scanner.skip_unread();
        }
        found = scanner.string()?;
        Some(())
    })?;
    Some(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_recorded_event_has_the_same_summary_when_it_is_read_quickly() {
        let mut quickly = 0;
        for file in fs::read_dir("fixtures/deliveries").unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "body") {
                let body = fs::read(&path).unwrap();
                let whole = WebhookEvent::parse(&body).unwrap();
                let Some(quick) = EventSummary::quick(&body) else { continue };
                assert_eq!(quick, EventSummary::from(&whole), "{}", path.display());
                quickly += 1;
            }
        }
        assert!(quickly > 10, "{quickly}");
    }

    #[test]
    fn what_is_read_quickly_is_read_alike_as_an_event() {
        let bodies = [
            include_str!("../../fixtures/deliveries/004-track_published.body"),
            r#"{"event":"a","x":[[{}],"]",{"}":"\\\"}"}],"room":{"x":{},"name":"r"},"participant":{"identity":"p"},"id":"EV_1"}"#,
        ];
        for body in bodies {
            let (mut quickly, mut alike) = (0, 0);
            for body in json::mutations(body) {
                let Some(quick) = EventSummary::quick(body.as_bytes()) else { continue };
                quickly += 1;
                if let Ok(event) = WebhookEvent::parse(body.as_bytes()) {
                    assert_eq!(EventSummary::from(&event), quick, "{body}");
                    alike += 1;
                }
            }
            assert!(alike > 500 && quickly > alike, "{alike} of {quickly}");
            assert!(EventSummary::quick(body.as_bytes()).is_some(), "{body}");
        }
    }
}

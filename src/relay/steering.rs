//! What a person asks a target to do. The inbox keeps it as a short JSON text until the holder of the target's lease has done it. Does
//! not know how it is asked, nor how it is done.

use crate::inbox::Cursor;
use crate::inbox::target::OwedState;
use crate::json::{Members, ObjectWriter, Text, name};

/// Cursors in one request, at most.
pub(crate) const STEERED_CURSORS: usize = 1000;
/// Replays of a target that are not done yet, at most.
pub(crate) const REPLAYS: usize = 32;

/// What a person asks a target to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Steering {
    /// Try these owed events again now.
    Retry { cursors: Vec<Cursor> },
    /// Try all owed events in this state again now.
    RetryAll(OwedState),
    /// Send the events after one cursor up to another once more.
    Replay { after: Cursor, until: Cursor },
    /// Do not try these owed events any more, and forget them.
    Skip { cursors: Vec<Cursor> },
    /// Send nothing.
    Pause,
    /// Send again.
    Resume,
}

/// The kinds of [`Steering`], by the names that people use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Retry,
    Replay,
    Skip,
    Pause,
    Resume,
}

/// The text is not a [`Steering`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a request to the relay in the inbox is malformed: a newer version may have written it")]
#[non_exhaustive]
pub(crate) struct MalformedSteering;

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Replay => "replay",
            Self::Skip => "skip",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

impl OwedState {
    /// Whether its events can be sent again. Those that expired are gone.
    pub(crate) fn can_retry(self) -> bool {
        self != Self::Expired
    }
}

impl Steering {
    /// An object with one member.
    pub(crate) fn to_json(&self) -> String {
        let mut json = Vec::new();
        let mut object = ObjectWriter::begin(&mut json);
        match self {
            Self::Retry { cursors } => object.value(name!("retry"), &texts(cursors)),
            Self::RetryAll(state) => object.value(name!("retryAll"), state.name()),
            Self::Replay { after, until } => object.value(name!("replay"), &texts(&[*after, *until])),
            Self::Skip { cursors } => object.value(name!("skip"), &texts(cursors)),
            Self::Pause => object.value(name!("pause"), &true),
            Self::Resume => object.value(name!("pause"), &false),
        }
        object.end();
        String::from_utf8_lossy(&json).into_owned()
    }

    /// The inverse of [`to_json`](Self::to_json).
    pub(crate) fn parse(json: &str) -> Result<Self, MalformedSteering> {
        Self::of_members(&Members::parse(json.as_bytes()).or(Err(MalformedSteering))?).ok_or(MalformedSteering)
    }

    fn of_members(members: &Members<'_>) -> Option<Self> {
        let mut iter = members.iter();
        let (Some((name, _)), None) = (iter.next(), iter.next()) else { return None };
        match name {
            "retry" => cursors(members.read(name)?).map(|cursors| Self::Retry { cursors }),
            "retryAll" => OwedState::of_name(&members.text(name)?).filter(|state| state.can_retry()).map(Self::RetryAll),
            "replay" => match *cursors(members.read(name)?)? {
                [after, until] => Some(Self::Replay { after, until }),
                _ => None,
            },
            "skip" => cursors(members.read(name)?).map(|cursors| Self::Skip { cursors }),
            "pause" => Some(if members.read(name)? { Self::Pause } else { Self::Resume }),
            _ => None,
        }
    }
}

fn texts(cursors: &[Cursor]) -> Vec<String> {
    cursors.iter().map(Cursor::to_string).collect()
}

/// Parses `texts`. `None` if one is not a cursor, or if there are none or too many.
pub(crate) fn cursors(texts: Vec<Text<'_>>) -> Option<Vec<Cursor>> {
    let is_right = (1..=STEERED_CURSORS).contains(&texts.len());
    is_right.then(|| texts.iter().map(|text| text.0.parse().ok()).collect())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_read_as_it_was_written() {
        let cursor = |text: &str| text.parse::<Cursor>().unwrap();
        let (first, second) = (cursor("0001d2a0b3c40000"), cursor("0001d2a0b3c40001"));
        for (steering, json) in [
            (Steering::Retry { cursors: vec![first] }, r#"{"retry":["0001d2a0b3c40000"]}"#),
            (Steering::RetryAll(OwedState::Held), r#"{"retryAll":"held"}"#),
            (Steering::RetryAll(OwedState::Aside), r#"{"retryAll":"aside"}"#),
            (Steering::RetryAll(OwedState::Dead), r#"{"retryAll":"dead"}"#),
            (Steering::Replay { after: first, until: second }, r#"{"replay":["0001d2a0b3c40000","0001d2a0b3c40001"]}"#),
            (Steering::Skip { cursors: vec![first, second] }, r#"{"skip":["0001d2a0b3c40000","0001d2a0b3c40001"]}"#),
            (Steering::Pause, r#"{"pause":true}"#),
            (Steering::Resume, r#"{"pause":false}"#),
        ] {
            assert_eq!(steering.to_json(), json);
            assert_eq!(Steering::parse(json), Ok(steering));
        }
    }

    #[test]
    fn everything_else_is_malformed() {
        let many = vec![r#""0001d2a0b3c40000""#; STEERED_CURSORS + 1].join(",");
        for json in [
            "",
            "{}",
            "[]",
            r#"{"stop":true}"#,
            r#"{"retry":[]}"#,
            r#"{"retry":["1"]}"#,
            r#"{"retry":"0001d2a0b3c40000"}"#,
            r#"{"retryAll":"expired"}"#,
            r#"{"replay":["0001d2a0b3c40000"]}"#,
            r#"{"pause":1}"#,
            r#"{"pause":true,"pause":true}"#,
            &format!(r#"{{"skip":[{many}]}}"#),
        ] {
            assert_eq!(Steering::parse(json), Err(MalformedSteering), "{json}");
        }
    }
}

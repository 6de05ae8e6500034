//! Defines what the inbox keeps for each target of the relay: how far it is, which events it owes, and what people asked it to do.
//! Does not know how events are sent.

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;

/// Requests that wait for the holder of a target, at most.
pub(crate) const MOST_REQUESTS: u64 = 100;

/// How far a target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetState {
    /// All events up to here are settled or owed.
    pub(crate) cursor: Cursor,
    pub(crate) is_paused: bool,
    /// Whether the circuit is open, because the target is down.
    pub(crate) is_down: bool,
    /// Why the last attempt that failed did; empty if none has.
    pub(crate) last_error: String,
    /// Counted by the store; a commit ignores them.
    pub(crate) owed: OwedCounts,
    /// What is left of the replays.
    pub(crate) replays: Vec<Replay>,
}

/// The number of owed events in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwedCounts {
    pub(crate) held: u64,
    pub(crate) aside: u64,
    pub(crate) dead: u64,
}

/// Events after one cursor up to another are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    pub(crate) after: Cursor,
    pub(crate) until: Cursor,
}

impl Replay {
    pub(crate) fn has(self, cursor: Cursor) -> bool {
        self.after < cursor && cursor <= self.until
    }

    /// `replays` in the form in which they are stored.
    pub(super) fn to_text(replays: &[Self]) -> String {
        replays.iter().map(|replay| format!("{} {}\n", replay.after, replay.until)).collect()
    }

    /// The inverse of [`to_text`](Self::to_text), without lines that make no sense.
    pub(super) fn of_text(text: &str) -> Vec<Self> {
        let replay = |line: &str| {
            let (after, until) = line.split_once(' ')?;
            Some(Self { after: after.parse().ok()?, until: until.parse().ok()? })
        };
        text.lines().filter_map(replay).collect()
    }
}

/// An event up to the target's cursor that the target has not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwedEvent {
    pub(crate) cursor: Cursor,
    /// The name of its room; empty if it has none.
    pub(crate) room: String,
    pub(crate) state: OwedState,
    pub(crate) attempts: u32,
    /// When it was tried first; `None` before that.
    pub(crate) first: Option<UnixTime>,
    /// When it is tried next; `None` if it is not tried any more, or as soon as its lane allows it.
    pub(crate) next: Option<UnixTime>,
    /// The status of the last answer, if there was one.
    pub(crate) status: Option<u16>,
    /// Why the last attempt failed; empty if there was none.
    pub(crate) error: String,
    pub(crate) is_replay: bool,
}

/// What becomes of an owed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OwedState {
    /// It holds up its lane.
    Held,
    /// Its lane goes on, and it is tried alone.
    Aside,
    /// It is not tried any more.
    Dead,
    /// It was deleted from the inbox before the target took it.
    Expired,
}

impl OwedState {
    pub(crate) const ALL: [Self; 4] = [Self::Held, Self::Aside, Self::Dead, Self::Expired];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Aside => "aside",
            Self::Dead => "dead",
            Self::Expired => "expired",
        }
    }

    /// The inverse of [`name`](Self::name).
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// One commit of the holder of a target's lease. All of it is committed, or nothing. If it changes very many owed events, they are
/// committed in parts, and the rest with the last of them: the cursor never moves before they are owed.
#[derive(Clone, Debug)]
pub(crate) struct TargetCommit {
    pub(crate) target: String,
    /// The epoch of the lease. With an older one than the target's, nothing is committed.
    pub(crate) epoch: u64,
    pub(crate) state: TargetState,
    /// New and changed owed events.
    pub(crate) owed: Vec<OwedEvent>,
    /// Events that are no longer owed.
    pub(crate) settled: Vec<Cursor>,
    /// The requests of people up to this number are done.
    pub(crate) steered: u64,
}

/// How far a cursor is behind the end of the inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lag {
    /// The entries after it.
    pub(crate) entries: u64,
    /// How long ago the first entry after it was received, in seconds; 0 without one.
    pub(crate) seconds: u64,
}

/// What a person asked a target to do, in the relay's own words, and its number. Numbers increase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SteeringRequest {
    pub(crate) number: u64,
    pub(crate) request: String,
}

/// Why a commit of a target did not succeed, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TargetError {
    /// Nothing was committed.
    #[error("another roomkey relays to this target now")]
    LeaseLost,
    /// It may be committed nevertheless.
    #[error("the inbox cannot be written to now")]
    Unavailable,
}

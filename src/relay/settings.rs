//! The settings of a target. Does not know the file that they come from.

use std::sync::Arc;
use std::time::Duration;

use crate::caller::stars;
use crate::client;
use crate::jws;
use crate::livekit::key::ApiKey;

const MAX_NAME_BYTES: usize = 32;

/// Whether a target may have this name, which needs no escapes in a path or a label.
pub(crate) fn is_target_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// One target: an HTTP endpoint of the application that receives events.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TargetSettings {
    pub(crate) name: Arc<str>,
    /// Where the endpoint is, with the authorities that it must prove itself by.
    pub(crate) endpoint: client::Target,
    /// The key that signs each request.
    pub(crate) key: ApiKey,
    /// The key of the Standard Webhooks headers, if there are any.
    pub(crate) standard_webhooks_key: Option<jws::Key>,
    pub(crate) options: TargetOptions,
}

/// What is sent to a target, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TargetOptions {
    pub(crate) wanted: Wanted,
    /// Whether the events of a room are sent one after the other.
    pub(crate) is_ordered: bool,
    /// Time for one attempt.
    pub(crate) timeout: Duration,
    /// Requests in flight, at most.
    pub(crate) concurrency: usize,
    /// How long a failing event holds up the later events of its room.
    pub(crate) hold: Duration,
    /// After this time a failing event is not tried any more.
    pub(crate) give_up_after: Duration,
    /// Whether secrets in events are redacted.
    pub(crate) redacts: bool,
    /// Whether a new target begins at the oldest event, and not at the next one.
    pub(crate) from_oldest: bool,
}

/// Which events a target wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Patterns of room names, with stars; all rooms if it is empty.
    pub(crate) rooms: Vec<String>,
    /// Names of events; all if it is empty.
    pub(crate) events: Vec<String>,
}

impl Wanted {
    /// Whether the target wants an event with this name of this room.
    pub(crate) fn wants(&self, room: &str, event: &str) -> bool {
        (self.rooms.is_empty() || self.rooms.iter().any(|pattern| stars::fits_text(pattern.split('*'), room)))
            && (self.events.is_empty() || self.events.iter().any(|wanted| wanted == event))
    }
}

//! Reads a webhook's payload (livekit/protocol `protobufs/livekit_webhook.proto`, in protobuf's JSON). Reading fails only if the
//! payload is not a JSON object: whatever is unknown, or has an unexpected type, is left out.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::clock::UnixTime;
use crate::json::{self, Bounds, Members, Scan, Scanner};
use crate::livekit::protobuf_json::{Part, integer, part, parts, text, word};

/// The events that LiveKit is known to send (livekit/protocol `webhook/consts.go`). New ones will come, so no code may rely on an
/// event being one of them.
#[rustfmt::skip]
pub const EVENTS: [&str; 15] = [
    "room_started", "room_finished",
    "participant_joined", "participant_left", "participant_connection_aborted",
    "track_published", "track_unpublished",
    "egress_started", "egress_updated", "egress_ended",
    "ingress_started", "ingress_ended",
    "agent_job_pending", "agent_job_started", "agent_job_ended",
];

/// Keeps reading within some 15 ms, whatever a body holds. Metadata may have 512 KiB, and each byte may be a quote, which is an escape. An
/// event may have the metadata of a room and of a participant, and 64 KiB of attributes, which are up to 22,000 values. Nested values are
/// skipped, not built, so their depth needs no bound.
pub(super) const BOUNDS: Bounds = Bounds { values: 40_000, depth: usize::MAX, steps: 5_000_000 };

/// Declares the parts of an event. Each has two readers: [`Scan`] is quick and gives up on what it cannot read, [`Part`] leaves it out.
macro_rules! event {
    ($($(#[$about:meta])* $part:ident {
        $($(#[$meta:meta])* $field:ident: $read:ident -> $type:ty = $name:literal,)*
    })*) => {
        parts! {$(
            $(#[$about])*
            #[derive(Debug)]
            $part { $($(#[$meta])* $field: $read -> $type = $name,)* }
        )*}

        $(impl<'a> Scan<'a> for $part<'a> {
            fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
                let mut part = Self::default();
                scanner.object(|scanner, name| {
                    match name {
                        $($name => part.$field = quick::$read(scanner)?,)*
                        _ => scanner.skip()?,
                    }
                    Some(())
                })?;
                Some(part)
            }
        })*
    };
}

/// The quick readers of members, by the names of the thorough ones.
mod quick {
    use super::{Cow, Scan, Scanner, UnixTime};

    pub(super) fn text<'a>(scanner: &mut Scanner<'a>) -> Option<Cow<'a, str>> {
        scanner.string().map(Cow::Borrowed)
    }

    pub(super) use text as word;

    pub(super) fn part<'a, T: Scan<'a>>(scanner: &mut Scanner<'a>) -> Option<Option<T>> {
        T::scan(scanner).map(Some)
    }

    pub(super) fn integer(scanner: &mut Scanner<'_>) -> Option<u64> {
        scanner.integer()
    }

    /// Seconds as protobuf's JSON writes integers of 64 bits: as a string.
    pub(super) fn seconds(scanner: &mut Scanner<'_>) -> Option<Option<UnixTime>> {
        scanner.string()?.parse().ok().map(|seconds| Some(UnixTime::from_secs(seconds)))
    }
}

event! {
    /// A webhook's payload: what happened, and to whom. Strings that the payload lacks are empty.
    ///
    /// This is what nearly every program needs, and quick to read. For the rest, such as metadata, states and the results of an
    /// egress, read the same body as [`EventDetails`](crate::EventDetails).
    WebhookEvent {
        /// What happened, such as `participant_joined`. New names will come.
        event: text -> Cow<'a, str> = "event",
        /// The event's id, the same in every delivery of it.
        id: text -> Cow<'a, str> = "id",
        /// Why the room ended, in `room_finished` (since LiveKit Server 1.13.7), such as `ROOM_END_API_DELETE`.
        room_end_reason: word -> Cow<'a, str> = "roomEndReason",
        /// The room, in `room_*`, `participant_*` and `track_*`.
        room: part -> Option<Room<'a>> = "room",
        /// The participant, in `participant_*` and `track_*`.
        participant: part -> Option<Participant<'a>> = "participant",
        /// The track, in `track_*`.
        track: part -> Option<Track<'a>> = "track",
        /// The egress, in `egress_*`.
        egress_info: part -> Option<EgressInfo<'a>> = "egressInfo",
        /// The ingress, in `ingress_*`.
        ingress_info: part -> Option<IngressInfo<'a>> = "ingressInfo",
        /// The job, in `agent_job_*`.
        job: part -> Option<Job<'a>> = "job",
        /// When it happened, to the second.
        created_at: seconds -> Option<UnixTime> = "createdAt",
        /// How many events before this one LiveKit dropped.
        num_dropped: integer -> u64 = "numDropped",
    }

    /// A room.
    Room {
        /// The id of this session of the room.
        sid: text -> Cow<'a, str> = "sid",
        /// Its name.
        name: text -> Cow<'a, str> = "name",
    }

    /// A participant.
    Participant {
        /// The id of this session of the participant. A participant that rejoins gets another.
        sid: text -> Cow<'a, str> = "sid",
        /// Its identity.
        identity: text -> Cow<'a, str> = "identity",
        /// Its display name.
        name: text -> Cow<'a, str> = "name",
    }

    /// A track.
    Track {
        /// Its id.
        sid: text -> Cow<'a, str> = "sid",
        /// Its name.
        name: text -> Cow<'a, str> = "name",
        /// `VIDEO` or `DATA`; empty for `AUDIO`.
        kind: word -> Cow<'a, str> = "type",
        /// Where it comes from, such as `CAMERA` or `MICROPHONE`.
        source: word -> Cow<'a, str> = "source",
    }

    /// An egress.
    EgressInfo {
        /// Its id.
        egress_id: text -> Cow<'a, str> = "egressId",
        /// The room's name.
        room_name: text -> Cow<'a, str> = "roomName",
        /// Its state, such as `EGRESS_ACTIVE`.
        status: word -> Cow<'a, str> = "status",
    }

    /// An ingress.
    IngressInfo {
        /// Its id.
        ingress_id: text -> Cow<'a, str> = "ingressId",
        /// The room's name.
        room_name: text -> Cow<'a, str> = "roomName",
        /// The identity that it has in the room.
        participant_identity: text -> Cow<'a, str> = "participantIdentity",
    }

    /// An agent's job.
    Job {
        /// Its id.
        id: text -> Cow<'a, str> = "id",
        /// The agent.
        agent_name: text -> Cow<'a, str> = "agentName",
        /// The room that it is in.
        room: part -> Option<Room<'a>> = "room",
    }
}

impl<'a> WebhookEvent<'a> {
    /// Reads `body`. If a member occurs twice, the last one counts.
    ///
    /// # Errors
    /// If it is not a JSON object in UTF-8, or holds a hundred times more values than LiveKit writes.
    pub fn parse(body: &'a [u8]) -> Result<Self, NotAnEvent> {
        BOUNDS.check(body).or(Err(NotAnEvent))?;
        let body = str::from_utf8(body).or(Err(NotAnEvent))?;
        // What LiveKit writes is read in one pass, which is quicker than reading member by member.
        json::scan(body)
            .map_or_else(|| serde_json::from_str(body).map(|payload: Members<'a>| Self::of(&payload)), Ok)
            .or(Err(NotAnEvent))
    }

    /// The name of the room that this is about, whichever part of the payload has it.
    #[must_use]
    pub fn room_name(&self) -> Option<&str> {
        let room = self.room.as_ref().map(|room| &room.name);
        let egress = self.egress_info.as_ref().map(|egress| &egress.room_name);
        let ingress = self.ingress_info.as_ref().map(|ingress| &ingress.room_name);
        let job = self.job.as_ref().and_then(|job| job.room.as_ref()).map(|room| &room.name);
        [room, egress, ingress, job].into_iter().flatten().map(Cow::as_ref).find(|name| !name.is_empty())
    }
}

fn seconds(value: &RawValue) -> Option<Option<UnixTime>> {
    integer(value).map(|seconds| Some(UnixTime::from_secs(seconds)))
}

/// The body is not a JSON object, or holds too much, so it is not read as an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a JSON object, or holds too many values")]
#[non_exhaustive]
pub struct NotAnEvent;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_quickly_is_read_alike_member_by_member() {
        let recorded = include_str!("../../fixtures/deliveries/004-track_published.body");
        let job = r#"{"event":"a","id":"EV_1","createdAt":"7","numDropped":30,"huge":[[],{},[{"a":[true,false,"\"x"]}, 1]],"job":{"id":"AJ","room":{"sid":"RM"}}}"#;
        let mut quickly = 0;
        for body in [recorded, job].into_iter().flat_map(json::mutations) {
            let Some(event) = json::scan::<WebhookEvent<'_>>(&body) else { continue };
            let members: Result<Members<'_>, _> = serde_json::from_str(&body);
            assert_eq!(members.ok().map(|members| WebhookEvent::of(&members)), Some(event), "{body}");
            quickly += 1;
        }
        assert!(quickly > 1000, "{quickly}");
        assert!(json::scan::<WebhookEvent<'_>>(recorded).is_some());
    }
}

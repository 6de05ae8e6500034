//! Reads a webhook's payload (livekit/protocol `protobufs/livekit_webhook.proto`, in protobuf's JSON). Reading fails only if the
//! payload is not a JSON object: whatever is unknown, or has an unexpected type, is left out.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;

use crate::clock::UnixTime;
use crate::json::{Bounds, Members, Text, only_object};
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

/// Keeps reading within milliseconds, whatever a body holds. Metadata of 512 KiB has 350,000 escapes if it is JSON itself. Nested
/// values are skipped, not built, so their depth needs no bound.
pub(super) const BOUNDS: Bounds = Bounds { values: 20_000, depth: usize::MAX, steps: 1_500_000 };

/// Declares the parts of an event: the members that are strings, after a semicolon the objects, after another one the rest. Each
/// part has two readers: the derived one is fast and strict, [`Part`] leaves out what it cannot read.
macro_rules! event {
    ($($(#[$about:meta])* $part:ident {
        $($(#[$text_about:meta])* $text:ident: $read_text:ident = $text_name:literal,)*
        $(;
            $($(#[$object_about:meta])* $object:ident: $of:ident = $object_name:literal,)*
            $(; $($(#[$meta:meta])* $field:ident: $read:ident -> $type:ty = $name:literal,)*)?
        )?
    })*) => {
        parts! {$(
            $(#[$about])*
            #[derive(Debug, Deserialize)]
            #[serde(default)]
            $part {
                $($(#[$text_about])* #[serde(rename = $text_name, borrow)] $text: $read_text -> Cow<'a, str> = $text_name,)*
                $(
                    $($(#[$object_about])* #[serde(rename = $object_name, borrow, deserialize_with = "only_object")]
                    $object: part -> Option<$of<'a>> = $object_name,)*
                    $($($(#[$meta])* #[serde(rename = $name)] $field: $read -> $type = $name,)*)?
                )?
            }
        )*}
    };
}

event! {
    /// A webhook's payload: what happened, and to whom. Strings that the payload lacks are empty.
    ///
    /// This is what nearly every program needs, and quick to read. For the rest, such as metadata, states and the results of an
    /// egress, read the same body as [`EventDetails`](crate::EventDetails).
    ///
    /// [`parse`](Self::parse) reads every object. `Deserialize` reads only objects whose members all have the types that LiveKit
    /// gives them.
    WebhookEvent {
        /// What happened, such as `participant_joined`. New names will come.
        event: text = "event",
        /// The event's id, the same in every delivery of it.
        id: text = "id",
        /// Why the room ended, in `room_finished` (since LiveKit Server 1.13.7), such as `ROOM_END_API_DELETE`.
        room_end_reason: word = "roomEndReason",
        ;
        /// The room, in `room_*`, `participant_*` and `track_*`.
        room: Room = "room",
        /// The participant, in `participant_*` and `track_*`.
        participant: Participant = "participant",
        /// The track, in `track_*`.
        track: Track = "track",
        /// The egress, in `egress_*`.
        egress_info: EgressInfo = "egressInfo",
        /// The ingress, in `ingress_*`.
        ingress_info: IngressInfo = "ingressInfo",
        /// The job, in `agent_job_*`.
        job: Job = "job",
        ;
        /// When it happened, to the second.
        #[serde(deserialize_with = "strict_seconds")]
        created_at: seconds -> Option<UnixTime> = "createdAt",
        /// How many events before this one LiveKit dropped.
        num_dropped: integer -> u64 = "numDropped",
    }

    /// A room.
    Room {
        /// The id of this session of the room.
        sid: text = "sid",
        /// Its name.
        name: text = "name",
    }

    /// A participant.
    Participant {
        /// The id of this session of the participant. A participant that rejoins gets another.
        sid: text = "sid",
        /// Its identity.
        identity: text = "identity",
        /// Its display name.
        name: text = "name",
    }

    /// A track.
    Track {
        /// Its id.
        sid: text = "sid",
        /// Its name.
        name: text = "name",
        /// `VIDEO` or `DATA`; empty for `AUDIO`.
        kind: word = "type",
        /// Where it comes from, such as `CAMERA` or `MICROPHONE`.
        source: word = "source",
    }

    /// An egress.
    EgressInfo {
        /// Its id.
        egress_id: text = "egressId",
        /// The room's name.
        room_name: text = "roomName",
        /// Its state, such as `EGRESS_ACTIVE`.
        status: word = "status",
    }

    /// An ingress.
    IngressInfo {
        /// Its id.
        ingress_id: text = "ingressId",
        /// The room's name.
        room_name: text = "roomName",
        /// The identity that it has in the room.
        participant_identity: text = "participantIdentity",
    }

    /// An agent's job.
    Job {
        /// Its id.
        id: text = "id",
        /// The agent.
        agent_name: text = "agentName",
        ;
        /// The room that it is in.
        room: Room = "room",
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
        // What LiveKit writes is read in one pass, which takes half the time of reading member by member.
        if body.starts_with('{')
            && let Ok(event) = serde_json::from_str(body)
        {
            return Ok(event);
        }
        serde_json::from_str::<Members<'a>>(body).map(|payload| Self::of(&payload)).or(Err(NotAnEvent))
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

/// Seconds as protobuf's JSON writes integers of 64 bits: as a string.
fn strict_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixTime>, D::Error> {
    let digits = Text::deserialize(deserializer)?.0;
    digits.parse().map(|seconds| Some(UnixTime::from_secs(seconds))).map_err(D::Error::custom)
}

/// The body is not a JSON object, or holds too much, so it is not read as an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a JSON object, or holds too many values")]
#[non_exhaustive]
pub struct NotAnEvent;

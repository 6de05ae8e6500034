//! Owns the reading of a webhook's payload (livekit/protocol `protobufs/livekit_webhook.proto`, in protobuf's JSON). Nothing
//! in a payload can fail the reading but that it is no JSON object: what is unknown, or of another type than it was, is left out.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::clock::UnixTime;
use crate::json::{Bounds, Members, Text, only_object};
use crate::livekit::protobuf_json::{integer, member, text, word};

/// The events that LiveKit is known to send (livekit/protocol `webhook/consts.go`). New ones come, so nothing
/// may rely on an event being one of them.
pub const EVENTS: [&str; 15] = [
    "room_started",
    "room_finished",
    "participant_joined",
    "participant_left",
    "participant_connection_aborted",
    "track_published",
    "track_unpublished",
    "egress_started",
    "egress_updated",
    "egress_ended",
    "ingress_started",
    "ingress_ended",
    "agent_job_pending",
    "agent_job_started",
    "agent_job_ended",
];

/// So that reading takes milliseconds, whatever a body of the size that is taken holds. Metadata of 512 KiB
/// has 350,000 escapes where it is JSON itself. What nests is not built, and so has no bound.
pub(super) const BOUNDS: Bounds = Bounds { values: 20_000, depth: usize::MAX, steps: 1_500_000 };

/// A webhook's payload: what happened, and to whom. Strings that the payload lacks are empty.
///
/// This is what nearly every program asks for, and quick to read. For the rest, such as metadata, states and the results of an egress, read the same body
/// as [`EventDetails`](crate::EventDetails).
///
/// [`parse`](Self::parse) reads every object; `Deserialize` only one whose members all have the types that LiveKit gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct WebhookEvent<'a> {
    /// What happened, such as `participant_joined`. New names come.
    #[serde(borrow)]
    pub event: Cow<'a, str>,
    /// The event's id, the same in every delivery of it.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// When it happened, to the second.
    #[serde(deserialize_with = "seconds")]
    pub created_at: Option<UnixTime>,
    /// How many events before this one LiveKit dropped.
    pub num_dropped: u64,
    /// Why the room ended, in `room_finished` (since LiveKit Server 1.13.7), such as `ROOM_END_API_DELETE`.
    #[serde(borrow)]
    pub room_end_reason: Cow<'a, str>,
    /// The room, in `room_*`, `participant_*` and `track_*`.
    #[serde(borrow, deserialize_with = "only_object")]
    pub room: Option<Room<'a>>,
    /// The participant, in `participant_*` and `track_*`.
    #[serde(borrow, deserialize_with = "only_object")]
    pub participant: Option<Participant<'a>>,
    /// The track, in `track_*`.
    #[serde(borrow, deserialize_with = "only_object")]
    pub track: Option<Track<'a>>,
    /// The egress, in `egress_*`.
    #[serde(borrow, deserialize_with = "only_object")]
    pub egress_info: Option<EgressInfo<'a>>,
    /// The ingress, in `ingress_*`.
    #[serde(borrow, deserialize_with = "only_object")]
    pub ingress_info: Option<IngressInfo<'a>>,
    /// The job, in `agent_job_*`.
    #[serde(borrow, deserialize_with = "only_object")]
    pub job: Option<Job<'a>>,
}

impl<'a> WebhookEvent<'a> {
    /// Reads `body`. Of a member that is there twice, the last one counts.
    ///
    /// # Errors
    /// Where it is no JSON object in UTF-8, or holds a hundred times more values than LiveKit writes.
    pub fn parse(body: &'a [u8]) -> Result<Self, NotAnEvent> {
        BOUNDS.check(body).or(Err(NotAnEvent))?;
        // What LiveKit writes is read in one pass. Member by member, as all else is, it would take twice the time.
        let body = str::from_utf8(body).or(Err(NotAnEvent))?;
        let as_written = body.starts_with('{').then(|| serde_json::from_str(body).ok());
        as_written.flatten().map_or_else(|| Self::pick(body), Ok)
    }

    /// Reads what can be read, and leaves out the rest.
    fn pick(body: &'a str) -> Result<Self, NotAnEvent> {
        let payload: Members<'a> = serde_json::from_str(body).or(Err(NotAnEvent))?;
        Ok(Self {
            event: member(&payload, "event", text),
            id: member(&payload, "id", text),
            created_at: payload.value("createdAt").and_then(integer).map(UnixTime::from_secs),
            num_dropped: member(&payload, "numDropped", integer),
            room_end_reason: member(&payload, "roomEndReason", word),
            room: payload.object("room").map(|room| Room::of(&room)),
            participant: payload.object("participant").map(|participant| Participant::of(&participant)),
            track: payload.object("track").map(|track| Track::of(&track)),
            egress_info: payload.object("egressInfo").map(|egress| EgressInfo::of(&egress)),
            ingress_info: payload.object("ingressInfo").map(|ingress| IngressInfo::of(&ingress)),
            job: payload.object("job").map(|job| Job {
                id: member(&job, "id", text),
                room: job.object("room").map(|room| Room::of(&room)),
                agent_name: member(&job, "agentName", text),
            }),
        })
    }

    /// The name of the room that this is about, whichever part of the payload tells it.
    #[must_use]
    pub fn room_name(&self) -> Option<&str> {
        let room = self.room.as_ref().map(|room| &room.name);
        let egress = self.egress_info.as_ref().map(|egress| &egress.room_name);
        let ingress = self.ingress_info.as_ref().map(|ingress| &ingress.room_name);
        let job = self.job.as_ref().and_then(|job| job.room.as_ref()).map(|room| &room.name);
        [room, egress, ingress, job].into_iter().flatten().map(Cow::as_ref).find(|name| !name.is_empty())
    }
}

/// Seconds as protobuf's JSON writes integers of 64 bits: as a string.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixTime>, D::Error> {
    let digits = Text::deserialize(deserializer)?.0;
    digits.parse().map(|seconds| Some(UnixTime::from_secs(seconds))).map_err(D::Error::custom)
}

/// Declares a part of the payload, of which strings are read: [`text`] or the [`word`] of an enum.
macro_rules! part {
    ($(#[$about:meta])* $part:ident { $($(#[$field_about:meta])* $field:ident: $read:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
        #[serde(default)]
        #[non_exhaustive]
        pub struct $part<'a> {
            $($(#[$field_about])* #[serde(borrow, rename = $name)] pub $field: Cow<'a, str>,)*
        }

        impl<'a> $part<'a> {
            fn of(object: &Members<'a>) -> Self {
                Self { $($field: member(object, $name, $read),)* }
            }
        }
    };
}

part! {
    /// A room.
    Room {
        /// The id of this session of the room.
        sid: text = "sid",
        /// Its name.
        name: text = "name",
    }
}

part! {
    /// A participant.
    Participant {
        /// The id of this session of the participant. One who comes again has another.
        sid: text = "sid",
        /// Who it is.
        identity: text = "identity",
        /// Its display name.
        name: text = "name",
    }
}

part! {
    /// A track.
    Track {
        /// Its id.
        sid: text = "sid",
        /// Its name.
        name: text = "name",
        /// `AUDIO` (the default, then empty), `VIDEO` or `DATA`.
        kind: word = "type",
        /// Where it comes from, such as `CAMERA` or `MICROPHONE`.
        source: word = "source",
    }
}

part! {
    /// An egress.
    EgressInfo {
        /// Its id.
        egress_id: text = "egressId",
        /// The room's name.
        room_name: text = "roomName",
        /// Its state, such as `EGRESS_ACTIVE`.
        status: word = "status",
    }
}

part! {
    /// An ingress.
    IngressInfo {
        /// Its id.
        ingress_id: text = "ingressId",
        /// The room's name.
        room_name: text = "roomName",
        /// The identity that it has in the room.
        participant_identity: text = "participantIdentity",
    }
}

/// An agent's job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Job<'a> {
    /// Its id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The room it is in.
    #[serde(borrow, deserialize_with = "only_object")]
    pub room: Option<Room<'a>>,
    /// The agent.
    #[serde(borrow)]
    pub agent_name: Cow<'a, str>,
}

/// A body is no JSON object, or too much of one, and so tells no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotAnEvent;

impl fmt::Display for NotAnEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body is not a JSON object, or holds too many values")
    }
}

impl std::error::Error for NotAnEvent {}

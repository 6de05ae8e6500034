//! Reads what a webhook's payload says beyond [`WebhookEvent`](crate::WebhookEvent): metadata, states, times and results. It is
//! separate because it takes about as long again, so only programs that ask for it pay for it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

use crate::json;
use crate::livekit::event::{BOUNDS, NotAnEvent};
use crate::livekit::protobuf_json::{Part, flag, integer, part, part_list, parts, text, texts, word, words};

fn pixels(value: &RawValue) -> Option<u32> {
    integer(value)?.try_into().ok()
}

/// Milliseconds or nanoseconds since 1970. Zero means that it has not happened.
fn time(value: &RawValue) -> Option<Option<u64>> {
    integer(value).map(|time| Some(time).filter(|&time| time > 0))
}

/// Declares parts that `Debug` does not show, because metadata, URLs and the texts of errors may hold secrets.
macro_rules! details {
    ($($(#[$about:meta])* $part:ident { $($rows:tt)* })*) => {
        parts! { $($(#[$about])* $part { $($rows)* })* }
        $(impl fmt::Debug for $part<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($part)).finish_non_exhaustive()
            }
        })*
    };
}

details! {
    /// What a webhook's payload says beyond [`WebhookEvent`](crate::WebhookEvent). Whatever the payload lacks is empty, zero, false or
    /// `None`. A value of an enum that the sender had no name for is its number, as text.
    EventDetails {
        /// The room.
        room: part -> Option<RoomDetails<'a>> = "room",
        /// The participant.
        participant: part -> Option<ParticipantDetails<'a>> = "participant",
        /// The track.
        track: part -> Option<TrackDetails<'a>> = "track",
        /// The egress.
        egress_info: part -> Option<EgressDetails<'a>> = "egressInfo",
        /// The ingress.
        ingress_info: part -> Option<IngressDetails<'a>> = "ingressInfo",
        /// The job.
        job: part -> Option<JobDetails<'a>> = "job",
    }

    /// A room.
    RoomDetails {
        /// Its metadata.
        metadata: text -> Cow<'a, str> = "metadata",
        /// When it was created, in milliseconds since 1970.
        creation_time_ms: time -> Option<u64> = "creationTimeMs",
        /// Whether it is being recorded.
        active_recording: flag -> bool = "activeRecording",
    }

    /// A participant.
    ParticipantDetails {
        /// Its metadata.
        metadata: text -> Cow<'a, str> = "metadata",
        /// Its attributes.
        attributes: texts -> BTreeMap<Cow<'a, str>, Cow<'a, str>> = "attributes",
        /// Its state, such as `ACTIVE`; empty for `JOINING`.
        state: word -> Cow<'a, str> = "state",
        /// Its kind, such as `AGENT` or `SIP`; empty for `STANDARD`.
        kind: word -> Cow<'a, str> = "kind",
        /// What it may do.
        permission: part -> Option<ParticipantPermission<'a>> = "permission",
        /// When it joined, in milliseconds since 1970.
        joined_at_ms: time -> Option<u64> = "joinedAtMs",
        /// Why it left, such as `CLIENT_INITIATED`.
        disconnect_reason: word -> Cow<'a, str> = "disconnectReason",
    }

    /// What a participant may do.
    ParticipantPermission {
        /// Whether it may subscribe to others.
        can_subscribe: flag -> bool = "canSubscribe",
        /// Whether it may publish tracks.
        can_publish: flag -> bool = "canPublish",
        /// Whether it may publish data.
        can_publish_data: flag -> bool = "canPublishData",
        /// The sources that it may publish, such as `CAMERA`. Empty means all.
        can_publish_sources: words -> Vec<Cow<'a, str>> = "canPublishSources",
        /// Whether it may change its own metadata.
        can_update_metadata: flag -> bool = "canUpdateMetadata",
        /// Whether it may subscribe to metrics.
        can_subscribe_metrics: flag -> bool = "canSubscribeMetrics",
        /// Whether it may manage an agent's session.
        can_manage_agent_session: flag -> bool = "canManageAgentSession",
        /// Whether it is hidden from the others.
        hidden: flag -> bool = "hidden",
    }

    /// A track.
    TrackDetails {
        /// Whether it is muted.
        muted: flag -> bool = "muted",
        /// Its MIME type, such as `video/VP8`.
        mime_type: text -> Cow<'a, str> = "mimeType",
        /// Its width in pixels; 0 for audio.
        width: pixels -> u32 = "width",
        /// Its height in pixels; 0 for audio.
        height: pixels -> u32 = "height",
    }

    /// An egress.
    EgressDetails {
        /// Why it failed.
        error: text -> Cow<'a, str> = "error",
        /// When it started, in nanoseconds since 1970.
        started_at: time -> Option<u64> = "startedAt",
        /// When it last changed, in nanoseconds since 1970.
        updated_at: time -> Option<u64> = "updatedAt",
        /// When it ended, in nanoseconds since 1970.
        ended_at: time -> Option<u64> = "endedAt",
        /// The files that it wrote.
        file_results: part_list -> Vec<FileInfo<'a>> = "fileResults",
        /// The streams that it sent.
        stream_results: part_list -> Vec<StreamInfo<'a>> = "streamResults",
        /// The playlists of segments that it wrote.
        segment_results: part_list -> Vec<SegmentsInfo<'a>> = "segmentResults",
    }

    /// A file that an egress wrote.
    FileInfo {
        /// Its name.
        filename: text -> Cow<'a, str> = "filename",
        /// When it was started, in nanoseconds since 1970.
        started_at: time -> Option<u64> = "startedAt",
        /// When it was complete, in nanoseconds since 1970.
        ended_at: time -> Option<u64> = "endedAt",
        /// How long it plays, in nanoseconds.
        duration: integer -> u64 = "duration",
        /// Its size in bytes.
        size: integer -> u64 = "size",
        /// Where it is.
        location: text -> Cow<'a, str> = "location",
    }

    /// A stream that an egress sent.
    StreamInfo {
        /// Where it went. This may hold a stream key.
        url: text -> Cow<'a, str> = "url",
        /// When it started, in nanoseconds since 1970.
        started_at: time -> Option<u64> = "startedAt",
        /// When it ended, in nanoseconds since 1970.
        ended_at: time -> Option<u64> = "endedAt",
        /// How long it lasted, in nanoseconds.
        duration: integer -> u64 = "duration",
        /// Its status: `FINISHED` or `FAILED`; empty for `ACTIVE`.
        status: word -> Cow<'a, str> = "status",
        /// Why it failed.
        error: text -> Cow<'a, str> = "error",
    }

    /// A playlist of segments that an egress wrote.
    SegmentsInfo {
        /// The name of the playlist.
        playlist_name: text -> Cow<'a, str> = "playlistName",
        /// The name of the playlist of the latest segments alone.
        live_playlist_name: text -> Cow<'a, str> = "livePlaylistName",
        /// How long it plays, in nanoseconds.
        duration: integer -> u64 = "duration",
        /// The size of all segments in bytes.
        size: integer -> u64 = "size",
        /// Where the playlist is.
        playlist_location: text -> Cow<'a, str> = "playlistLocation",
        /// Where the playlist of the latest segments is.
        live_playlist_location: text -> Cow<'a, str> = "livePlaylistLocation",
        /// How many segments there are.
        segment_count: integer -> u64 = "segmentCount",
        /// When the first segment was started, in nanoseconds since 1970.
        started_at: time -> Option<u64> = "startedAt",
        /// When the last segment was complete, in nanoseconds since 1970.
        ended_at: time -> Option<u64> = "endedAt",
    }

    /// An ingress.
    IngressDetails {
        /// Its type, such as `WHIP_INPUT`; empty for `RTMP_INPUT`.
        input_type: word -> Cow<'a, str> = "inputType",
        /// Its state.
        state: part -> Option<IngressState<'a>> = "state",
    }

    /// The state of an ingress.
    IngressState {
        /// Its status, such as `ENDPOINT_PUBLISHING`; empty for `ENDPOINT_INACTIVE`.
        status: word -> Cow<'a, str> = "status",
        /// Why it failed.
        error: text -> Cow<'a, str> = "error",
        /// The id of the room's session.
        room_id: text -> Cow<'a, str> = "roomId",
        /// When it started, in nanoseconds since 1970.
        started_at: time -> Option<u64> = "startedAt",
        /// When it last changed, in nanoseconds since 1970.
        updated_at: time -> Option<u64> = "updatedAt",
        /// When it ended, in nanoseconds since 1970.
        ended_at: time -> Option<u64> = "endedAt",
    }

    /// A job.
    JobDetails {
        /// Of the room it is in.
        room: part -> Option<RoomDetails<'a>> = "room",
        /// Its state.
        state: part -> Option<JobState<'a>> = "state",
    }

    /// The state of a job.
    JobState {
        /// Its status, such as `JS_RUNNING`; empty for `JS_PENDING`.
        status: word -> Cow<'a, str> = "status",
        /// Why it failed.
        error: text -> Cow<'a, str> = "error",
        /// When it started, in nanoseconds since 1970.
        started_at: time -> Option<u64> = "startedAt",
        /// When it last changed, in nanoseconds since 1970.
        updated_at: time -> Option<u64> = "updatedAt",
        /// When it ended, in nanoseconds since 1970.
        ended_at: time -> Option<u64> = "endedAt",
        /// The identity of the agent in the room.
        participant_identity: text -> Cow<'a, str> = "participantIdentity",
    }
}

impl<'a> EventDetails<'a> {
    /// Reads `body`. If a member occurs twice, the last one counts.
    ///
    /// # Errors
    /// As [`WebhookEvent::parse`](crate::WebhookEvent::parse).
    pub fn parse(body: &'a [u8]) -> Result<Self, NotAnEvent> {
        BOUNDS.check(body).or(Err(NotAnEvent))?;
        json::from_utf8(body).map(|payload| Self::of(&payload)).or(Err(NotAnEvent))
    }
}

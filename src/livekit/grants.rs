//! Grants: what the bearer of an access token may do (livekit/protocol `auth/grants.go`). Does not know who gets which.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::json::{Buffer, Named, ObjectWriter, Scan, Scanner, Written, name};

/// Declares grants. A row is a field, its name in JSON and its type. Everything that reads, writes or checks grants follows from it.
macro_rules! grants {
    ($($(#[$about:meta])* $grants:ident { $($(#[$meta:meta])* $field:ident = $name:literal: $type:ty,)* })*) => {$(
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
        #[serde(default)]
        pub struct $grants {
            $($(#[$meta])* #[serde(rename = $name)] pub $field: $type,)*
        }

        impl $grants {
            /// Writes the grants into an object that may have others.
            #[inline]
            pub(super) fn write_members(&self, object: &mut ObjectWriter<'_, impl Buffer>) {
                $(object.non_zero(name!($name), &self.$field);)*
            }
        }

        impl Written for $grants {
            const MEMBERS: &'static [&'static str] = &[$($name),*];

            fn write(&self, out: &mut impl Buffer) {
                let mut object = ObjectWriter::begin(out);
                self.write_members(&mut object);
                object.end();
            }
        }

        impl<'a> Scan<'a> for $grants {
            fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
                let (mut grants, mut others) = (Self::default(), Vec::new());
                scanner.object(|scanner, name| match name {
                    $($name => scanner.once(&mut grants.$field),)*
                    _ => scanner.other(name, &mut others),
                })?;
                Some(grants)
            }
        }
    )*};
}

grants! {
    /// What the bearer may do with rooms: the claim `video`.
    ///
    /// A grant of three values is `None` if the token does not mention it. LiveKit then grants `can_publish` and `can_subscribe`,
    /// treats `can_publish_data` like `can_publish`, and refuses the others.
    VideoGrants {
        /// Create and delete rooms.
        room_create = "roomCreate": bool,
        /// List all rooms.
        room_list = "roomList": bool,
        /// Start recordings.
        room_record = "roomRecord": bool,
        /// Moderate [`room`](Self::room).
        room_admin = "roomAdmin": bool,
        /// Join [`room`](Self::room). If that is empty, LiveKit lets the bearer join any room; roomkey never mints such a token.
        room_join = "roomJoin": bool,
        /// The room that `room_join` and `room_admin` apply to.
        room = "room": String,
        /// The room that participants may be forwarded to.
        destination_room = "destinationRoom": String,
        /// Publish tracks.
        can_publish = "canPublish": Option<bool>,
        /// Subscribe to the tracks of others.
        can_subscribe = "canSubscribe": Option<bool>,
        /// Publish data.
        can_publish_data = "canPublishData": Option<bool>,
        /// The only sources that may be published; empty means all of them.
        #[serde(deserialize_with = "sources")]
        can_publish_sources = "canPublishSources": Vec<TrackSource>,
        /// Change the bearer's own name, metadata and attributes.
        can_update_own_metadata = "canUpdateOwnMetadata": Option<bool>,
        /// Manage ingresses.
        ingress_admin = "ingressAdmin": bool,
        /// Be invisible to the other participants.
        hidden = "hidden": bool,
        /// Record the room, and be marked as a recorder.
        recorder = "recorder": bool,
        /// Register as an agent.
        agent = "agent": bool,
        /// Subscribe to metrics.
        can_subscribe_metrics = "canSubscribeMetrics": Option<bool>,
        /// Manage agent sessions.
        can_manage_agent_session = "canManageAgentSession": Option<bool>,
    }

    /// What the bearer may do over SIP: the claim `sip`.
    SIPGrants {
        /// Manage trunks and dispatch rules.
        admin = "admin": bool,
        /// Call out.
        call = "call": bool,
    }

    /// What the bearer may do with agents: the claim `agent`.
    AgentGrants {
        /// Manage agents.
        admin = "admin": bool,
        /// Manage simulations.
        simulation_admin = "simulationAdmin": bool,
        /// Manage databases.
        database_admin = "databaseAdmin": bool,
        /// Manage dispatches.
        dispatch_admin = "dispatchAdmin": bool,
    }

    /// Whether the bearer may use LiveKit's inference: the claim `inference`.
    InferenceGrants {
        /// Run inference.
        perform = "perform": bool,
    }

    /// Whether the bearer may report observations: the claim `observability`.
    ObservabilityGrants {
        /// Write observations.
        write = "write": bool,
    }

    /// Which agent endpoint the bearer may call: the claim `agentEndpoint`.
    AgentEndpointGrants {
        /// Call it.
        call = "call": bool,
        /// The agent.
        agent_name = "agentName": String,
        /// Its deployment.
        deployment = "deployment": String,
    }

    /// What the bearer may do with agents' threads: the claim `agentThread`.
    AgentThreadGrants {
        /// Everything.
        all = "all": bool,
        /// The scope of the grant.
        scope = "scope": String,
        /// The threads that the grant applies to.
        thread_ids = "threadIds": Vec<String>,
        /// List threads.
        list = "list": bool,
        /// Create threads.
        create = "create": bool,
        /// Write to threads.
        write = "write": bool,
        /// Read threads.
        read = "read": bool,
        /// Delete threads.
        delete = "delete": bool,
    }
}

fn sources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TrackSource>, D::Error> {
    let sources = Vec::<Named<_>>::deserialize(deserializer)?;
    Ok(sources.into_iter().map(|source| source.0).collect())
}

impl<'a> Scan<'a> for TrackSource {
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        scanner.variant()
    }
}

/// A kind of track that a participant may be limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackSource {
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// A shared screen.
    ScreenShare,
    /// The sound of a shared screen.
    ScreenShareAudio,
    /// Any other name in a token. It matches no track, so it never widens a grant.
    #[serde(other)]
    Unknown,
}

/// What a participant is: the claim `kind`. An end user never chooses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParticipantKind {
    /// An ingress.
    Ingress,
    /// An egress.
    Egress,
    /// A caller over SIP.
    Sip,
    /// An agent.
    Agent,
    /// A connector.
    Connector,
    /// A bridge.
    Bridge,
    /// A person. LiveKit also reads any unknown kind as this one.
    #[default]
    #[serde(other)]
    Standard,
}

impl fmt::Display for ParticipantKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

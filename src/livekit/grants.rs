//! Owns the grants: what the bearer of an access token may do (livekit/protocol `auth/grants.go`). Zero values are left
//! out when written, as Go does, and a three-valued grant keeps its `false`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::json::{Named, ObjectWriter, name};

/// What the bearer may do with rooms: the claim `video`.
///
/// A three-valued grant is `None` where the token says nothing; LiveKit then takes `can_publish` and `can_subscribe` as
/// granted, `can_publish_data` as `can_publish`, and the others as refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoGrants {
    /// Create rooms, and delete them.
    pub room_create: bool,
    /// List all rooms.
    pub room_list: bool,
    /// Start recordings.
    pub room_record: bool,
    /// Moderate [`room`](Self::room).
    pub room_admin: bool,
    /// Join [`room`](Self::room). With an empty room LiveKit lets the bearer join any; no token here is minted so.
    pub room_join: bool,
    /// The room that `room_join` and `room_admin` are for.
    pub room: String,
    /// The room that participants may be forwarded to.
    pub destination_room: String,
    /// Publish tracks.
    pub can_publish: Option<bool>,
    /// Subscribe to others' tracks.
    pub can_subscribe: Option<bool>,
    /// Publish data.
    pub can_publish_data: Option<bool>,
    /// The only sources that may be published; empty means all of them.
    #[serde(deserialize_with = "sources")]
    pub can_publish_sources: Vec<TrackSource>,
    /// Change the bearer's own name, metadata and attributes.
    pub can_update_own_metadata: Option<bool>,
    /// Manage ingresses.
    pub ingress_admin: bool,
    /// Be invisible to the other participants.
    pub hidden: bool,
    /// Record the room, and be told apart by that.
    pub recorder: bool,
    /// Register as an agent.
    pub agent: bool,
    /// Subscribe to metrics.
    pub can_subscribe_metrics: Option<bool>,
    /// Manage agent sessions.
    pub can_manage_agent_session: Option<bool>,
}

impl VideoGrants {
    /// Appends the grant as JSON. By hand, for it is half of every token; the names are those that the derived reader takes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut object = ObjectWriter::begin(out);
        object.flag(name!("roomCreate"), self.room_create);
        object.flag(name!("roomList"), self.room_list);
        object.flag(name!("roomRecord"), self.room_record);
        object.flag(name!("roomAdmin"), self.room_admin);
        object.flag(name!("roomJoin"), self.room_join);
        object.text(name!("room"), &self.room);
        object.text(name!("destinationRoom"), &self.destination_room);
        object.three_valued(name!("canPublish"), self.can_publish);
        object.three_valued(name!("canSubscribe"), self.can_subscribe);
        object.three_valued(name!("canPublishData"), self.can_publish_data);
        if !self.can_publish_sources.is_empty() {
            object.value(name!("canPublishSources"), &self.can_publish_sources);
        }
        object.three_valued(name!("canUpdateOwnMetadata"), self.can_update_own_metadata);
        object.flag(name!("ingressAdmin"), self.ingress_admin);
        object.flag(name!("hidden"), self.hidden);
        object.flag(name!("recorder"), self.recorder);
        object.flag(name!("agent"), self.agent);
        object.three_valued(name!("canSubscribeMetrics"), self.can_subscribe_metrics);
        object.three_valued(name!("canManageAgentSession"), self.can_manage_agent_session);
        object.end();
    }
}

fn sources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TrackSource>, D::Error> {
    let sources = Vec::<Named<_>>::deserialize(deserializer)?;
    Ok(sources.into_iter().map(|source| source.0).collect())
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
    /// Any other name in a token that was read: it matches no track, so that it never widens a grant.
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
    /// A person; and what LiveKit makes of any kind that it does not know.
    #[default]
    #[serde(other)]
    Standard,
}

impl fmt::Display for ParticipantKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Declares a grant whose fields are left out while they are zero.
macro_rules! grants {
    ($(#[$about:meta])* $name:ident { $($(#[$field_about:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $($(#[$field_about])* #[serde(skip_serializing_if = "is_zero")] pub $field: $type,)*
        }
    };
}

grants! {
    /// What the bearer may do over SIP: the claim `sip`.
    SIPGrants {
        /// Manage trunks and dispatch rules.
        admin: bool,
        /// Call out.
        call: bool,
    }
}

grants! {
    /// What the bearer may do with agents: the claim `agent`.
    AgentGrants {
        /// Manage agents.
        admin: bool,
        /// Manage simulations.
        simulation_admin: bool,
        /// Manage databases.
        database_admin: bool,
        /// Manage dispatches.
        dispatch_admin: bool,
    }
}

grants! {
    /// Whether the bearer may use LiveKit's inference: the claim `inference`.
    InferenceGrants {
        /// Run inference.
        perform: bool,
    }
}

grants! {
    /// Whether the bearer may report observations: the claim `observability`.
    ObservabilityGrants {
        /// Write observations.
        write: bool,
    }
}

grants! {
    /// Which agent endpoint the bearer may call: the claim `agentEndpoint`.
    AgentEndpointGrants {
        /// Call it.
        call: bool,
        /// The agent.
        agent_name: String,
        /// Its deployment.
        deployment: String,
    }
}

grants! {
    /// What the bearer may do with agents' threads: the claim `agentThread`.
    AgentThreadGrants {
        /// Everything.
        all: bool,
        /// The scope that the grant is for.
        scope: String,
        /// The threads that the grant is for.
        thread_ids: Vec<String>,
        /// List threads.
        list: bool,
        /// Create threads.
        create: bool,
        /// Write to threads.
        write: bool,
        /// Read threads.
        read: bool,
        /// Delete threads.
        delete: bool,
    }
}

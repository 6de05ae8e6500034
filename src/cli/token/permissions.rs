//! What a token allows, in plain phrases, as LiveKit reads its grants. Does not check whether the token is valid.
//!
//! Every claim and grant is named in a pattern without `..`, so that the compiler refuses a new one until it has its sentence.

use crate::livekit::claims::Claims;
use crate::livekit::grants::{
    AgentEndpointGrants, AgentGrants, AgentThreadGrants, InferenceGrants, ObservabilityGrants, SIPGrants, TrackSource,
    VideoGrants,
};

/// What the bearer of `claims` may do, each a phrase after "may". Text from the token is quoted and escaped.
#[rustfmt::skip]
pub(super) fn of(claims: &Claims) -> Vec<String> {
    let Claims {
        video, sip, agent, inference, observability, agent_endpoint, agent_thread, sha256,
        // These allow nothing.
        iss: _, sub: _, jti: _, exp: _, nbf: _, iat: _, name: _, metadata: _, attributes: _, kind: _, kind_details: _,
        room_config: _, room_preset: _,
    } = claims.clone();
    let mut permissions = video.map(of_video).unwrap_or_default();
    let mut may = |is_granted: bool, what: &str| permissions.extend(is_granted.then(|| what.to_owned()));

    let SIPGrants { admin, call } = sip.unwrap_or_default();
    may(admin, "manage SIP trunks and dispatch rules");
    may(call, "call out over SIP");
    let AgentGrants { admin, simulation_admin, database_admin, dispatch_admin } = agent.unwrap_or_default();
    may(admin, "manage agents");
    may(simulation_admin, "manage agents' simulations");
    may(database_admin, "manage agents' databases");
    may(dispatch_admin, "manage agents' dispatches");
    let InferenceGrants { perform } = inference.unwrap_or_default();
    may(perform, "use LiveKit's inference");
    let ObservabilityGrants { write } = observability.unwrap_or_default();
    may(write, "report observations");

    let AgentEndpointGrants { call, agent_name, deployment: _ } = agent_endpoint.unwrap_or_default();
    may(call, &format!("call the endpoint of the agent {agent_name:?}"));
    let AgentThreadGrants { all, list, create, write, read, delete, scope: _, thread_ids: _ } = agent_thread.unwrap_or_default();
    let verbs = [
        all.then_some("do everything with"), list.then_some("list"), create.then_some("create"), write.then_some("write to"),
        read.then_some("read"), delete.then_some("delete"),
    ];
    let verbs: Vec<_> = verbs.into_iter().flatten().collect();
    may(!verbs.is_empty(), &format!("{} agents' threads", verbs.join(", ")));
    may(!sha256.is_empty(), "vouch for one body, as a webhook's token");
    permissions
}

#[rustfmt::skip]
fn of_video(video: VideoGrants) -> Vec<String> {
    let VideoGrants {
        room_join, room, can_publish, can_publish_sources, can_publish_data, can_subscribe, can_update_own_metadata,
        can_subscribe_metrics, can_manage_agent_session, hidden, recorder, agent, room_admin, room_create, room_list,
        room_record, ingress_admin, destination_room,
    } = video;
    let its_room = |none: &str| if room.is_empty() { none.to_owned() } else { format!("the room {room:?}") };
    let mut permissions = Vec::new();
    let mut may = |is_granted: bool, what: &str| permissions.extend(is_granted.then(|| what.to_owned()));

    if room_join {
        may(true, &format!("join {}", its_room("any room")));
        may(true, &publishing(can_publish, &can_publish_sources));
        may(true, if can_subscribe.unwrap_or(true) { "subscribe to others" } else { "not subscribe to others" });
        let data = can_publish_data.or(can_publish).unwrap_or(true);
        may(true, if data { "publish data" } else { "not publish data" });
    }
    may(can_update_own_metadata == Some(true), "change its own name, metadata and attributes");
    may(can_subscribe_metrics == Some(true), "subscribe to metrics");
    may(can_manage_agent_session == Some(true), "manage agent sessions");
    may(hidden, "be invisible to the others");
    may(recorder, "record, and be told apart by that");
    may(agent, "register as an agent");
    may(room_admin, &format!("moderate {}", its_room("no room")));
    may(room_create, "create and delete rooms");
    may(room_list, "list all rooms");
    may(room_record, "start and stop recordings and streams");
    may(ingress_admin, "manage ingresses");
    may(!destination_room.is_empty(), &format!("forward participants to the room {destination_room:?}"));
    permissions
}

/// LiveKit asks `canPublish` first, and then the sources, of which none means all.
fn publishing(can_publish: Option<bool>, sources: &[TrackSource]) -> String {
    let name = |source| Some(serde_json::to_value(source).ok()?.as_str()?.to_owned());
    let sources: Vec<_> = sources.iter().filter_map(name).collect();
    if can_publish == Some(false) {
        "not publish tracks".to_owned()
    } else if sources.is_empty() {
        "publish tracks of every source".to_owned()
    } else {
        format!("publish only {}", sources.join(", "))
    }
}

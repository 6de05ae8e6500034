//! What a token allows, in plain phrases, as LiveKit reads its grants. Does not check whether the token is valid.

use crate::livekit::claims::Claims;
use crate::livekit::grants::VideoGrants;

/// What the bearer of `claims` may do, as phrases that follow "may". Text from the token is quoted and escaped.
pub(super) fn of(claims: &Claims) -> Vec<String> {
    let mut permissions = claims.video.as_ref().map(of_video).unwrap_or_default();
    let mut may = |is_granted: bool, what: &str| permissions.extend(is_granted.then(|| what.to_owned()));

    let sip = claims.sip.clone().unwrap_or_default();
    may(sip.admin, "manage SIP trunks and dispatch rules");
    may(sip.call, "call out over SIP");
    let agent = claims.agent.clone().unwrap_or_default();
    may(agent.admin, "manage agents");
    may(agent.simulation_admin, "manage agents' simulations");
    may(agent.database_admin, "manage agents' databases");
    may(agent.dispatch_admin, "manage agents' dispatches");
    may(claims.inference.as_ref().is_some_and(|inference| inference.perform), "use LiveKit's inference");
    may(claims.observability.as_ref().is_some_and(|observability| observability.write), "report observations");

    let endpoint = claims.agent_endpoint.clone().unwrap_or_default();
    may(endpoint.call, &format!("call the endpoint of the agent {:?}", endpoint.agent_name));
    let thread = claims.agent_thread.clone().unwrap_or_default();
    let verbs = [
        (thread.all, "do everything with"),
        (thread.list, "list"),
        (thread.create, "create"),
        (thread.write, "write to"),
        (thread.read, "read"),
        (thread.delete, "delete"),
    ];
    let verbs: Vec<_> = verbs.into_iter().filter(|(is_granted, _)| *is_granted).map(|(_, verb)| verb).collect();
    may(!verbs.is_empty(), &format!("{} agents' threads", verbs.join(", ")));
    may(!claims.sha256.is_empty(), "vouch for one body, as a webhook's token");
    permissions
}

fn of_video(video: &VideoGrants) -> Vec<String> {
    let room = if video.room.is_empty() { "no room".to_owned() } else { format!("the room {:?}", video.room) };
    let mut permissions = Vec::new();
    let mut may = |is_granted: bool, what: String| permissions.extend(is_granted.then_some(what));

    if video.room_join {
        may(true, if video.room.is_empty() { "join any room".to_owned() } else { format!("join {room}") });
        may(true, publishing(video));
        may(
            true,
            if video.can_subscribe.unwrap_or(true) {
                "subscribe to others".to_owned()
            } else {
                "not subscribe to others".to_owned()
            },
        );
        let data = video.can_publish_data.or(video.can_publish).unwrap_or(true);
        may(true, if data { "publish data".to_owned() } else { "not publish data".to_owned() });
    }
    may(video.can_update_own_metadata == Some(true), "change its own name, metadata and attributes".to_owned());
    may(video.can_subscribe_metrics == Some(true), "subscribe to metrics".to_owned());
    may(video.can_manage_agent_session == Some(true), "manage agent sessions".to_owned());
    may(video.hidden, "be invisible to the others".to_owned());
    may(video.recorder, "record, and be told apart by that".to_owned());
    may(video.agent, "register as an agent".to_owned());
    may(video.room_admin, format!("moderate {room}"));
    may(video.room_create, "create and delete rooms".to_owned());
    may(video.room_list, "list all rooms".to_owned());
    may(video.room_record, "start and stop recordings and streams".to_owned());
    may(video.ingress_admin, "manage ingresses".to_owned());
    may(!video.destination_room.is_empty(), format!("forward participants to the room {:?}", video.destination_room));
    permissions
}

/// LiveKit checks `canPublish` first, and then the sources; an empty list means all of them.
fn publishing(video: &VideoGrants) -> String {
    let sources = video.can_publish_sources.iter().filter_map(|source| serde_json::to_value(source).ok());
    let sources: Vec<_> = sources.filter_map(|source| source.as_str().map(str::to_owned)).collect();
    if video.can_publish == Some(false) {
        "not publish tracks".to_owned()
    } else if sources.is_empty() {
        "publish tracks of every source".to_owned()
    } else {
        format!("publish only {}", sources.join(", "))
    }
}

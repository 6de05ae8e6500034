//! Decides who may see or steer the relay, from a LiveKit token. Does not know what is seen or asked.

use std::sync::Arc;

use hyper::header::HeaderMap;

use crate::http::edge::Edge;
use crate::http::livekit_token::{self, LiveKitToken};
use crate::http::refusal::Refusal;
use crate::http::routes;
use crate::livekit::grants::VideoGrants;
use crate::relay::handle::Relay;

/// A grant that a token needs.
pub(super) struct Right {
    name: &'static str,
    is_in: fn(&VideoGrants) -> bool,
}

pub(super) const READ: Right = Right { name: "roomList", is_in: |grants| grants.room_list };
pub(super) const STEER: Right = Right { name: "roomCreate", is_in: |grants| grants.room_create };

/// The relay, for a client whose token has the `right`, and the name of the key that signed the token.
pub(super) fn check<'a>(edge: &'a Edge, headers: &HeaderMap, right: &Right) -> Result<(&'a Relay, Arc<str>), Refusal> {
    let keys = edge.keyring.current();
    livekit_token::check_page(edge, &keys, headers)?;
    let token = livekit_token::bearer(headers).ok_or(Refusal::Operator(None))?;
    let LiveKitToken { key, grants, .. } = livekit_token::verify(&keys, token, edge.clock.now()).map_err(Refusal::Operator)?;
    if !(right.is_in)(&grants) {
        return Err(Refusal::NotGranted(right.name));
    }
    Ok((edge.relay.as_ref().ok_or(Refusal::NoRelay)?, key))
}

/// The target of `relay` that `path` names.
pub(super) fn target(relay: &Relay, path: &str) -> Result<Arc<str>, Refusal> {
    let target = routes::target(path);
    relay.names().into_iter().find(|name| **name == *target).ok_or(Refusal::UnknownTarget)
}

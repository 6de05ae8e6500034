//! Decides which events a client may read, from its token. Does not know where events come from.

use hyper::header::{AUTHORIZATION, HeaderMap};

use crate::http::edge::Edge;
use crate::http::endpoints::events::large_bodies::Allowance;
use crate::http::endpoints::events::permission::Permission;
use crate::http::headers::only;
use crate::http::refusal::Refusal;
use crate::inbox::Filter;
use crate::json;
use crate::livekit::claims::{Claims, Registered};
use crate::livekit::key::ApiKey;
use crate::livekit::token_verifier::{LEEWAY, TokenError};

/// What a client may read, for how long, and how much memory it may use.
#[derive(Debug)]
pub(super) struct Access {
    /// The only room that it may read; `None` for all.
    pub(super) room: Option<String>,
    pub(super) permission: Permission,
    pub(super) allowance: Allowance,
}

impl Access {
    /// Checks the token in the header or, because `EventSource` cannot set headers, in the query. If everyone knows a secret, the
    /// page that asks is checked too.
    pub(super) fn check(edge: &Edge, headers: &HeaderMap, access_token: Option<&str>) -> Result<Self, Refusal> {
        let now = edge.clock.now();
        let keys = edge.keyring.current();
        if keys.api_keys.have_development() && !edge.cors.trusts(headers) {
            return Err(Refusal::ForeignPage);
        }
        let token = bearer(headers).or(access_token).ok_or(Refusal::Reader(None))?;
        let read = |key: &ApiKey, payload: &[u8], _: Registered<'_>| Some((key.shared_name(), json::from_utf8(payload).ok()?));
        let checked = keys.verifier.authenticate(token, now, read).and_then(|read| read.ok_or(TokenError::Claims));
        let (key, claims): (_, Claims) = checked.map_err(|error| Refusal::Reader(Some(error)))?;
        // A webhook's token is for one body, and may be in the logs of the proxies that it passed.
        let expiry = claims.exp.filter(|_| claims.sha256.is_empty()).ok_or(Refusal::Reader(None))?;
        // A token that is valid only by the leeway is valid until the end of the leeway.
        let until = if now < expiry { expiry } else { expiry.saturating_add(LEEWAY) };
        let room = match claims.video.unwrap_or_default() {
            video if video.room_list => None,
            video if video.room_admin && !video.room.is_empty() => Some(video.room),
            _ => return Err(Refusal::NotAllowedToRead),
        };
        let allowance = edge.large_bodies.allowance(token, &room);
        Ok(Self { room, permission: Permission::new(edge, keys, key, until), allowance })
    }

    /// The filter of a query for `room` and `events`.
    pub(super) fn filter(&self, room: Option<&str>, events: Vec<String>) -> Result<Filter, Refusal> {
        match (self.room.as_deref(), room) {
            (Some(own), Some(other)) if own != other => Err(Refusal::NotAllowedToRead),
            (own, other) => Ok(Filter { room: own.or(other).map(str::to_owned), events }),
        }
    }

    pub(super) fn grant(&self) -> &'static str {
        if self.room.is_none() { "roomList" } else { "roomAdmin" }
    }
}

/// The token of the only `Authorization: Bearer` (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = only(headers, AUTHORIZATION).ok()??.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

//! Owns who may read which events, by the token they bear. Does not know where events come from.

use hyper::header::{AUTHORIZATION, HeaderMap};

use crate::http::Edge;
use crate::http::endpoints::events::large_bodies::Allowance;
use crate::http::endpoints::events::right::Right;
use crate::http::reply::Refusal;
use crate::inbox::Filter;
use crate::json;
use crate::livekit::claims::{Claims, Registered};
use crate::livekit::key::ApiKey;
use crate::livekit::token_verifier::{LEEWAY, TokenError};

/// What the bearer of a token may read, for how long, and how much memory it may take.
#[derive(Debug)]
pub(super) struct Access {
    scope: Scope,
    pub(super) right: Right,
    pub(super) allowance: Allowance,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Scope {
    All,
    Room(String),
}

impl Access {
    /// Judges the page that asks, if everyone can sign, and the token in `Authorization`, or else the one in the query, because the
    /// `EventSource` of browsers cannot set headers.
    pub(super) fn judge(edge: &Edge, headers: &HeaderMap, access_token: Option<&str>) -> Result<Self, Refusal> {
        let now = edge.clock.now();
        let trust = edge.keyring.current();
        if trust.is_public && !edge.cors.trusts(headers) {
            return Err(Refusal::ForeignPage);
        }
        let token = bearer(headers).or(access_token).ok_or(Refusal::Reader(None))?;
        let read = |key: &ApiKey, payload: &[u8], _: Registered<'_>| Some((key.shared_name(), json::from_utf8(payload).ok()?));
        let judged = trust.verifier.authenticate(token, now, read).and_then(|read| read.ok_or(TokenError::Claims));
        let (key, claims): (_, Claims) = judged.map_err(|error| Refusal::Reader(Some(error)))?;
        // A webhook's token lets its sender deliver one body, and lies in the logs of whatever stands between.
        let expiry = claims.exp.filter(|_| claims.sha256.is_empty()).ok_or(Refusal::Reader(None))?;
        // One that holds only because clocks differ goes on for as long as it would be taken anew.
        let until = if now < expiry { expiry } else { expiry.saturating_add(LEEWAY) };
        let scope = Scope::of(claims)?;
        let allowance = edge.large_bodies.allowance(token, &scope);
        Ok(Self { scope, right: Right::new(edge, trust, key, until), allowance })
    }

    /// The filter for a query that names `room` and `events`.
    pub(super) fn filter(&self, room: Option<&str>, events: Vec<String>) -> Result<Filter, Refusal> {
        let room = match (&self.scope, room) {
            (Scope::All, room) => room.map(str::to_owned),
            (Scope::Room(own), Some(other)) if own != other => return Err(Refusal::NotAllowedToRead),
            (Scope::Room(own), _) => Some(own.clone()),
        };
        Ok(Filter { room, events })
    }

    /// The grant by which it reads.
    pub(super) fn grant(&self) -> &'static str {
        match self.scope {
            Scope::All => "roomList",
            Scope::Room(_) => "roomAdmin",
        }
    }

    /// Whether the secrets in an event are not for this reader.
    pub(super) fn redacts(&self) -> bool {
        self.scope != Scope::All
    }
}

impl Scope {
    fn of(claims: Claims) -> Result<Self, Refusal> {
        let video = claims.video.unwrap_or_default();
        if video.room_list {
            Ok(Self::All)
        } else if video.room_admin && !video.room.is_empty() {
            Ok(Self::Room(video.room))
        } else {
            Err(Refusal::NotAllowedToRead)
        }
    }
}

/// The token of the one `Authorization: Bearer` (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (scheme, token) = values.next()?.to_str().ok()?.split_once(' ')?;
    (values.next().is_none() && scheme.eq_ignore_ascii_case("bearer")).then(|| token.trim_matches(' '))
}

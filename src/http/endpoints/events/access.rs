//! Owns who may read which events, by the token they bear, and until when. Does not know where events come from.

use std::time::Duration;

use hyper::header::{AUTHORIZATION, HeaderMap};

use crate::clock::UnixTime;
use crate::http::Edge;
use crate::http::reply::Refusal;
use crate::inbox::Filter;
use crate::livekit::claims::Claims;
use crate::livekit::token_verifier::LEEWAY;

/// What the bearer of a token may read, and until when.
#[derive(Debug)]
pub(super) struct Access {
    scope: Scope,
    until: UnixTime,
}

#[derive(Debug, PartialEq, Eq)]
enum Scope {
    All,
    Room(String),
}

impl Access {
    /// Judges the page that asks, where everyone can sign, and the token in `Authorization`, or else the one in the query, for the `EventSource` of browsers cannot set headers.
    pub(super) fn judge(edge: &Edge, headers: &HeaderMap, access_token: Option<&str>) -> Result<Self, Refusal> {
        let now = edge.clock.now();
        let trust = edge.keyring.current();
        if trust.is_public && !edge.cors.trusts(headers) {
            return Err(Refusal::ForeignPage);
        }
        let token = bearer(headers).or(access_token).ok_or(Refusal::Reader(None))?;
        let claims = trust.verifier.verify(token, now).map_err(|error| Refusal::Reader(Some(error)))?;
        // A webhook's token lets its sender deliver one body, and lies in the logs of whatever stands between.
        let expiry = claims.exp.filter(|_| claims.sha256.is_empty()).ok_or(Refusal::Reader(None))?;
        // One that holds only because clocks differ goes on for as long as it would be taken anew.
        let until = if now < expiry { expiry } else { expiry.saturating_add(LEEWAY) };
        Ok(Self { scope: Scope::of(claims)?, until })
    }

    /// The filter for a query that names `room` and `events`.
    pub(super) fn filter(&self, room: Option<String>, events: Vec<String>) -> Result<Filter, Refusal> {
        let room = match (&self.scope, room) {
            (Scope::All, room) => room,
            (Scope::Room(own), Some(other)) if *own != other => return Err(Refusal::NotAllowedToRead),
            (Scope::Room(own), _) => Some(own.clone()),
        };
        Ok(Filter { room, events })
    }

    /// Whether the secrets in an event are not for this reader.
    pub(super) fn redacts(&self) -> bool {
        self.scope != Scope::All
    }

    /// When the token ends.
    pub(super) fn until(&self) -> UnixTime {
        self.until
    }

    /// How long it holds from `now` on.
    pub(super) fn left(&self, now: UnixTime) -> Duration {
        self.until.since(now)
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

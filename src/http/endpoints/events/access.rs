//! Decides which events a client may read, from its LiveKit token or its credential as a caller. Does not know where events come from.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use crate::caller::refused::Refused;
use crate::caller::settings::ANONYMOUS;
use crate::clock::UnixTime;
use crate::http::caller_headers::CallerHeaders;
use crate::http::edge::Edge;
use crate::http::endpoints::events::caller_watch::{CallerWatch, ReadingCaller};
use crate::http::endpoints::events::large_bodies::Allowance;
use crate::http::endpoints::events::permission::Permission;
use crate::http::keyring::KeySet;
use crate::http::livekit_token::{self, LiveKitToken};
use crate::http::policies::{ActivePolicy, PolicyChanges};
use crate::http::refusal::Refusal;
use crate::http::trace::{Trace, subject_for_log};
use crate::inbox::Filter;
use crate::livekit::token_verifier::LEEWAY;
use crate::policy::rule::EventsRight;

/// What a client may read, for how long, and how much memory it may use.
#[derive(Debug)]
pub(super) struct Access {
    /// The only room that it may read; `None` for all.
    pub(super) room: Option<String>,
    pub(super) permission: Permission,
    pub(super) allowance: Allowance,
    pub(super) reader: Reader,
}

/// Who reads, for the log.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Reader {
    /// The name of the key that signed its token.
    Key(Arc<str>),
    /// The caller and its subject.
    Caller(Arc<str>, Option<String>),
}

impl Reader {
    pub(super) fn key(&self) -> Option<&str> {
        if let Self::Key(name) = self { Some(name) } else { None }
    }

    pub(super) fn caller(&self) -> Option<&str> {
        if let Self::Caller(name, _) = self { Some(name) } else { None }
    }

    pub(super) fn subject(&self) -> Option<&str> {
        if let Self::Caller(_, subject) = self { subject_for_log(subject.as_deref()) } else { None }
    }
}

impl Access {
    /// Checks the token in the header or, because `EventSource` cannot set headers, in the query. If it is no LiveKit token and there
    /// is a policy, it may be a caller's credential. If everyone knows a secret, the page that asks is checked too.
    pub(super) async fn check(
        edge: &Edge,
        trace: &Trace,
        headers: &HeaderMap,
        access_token: Option<&str>,
        room: Option<&str>,
    ) -> Result<Self, Refusal> {
        let keys = edge.keyring.current();
        livekit_token::check_page(edge, &keys, headers)?;
        let of_token = match livekit_token::bearer(headers).or(access_token) {
            Some(token) => Self::of_token(edge, keys, token),
            None => Err(Refusal::Reader(None)),
        };
        let Err(Refusal::Reader(_)) = of_token else { return of_token };
        let policies = edge.policies.watch();
        let policy = policies.borrow().clone();
        match policy {
            Some(policy) => Box::pin(Self::of_caller(edge, trace, (&policy, policies), headers, access_token, room)).await,
            None => of_token,
        }
    }

    fn of_token(edge: &Edge, keys: Arc<KeySet>, token: &str) -> Result<Self, Refusal> {
        let now = edge.clock.now();
        let LiveKitToken { key, grants, expiry } = livekit_token::verify(&keys, token, now).map_err(Refusal::Reader)?;
        let room = match grants {
            video if video.room_list => None,
            video if video.room_admin && !video.room.is_empty() => Some(video.room),
            _ => return Err(Refusal::NotAllowedToRead),
        };
        let allowance = edge.large_bodies.allowance(token, &room);
        let permission = Permission::of_key(edge, keys, Arc::clone(&key), last_moment(expiry, now));
        Ok(Self { room, permission, allowance, reader: Reader::Key(key) })
    }

    async fn of_caller(
        edge: &Edge,
        trace: &Trace,
        (policy, policies): (&ActivePolicy, PolicyChanges),
        headers: &HeaderMap,
        access_token: Option<&str>,
        room: Option<&str>,
    ) -> Result<Self, Refusal> {
        let mut headers = Cow::Borrowed(headers);
        if let Some(token) = access_token.filter(|_| !headers.contains_key(AUTHORIZATION)) {
            let bearer = HeaderValue::try_from(format!("Bearer {token}")).or(Err(Refusal::Reader(None)))?;
            headers.to_mut().insert(AUTHORIZATION, bearer);
        }
        let headers = CallerHeaders::new(edge, &policy.callers, trace, &headers)?;
        let now = edge.clock.now();
        let caller = headers.identify(edge, trace, policy, room).await.map_err(|refusal| match refusal {
            Refusal::NoCredential => Refusal::Reader(None),
            Refusal::Caller(Refused::Unauthorized(error)) => Refusal::ReaderCredential(error),
            Refusal::Caller(Refused::Forbidden { .. }) => Refusal::NotAllowedToRead,
            other => other,
        })?;
        let asked_room = room.map(str::to_owned);
        let room = match policy.rules.events(&caller, room) {
            EventsRight::All => None,
            EventsRight::Room => Some(asked_room.clone().ok_or(Refusal::NotAllowedToRead)?),
            EventsRight::None if &*caller.name == ANONYMOUS => return Err(Refusal::Reader(None)),
            EventsRight::None => {
                trace.denied(&caller, room, "no rule that matches gives the right to read these events");
                return Err(Refusal::NotAllowedToRead);
            }
        };
        let until = caller.ends.map_or(UnixTime::from_secs(u64::MAX), |expiry| last_moment(expiry, now));
        let allowance = edge.large_bodies.allowance((&caller.name, &caller.subject), &room);
        let reader = Reader::Caller(Arc::clone(&caller.name), caller.subject.clone());
        let reading = ReadingCaller {
            caller,
            room: asked_room,
            reads_all: room.is_none(),
            headers: headers.to_owned(&policy.callers),
            trace: trace.clone(),
            keyring: edge.keyring(),
            clock: edge.clock.clone(),
        };
        let permission = Permission::of_caller(edge, CallerWatch::new(reading, policies), until);
        Ok(Self { room, permission, allowance, reader })
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

/// When a token ends that expires at `expiry`. If it is valid only by the leeway, that is the end of the leeway.
fn last_moment(expiry: UnixTime, now: UnixTime) -> UnixTime {
    if now < expiry { expiry } else { expiry.saturating_add(LEEWAY) }
}

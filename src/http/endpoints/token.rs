//! `POST /token`: the token endpoint of OpenVidu's LiveKit tutorials and their application clients.

use std::borrow::Cow;

use hyper::Request;
use hyper::body::Incoming;

use crate::caller::Caller;
use crate::http::admission::{self, BodyReader};
use crate::http::body;
use crate::http::edge::Edge;
use crate::http::field_error::FieldError;
use crate::http::keyring::KeySet;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::http::trace::Trace;
use crate::json::{self, Members, ObjectWriter, Scan, Scanner, name};
use crate::livekit::access_token::{Identity, NameError, ParticipantToken, RoomName};
use crate::policy::asked::Asked;

const ROOM: &str = "roomName";
const PARTICIPANT: &str = "participantName";

/// What clients usually send, read quickly.
struct UsualFields<'a> {
    room: Cow<'a, str>,
    participant: Cow<'a, str>,
}

impl<'a> Scan<'a> for UsualFields<'a> {
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        let (mut room, mut participant, mut others) = (None, None, Vec::new());
        scanner.object(|scanner, name| match name {
            ROOM => scanner.once_optional(&mut room),
            PARTICIPANT => scanner.once_optional(&mut participant),
            _ => scanner.other(name, &mut others),
        })?;
        Some(Self { room: room?, participant: participant? })
    }
}

/// `{"roomName","participantName"}` in, `{"token"}` out.
pub(crate) async fn answer(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    let keys = edge.keyring.current();
    body::require_json(request.headers())?;
    let limit = edge.limits.token_body_bytes;
    let policy = edge.policies.current();
    let Some(policy) = policy.as_deref() else {
        let body = body::read_of_client(edge, trace, request, limit).await?;
        let (room, identity) = names(body.as_ref())?;
        return Ok(reply(edge, trace, &keys, &edge.tokens.policy.tutorial_token(room, identity), None));
    };
    let reader = BodyReader { limit, room_field: ROOM, read: asked };
    let (caller, body) = admission::identify(edge, &keys.api_keys, trace, policy, request, &reader).await?;
    let granted = admission::grant(edge, trace, policy, caller, body.as_ref(), &reader)?;
    Ok(reply(edge, trace, &keys, &granted.token, Some(granted.by())))
}

fn reply(edge: &Edge, trace: &Trace, keys: &KeySet, token: &ParticipantToken, by: Option<(&Caller, &str)>) -> Reply {
    let key = keys.api_keys.minting();
    let mut json = Vec::with_capacity(512);
    let mut object = ObjectWriter::begin(&mut json);
    object.member(name!("token"), |json| token.write_json(json, key, edge.clock.now()));
    object.end();
    trace.token(token, by, key);
    reply::json(json)
}

fn usual(body: &[u8]) -> Option<UsualFields<'_>> {
    json::scan(str::from_utf8(body).ok()?)
}

/// Anything else, so that what is wrong gets a precise error.
fn members(body: &[u8]) -> Result<Members<'_>, Refusal> {
    Members::parse(body).or(Err(Refusal::NotTheTutorialsFields))
}

/// The room and the identity, byte for byte.
fn names(body: &[u8]) -> Result<(RoomName, Identity), Refusal> {
    let room = |text| name(ROOM, text, RoomName::new);
    let identity = |text| name(PARTICIPANT, text, Identity::new);
    if let Some(usual) = usual(body) {
        return Ok((room(usual.room)?, identity(usual.participant)?));
    }
    let fields = members(body)?;
    let required = |field| text(&fields, field)?.ok_or(Refusal::MissingField(field));
    Ok((room(required(ROOM)?)?, identity(required(PARTICIPANT)?)?))
}

/// What the policy decides about. A rule that does not use a field does not need it.
fn asked(body: &[u8]) -> Result<Asked<'_>, Refusal> {
    let (room, participant) = match usual(body) {
        Some(UsualFields { room, participant }) => (Some(room), Some(participant)),
        None => {
            let fields = members(body)?;
            (text(&fields, ROOM)?, text(&fields, PARTICIPANT)?)
        }
    };
    Ok(Asked { room, identity: participant.clone(), name: participant, ..Asked::default() })
}

fn text<'a>(fields: &Members<'a>, field: &'static str) -> Result<Option<Cow<'a, str>>, Refusal> {
    if fields.is_ambiguous(field) {
        return Err(Refusal::Field(field, FieldError::Twice));
    }
    let has_text = |_| fields.text(field).ok_or(Refusal::Field(field, FieldError::NotText));
    fields.value(field).map(has_text).transpose()
}

fn name<T>(field: &'static str, text: Cow<'_, str>, new: fn(String) -> Result<T, NameError>) -> Result<T, Refusal> {
    new(text.into_owned()).map_err(|error| Refusal::Field(field, FieldError::Name(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_quickly_is_read_alike_member_by_member() {
        let bodies = [
            r#"{"roomName":"daily-standup","participantName":"alice"}"#,
            r#" { "a" : 7, "participantName" : "", "b" : "x", "roomName" : "ü" } "#,
        ];
        let mut quickly = 0;
        for body in bodies.into_iter().flat_map(json::mutations) {
            let Some(usual) = usual(body.as_bytes()) else { continue };
            let read =
                members(body.as_bytes()).map(|fields| [ROOM, PARTICIPANT].map(|field| text(&fields, field).ok().flatten()));
            assert_eq!(read.ok(), Some([Some(usual.room), Some(usual.participant)]), "{body}");
            quickly += 1;
        }
        assert!(quickly > 1000, "{quickly}");
    }
}

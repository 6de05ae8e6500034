//! `POST /connection-details`: the token endpoint of LiveKit's client SDKs (`TokenSource.endpoint`), also at the path of LiveKit
//! Cloud's development server. Requests are protobuf's JSON: a field may have either casing, and is absent if `null` or empty.

use std::collections::BTreeMap;

use hyper::Request;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::caller::Caller;
use crate::http::admission::{self, BodyReader};
use crate::http::body::{self, HeldBody};
use crate::http::edge::Edge;
use crate::http::field_error::FieldError;
use crate::http::keyring::KeySet;
use crate::http::limits::{ANSWER_PIECE_BYTES, TOKEN_OVERHEAD_BYTES};
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::http::trace::Trace;
use crate::json::{Bounds, Members, ObjectWriter, Text, name};
use crate::livekit::access_token::{Identity, NameError, ParticipantName, ParticipantToken, RoomName};
use crate::livekit::room_config::RoomConfiguration;
use crate::policy::TokenRequest;
use crate::policy::asked::Asked;

/// Enough for 64 KiB of attributes, the most that a request may have. Nested values are not built, so their depth needs no bound.
const BODY_BOUNDS: Bounds = Bounds { values: 20_000, depth: usize::MAX, steps: usize::MAX };

/// Takes the fields of [`token`], and answers `{"server_url","participant_token"}`.
pub(crate) async fn answer(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    let keys = edge.keyring.current();
    body::require_json(request.headers())?;
    let limit = edge.limits.standard_body_bytes;
    let policy = edge.policies.current();
    let Some(policy) = policy.as_deref() else {
        let body = body::read_of_client(edge, trace, request, limit).await?;
        let token = token(edge, body.as_ref())?;
        return reply(edge, trace, &keys, body, &token, None);
    };
    let reader = BodyReader { limit, room_field: ROOM[0], read: asked };
    let (caller, body) = admission::identify(edge, &keys.api_keys, trace, policy, request, &reader).await?;
    let granted = admission::grant(edge, trace, policy, caller, body.as_ref(), &reader)?;
    reply(edge, trace, &keys, body, &granted.token, Some(granted.by()))
}

fn reply(
    edge: &Edge,
    trace: &Trace,
    keys: &KeySet,
    HeldBody { bytes, mut share }: HeldBody,
    token: &ParticipantToken,
    by: Option<(&Caller, &str)>,
) -> Result<Reply, Refusal> {
    // Only base64 makes parts of the request longer in the answer.
    let answer = bytes.len().saturating_add(TOKEN_OVERHEAD_BYTES).saturating_mul(4).div_ceil(3);
    if answer > ANSWER_PIECE_BYTES {
        share.grow(answer)?;
    }
    drop(bytes);

    let key = keys.api_keys.minting();
    let mut json = Vec::with_capacity(512);
    let mut object = ObjectWriter::begin(&mut json);
    object.value(name!("server_url"), &*edge.tokens.livekit_url);
    object.member(name!("participant_token"), |json| token.write_json(json, key, edge.clock.now()));
    object.end();
    let reply = reply::held_json(json, share)?;
    trace.token(token, by, key);
    Ok(reply)
}

fn token(edge: &Edge, body: &[u8]) -> Result<ParticipantToken, Refusal> {
    let fields = Fields::parse(body)?;
    let request = TokenRequest {
        room: fields.name(ROOM, RoomName::new)?,
        identity: fields.name(IDENTITY, Identity::new)?,
        name: fields.name(NAME, ParticipantName::new)?,
        room_config: fields.room_config(ROOM_CONFIG)?,
    };

    let mut token = edge.tokens.policy.standard_token(request).map_err(Refusal::Policy)?;
    if let Some((name, metadata)) = fields.text(METADATA)? {
        token = token.with_metadata(metadata).map_err(|error| Refusal::Field(name, FieldError::Limit(error)))?;
    }
    if let Some((name, attributes)) = fields.parsed::<BTreeMap<String, String>>(ATTRIBUTES, FieldError::NotTexts)? {
        token = token.with_attributes(attributes).map_err(|error| Refusal::Field(name, FieldError::Limit(error)))?;
    }
    Ok(token)
}

/// What the policy decides about.
fn asked(body: &[u8]) -> Result<Asked<'_>, Refusal> {
    let fields = Fields::parse(body)?;
    let text = |casings| Ok(fields.text(casings)?.map(|(_, text)| text.into()));
    Ok(Asked {
        room: text(ROOM)?,
        identity: text(IDENTITY)?,
        name: text(NAME)?,
        metadata: text(METADATA)?,
        attributes: fields.parsed(ATTRIBUTES, FieldError::NotTexts)?.map(|(_, attributes)| attributes),
        room_config: fields.value(ROOM_CONFIG)?.map(|(_, config)| config),
    })
}

/// The same, but requires one of the sandbox ids, if there are any.
pub(crate) async fn answer_sandbox(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    body::require_json(request.headers())?; // first, as on the other paths
    // With a policy, the path has one answer to everything that is no valid credential.
    let closed = |refusal| if edge.policies.current().is_some() { Refusal::NoCredential } else { refusal };
    edge.tokens.sandbox_ids.require(request.headers()).map_err(closed)?;
    answer(edge, trace, request).await
}

/// A field's name in its usual casing and in the other one.
type Casings = [&'static str; 2];

const ROOM: Casings = ["room_name", "roomName"];
const IDENTITY: Casings = ["participant_identity", "participantIdentity"];
const NAME: Casings = ["participant_name", "participantName"];
const METADATA: Casings = ["participant_metadata", "participantMetadata"];
const ATTRIBUTES: Casings = ["participant_attributes", "participantAttributes"];
const ROOM_CONFIG: Casings = ["room_config", "roomConfig"];

/// A field's value with its name as sent; `None` if it is absent.
type Found<T> = Result<Option<(&'static str, T)>, Refusal>;

struct Fields<'a>(Members<'a>);

impl<'a> Fields<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, Refusal> {
        BODY_BOUNDS.check(body).or(Err(Refusal::TooManyValues(BODY_BOUNDS.values)))?;
        Members::parse(body).map(Self).or(Err(Refusal::NotAnObject))
    }

    /// The field in either casing. `null` counts as absent.
    fn value(&self, casings: Casings) -> Found<&'a RawValue> {
        let mut found = None;
        for name in casings {
            if self.0.is_ambiguous(name) {
                return Err(Refusal::Field(name, FieldError::Twice));
            }
            let Some(value) = self.0.value(name).filter(|value| value.get() != "null") else { continue };
            if found.replace((name, value)).is_some() {
                return Err(Refusal::Field(name, FieldError::BothCasings));
            }
        }
        Ok(found)
    }

    fn parsed<T: Deserialize<'a>>(&self, casings: Casings, error: FieldError) -> Found<T> {
        let Some((name, value)) = self.value(casings)? else { return Ok(None) };
        serde_json::from_str(value.get()).map(|value| Some((name, value))).or(Err(Refusal::Field(name, error)))
    }

    fn text(&self, casings: Casings) -> Found<String> {
        let text = self.parsed(casings, FieldError::NotText)?;
        Ok(text.map(|(name, Text(text))| (name, text.into_owned())).filter(|(_, text)| !text.is_empty()))
    }

    fn name<T>(&self, casings: Casings, new: fn(String) -> Result<T, NameError>) -> Result<Option<T>, Refusal> {
        let Some((name, text)) = self.text(casings)? else { return Ok(None) };
        new(text).map(Some).map_err(|error| Refusal::Field(name, FieldError::Name(error)))
    }

    fn room_config(&self, casings: Casings) -> Result<Option<RoomConfiguration>, Refusal> {
        let Some((name, value)) = self.value(casings)? else { return Ok(None) };
        let config = RoomConfiguration::from_client_json(value.get().as_bytes());
        config.map(Some).map_err(|error| Refusal::RoomConfiguration(name, error))
    }
}

//! `POST /token`: the token endpoint of OpenVidu's LiveKit tutorials and their application clients.

use std::borrow::Cow;

use hyper::Request;
use hyper::body::Incoming;
use serde::Deserialize;

use crate::http::body;
use crate::http::edge::Edge;
use crate::http::refusal::{FieldError, Refusal};
use crate::http::reply::{self, Reply};
use crate::http::trace::Trace;
use crate::json::{self, Members, ObjectWriter, name};
use crate::livekit::access_token::{Identity, NameError, RoomName};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TutorialFields<'a> {
    #[serde(borrow)]
    room_name: Cow<'a, str>,
    #[serde(borrow)]
    participant_name: Cow<'a, str>,
}

/// `{"roomName","participantName"}` in, `{"token"}` out.
pub(crate) async fn answer(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    let keys = edge.keyring.current();
    body::require_json(request.headers())?;
    let body = body::read(request.body_mut(), edge.limits.token_body_bytes, edge.limits.body, &edge.tokens.budget).await?;
    let (room, identity) = names(body.as_ref())?;

    let mut json = Vec::with_capacity(512);
    let mut object = ObjectWriter::begin(&mut json);
    let token = edge.tokens.policy.tutorial_token(room, identity);
    object.member(name!("token"), |json| token.write_json(json, keys.api_keys.minting(), edge.clock.now()));
    object.end();
    trace.token(&token, keys.api_keys.minting());
    Ok(reply::json(json))
}

/// The room and the identity, byte for byte. What clients usually send is read quickly. Anything else gets a precise error.
fn names(body: &[u8]) -> Result<(RoomName, Identity), Refusal> {
    let usual = body.starts_with(b"{").then(|| json::from_utf8::<TutorialFields<'_>>(body).ok());
    let room = |text| name("roomName", text, RoomName::new);
    let identity = |text| name("participantName", text, Identity::new);
    if let Some(TutorialFields { room_name, participant_name }) = usual.flatten() {
        return Ok((room(room_name)?, identity(participant_name)?));
    }
    let fields = Members::parse(body).or(Err(Refusal::NotTheTutorialsFields))?;
    Ok((room(text(&fields, "roomName")?)?, identity(text(&fields, "participantName")?)?))
}

fn text<'a>(fields: &Members<'a>, field: &'static str) -> Result<Cow<'a, str>, Refusal> {
    if fields.is_ambiguous(field) {
        return Err(Refusal::Field(field, FieldError::Twice));
    }
    fields.value(field).ok_or(Refusal::MissingField(field))?;
    fields.text(field).ok_or(Refusal::Field(field, FieldError::NotText))
}

fn name<T>(field: &'static str, text: Cow<'_, str>, new: fn(String) -> Result<T, NameError>) -> Result<T, Refusal> {
    new(text.into_owned()).map_err(|error| Refusal::Field(field, FieldError::Name(error)))
}

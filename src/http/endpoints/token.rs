//! Owns `POST /token`: the contract of OpenVidu's LiveKit tutorials, which their application clients speak.

use std::borrow::Cow;

use hyper::Request;
use hyper::body::Incoming;
use serde::Deserialize;

use crate::http::reply::{self, FieldError, Refusal, Reply};
use crate::http::trace::Trace;
use crate::http::{Edge, body};
use crate::json::{self, Members, ObjectWriter, name};
use crate::livekit::access_token::{Identity, NameError, RoomName};

/// The fields as clients send them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow)]
    room_name: Cow<'a, str>,
    #[serde(borrow)]
    participant_name: Cow<'a, str>,
}

/// `{"roomName","participantName"}` in, `{"token"}` out.
pub(crate) async fn answer(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    let trust = edge.keyring.current();
    body::require_json(request.headers())?;
    let body = body::read(request.body_mut(), edge.limits.token_body_bytes, edge.limits.body, &edge.token_budget).await?;
    let (room, identity) = names(body.as_ref())?;

    let mut json = Vec::with_capacity(512);
    let mut object = ObjectWriter::begin(&mut json);
    let token = edge.policy.tutorial_token(room, identity);
    object.member(name!("token"), |json| token.write_json(json, trust.keys.minting(), edge.clock.now()));
    object.end();
    trace.token(&token, trust.keys.minting());
    Ok(reply::json(json))
}

/// The room and who wants to join it, kept to the byte. What is not as clients send it is looked at member by member, which takes
/// longer and tells what is wrong.
fn names(body: &[u8]) -> Result<(RoomName, Identity), Refusal> {
    let as_sent = body.starts_with(b"{").then(|| json::from_utf8::<Fields<'_>>(body).ok());
    let room = |text| name("roomName", text, RoomName::new);
    let identity = |text| name("participantName", text, Identity::new);
    if let Some(Fields { room_name, participant_name }) = as_sent.flatten() {
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

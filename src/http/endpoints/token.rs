//! Owns `POST /token`: the contract of OpenVidu's LiveKit tutorials, which their application clients speak.

use hyper::Request;
use hyper::body::Incoming;

use crate::http::reply::{self, FieldError, Refusal, Reply};
use crate::http::{Edge, body};
use crate::json::Members;
use crate::livekit::access_token::{Identity, NameError, RoomName};

/// `{"roomName","participantName"}` in, `{"token"}` out.
pub(crate) async fn answer(edge: &Edge, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    let trust = edge.keyring.current();
    body::require_json(request.headers())?;
    let body = body::read(request.body_mut(), edge.limits.token_body_bytes, edge.limits.body, &edge.budget).await?;
    let fields = Members::parse(body.as_ref()).or(Err(Refusal::NotTheTutorialsFields))?;
    let room = name(&fields, "roomName", RoomName::new)?;
    let identity = name(&fields, "participantName", Identity::new)?;

    let token = edge.policy.tutorial_token(room, identity).to_jwt(trust.keys.minting(), edge.clock.now());
    Ok(reply::json([r#"{"token":""#, &token, r#""}"#].concat()))
}

/// The field as a name, kept to the byte.
fn name<T>(fields: &Members<'_>, field: &'static str, new: fn(String) -> Result<T, NameError>) -> Result<T, Refusal> {
    if fields.is_ambiguous(field) {
        return Err(Refusal::Field(field, FieldError::Twice));
    }
    fields.value(field).ok_or(Refusal::MissingField(field))?;
    let text = fields.text(field).ok_or(Refusal::Field(field, FieldError::NotText))?;
    new(text.into_owned()).map_err(|error| Refusal::Field(field, FieldError::Name(error)))
}

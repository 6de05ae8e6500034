//! Owns `POST /connection-details`, the token endpoint of every LiveKit client SDK (`TokenSource.endpoint`), and the same at the
//! path of LiveKit Cloud's development token server, where an id may be wanted too. Requests are protobuf's JSON: each field
//! in either casing, and absent where it is `null` or empty.

use std::collections::BTreeMap;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName};
use serde_json::value::RawValue;

use crate::http::limits::TOKEN_OVERHEAD_BYTES;
use crate::http::reply::{self, FieldError, Refusal, Reply};
use crate::http::trace::Trace;
use crate::http::{Edge, body};
use crate::json::{Bounds, Members, ObjectWriter, Text, name};
use crate::jws;
use crate::livekit::access_token::{Identity, NameError, ParticipantName, ParticipantToken, RoomName};
use crate::livekit::room_config::RoomConfiguration;
use crate::policy::Wish;

/// The header that LiveKit's clients send to a development token server.
pub(crate) const SANDBOX_ID: HeaderName = HeaderName::from_static("x-sandbox-id");

/// More than 64 KiB of attributes need, which are the most that a request has. What nests is not built, and so has no bound.
const BODY_BOUNDS: Bounds = Bounds { values: 20_000, depth: usize::MAX, steps: usize::MAX };

/// What is said of the room and of its joiner in, `{"server_url","participant_token"}` out.
pub(crate) async fn answer(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    let trust = edge.keyring.current();
    body::require_json(request.headers())?;
    let mut body = body::read(request.body_mut(), edge.limits.standard_body_bytes, edge.limits.body, &edge.token_budget).await?;
    let token = token(edge, body.as_ref())?;
    // Nothing of the request is written longer than it came, but for base64.
    body.make_room(body.as_ref().len().saturating_add(TOKEN_OVERHEAD_BYTES).saturating_mul(4).div_ceil(3))?;

    let mut json = Vec::with_capacity(512);
    let mut object = ObjectWriter::begin(&mut json);
    object.value(name!("server_url"), &*edge.livekit_url);
    object.member(name!("participant_token"), |json| token.write_json(json, trust.keys.minting(), edge.clock.now()));
    object.end();
    let reply = reply::held_json(json, body.into_share())?;
    trace.token(&token, trust.keys.minting());
    Ok(reply)
}

/// The token that `body` asks for.
fn token(edge: &Edge, body: &[u8]) -> Result<ParticipantToken, Refusal> {
    BODY_BOUNDS.check(body).or(Err(Refusal::TooManyValues { limit: BODY_BOUNDS.values }))?;
    let fields = Fields(Members::parse(body).or(Err(Refusal::NotAnObject))?);

    let wish = Wish {
        room: fields.name(["room_name", "roomName"], RoomName::new)?,
        identity: fields.name(["participant_identity", "participantIdentity"], Identity::new)?,
        name: fields.name(["participant_name", "participantName"], ParticipantName::new)?,
        room_config: fields.room_config(["room_config", "roomConfig"])?,
    };
    let mut token = edge.policy.standard_token(wish).map_err(Refusal::Policy)?;
    if let Some((name, metadata)) = fields.text(["participant_metadata", "participantMetadata"])? {
        token = token.with_metadata(metadata).map_err(|error| Refusal::Field(name, FieldError::Limit(error)))?;
    }
    if let Some((name, attributes)) = fields.texts(["participant_attributes", "participantAttributes"])? {
        token = token.with_attributes(attributes).map_err(|error| Refusal::Field(name, FieldError::Limit(error)))?;
    }

    Ok(token)
}

/// The same for those who know one of the ids, where there are any.
pub(crate) async fn answer_sandbox(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    edge.sandbox_ids.require(request.headers())?;
    answer(edge, trace, request).await
}

/// The ids that open the development token server; none open it to everyone. Compared as secrets are, in constant time.
#[derive(Debug, Default)]
pub(crate) struct SandboxIds(Vec<jws::Key>);

impl SandboxIds {
    pub(crate) fn new<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        Self(ids.into_iter().filter_map(|id| jws::Key::new(id.as_bytes())).collect())
    }

    fn require(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut values = headers.get_all(SANDBOX_ID).iter();
        let presented = match (values.next(), values.next()) {
            (Some(only), None) => jws::Key::new(only.as_bytes()),
            _ => None,
        };
        // Each of them is compared, so that the time does not tell which one it was.
        let is_one = |presented| self.0.iter().fold(false, |found, id| found | (*id == presented));
        if self.0.is_empty() || presented.is_some_and(is_one) { Ok(()) } else { Err(Refusal::SandboxId) }
    }
}

/// A field's name in the casing that it is sent in mostly, and in the other one.
type Casings = [&'static str; 2];

/// A field's value with its name as it stands there; `None` where it is absent.
type Found<T> = Result<Option<(&'static str, T)>, Refusal>;

/// The members of a request.
struct Fields<'a>(Members<'a>);

impl<'a> Fields<'a> {
    /// The field in whichever casing; `null` is as if it were absent.
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

    fn text(&self, casings: Casings) -> Found<String> {
        let Some((name, value)) = self.value(casings)? else { return Ok(None) };
        let Text(text) = serde_json::from_str(value.get()).or(Err(Refusal::Field(name, FieldError::NotText)))?;
        Ok(Some((name, text.into_owned())).filter(|(_, text)| !text.is_empty()))
    }

    fn name<T>(&self, casings: Casings, new: fn(String) -> Result<T, NameError>) -> Result<Option<T>, Refusal> {
        let Some((name, text)) = self.text(casings)? else { return Ok(None) };
        new(text).map(Some).map_err(|error| Refusal::Field(name, FieldError::Name(error)))
    }

    fn texts(&self, casings: Casings) -> Found<BTreeMap<String, String>> {
        let Some((name, value)) = self.value(casings)? else { return Ok(None) };
        let texts = serde_json::from_str(value.get()).or(Err(Refusal::Field(name, FieldError::NotTexts)))?;
        Ok(Some((name, texts)))
    }

    fn room_config(&self, casings: Casings) -> Result<Option<RoomConfiguration>, Refusal> {
        let Some((name, value)) = self.value(casings)? else { return Ok(None) };
        let config = RoomConfiguration::from_client_json(value.get().as_bytes());
        config.map(Some).map_err(|error| Refusal::RoomConfiguration(name, error))
    }
}

//! `GET /relay/{target}/owed`: a page of the events that a target has not taken. Does not know why.

use hyper::Request;
use hyper::body::Incoming;

use crate::http::budget::Share;
use crate::http::edge::Edge;
use crate::http::endpoints::relay::rights::{self, READ};
use crate::http::field_error::FieldError;
use crate::http::query::Parameters;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::http::trace::Trace;
use crate::inbox::Cursor;
use crate::inbox::target::{OwedEvent, OwedState};
use crate::json::{ObjectWriter, name};

const PARAMETERS: &[&str] = &["state", "after", "limit"];

/// `{"owed":[{"cursor","lane","state","attempts","first","next","status","error"},…],"next"}`.
pub(crate) async fn owed(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>) -> Result<Reply, Refusal> {
    let query = Parameters::parse(request.uri().query().unwrap_or_default(), PARAMETERS)?;
    let (relay, _) = rights::check(edge, request.headers(), &READ)?;
    let target = rights::target(relay, request.uri().path())?;
    let state = query.value("state").map(|name| OwedState::of_name(name).ok_or(FieldError::NotAState)).transpose();
    let state = state.map_err(|error| Refusal::Field("state", error))?;
    let after: Option<Cursor> = query.value("after").map(str::parse).transpose().or(Err(AFTER))?;
    let events = edge.inbox.owed(&target, state, after, query.limit()?).await.map_err(Refusal::Read)?;
    let next = events.last().map(|event| event.cursor).or(after).unwrap_or(Cursor::from_number(0));

    let mut json = br#"{"owed":["#.to_vec();
    for (number, event) in events.iter().enumerate() {
        if number > 0 {
            json.push(b',');
        }
        write(&mut json, event);
    }
    json.extend_from_slice(format!(r#"],"next":"{next}"}}"#).as_bytes());
    let mut share = Share::of(&edge.tokens.budget, trace.client);
    share.grow(json.len())?;
    reply::held_json(json, share)
}

const AFTER: Refusal = Refusal::Field("after", FieldError::NotACursor);

fn write(json: &mut Vec<u8>, event: &OwedEvent) {
    let mut object = ObjectWriter::begin(json);
    object.value(name!("cursor"), &event.cursor.to_string());
    object.value(name!("lane"), &event.room);
    object.value(name!("state"), event.state.name());
    object.value(name!("attempts"), &event.attempts);
    object.value(name!("first"), &event.first.map(|time| time.to_rfc3339().to_string()));
    object.value(name!("next"), &event.next.map(|time| time.to_rfc3339().to_string()));
    object.value(name!("status"), &event.status);
    object.value(name!("error"), &Some(&event.error).filter(|error| !error.is_empty()));
    object.end();
}

//! `POST /relay/{target}/…`: asks a target to retry, replay, skip, pause or resume. The inbox keeps what is asked until the roomkey
//! that relays to the target has done it. Does not know how it is done.

use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use tokio::time::{sleep, timeout};
use tracing::info;

use crate::http::body;
use crate::http::edge::Edge;
use crate::http::endpoints::relay::rights::{self, STEER};
use crate::http::field_error::FieldError;
use crate::http::query::unknown;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::http::rfc3339;
use crate::http::trace::Trace;
use crate::inbox::target::OwedState;
use crate::inbox::{Cursor, ReadError};
use crate::json::Members;
use crate::relay::steering::{Steering, Verb, cursors};

/// How long the answer waits until it is done, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

const CURSORS: &str = "cursors";
const STATE: &str = "state";
const AFTER: &str = "after";
const UNTIL: &str = "until";
const SINCE: &str = "since";

/// 200 with `{}` once it is done.
pub(crate) async fn steer(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>, verb: Verb) -> Result<Reply, Refusal> {
    let (relay, key) = rights::check(edge, request.headers(), &STEER)?;
    let target = rights::target(relay, request.uri().path())?;
    body::require_json(request.headers())?;
    let body = body::read_of_client(edge, trace, request, edge.limits.token_body_bytes).await?;
    let steering = parse(edge, verb, body.as_ref()).await?;
    drop(body);
    let number = edge.inbox.steer(&target, steering.to_json()).await.map_err(Refusal::Steer)?;
    info!(verb = verb.name(), name = &*target, key = &*key, client = %trace.client, request = %trace.request, "relay steered");
    relay.wake(&target);
    let done = async {
        while edge.inbox.steering(&target).await?.iter().any(|waiting| waiting.number == number) {
            sleep(PAUSE).await;
        }
        Ok::<(), ReadError>(())
    };
    timeout(PATIENCE, done).await.or(Err(Refusal::NotSteeredYet))?.map_err(Refusal::Read)?;
    Ok(reply::json("{}"))
}

async fn parse(edge: &Edge, verb: Verb, body: &[u8]) -> Result<Steering, Refusal> {
    match verb {
        Verb::Retry => retry(&fields(body, &[CURSORS, STATE])?),
        Verb::Replay => {
            let newest = edge.inbox.latest().await.ok_or(Refusal::Overloaded)?;
            replay(&fields(body, &[AFTER, UNTIL, SINCE])?, newest)
        }
        Verb::Skip => {
            let cursors = listed(&fields(body, &[CURSORS])?)?.ok_or(Refusal::MissingField(CURSORS))?;
            Ok(Steering::Skip { cursors })
        }
        Verb::Pause => fields(body, &[]).map(|_| Steering::Pause),
        Verb::Resume => fields(body, &[]).map(|_| Steering::Resume),
    }
}

fn retry(fields: &Members<'_>) -> Result<Steering, Refusal> {
    let state =
        named(fields, STATE, FieldError::NotARetryableState, |name| OwedState::of_name(name).filter(|state| state.can_retry()))?;
    match (listed(fields)?, state) {
        (Some(cursors), None) => Ok(Steering::Retry { cursors }),
        (None, Some(state)) => Ok(Steering::RetryAll(state)),
        (Some(_), Some(_)) => Err(Refusal::Field(STATE, FieldError::With(CURSORS))),
        (None, None) => Err(Refusal::MissingField("cursors or state")),
    }
}

/// Up to the newest event at most, because later ones are yet to be sent for the first time.
fn replay(fields: &Members<'_>, newest: Cursor) -> Result<Steering, Refusal> {
    let cursor = |field| named(fields, field, FieldError::NotACursor, |text| text.parse::<Cursor>().ok());
    let since = named(fields, SINCE, FieldError::NotATime, rfc3339::parse)?.map(|time| Cursor::at(time).before());
    let (field, after) = match (cursor(AFTER)?, since) {
        (Some(after), None) => (AFTER, after),
        (None, Some(since)) => (SINCE, since),
        (Some(_), Some(_)) => return Err(Refusal::Field(SINCE, FieldError::With(AFTER))),
        (None, None) => return Err(Refusal::MissingField("after or since")),
    };
    let until = cursor(UNTIL)?;
    if until.is_some_and(|until| after > until) {
        return Err(Refusal::Field(field, FieldError::Later(UNTIL)));
    }
    if after > newest {
        return Err(Refusal::Field(field, FieldError::Later("the newest event")));
    }
    Ok(Steering::Replay { after, until: until.map_or(newest, |until| until.min(newest)) })
}

/// The members of the object in `body`, which are all `known`. A body without content counts as one without members.
fn fields<'a>(body: &'a [u8], known: &'static [&'static str]) -> Result<Members<'a>, Refusal> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let fields = Members::parse(body).or(Err(Refusal::NotAnObject))?;
    for name in fields.names() {
        let name = known.iter().copied().find(|known| *known == name).ok_or_else(|| unknown("body", name, known))?;
        if fields.is_ambiguous(name) {
            return Err(Refusal::Field(name, FieldError::Twice));
        }
    }
    Ok(fields)
}

/// The list of cursors, if there is one.
fn listed(fields: &Members<'_>) -> Result<Option<Vec<Cursor>>, Refusal> {
    let read = |_| fields.read(CURSORS).and_then(cursors).ok_or(Refusal::Field(CURSORS, FieldError::NotCursors));
    fields.value(CURSORS).map(read).transpose()
}

/// What the text of `field` names, if it is there.
fn named<T>(
    fields: &Members<'_>,
    field: &'static str,
    error: FieldError,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Refusal> {
    if fields.value(field).is_none() {
        return Ok(None);
    }
    fields.text(field).and_then(|text| read(&text)).map(Some).ok_or(Refusal::Field(field, error))
}

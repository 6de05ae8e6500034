//! `POST /relay/{target}/…`: asks a target to retry, replay, skip, pause or resume. The inbox keeps what is asked until the roomkey
//! that relays to the target has done it. Does not know how it is done.

use std::time::Duration;

use hyper::Request;
use hyper::body::{Body, Incoming};
use tokio::time::{sleep, timeout};
use tracing::info;

use crate::http::body;
use crate::http::edge::Edge;
use crate::http::endpoints::relay::possible;
use crate::http::endpoints::relay::rights::{self, STEER};
use crate::http::field_error::FieldError;
use crate::http::query::{Parameters, unknown};
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::http::rfc3339;
use crate::http::trace::Trace;
use crate::inbox::target::OwedState;
use crate::inbox::{Cursor, ReadError};
use crate::json::Members;
use crate::relay::steering::{Steering, Verb, cursors};

/// How long the answer waits until the request is done.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at whether it is done.
const INTERVAL: Duration = Duration::from_millis(20);

const CURSORS: &str = "cursors";
const STATE: &str = "state";
const AFTER: &str = "after";
const UNTIL: &str = "until";
const SINCE: &str = "since";

/// 200 with `{}` once it is done.
pub(crate) async fn steer(edge: &Edge, trace: &Trace, request: &mut Request<Incoming>, verb: Verb) -> Result<Reply, Refusal> {
    Parameters::parse(request.uri().query().unwrap_or_default(), &[])?;
    let (relay, key) = rights::check(edge, request.headers(), &STEER)?;
    let target = rights::target(relay, request.uri().path())?;
    if !request.body().is_end_stream() {
        body::require_json(request.headers())?;
    }
    let body = body::read_of_client(edge, trace, request, edge.limits.token_body_bytes).await?;
    let steering = parse(edge, verb, body.as_ref()).await?;
    drop(body);
    possible::check(edge, &target, &steering).await?;
    let number = edge.inbox.steer(&target, steering.to_json()).await.map_err(Refusal::Steer)?;
    let number = number.ok_or(Refusal::TooManyAsked("requests"))?;
    info!(verb = verb.name(), name = &*target, key = &*key, client = %trace.client, request = %trace.request, "relay steered");
    relay.wake(&target);
    let done = async {
        while edge.inbox.steering(&target).await?.iter().any(|waiting| waiting.number == number) {
            sleep(INTERVAL).await;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    const FIRST: &str = "1a20140363300000";
    const NEWEST: &str = "1a20140363300009";

    fn cursor(text: &str) -> Cursor {
        text.parse().unwrap()
    }

    fn retried(body: &str) -> Result<Steering, String> {
        let steering = fields(body.as_bytes(), &[CURSORS, STATE]).and_then(|fields| retry(&fields));
        steering.map_err(|refusal| refusal.facts().text.into_owned())
    }

    fn replayed(body: &str) -> Result<Steering, String> {
        let steering = fields(body.as_bytes(), &[AFTER, UNTIL, SINCE]).and_then(|fields| replay(&fields, cursor(NEWEST)));
        steering.map_err(|refusal| refusal.facts().text.into_owned())
    }

    #[test]
    fn events_to_retry_are_named_by_cursors_or_by_state() {
        let cursors = vec![cursor(FIRST), cursor(NEWEST)];
        assert_eq!(retried(&format!(r#"{{"cursors":["{FIRST}","{NEWEST}"]}}"#)), Ok(Steering::Retry { cursors }));
        assert_eq!(retried(r#" {"state":"d\u0065ad"} "#), Ok(Steering::RetryAll(OwedState::Dead)));
        let many = vec![format!("\"{FIRST}\""); 1001].join(",");
        let list = "cursors must be a list of 1 to 1000 cursors that were given here";
        for (body, error) in [
            ("", "cursors or state is required"),
            ("{}", "cursors or state is required"),
            ("[]", "the body must be a JSON object"),
            ("{", "the body must be a JSON object"),
            (r#"{"state":"expired"}"#, "state must be held, aside or dead"),
            (r#"{"state":["dead"]}"#, "state must be held, aside or dead"),
            (r#"{"state":"dead","state":"dead"}"#, "state must appear only once"),
            (&format!(r#"{{"cursors":["{FIRST}"],"state":"dead"}}"#), "state must not appear together with cursors"),
            (r#"{"cursors":[]}"#, list),
            (r#"{"cursors":"1a20140363300000"}"#, list),
            (r#"{"cursors":["1A20140363300000"]}"#, list),
            (r#"{"cursors":[7]}"#, list),
            (&format!(r#"{{"cursors":[{many}]}}"#), list),
            (r#"{"cursor":[]}"#, r#"the body must not have "cursor": it can have cursors, state"#),
            (r#"{"a\u001b\"":1}"#, r#"the body must not have "a\u{1b}\"": it can have cursors, state"#),
        ] {
            assert_eq!(retried(body), Err(error.to_owned()), "{body:.100}");
        }
        let refusal = fields(br#"{"state":"dead"}"#, &[]).unwrap_err();
        assert_eq!(refusal.facts().text, r#"the body must not have "state": it can have nothing"#);
    }

    #[test]
    fn a_replay_ends_at_the_newest_event_at_most() {
        let (first, newest) = (cursor(FIRST), cursor(NEWEST));
        let after = |until: &str| format!(r#"{{"after":"{FIRST}","until":"{until}"}}"#);
        assert_eq!(replayed(&format!(r#"{{"after":"{FIRST}"}}"#)), Ok(Steering::Replay { after: first, until: newest }));
        for (until, replayed_until) in
            [(FIRST, first), ("1a20140363300003", cursor("1a20140363300003")), ("7fffffffffffffff", newest)]
        {
            assert_eq!(replayed(&after(until)), Ok(Steering::Replay { after: first, until: replayed_until }));
        }
        // The first event of that moment is replayed too.
        let since = first.time().to_rfc3339().to_string();
        let begin = Cursor::at(first.time()).before();
        assert_eq!(replayed(&format!(r#"{{"since":"{since}"}}"#)), Ok(Steering::Replay { after: begin, until: newest }));
        let earlier = "1a2014036330000";
        for (body, error) in [
            ("", "after or since is required"),
            (&format!(r#"{{"until":"{FIRST}"}}"#), "after or since is required"),
            (&format!(r#"{{"after":"{FIRST}","since":"{since}"}}"#), "since must not appear together with after"),
            (&after(earlier), "until must be a cursor that was given here"),
            (&after("1a2014036320000f"), "after must not be later than until"),
            (r#"{"after":"latest"}"#, "after must be a cursor that was given here"),
            (r#"{"after":"7fffffffffffffff"}"#, "after must not be later than the newest event"),
            (r#"{"since":"9999-01-01T00:00:00Z"}"#, "since must not be later than the newest event"),
            (r#"{"since":1795317315}"#, "since must be a time such as 2026-11-22T03:15:15Z"),
            (r#"{"since":"yesterday"}"#, "since must be a time such as 2026-11-22T03:15:15Z"),
            (r#"{"before":""}"#, r#"the body must not have "before": it can have after, until, since"#),
        ] {
            assert_eq!(replayed(body), Err(error.to_owned()), "{body}");
        }
    }
}

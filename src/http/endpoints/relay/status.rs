//! `GET /relay`: the position and the condition of each target. Reads it from the inbox, because another roomkey may relay to the target.

use hyper::Request;
use hyper::body::Incoming;

use crate::http::edge::Edge;
use crate::http::endpoints::relay::rights::{self, READ};
use crate::http::query::Parameters;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::inbox::target::{Lag, TargetState};
use crate::json::{ObjectWriter, name};

/// `{"targets":[{"name","cursor","paused","lag","circuit","owed","lastError"},…]}`, in the order of the file.
pub(crate) async fn status(edge: &Edge, request: &Request<Incoming>) -> Result<Reply, Refusal> {
    Parameters::parse(request.uri().query().unwrap_or_default(), &[])?;
    let (relay, _) = rights::check(edge, request.headers(), &READ)?;
    let mut json = br#"{"targets":["#.to_vec();
    for (number, target) in relay.names().iter().enumerate() {
        let state = edge.inbox.target(target).await.map_err(Refusal::Read)?;
        let lag = match &state {
            Some(state) => Some(edge.inbox.lag(state.cursor).await.map_err(Refusal::Read)?),
            None => None,
        };
        if number > 0 {
            json.push(b',');
        }
        write(&mut json, target, state, lag);
    }
    json.extend_from_slice(b"]}");
    Ok(reply::json(json))
}

/// A target that has not begun yet has neither a cursor nor a lag.
fn write(json: &mut Vec<u8>, target: &str, state: Option<TargetState>, lag: Option<Lag>) {
    let cursor = state.as_ref().map(|state| state.cursor.to_string());
    let (is_paused, is_down, owed, last_error) =
        state.map(|state| (state.is_paused, state.is_down, state.owed, state.last_error)).unwrap_or_default();
    let mut object = ObjectWriter::begin(json);
    object.value(name!("name"), target);
    object.value(name!("cursor"), &cursor);
    object.value(name!("paused"), &is_paused);
    object.member(name!("lag"), |json| match lag {
        Some(lag) => numbers(json, &[(name!("entries"), lag.entries), (name!("seconds"), lag.seconds)]),
        None => json.extend_from_slice(b"null"),
    });
    object.value(name!("circuit"), if is_down { "open" } else { "closed" });
    let owed = [(name!("held"), owed.held), (name!("aside"), owed.aside), (name!("dead"), owed.dead)];
    object.member(name!("owed"), |json| numbers(json, &owed));
    object.value(name!("lastError"), &Some(last_error).filter(|error| !error.is_empty()));
    object.end();
}

fn numbers(json: &mut Vec<u8>, members: &[(&'static str, u64)]) {
    let mut object = ObjectWriter::begin(json);
    for (name, number) in members {
        object.value(name, number);
    }
    object.end();
}

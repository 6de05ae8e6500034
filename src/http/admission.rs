//! Admits requests for a token under a policy: who is calling, then what the rules give. Does not know how a request is written, nor
//! where the policy comes from.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;

use crate::caller::Caller;
use crate::http::body::{self, HeldBody};
use crate::http::caller_headers::CallerHeaders;
use crate::http::edge::Edge;
use crate::http::policies::ActivePolicy;
use crate::http::refusal::Refusal;
use crate::http::trace::Trace;
use crate::livekit::access_token::{MAX_NAME_BYTES, ParticipantToken};
use crate::livekit::key::ApiKeys;
use crate::policy::asked::Asked;
use crate::policy::denial::{Blame, Reason, Unfit};
use crate::policy::rules::Denial;
use crate::policy::values::Unfilled;
use crate::policy::{PolicyError, random_letters};

/// A token that a rule gives.
pub(crate) struct Granted<'p> {
    pub(crate) token: ParticipantToken,
    pub(crate) caller: Arc<Caller>,
    /// The rule's name.
    pub(crate) rule: &'p str,
}

impl Granted<'_> {
    /// To whom it is given, and by which rule.
    pub(crate) fn by(&self) -> (&Caller, &str) {
        (&self.caller, self.rule)
    }
}

/// How a token endpoint reads its body.
pub(crate) struct BodyReader {
    /// The most bytes.
    pub(crate) limit: usize,
    /// The name of the room there.
    pub(crate) room_field: &'static str,
    pub(crate) read: for<'b> fn(&'b [u8]) -> Result<Asked<'b>, Refusal>,
}

/// Who sends `request`, and its body, which is read after the caller is known, unless an application is to be told the room.
pub(crate) async fn identify(
    edge: &Edge,
    keys: &ApiKeys,
    trace: &Trace,
    policy: &ActivePolicy,
    request: &mut Request<Incoming>,
    reader: &BodyReader,
) -> Result<(Arc<Caller>, HeldBody), Refusal> {
    let known = CallerHeaders::new(edge, &policy.callers, trace, request.headers())?.identify_now(edge, keys, trace, policy)?;
    match known {
        Some(caller) => Ok((caller, body::read_of_client(edge, trace, request, reader.limit).await?)),
        // Boxed, so that other requests do not carry what waiting takes.
        None => Box::pin(wait_and_identify(edge, trace, policy, request, reader)).await,
    }
}

/// As [`identify`], if an application has to be asked, or a key to be fetched. Even if the body is read first, for the room that it
/// names, an error about it comes after one about the caller.
async fn wait_and_identify(
    edge: &Edge,
    trace: &Trace,
    policy: &ActivePolicy,
    request: &mut Request<Incoming>,
    reader: &BodyReader,
) -> Result<(Arc<Caller>, HeldBody), Refusal> {
    let headers = CallerHeaders::new(edge, &policy.callers, trace, request.headers())?;
    if !headers.need_room(edge, policy) {
        let caller = headers.identify(edge, trace, policy, None).await?;
        return Ok((caller, body::read_of_client(edge, trace, request, reader.limit).await?));
    }
    drop(headers);
    let mut body = body::read_of_client(edge, trace, request, reader.limit).await;
    if let Ok(body) = &mut body {
        body.share.wait(); // for the application
    }
    let headers = CallerHeaders::new(edge, &policy.callers, trace, request.headers())?;
    let asked = body.as_ref().ok().and_then(|body| (reader.read)(body.as_ref()).ok());
    // A longer name is no room, and denied.
    let room = asked.as_ref().and_then(Asked::room).filter(|room| room.len() <= MAX_NAME_BYTES);
    let caller = headers.identify(edge, trace, policy, room).await?;
    Ok((caller, body?))
}

/// The token that the rules give `caller`, which asks for it in `body`. Counts, and logs a denial.
pub(crate) fn grant<'p>(
    edge: &Edge,
    trace: &Trace,
    policy: &'p ActivePolicy,
    caller: Arc<Caller>,
    body: &[u8],
    reader: &BodyReader,
) -> Result<Granted<'p>, Refusal> {
    let asked = &(reader.read)(body)?;
    let count = |rule: &str, outcome| {
        edge.metrics.as_ref().inspect(|metrics| metrics.decided(&caller.name, rule, outcome));
    };
    match policy.rules.decide(&caller, asked, &edge.tokens.policy, &mut || random_letters().map_err(Into::into)) {
        Ok(decision) => {
            let name = &decision.rule.name;
            let counted = edge.tokens.limits.count(decision.rule, &caller, trace.client, &edge.clock);
            counted.map_err(|retry_after| {
                count(name, "limited");
                Refusal::TooManyTokens { retry_after }
            })?;
            count(name, "allowed");
            Ok(Granted { token: decision.token, caller, rule: name })
        }
        Err(denial) => {
            count(denial.reason.rule().unwrap_or_default(), "denied");
            trace.denied(&caller, asked.room(), &denial);
            Err(refusal(denial, reader.room_field))
        }
    }
}

/// What the client is told: nothing about rules, but what is wrong with its request.
fn refusal(denial: Denial<'_>, room_field: &'static str) -> Refusal {
    let blame = denial.reason.blame();
    match (denial.reason, blame) {
        (Reason::Rule { unfit: Unfit::RoomConfig { error, is_asked_for: true }, .. }, _) => {
            Refusal::RoomConfiguration("room_config", error)
        }
        (Reason::Rule { unfit: Unfit::ClientEgress, .. }, _) => Refusal::Policy(PolicyError::ClientEgress),
        (Reason::Rule { unfit: Unfit::Unfilled { why: Unfilled::NoRandomness(error), .. }, .. }, _) => {
            Refusal::Policy(PolicyError::NoRandomness(error))
        }
        (_, Blame::Credential) => Refusal::NoCredential,
        (_, Blame::Request) => Refusal::MissingField(room_field),
        (_, Blame::Rules | Blame::System) => Refusal::Denied,
    }
}

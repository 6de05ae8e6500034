//! Owns `roomkey webhook verify`: the library's verdict on one delivery, and why its body does not fit where it does not.

use serde_json::{Value, json};

use crate::cli::diagnosis::{Diagnosis, diagnose};
use crate::cli::judging::JudgingFlags;
use crate::cli::{Failure, Outcome, input, print, print_json, token_verify};
use crate::livekit::token_verifier::{TokenError, TokenVerifier};
use crate::livekit::webhook::{Authenticated, Delivery, WebhookError, WebhookReceiver};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey webhook verify --body delivery.body --head delivery.head
  roomkey webhook verify --body delivery.body --authorization eyJhbGciOi... --at 1795317315

The body has to be the request's to the byte, and the head as it came over the wire, from its first line on.")]
pub(super) struct Arguments {
    /// The file with the body; - is stdin
    #[arg(long, value_name = "FILE")]
    body: String,
    /// The file with the request's head; - is stdin
    #[arg(long, value_name = "FILE", required_unless_present = "authorization")]
    head: Option<String>,
    /// The value of the header Authorization; - is stdin
    #[arg(long, value_name = "TOKEN", conflicts_with = "head")]
    authorization: Option<String>,
    #[command(flatten)]
    judging: JudgingFlags,
}

/// A delivery that does not hold.
struct Refusal {
    reason: String,
    /// What helps, where that is known.
    advice: Option<String>,
}

impl Refusal {
    fn of(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), advice: None }
    }

    fn advised(reason: impl ToString, advice: impl ToString) -> Self {
        Self { reason: reason.to_string(), advice: Some(advice.to_string()) }
    }
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let readers_of_stdin = [Some(&arguments.body), arguments.head.as_ref(), arguments.authorization.as_ref()];
    if readers_of_stdin.into_iter().flatten().filter(|from| *from == "-").count() > 1 {
        return Err(Failure::wrong("stdin can be read once: give a file for the other"));
    }
    let keys = arguments.judging.keys()?;
    let now = arguments.judging.now();
    let head = arguments.head.as_deref().map(input::read).transpose()?.map(|head| String::from_utf8_lossy(&head).into_owned());
    let given = arguments.authorization.as_deref().map(input::token).transpose()?;
    let body = input::read(&arguments.body)?;

    let reason = |error: &TokenError| match error {
        TokenError::Expired { since } => Refusal::advised(
            token_verify::reason(error, keys.minting().name(), now),
            format!(
                "a webhook's token holds for 5 minutes: judge it at its own time with --at {}",
                since.as_secs().saturating_sub(300)
            ),
        ),
        error => Refusal::of(token_verify::reason(error, keys.minting().name(), now)),
    };
    let receiver = WebhookReceiver::new(TokenVerifier::new(keys.clone()));
    let verdict = authorization(head.as_deref(), given).and_then(|authorization| {
        let authenticated = receiver.authenticate(&authorization, now).map_err(|error| match error {
            WebhookError::Token(error) => reason(&error),
            error => Refusal::of(error),
        })?;
        match diagnosis_unless_fit(&authenticated, &body, head.as_deref()) {
            Some(refusal) => Err(refusal),
            None => authenticated.accept(body).map_err(Refusal::of),
        }
    });
    match (verdict, arguments.judging.json) {
        (Ok(delivery), true) => print_json(format_args!("{:#}", as_json(&delivery))),
        (Ok(delivery), false) => print(in_words(&delivery)),
        (Err(Refusal { reason, advice }), true) => {
            print_json(format_args!("{:#}", json!({"holds": false, "reason": reason, "advice": advice})))?;
            Err(Failure::answered())
        }
        (Err(Refusal { reason, advice }), false) => {
            Err(Failure::refused(advice.map_or_else(|| reason.clone(), |advice| format!("{reason}: {advice}"))))
        }
    }
}

/// The value of `Authorization`, of which a request has one.
fn authorization(head: Option<&str>, given: Option<String>) -> Result<String, Refusal> {
    let Some(head) = head else { return Ok(given.unwrap_or_default()) };
    let mut values = fields(head, "authorization");
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.to_owned()),
        (None, _) => Err(Refusal::advised(
            "the head has no Authorization",
            "a proxy that checks it itself may drop it, and some servers do not hand it to CGI or WSGI: let it through",
        )),
        (Some(_), Some(_)) => Err(Refusal::of("the head has Authorization twice")),
    }
}

/// The values of the header `name`, which is in lower case.
fn fields<'a>(head: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.filter(move |(each, _)| each.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn diagnosis_unless_fit(authenticated: &Authenticated, body: &[u8], head: Option<&str>) -> Option<Refusal> {
    if authenticated.vouches_for(body) {
        return None;
    }
    let told_length = head.and_then(|head| fields(head, "content-length").next()?.parse().ok());
    Some(match diagnose(authenticated, body, told_length) {
        Diagnosis::Damaged(damages) => {
            let what: Vec<_> = damages.iter().map(ToString::to_string).collect();
            let habits: Vec<_> = damages.iter().map(|damage| damage.habit()).collect();
            Refusal::advised(format_args!("the body was changed after it was signed: {}", what.join(", and ")), habits.join("; "))
        }
        Diagnosis::Lost(hint) => Refusal::advised("the body is not the one that the token was signed for", hint.sentence()),
    })
}

fn as_json(delivery: &Delivery<Vec<u8>>) -> Value {
    let event = delivery.event().ok();
    json!({
        "holds": true,
        "key": delivery.key(),
        "event": event.as_ref().map(|event| &event.event),
        "id": event.as_ref().map(|event| &event.id),
        "room": event.as_ref().and_then(|event| event.room_name()),
        "participant": event.as_ref().and_then(|event| Some(&event.participant.as_ref()?.identity)),
    })
}

fn in_words(delivery: &Delivery<Vec<u8>>) -> String {
    let key = delivery.key();
    let Ok(event) = delivery.event() else {
        return format!("the delivery holds, by the key {key:?}, but its body is no JSON object");
    };
    let room = event.room_name().map(|room| format!(" in the room {room:?}")).unwrap_or_default();
    let participant = event.participant.as_ref().map(|participant| format!(" of {:?}", participant.identity)).unwrap_or_default();
    format!("the delivery holds, by the key {key:?}: {:?}{participant}{room}, id {:?}", event.event, event.id)
}

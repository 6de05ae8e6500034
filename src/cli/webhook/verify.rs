//! `roomkey webhook verify`: whether a delivery is valid, and if not, why. Does not know how bodies are changed.

use serde_json::{Value, json};

use crate::cli::shared_flags::{self, VerifyFlags};
use crate::cli::token::verify as token_verify;
use crate::cli::webhook::body_changes;
use crate::cli::{Failure, Outcome, input, print, print_json};
use crate::livekit::token_verifier::{TokenError, TokenVerifier};
use crate::livekit::webhook::{Authenticated, Delivery, WebhookError, WebhookReceiver};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey webhook verify --body delivery.body --head delivery.head
  roomkey webhook verify --body delivery.body --authorization eyJhbGciOi... --at 1795317315

The body must be exactly that of the request, and the head as it was sent, from its first line on.")]
pub(in crate::cli) struct VerifyWebhook {
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
    flags: VerifyFlags,
}

struct Invalid {
    reason: String,
    advice: Option<String>,
}

impl Invalid {
    fn because(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), advice: None }
    }

    fn with_advice(reason: impl ToString, advice: impl ToString) -> Self {
        Self { reason: reason.to_string(), advice: Some(advice.to_string()) }
    }
}

pub(in crate::cli) fn run(arguments: VerifyWebhook) -> Outcome {
    let readers_of_stdin = [Some(&arguments.body), arguments.head.as_ref(), arguments.authorization.as_ref()];
    if readers_of_stdin.into_iter().flatten().filter(|from| *from == "-").count() > 1 {
        return Err(Failure::wrong("stdin can be read only once: give a file for the other input"));
    }
    let keys = shared_flags::keys(&arguments.flags.keys)?;
    let now = arguments.flags.now();
    let head = arguments.head.as_deref().map(input::read).transpose()?.map(|head| String::from_utf8_lossy(&head).into_owned());
    let given = arguments.authorization.as_deref().map(input::token).transpose()?;
    let body = input::read(&arguments.body)?;

    let of_token = |error: &TokenError| {
        let reason = token_verify::reason(error, keys.minting().name(), now);
        let TokenError::Expired { since } = error else { return Invalid::because(reason) };
        let at = since.as_secs().saturating_sub(300);
        let advice = format!("a webhook's token is valid for 5 minutes: verify it at its own time with --at {at}");
        Invalid::with_advice(reason, advice)
    };
    let receiver = WebhookReceiver::new(TokenVerifier::new(keys.clone()));
    let verdict = authorization(head.as_deref(), given).and_then(|authorization| {
        let authenticated = receiver.authenticate(&authorization, now).map_err(|error| match error {
            WebhookError::Token(error) => of_token(&error),
            error => Invalid::because(error),
        })?;
        if !authenticated.vouches_for(&body) {
            return Err(body_mismatch(&authenticated, &body, head.as_deref()));
        }
        authenticated.accept(body).map_err(Invalid::because)
    });
    match (verdict, arguments.flags.json) {
        (Ok(delivery), true) => print_json(format_args!("{:#}", as_json(&delivery))),
        (Ok(delivery), false) => print(in_words(&delivery)),
        (Err(Invalid { reason, advice }), true) => {
            print_json(format_args!("{:#}", json!({"holds": false, "reason": reason, "advice": advice})))?;
            Err(Failure::answered())
        }
        (Err(Invalid { reason, advice }), false) => {
            Err(Failure::refused(advice.map_or_else(|| reason.clone(), |advice| format!("{reason}: {advice}"))))
        }
    }
}

/// The value of `Authorization`, which a request must have exactly once.
fn authorization(head: Option<&str>, given: Option<String>) -> Result<String, Invalid> {
    let Some(head) = head else { return Ok(given.unwrap_or_default()) };
    let mut values = fields(head, "authorization");
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.to_owned()),
        (None, _) => Err(Invalid::with_advice(
            "the head has no Authorization",
            "a proxy that checks it may drop it, and some servers do not pass it on to CGI or WSGI: let it through",
        )),
        (Some(_), Some(_)) => Err(Invalid::because("the head has Authorization twice")),
    }
}

fn fields<'a>(head: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.filter(move |(each, _)| each.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn body_mismatch(authenticated: &Authenticated, body: &[u8], head: Option<&str>) -> Invalid {
    let (changes, advice): (Vec<_>, Vec<_>) = body_changes::changes(authenticated, body).into_iter().unzip();
    if changes.is_empty() {
        let announced_length = head.and_then(|head| fields(head, "content-length").next()?.parse().ok());
        let hint = body_changes::hint(body, announced_length);
        return Invalid::with_advice("the body is not the one that the token was signed for", hint);
    }
    Invalid::with_advice(format_args!("the body was changed after it was signed: {}", changes.join(", and ")), advice.join("; "))
}

fn as_json(delivery: &Delivery<Vec<u8>>) -> Value {
    let event = delivery.event();
    let event = event.as_ref().ok();
    json!({
        "holds": true,
        "key": delivery.key(),
        "event": event.map(|event| &event.event),
        "id": event.map(|event| &event.id),
        "room": event.and_then(|event| event.room_name()),
        "participant": event.and_then(|event| Some(&event.participant.as_ref()?.identity)),
    })
}

fn in_words(delivery: &Delivery<Vec<u8>>) -> String {
    let key = delivery.key();
    let Ok(event) = delivery.event() else {
        return format!("the delivery is valid, signed with the key {key:?}, but its body is not a JSON object");
    };
    let room = event.room_name().map(|room| format!(" in the room {room:?}")).unwrap_or_default();
    let participant = event.participant.as_ref().map(|participant| format!(" of {:?}", participant.identity)).unwrap_or_default();
    format!("the delivery is valid, signed with the key {key:?}: {:?}{participant}{room}, id {:?}", event.event, event.id)
}

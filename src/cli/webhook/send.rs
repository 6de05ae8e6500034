//! `roomkey webhook send`: signs, sends and repeats deliveries as LiveKit does. Does not know what is in a payload.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};

use crate::cli::remote::{self, PATIENCE};
use crate::cli::shared_flags::{self, ClientFlags};
use crate::cli::webhook::sample_events::sample;
use crate::cli::{Failure, Outcome, input, print, print_json, tell};
use crate::client::{ExchangeError, Target, retry_after};
use crate::clock::UnixTime;
use crate::livekit::access_token::AccessToken;
use crate::livekit::event::{EVENTS, WebhookEvent};
use crate::livekit::key::ApiKey;

/// How long a webhook's token is valid (livekit/protocol `webhook/url_notifier.go`).
const TOKEN_TTL: Duration = Duration::from_secs(5 * 60);
/// The waits before the second and further tries, which are therefore at 0, 1, 3, 7 and 15 s (livekit/protocol
/// `webhook/resource_url_notifier.go`).
const BACK_OFF: [Duration; 4] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// The longest wait that `Retry-After` can ask for (same source).
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey webhook send --url http://localhost:6080/webhook --event room_started
  roomkey webhook send --url http://localhost:6080/webhook --event participant_joined --room daily --identity alice --count 10
  roomkey webhook send --url http://localhost:6080/webhook --body delivery.body --retry

Status 1 if an answer is not 2xx, or there is none.")]
pub(in crate::cli) struct SendWebhook {
    /// Where to deliver, such as http://localhost:6080/webhook
    #[arg(long, value_name = "URL", value_parser = remote::webhook_url)]
    url: Target,
    /// What happened, such as room_started or participant_joined
    #[arg(long, value_name = "NAME", required_unless_present = "body", hide_possible_values = true, value_parser = EVENTS)]
    event: Option<String>,
    /// The room it is about
    #[arg(long, value_name = "NAME", default_value = "daily", allow_hyphen_values = true)]
    room: String,
    /// The participant it is about
    #[arg(long, value_name = "ID", default_value = "alice", allow_hyphen_values = true)]
    identity: String,
    /// How many deliveries to send, one after the other, each with its own id
    #[arg(long, value_name = "N", default_value = "1", value_parser = count)]
    count: u32,
    /// A file to deliver unchanged, instead of a sample; - is stdin
    #[arg(long, value_name = "FILE")]
    body: Option<String>,
    /// Repeat as LiveKit does: 5 tries at 0, 1, 3, 7 and 15 s, or as Retry-After asks, while the answer is 429, 5xx or none
    #[arg(long)]
    retry: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

fn count(text: &str) -> Result<u32, &'static str> {
    text.parse().ok().filter(|count| *count > 0).ok_or("must be a number of 1 or more")
}

pub(in crate::cli) fn run(mut arguments: SendWebhook) -> Outcome {
    arguments.url = arguments.flags.tls.applied_to(arguments.url)?;
    let keys = shared_flags::keys(&arguments.flags.keys)?;
    let file = arguments.body.as_deref().map(input::read).transpose()?;
    let runtime = remote::runtime()?;
    let mut all_accepted = true;
    for _ in 0..arguments.count {
        let delivery = SignedDelivery::new(&arguments, file.as_deref(), keys.minting())?;
        let result = runtime.block_on(deliver(&arguments, &delivery));
        if arguments.flags.json {
            print_json(result.as_json(&delivery))?;
        } else {
            print(result.in_words(&delivery, &arguments.url))?;
        }
        all_accepted &= result.is_accepted();
    }
    if all_accepted { Ok(()) } else { Err(Failure::answered()) }
}

/// One signed delivery, which each try sends unchanged.
struct SignedDelivery {
    event: String,
    id: String,
    authorization: HeaderValue,
    body: Bytes,
}

impl SignedDelivery {
    fn new(arguments: &SendWebhook, file: Option<&[u8]>, key: &ApiKey) -> Result<Self, Failure> {
        let now = UnixTime::now();
        let (event, id, body) = match file {
            Some(body) => {
                let event = WebhookEvent::parse(body);
                let (event, id) = event.map(|event| (event.event.into_owned(), event.id.into_owned())).unwrap_or_default();
                (event, id, body.to_vec())
            }
            None => {
                let event = arguments.event.clone().unwrap_or_default();
                let (id, body) = sample(&event, &arguments.room, &arguments.identity, now)?;
                (event, id, body)
            }
        };
        let token = AccessToken::new().with_sha256(BASE64.encode(Sha256::digest(&body))).with_ttl(TOKEN_TTL);
        let token = token.to_jwt(key, now).map_err(Failure::wrong)?;
        let authorization = HeaderValue::try_from(token).or(Err(Failure::wrong("the token cannot be put into a header")))?;
        Ok(Self { event, id, authorization, body: body.into() })
    }

    async fn post(&self, target: &Target) -> Result<Answer, ExchangeError> {
        let begin = Instant::now();
        let exchange = async {
            let mut connection = target.connect().await?;
            let request = target
                .request(Method::POST, target.path())
                .header(AUTHORIZATION, &self.authorization)
                .header(CONTENT_TYPE, "application/webhook+json");
            let response = connection.send(request, self.body.clone()).await?;
            let milliseconds = begin.elapsed().as_secs_f64() * 1000.0;
            let (status, retry_after) = (response.status(), retry_after(response.headers(), UnixTime::now()));
            Ok(Answer { status, milliseconds, retry_after, body: remote::text(response.into_body()).await })
        };
        timeout(PATIENCE, exchange).await.map_err(|_| ExchangeError::TimedOut(PATIENCE))?
    }
}

struct Answer {
    status: StatusCode,
    /// From connecting to the head of the answer.
    milliseconds: f64,
    retry_after: Option<Duration>,
    body: Bytes,
}

struct DeliveryResult {
    tries: usize,
    answer: Result<Answer, ExchangeError>,
}

async fn deliver(arguments: &SendWebhook, delivery: &SignedDelivery) -> DeliveryResult {
    let mut waits = BACK_OFF.iter().take(if arguments.retry { BACK_OFF.len() } else { 0 });
    let mut tries: usize = 0;
    loop {
        tries = tries.saturating_add(1);
        let result = DeliveryResult { tries, answer: delivery.post(&arguments.url).await };
        let Some(back_off) = waits.next().filter(|_| result.is_worth_retrying()) else { return result };
        let wait = result.retry_after().unwrap_or(*back_off);
        let reason = result.answer.as_ref().map_or_else(ToString::to_string, |answer| answer.status.to_string());
        tell(format_args!("{reason}; the next try in {} s", wait.as_secs()));
        sleep(wait).await;
    }
}

impl DeliveryResult {
    fn is_accepted(&self) -> bool {
        self.answer.as_ref().is_ok_and(|answer| answer.status.is_success())
    }

    /// Whether LiveKit would try again: it counts any other answer as delivered, even a 400.
    fn is_worth_retrying(&self) -> bool {
        match &self.answer {
            Ok(Answer { status, .. }) if status.is_server_error() => *status != StatusCode::NOT_IMPLEMENTED,
            Ok(answer) => answer.status == StatusCode::TOO_MANY_REQUESTS,
            Err(_) => true,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        const WITH_RETRY_AFTER: [StatusCode; 2] = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        let answer = self.answer.as_ref().ok().filter(|answer| WITH_RETRY_AFTER.contains(&answer.status))?;
        answer.retry_after.map(|wait| wait.min(MAX_RETRY_AFTER))
    }

    fn as_json(&self, delivery: &SignedDelivery) -> Value {
        let answer = self.answer.as_ref();
        json!({
            "event": delivery.event,
            "id": delivery.id,
            "status": answer.ok().map(|answer| answer.status.as_u16()),
            "milliseconds": answer.ok().map(|answer| answer.milliseconds),
            "tries": self.tries,
            "error": answer.err().map(ToString::to_string),
        })
    }

    fn in_words(&self, delivery: &SignedDelivery, target: &Target) -> String {
        let tries = if self.tries > 1 { format!(", on try {}", self.tries) } else { String::new() };
        let what = format!("{:?} {:?}", delivery.event, delivery.id).replace('"', "");
        match &self.answer {
            Ok(answer) => {
                let said = Some(String::from_utf8_lossy(&answer.body)).filter(|said| !self.is_accepted() && !said.is_empty());
                let said = said.map(|said| format!(": {:?}", said.trim())).unwrap_or_default();
                format!("{} in {:.1} ms{tries}: {what}{said}", answer.status, answer.milliseconds)
            }
            Err(error) => format!("{target}: {error}{tries}: {what}"),
        }
    }
}

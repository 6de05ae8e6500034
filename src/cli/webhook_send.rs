//! Owns `roomkey webhook send`: deliveries as LiveKit makes them, their signature, and their repetition.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};

use crate::cli::client::{self, ExchangeError, PATIENCE, Target};
use crate::cli::sample_events::{Sample, Scene};
use crate::cli::tls::TlsFlags;
use crate::cli::{Failure, Outcome, input, print, print_json, settings, tell};
use crate::clock::UnixTime;
use crate::config::KeyFlags;
use crate::livekit::access_token::AccessToken;
use crate::livekit::event::{EVENTS, WebhookEvent};
use crate::livekit::key::ApiKey;

/// How long a webhook's token holds (livekit/protocol `webhook/url_notifier.go`).
const TOKEN_TTL: Duration = Duration::from_secs(5 * 60);
/// Before each try but the first, so that the tries come at 0, 1, 3, 7 and 15 s (livekit/protocol
/// `webhook/resource_url_notifier.go`).
const BACK_OFF: [Duration; 4] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// That an answer's `Retry-After` can ask for at most (likewise).
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey webhook send --url http://localhost:6080/webhook --event room_started
  roomkey webhook send --url http://localhost:6080/webhook --event participant_joined --room daily --identity alice --count 10
  roomkey webhook send --url http://localhost:6080/webhook --body delivery.body --retry

Status 1 where an answer is not 2xx, or does not come.")]
pub(super) struct Arguments {
    /// Where to deliver, such as http://localhost:6080/webhook
    #[arg(long, value_name = "URL", value_parser = Target::parse)]
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
    /// How many deliveries, one after the other, each with an id of its own
    #[arg(long, value_name = "N", default_value = "1", value_parser = count)]
    count: u32,
    /// A file to deliver to the byte, instead of a sample; - is stdin
    #[arg(long, value_name = "FILE")]
    body: Option<String>,
    /// Repeat as LiveKit does: 5 tries at 0, 1, 3, 7 and 15 s, or as Retry-After asks, while the answer is 429, 5xx or none
    #[arg(long)]
    retry: bool,
    /// Print one line of JSON a delivery
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    keys: KeyFlags,
}

fn count(text: &str) -> Result<u32, &'static str> {
    text.parse().ok().filter(|count| *count > 0).ok_or("must be a number from 1 on")
}

pub(super) fn run(mut arguments: Arguments) -> Outcome {
    arguments.url = arguments.url.trusting(&arguments.tls)?;
    let keys = settings::keys(arguments.keys.clone())?;
    let file = arguments.body.as_deref().map(input::read).transpose()?;
    let runtime = client::runtime()?;
    let mut all_taken = true;
    for _ in 0..arguments.count {
        let delivery = Delivery::new(&arguments, file.as_deref(), keys.minting())?;
        let outcome = runtime.block_on(deliver(&arguments, &delivery));
        if arguments.json {
            print_json(outcome.as_json(&delivery))?;
        } else {
            print(outcome.in_words(&delivery, &arguments.url))?;
        }
        all_taken &= outcome.is_taken();
    }
    if all_taken { Ok(()) } else { Err(Failure::answered()) }
}

/// One signed delivery; each try sends the same.
struct Delivery {
    event: String,
    id: String,
    authorization: HeaderValue,
    body: Bytes,
}

impl Delivery {
    fn new(arguments: &Arguments, file: Option<&[u8]>, key: &ApiKey) -> Result<Self, Failure> {
        let now = UnixTime::now();
        let (event, id, body) = match (file, &arguments.event) {
            (Some(body), _) => {
                let read = WebhookEvent::parse(body);
                let (event, id) = read.map(|read| (read.event.into_owned(), read.id.into_owned())).unwrap_or_default();
                (event, id, body.to_vec())
            }
            (None, event) => {
                let event = event.clone().unwrap_or_default();
                let scene = Scene { event: &event, room: &arguments.room, identity: &arguments.identity, now };
                let Sample { id, body } = scene.sample()?;
                (event, id, body)
            }
        };
        let token = AccessToken::new().with_sha256(BASE64.encode(Sha256::digest(&body))).with_ttl(TOKEN_TTL);
        let token = token.to_jwt(key, now).map_err(Failure::wrong)?;
        let authorization = HeaderValue::try_from(token).or(Err(Failure::wrong("the token fits no header")))?;
        Ok(Self { event, id, authorization, body: body.into() })
    }

    /// One try, on a connection of its own.
    async fn post(&self, target: &Target) -> Result<Answer, ExchangeError> {
        let begin = Instant::now();
        let exchange = async {
            let mut connection = target.connect().await?;
            let request = target.request(Method::POST, target.path(), &self.authorization);
            let response = connection.send(request.header(CONTENT_TYPE, "application/webhook+json"), self.body.clone()).await?;
            let (took, retry_after) = (begin.elapsed(), client::retry_after(response.headers()));
            Ok(Answer { status: response.status(), took, retry_after, body: client::text(response.into_body()).await })
        };
        timeout(PATIENCE, exchange).await.map_err(|_| ExchangeError::TimedOut(PATIENCE))?
    }
}

/// What a try was answered.
struct Answer {
    status: StatusCode,
    /// From connecting to the answer's head.
    took: Duration,
    retry_after: Option<Duration>,
    body: Bytes,
}

/// How a delivery ended.
struct Ending {
    tries: usize,
    answer: Result<Answer, ExchangeError>,
}

async fn deliver(arguments: &Arguments, delivery: &Delivery) -> Ending {
    let mut waits = BACK_OFF.iter().take(if arguments.retry { BACK_OFF.len() } else { 0 });
    let mut tries: usize = 0;
    loop {
        tries = tries.saturating_add(1);
        let answer = delivery.post(&arguments.url).await;
        let outcome = Ending { tries, answer };
        let Some(back_off) = waits.next().filter(|_| outcome.is_repeated()) else { return outcome };
        let wait = outcome.retry_after().unwrap_or(*back_off);
        tell(format_args!("{}; the next try in {} s", outcome.reason(), wait.as_secs()));
        sleep(wait).await;
    }
}

impl Ending {
    fn is_taken(&self) -> bool {
        self.answer.as_ref().is_ok_and(|answer| answer.status.is_success())
    }

    /// Whether LiveKit would deliver again: any other answer counts as delivered there, even a 400.
    fn is_repeated(&self) -> bool {
        match &self.answer {
            Ok(answer) => {
                let status = answer.status;
                status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            }
            Err(_) => true,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        const HEEDED: [StatusCode; 2] = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        let answer = self.answer.as_ref().ok().filter(|answer| HEEDED.contains(&answer.status))?;
        answer.retry_after.map(|wait| wait.min(MAX_RETRY_AFTER))
    }

    fn reason(&self) -> String {
        match &self.answer {
            Ok(answer) => answer.status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    fn as_json(&self, delivery: &Delivery) -> Value {
        let answer = self.answer.as_ref();
        json!({
            "event": delivery.event,
            "id": delivery.id,
            "status": answer.ok().map(|answer| answer.status.as_u16()),
            "milliseconds": answer.ok().map(milliseconds),
            "tries": self.tries,
            "error": answer.err().map(ToString::to_string),
        })
    }

    fn in_words(&self, delivery: &Delivery, target: &Target) -> String {
        let tries = if self.tries > 1 { format!(", at try {}", self.tries) } else { String::new() };
        let what = format!("{:?} {:?}", delivery.event, delivery.id).replace('"', "");
        match &self.answer {
            Ok(answer) => {
                let said = String::from_utf8_lossy(&answer.body);
                let said =
                    if answer.status.is_success() || said.is_empty() { String::new() } else { format!(": {:?}", said.trim()) };
                format!("{} in {:.1} ms{tries}: {what}{said}", answer.status, milliseconds(answer))
            }
            Err(error) => format!("{target} gives {error}{tries}: {what}"),
        }
    }
}

fn milliseconds(answer: &Answer) -> f64 {
    answer.took.as_secs_f64() * 1000.0
}

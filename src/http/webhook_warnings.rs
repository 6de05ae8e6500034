//! Warns about refused webhooks, because LiveKit Server tells nobody about them and does not send most of them again.

use std::borrow::Cow;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request};
use tokio::time::Instant;
use tracing::warn;

use crate::http::headers::media_type;
use crate::http::limits::{WARNING_NAME_CHARS, WARNINGS_A_MINUTE};
use crate::http::once_a_minute::OnceAMinute;
use crate::http::refusal::Refusal;
use crate::http::routes;
use crate::http::trace::Trace;
use crate::jws;
use crate::livekit::key::ApiKeys;
use crate::livekit::token_verifier::{TokenError, claimed_key};
use crate::livekit::webhook::{WebhookError, strip_bearer};

/// The type that LiveKit Server sends.
const CONTENT_TYPE_OF_WEBHOOKS: &str = "application/webhook+json";

/// The warnings of the last minute.
#[derive(Debug, Default)]
pub(crate) struct WebhookWarnings {
    /// About known keys. They have their own limit, so that made-up names cannot displace them.
    known_keys: OnceAMinute<WARNINGS_A_MINUTE>,
    others: OnceAMinute<WARNINGS_A_MINUTE>,
}

impl WebhookWarnings {
    /// Warns about a webhook, once a minute. A 5xx has no warning: the webhook comes again, and the cause has its own warning.
    pub(crate) fn warn<B>(
        &self,
        keys: &ApiKeys,
        base_path: &str,
        trace: &Trace,
        request: &Request<B>,
        is_path_right: bool,
        refusal: &Refusal,
    ) {
        let facts = refusal.facts();
        let has_type = |value| media_type(value).eq_ignore_ascii_case(CONTENT_TYPE_OF_WEBHOOKS);
        let is_webhook =
            request.method() == Method::POST && (is_path_right || request.headers().get(CONTENT_TYPE).is_some_and(has_type));
        if !is_webhook || facts.status.is_server_error() {
            return;
        }
        let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = authorization.and_then(|value| claimed_key(strip_bearer(value))).unwrap_or_default(); // unverified
        let (key, path) = (shorten(&key), shorten(request.uri().path()));
        let limit = if keys.find(key).is_some() { &self.known_keys } else { &self.others };
        let subject = if is_path_right { key } else { path };
        if limit.is_first((is_path_right, subject, facts.label), Instant::now()) {
            let reason = facts.reason().to_string();
            let help = if is_path_right {
                help(keys, refusal)
            } else {
                let url = format!("{base_path}{}", routes::WEBHOOK);
                format!("in LiveKit Server's webhook.urls, let the URL of this server end with {url}").into()
            };
            let (client, request) = (trace.client, &trace.request);
            warn!(path, key, reason, help = &*help, %client, %request, "webhook refused: its event may be lost");
        }
    }
}

/// What to do about it. Empty if the reason says enough.
fn help(keys: &ApiKeys, refusal: &Refusal) -> Cow<'static, str> {
    match refusal {
        Refusal::Webhook(WebhookError::Token(TokenError::UnknownKey { .. })) => {
            let names: Vec<&str> = keys.names().collect();
            format!("webhook.api_key of LiveKit Server must be a key of this server, which has: {}", names.join(", ")).into()
        }
        Refusal::Webhook(WebhookError::Token(TokenError::Jws(jws::Error::Signature))) => {
            "give this key the same secret in LiveKit Server and here".into()
        }
        Refusal::Webhook(WebhookError::Token(TokenError::Expired { .. } | TokenError::NotYetValid { .. })) => {
            "set the clocks of both machines right; an old token may also be a request that somebody repeats".into()
        }
        Refusal::Webhook(WebhookError::Digest) => {
            "something between LiveKit Server and here changes bodies: roomkey webhook verify shows how".into()
        }
        Refusal::NoAuthorization => "let proxies pass the Authorization header on; LiveKit Server always sends it".into(),
        _ => "".into(),
    }
}

/// The beginning of a text that anyone may have chosen.
fn shorten(text: &str) -> &str {
    let end = text.char_indices().nth(WARNING_NAME_CHARS).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or(text)
}

//! Owns the warning about a refused webhook. LiveKit Server tells nobody of a refusal and takes most of them as delivered, so that
//! without this line events are lost in silence. Does not know why a webhook is refused.

use std::borrow::Cow;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request};
use tokio::time::Instant;
use tracing::warn;

use crate::http::Edge;
use crate::http::limits::{WARNING_NAME_CHARS, WARNINGS_A_MINUTE};
use crate::http::recent::Recent;
use crate::http::reply::Refusal;
use crate::http::router;
use crate::http::trace::Trace;
use crate::jws;
use crate::livekit::token_verifier::{TokenError, claimed_key};
use crate::livekit::webhook::{WebhookError, strip_bearer};

/// What LiveKit Server sends.
const WEBHOOK: &str = "application/webhook+json";

/// The warnings of the last minute.
#[derive(Debug)]
pub(crate) struct Lost {
    /// About our own keys, so that names that strangers make up take no place from them.
    ours: Recent,
    others: Recent,
}

impl Default for Lost {
    fn default() -> Self {
        Self { ours: Recent::new(WARNINGS_A_MINUTE), others: Recent::new(WARNINGS_A_MINUTE) }
    }
}

/// A refused request, as far as a warning names it.
pub(crate) struct Refused<'a> {
    pub(crate) path: &'a str,
    /// Whether webhooks are taken at this path.
    pub(crate) is_door: bool,
    /// The key that its token names, unverified.
    pub(crate) key: Option<String>,
}

impl<'a> Refused<'a> {
    /// `request`, where it is a webhook, by its path or by what it says it is.
    pub(crate) fn webhook<B>(request: &'a Request<B>, is_door: bool) -> Option<Self> {
        let header = |name| request.headers().get(name)?.to_str().ok();
        let is_typed = || {
            let essence = header(CONTENT_TYPE)?.split(';').next()?.trim();
            essence.eq_ignore_ascii_case(WEBHOOK).then_some(())
        };
        if request.method() != Method::POST || !(is_door || is_typed().is_some()) {
            return None;
        }
        let key = header(AUTHORIZATION).and_then(|value| claimed_key(strip_bearer(value)));
        Some(Self { path: request.uri().path(), is_door, key })
    }
}

impl Lost {
    /// Warns of `refused`, unless the same was warned of within a minute. After a 5xx LiveKit Server sends it again, and whatever
    /// caused that has a warning of its own.
    pub(crate) fn warn(&self, edge: &Edge, trace: &Trace, refused: &Refused<'_>, refusal: &Refusal) {
        if refusal.status().is_server_error() {
            return;
        }
        let key = cut(refused.key.as_deref().unwrap_or_default());
        let path = cut(refused.path);
        let recent = if edge.keyring.current().keys.find(key).is_some() { &self.ours } else { &self.others };
        let what = if refused.is_door { key } else { path };
        if recent.is_news((refused.is_door, what, refusal.label()), Instant::now()) {
            let reason = refusal.cause().to_string();
            let help = help(edge, refused, refusal);
            let (client, request) = (trace.client, &trace.request);
            warn!(path, key, reason, help = &*help, %client, %request, "webhook refused: its event may be lost");
        }
    }
}

/// What to do about it; empty where the reason says it all.
fn help(edge: &Edge, refused: &Refused<'_>, refusal: &Refusal) -> Cow<'static, str> {
    if !refused.is_door {
        let url = format!("{}{}", edge.base_path, router::WEBHOOK);
        return format!("in LiveKit Server's webhook.urls, let the URL of this server end with {url}").into();
    }
    match refusal {
        Refusal::Webhook(WebhookError::Token(TokenError::UnknownKey { .. })) => {
            let trust = edge.keyring.current();
            let names: Vec<&str> = trust.keys.names().collect();
            format!("webhook.api_key of LiveKit Server must be a key of this server, which has: {}", names.join(", ")).into()
        }
        Refusal::Webhook(WebhookError::Token(TokenError::Jws(jws::Error::Signature))) => {
            "give this key the same secret in LiveKit Server and here".into()
        }
        Refusal::Webhook(WebhookError::Token(TokenError::Expired { .. } | TokenError::NotYetValid { .. })) => {
            "set the clocks of both machines right; an old token may also be a request that somebody repeats".into()
        }
        Refusal::Webhook(WebhookError::Digest) => {
            "something between LiveKit Server and here changes bodies: roomkey webhook verify tells how".into()
        }
        Refusal::NoAuthorization => "let proxies pass the Authorization header on; LiveKit Server always sends it".into(),
        _ => "".into(),
    }
}

/// The beginning of a text that strangers choose.
fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(WARNING_NAME_CHARS).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or(text)
}

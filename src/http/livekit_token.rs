//! Verifies the LiveKit token of a client that reads events or steers the relay. Does not know what it may do.

use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderMap};

use crate::clock::UnixTime;
use crate::http::edge::Edge;
use crate::http::headers::only;
use crate::http::keyring::KeySet;
use crate::http::refusal::Refusal;
use crate::livekit::grants::VideoGrants;
use crate::livekit::token_verifier::TokenError;

/// A token that holds.
pub(crate) struct LiveKitToken {
    /// The name of the key that signed it.
    pub(crate) key: Arc<str>,
    pub(crate) grants: VideoGrants,
    pub(crate) expiry: UnixTime,
}

/// Refuses the pages of other sites if everyone knows a secret.
pub(crate) fn check_page(edge: &Edge, keys: &KeySet, headers: &HeaderMap) -> Result<(), Refusal> {
    let is_foreign = keys.api_keys.have_development() && !edge.cors.trusts(headers);
    if is_foreign { Err(Refusal::ForeignPage) } else { Ok(()) }
}

/// The token of the only `Authorization: Bearer` (RFC 6750, section 2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = only(headers, AUTHORIZATION).ok()??.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// The error is `None` if the token is authentic, but not for this.
pub(crate) fn verify(keys: &KeySet, token: &str, now: UnixTime) -> Result<LiveKitToken, Option<TokenError>> {
    let (key, claims) = keys.verifier.verify_by_key(token, now)?;
    // A webhook's token is for one body, and may be in the logs of the proxies that it passed.
    let expiry = claims.exp.filter(|_| claims.sha256.is_empty()).ok_or(None)?;
    Ok(LiveKitToken { key: key.shared_name(), grants: claims.video.unwrap_or_default(), expiry })
}

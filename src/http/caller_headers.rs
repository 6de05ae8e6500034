//! The headers that prove who is calling: which of them count, given where the request comes from. Does not know whose they are.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use tokio::time::Instant;
use tracing::info;
use url::Url;

use crate::caller::Caller;
use crate::caller::callers::Callers;
use crate::caller::credentials::Credentials;
use crate::caller::refused::Refused;
use crate::caller::settings::ANONYMOUS;
use crate::clock::UnixTime;
use crate::http::edge::Edge;
use crate::http::headers::only;
use crate::http::keyring::Keyring;
use crate::http::origin::parse_url;
use crate::http::policies::ActivePolicy;
use crate::http::proxies::X_FORWARDED_FOR;
use crate::http::refusal::Refusal;
use crate::http::trace::{REQUEST_ID, Trace};
use crate::livekit::key::ApiKeys;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A request's headers, and which of them count.
pub(crate) struct CallerHeaders<'a> {
    headers: Cow<'a, HeaderMap>,
    may_use_cookies: bool,
    is_from_trusted_proxy: bool,
    /// Whether the proxy's word about the caller counts too.
    may_use_proxy: bool,
}

impl<'a> CallerHeaders<'a> {
    /// # Errors
    /// If a page of another site sends a cookie that is a credential.
    pub(crate) fn new(edge: &Edge, callers: &Callers, trace: &Trace, headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let is_from_trusted_proxy = edge.proxies.trusts(trace.peer);
        let is_page_allowed = || is_page_allowed(edge, headers, is_from_trusted_proxy);
        let may_use_cookies = !callers.have_cookie_in(headers) || is_page_allowed()?;
        // The proxy may know the user by a cookie of its own, or by the network.
        let may_use_proxy = is_from_trusted_proxy && callers.are_named_in(headers) && is_page_allowed().unwrap_or(false);
        Ok(Self { headers: Cow::Borrowed(headers), may_use_cookies, is_from_trusted_proxy, may_use_proxy })
    }

    /// Only what it takes to prove again who is calling. It is copied, because a slice of the head would keep all of it in memory.
    pub(crate) fn to_owned(&self, callers: &Callers) -> CallerHeaders<'static> {
        const KEPT: [HeaderName; 5] = [AUTHORIZATION, COOKIE, HOST, FORWARDED_HOST, FORWARDED_PROTO];
        let kept = self.headers.iter().filter(|(name, _)| KEPT.contains(name) || callers.are_named_by(name));
        let headers = kept.filter_map(|(name, value)| Some((name.clone(), HeaderValue::from_bytes(value.as_bytes()).ok()?)));
        CallerHeaders { headers: Cow::Owned(headers.collect()), ..*self }
    }

    /// Who sends the request; `None` if that takes [waiting](Self::identify). A request without a credential is refused if it needs
    /// one.
    pub(crate) fn identify_now(
        &self,
        edge: &Edge,
        keys: &ApiKeys,
        trace: &Trace,
        policy: &ActivePolicy,
    ) -> Result<Option<Arc<Caller>>, Refusal> {
        let caller = policy.callers.identify_now(&self.credentials(None, keys, &HeaderMap::new), edge.clock.now());
        told(
            edge,
            trace,
            caller.map_err(Refusal::Caller).and_then(|caller| caller.map(|caller| admitted(policy, caller)).transpose()),
        )
    }

    /// Who sends the request, which is for `room`. Asks an application, or waits for an issuer's keys, if that is needed.
    pub(crate) async fn identify(
        &self,
        edge: &Edge,
        trace: &Trace,
        policy: &ActivePolicy,
        room: Option<&str>,
    ) -> Result<Arc<Caller>, Refusal> {
        told(edge, trace, self.identify_at((&edge.keyring, edge.clock.now()), trace, policy, room).await)
    }

    /// As [`identify`](Self::identify), with the keys of the server and the time.
    pub(crate) async fn identify_at(
        &self,
        (keyring, now): (&Keyring, UnixTime),
        trace: &Trace,
        policy: &ActivePolicy,
        room: Option<&str>,
    ) -> Result<Arc<Caller>, Refusal> {
        let keys = keyring.current();
        let passed_on = || self.passed_on(trace);
        let credentials = self.credentials(room, &keys.api_keys, &passed_on);
        admitted(policy, policy.callers.identify(&credentials, now).await.map_err(Refusal::Caller)?)
    }

    /// Whether an application has to be told the room, so that the body is read before the caller is known.
    pub(crate) fn need_room(&self, edge: &Edge, policy: &ActivePolicy) -> bool {
        let keys = edge.keyring.current();
        policy.callers.need_room(&self.credentials(None, &keys.api_keys, &HeaderMap::new), edge.clock.now())
    }

    fn credentials<'b>(
        &'b self,
        room: Option<&'b str>,
        livekit_keys: &'b ApiKeys,
        passed_on: &'b (dyn Fn() -> HeaderMap + Sync),
    ) -> Credentials<'b> {
        let Self { may_use_cookies, may_use_proxy, .. } = *self;
        let headers = &*self.headers;
        Credentials { headers, may_use_cookies, is_from_trusted_proxy: may_use_proxy, room, livekit_keys, passed_on }
    }

    /// What the application is told about the request.
    fn passed_on(&self, trace: &Trace) -> HeaderMap {
        let of_proxy = |name| only(&self.headers, name).ok().flatten().filter(|_| self.is_from_trusted_proxy);
        let host = of_proxy(FORWARDED_HOST).or_else(|| self.headers.get(HOST));
        let proto = of_proxy(FORWARDED_PROTO).cloned().unwrap_or(HeaderValue::from_static("http"));
        let client = HeaderValue::try_from(trace.client.to_string()).ok();
        let told = [(X_FORWARDED_FOR, client), (FORWARDED_HOST, host.cloned()), (FORWARDED_PROTO, Some(proto))];
        let mut headers: HeaderMap = told.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        headers.insert(REQUEST_ID, trace.request.clone().into_header());
        headers
    }
}

/// Refuses a request without a credential if no rule is for it.
fn admitted(policy: &ActivePolicy, caller: Arc<Caller>) -> Result<Arc<Caller>, Refusal> {
    let lacks_credential = &*caller.name == ANONYMOUS && !policy.rules.is_for(ANONYMOUS);
    if lacks_credential { Err(Refusal::NoCredential) } else { Ok(caller) }
}

/// Logs why a credential does not hold. The client is not told the reason, and every reason is told only once a minute, because
/// strangers can cause it.
fn told<T>(edge: &Edge, trace: &Trace, identified: Result<T, Refusal>) -> Result<T, Refusal> {
    if let Err(Refusal::Caller(Refused::Unauthorized(error))) = &identified
        && edge.bad_credentials.is_first(error.kind(), Instant::now())
    {
        let Trace { request, client, endpoint, .. } = trace;
        info!(endpoint, reason = %error, %client, %request, "a credential does not hold");
    }
    identified
}

/// Whether the page that sends the request may use what proves its user: a listed page, one of this host, or no page at all.
fn is_page_allowed(edge: &Edge, headers: &HeaderMap, is_from_trusted_proxy: bool) -> Result<bool, Refusal> {
    let Ok(origin) = only(headers, ORIGIN) else { return Ok(false) };
    let is_listed = origin.is_some_and(|origin| edge.cors.lists_site(origin));
    if !is_listed && headers.get_all(FETCH_SITE).iter().any(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site")) {
        return Err(Refusal::CrossSite);
    }
    Ok(is_listed || origin.is_none_or(|origin| is_own(origin, headers, is_from_trusted_proxy)))
}

/// Whether `origin` is the host that the request was sent to; a trusted proxy may have changed `Host`.
fn is_own(origin: &HeaderValue, headers: &HeaderMap, is_from_trusted_proxy: bool) -> bool {
    let parse = |url: &str| parse_url(url).map(|url: Url| (url.host_str().map(str::to_owned), url.port_or_known_default()));
    let Some((scheme, _)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else { return false };
    if !["http", "https"].contains(&scheme) {
        return false;
    }
    let forwarded = only(headers, FORWARDED_HOST).ok().flatten().filter(|_| is_from_trusted_proxy);
    let host = forwarded.or_else(|| only(headers, HOST).ok().flatten()).and_then(|host| host.to_str().ok());
    let own = host.and_then(|host| parse(&format!("{scheme}://{host}")));
    own.is_some() && own == origin.to_str().ok().and_then(parse)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HOST, HeaderMap, HeaderValue};

    use super::is_own;

    #[test]
    fn pages_of_the_host_itself() {
        for (origin, host, expected) in [
            ("https://app.example.com", "app.example.com", true),
            ("https://app.example.com", "APP.example.com:443", true),
            ("http://localhost:6080", "localhost:6080", true),
            ("http://[::1]:6080", "[::1]:6080", true),
            ("http://app.example.com", "app.example.com:443", false),
            ("https://app.example.com", "example.com", false),
            ("https://app.example.com.evil.example", "app.example.com", false),
            ("https://app.example.com:8443", "app.example.com", false),
            ("ftp://app.example.com", "app.example.com", false),
            ("null", "null", false),
            ("", "", false),
            ("https://", "", false),
            ("https://a@b", "a@b", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            assert_eq!(is_own(&HeaderValue::from_static(origin), &headers, false), expected, "{origin} {host}");
        }
        assert!(!is_own(&HeaderValue::from_static("https://app.example.com"), &HeaderMap::new(), false));
    }
}

//! Fetches the JWK set of an issuer, which it finds by OpenID discovery if need be. Does not know when, nor what verifies with it.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{ACCEPT, HeaderMap};
use hyper::{Method, StatusCode};
use url::Url;

use crate::caller::jwk::{KeySet, KeySetError};
use crate::caller::settings::{Oidc, Reach};
use crate::client::{self, ExchangeError, ExchangeLimits, Target, TargetError, Trust};
use crate::json::Members;

/// Time for each of the two requests. Connecting may take all of it, because issuers can be far away.
const PATIENCE: Duration = Duration::from_secs(5);
const LIMITS: ExchangeLimits = ExchangeLimits { connect: PATIENCE, total: PATIENCE, answer_bytes: 1024 * 1024 };

/// Where the keys of an issuer are. Two callers with the same place and the same name are the same.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeyPlace {
    issuer: String,
    /// `None`: found by discovery.
    jwks_url: Option<Url>,
    reach: Reach,
}

/// Keys, and how long the issuer allows to keep them.
#[derive(Debug)]
pub(crate) struct FetchedKeys {
    pub(crate) keys: KeySet,
    pub(crate) max_age: Option<Duration>,
}

impl KeyPlace {
    /// Where the keys of `oidc` are.
    pub(crate) fn of(oidc: &Oidc) -> Result<Self, KeyPlaceError> {
        let place = Self { issuer: oidc.issued.issuer.clone(), jwks_url: oidc.jwks_url.clone(), reach: oidc.reach.clone() };
        let first = place.jwks_url.clone().map_or_else(|| place.discovery(), Ok)?;
        if !place.reach.allows(&first) {
            return Err(KeyPlaceError::Plaintext);
        }
        Target::parse(first.as_str()).map(|_| place).map_err(KeyPlaceError::Address)
    }

    /// The address of the issuer's metadata (OpenID Connect Discovery 1.0, section 4.1).
    fn discovery(&self) -> Result<Url, KeyPlaceError> {
        let base = self.issuer.strip_suffix('/').unwrap_or(&self.issuer);
        let url = format!("{base}/.well-known/openid-configuration").parse::<Url>();
        url.ok()
            .filter(|url| url.has_host() && url.query().is_none() && url.fragment().is_none())
            .ok_or(KeyPlaceError::NoDiscovery)
    }

    /// Fetches the keys now.
    pub(crate) async fn fetch(&self, trust: &Trust) -> Result<FetchedKeys, KeyFetchError> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => self.discover(trust).await?,
        };
        let (headers, body) = fetch(&url, trust).await?;
        Ok(FetchedKeys { keys: KeySet::from_jwks(&body)?, max_age: client::freshness(&headers) })
    }

    /// The `jwks_uri` in the issuer's metadata.
    async fn discover(&self, trust: &Trust) -> Result<Url, KeyFetchError> {
        let (_, body) = fetch(&self.discovery()?, trust).await?;
        let metadata = Members::parse(&body).or(Err(KeyFetchError::Metadata))?;
        if metadata.text("issuer").as_deref() != Some(&self.issuer) {
            return Err(KeyFetchError::OtherIssuer);
        }
        let url = metadata.text("jwks_uri").and_then(|url| url.parse::<Url>().ok()).ok_or(KeyFetchError::Metadata)?;
        if self.reach.allows(&url) { Ok(url) } else { Err(KeyPlaceError::Plaintext.into()) }
    }
}

async fn fetch(url: &Url, trust: &Trust) -> Result<(HeaderMap, Bytes), KeyFetchError> {
    let target = Target::parse(url.as_str()).map_err(KeyPlaceError::Address)?.trusting(trust);
    let request = target.request(Method::GET, target.path()).header(ACCEPT, "application/json");
    let (head, body) = target.exchange(request, LIMITS).await?.into_parts();
    if head.status == StatusCode::OK { Ok((head.headers, body)) } else { Err(KeyFetchError::Status(head.status)) }
}

/// Why the keys of an issuer cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum KeyPlaceError {
    #[error("the issuer is not the URL of a server, so its keys cannot be found: set jwks_url")]
    NoDiscovery,
    #[error("the keys would be fetched over http, where anyone on the way can replace them: use https, or set plaintext = true")]
    Plaintext,
    #[error("the address of the keys: {0}")]
    Address(#[source] TargetError),
}

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum KeyFetchError {
    #[error(transparent)]
    Place(#[from] KeyPlaceError),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("the answer is {0}, not 200")]
    Status(StatusCode),
    #[error("the issuer's metadata is not an object with issuer and jwks_uri")]
    Metadata,
    #[error("the issuer's metadata is of another issuer: set issuer to exactly what it says")]
    OtherIssuer,
    #[error("the answer {0}")]
    Keys(#[from] KeySetError),
}

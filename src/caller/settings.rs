//! What the policy file says of each caller. Does not know how the file is written, nor any rule.

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderName;
use url::{Host, Url};

use crate::caller::claim_path::ClaimPath;
use crate::caller::matchers::Matchers;

/// The caller that exists without a section: requests without credentials.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// A `[callers.NAME]` section.
#[derive(Clone, Debug)]
pub(crate) struct CallerSettings {
    pub(crate) name: String,
    pub(crate) proof: Proof,
    /// The claim that identifies the caller.
    pub(crate) subject: ClaimPath,
    /// Matchers that the claims of every token of this caller must meet.
    pub(crate) require: Matchers,
}

/// How a request proves that it comes from a caller: the section's `kind` and its own settings.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    Oidc(Oidc),
    Jwt(Jwt),
    ApiToken(ApiToken),
    Forward(Forward),
    Proxy(Proxy),
}

/// What a JWT must say, whoever signed it.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// Compared exactly.
    pub(crate) issuer: String,
    /// The token's audience must be one of these. Empty: it is not checked.
    pub(crate) audience: Vec<String>,
    /// The claim that has the audience.
    pub(crate) audience_claim: ClaimPath,
}

/// A JWT that is signed by a key of the issuer's JWK set.
#[derive(Clone, Debug)]
pub(crate) struct Oidc {
    pub(crate) issued: Issued,
    /// `None`: found by OpenID discovery.
    pub(crate) jwks_url: Option<Url>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) reach: Reach,
}

impl Oidc {
    /// Whether `http://` to a host that is not loopback is possible. Discovery can lead there from an `https://` issuer.
    pub(crate) fn may_be_asked_in_plaintext(&self) -> bool {
        self.reach.plaintext
            && match &self.jwks_url {
                Some(url) => is_open_on_the_way_to(url),
                None => Url::parse(&self.issued.issuer).is_ok_and(|url| url.scheme() == "https" || is_open_on_the_way_to(&url)),
            }
    }
}

/// The signature algorithms of JWTs that are verified with a public key (RFC 7518, section 3.1; RFC 8037, section 3.1; RFC 9864).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Es256,
    /// Also written `Ed25519`.
    EdDsa,
}

impl Algorithm {
    /// The algorithms that public keys verify if the settings list none.
    pub(crate) const DEFAULT: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// Their names in headers, JWKs and settings.
    pub(crate) const NAMED: [(&str, Self); 7] = [
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("ES256", Self::Es256),
        ("EdDSA", Self::EdDsa),
        ("Ed25519", Self::EdDsa),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(each, _)| *each == name).map(|(_, algorithm)| *algorithm)
    }
}

/// A JWT that is signed with a configured key.
#[derive(Clone, Debug)]
pub(crate) struct Jwt {
    pub(crate) issued: Issued,
    pub(crate) key: JwtKey,
}

/// Where the key of a [`Jwt`] caller is.
#[derive(Clone, Debug)]
pub(crate) enum JwtKey {
    /// An HS256 secret of at least 32 bytes.
    Secret(SecretSource),
    /// A PEM public key or a JWK set.
    PublicKeyFile(PathBuf),
}

/// Where a secret is. The secret itself is never in the policy file.
#[derive(Clone, Debug)]
pub(crate) enum SecretSource {
    /// The name of an environment variable.
    Env(String),
    File(PathBuf),
}

/// An opaque bearer token of a server.
#[derive(Clone, Debug)]
pub(crate) enum ApiToken {
    /// The SHA-256 of each token.
    Sha256(Vec<[u8; 32]>),
    Secret(SecretSource),
}

/// The application's own session: roomkey asks the application who it is.
#[derive(Clone, Debug)]
pub(crate) struct Forward {
    pub(crate) url: Url,
    /// The names of the cookies that are passed on.
    pub(crate) cookies: Vec<String>,
    /// Whether `Authorization` is passed on.
    pub(crate) authorization: bool,
    /// The longest wait for the application, from connecting to the end of its answer.
    pub(crate) timeout: Duration,
    /// How long a good answer is kept.
    pub(crate) cache: Duration,
    /// Whether the application is told the room, as `?room=`.
    pub(crate) ask_room: bool,
    pub(crate) reach: Reach,
}

/// How a server of others is reached.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reach {
    /// A PEM file with the authorities to trust, instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Whether `http://` to a host that is not loopback is allowed.
    pub(crate) plaintext: bool,
}

impl Reach {
    /// Whether `url` may be asked: over TLS, on this machine, or wherever plaintext is allowed.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        match url.scheme() {
            "https" => true,
            "http" => self.plaintext || is_loopback(url),
            _ => false,
        }
    }
}

/// Whether others on the way to `url` can read and forge what is said.
pub(crate) fn is_open_on_the_way_to(url: &Url) -> bool {
    url.scheme() == "http" && !is_loopback(url)
}

/// Whether the host of `url` can only be this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Headers that an authenticating proxy sets: each claim and the header that has its value.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) headers: Vec<(String, HeaderName)>,
}

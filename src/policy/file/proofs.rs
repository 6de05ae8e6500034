//! Reads what each kind of caller has in its section. Does not read the files and variables that are named there.

use std::path::Path;
use std::time::Duration;

use hyper::header::HeaderName;
use toml::de::DeValue;
use url::Url;

use crate::caller::claim_path::ClaimPath;
use crate::caller::settings::{Algorithm, ApiToken, Forward, Issued, Jwt, JwtKey, Oidc, Proxy, Reach};
use crate::policy::file::problem::Problem;
use crate::policy::file::reader::{Reader, Section};
use crate::policy::file::values::duration;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_CACHE: Duration = Duration::from_secs(10);

pub(super) fn oidc(issued: Issued, section: &mut Section<'_>, folder: &Path, reader: &mut Reader<'_>) -> Oidc {
    let reach = reach(section, folder, reader);
    let jwks_url = url("jwks_url", &reach, section, reader);
    if !section.has("jwks_url") && !issued.issuer.is_empty() {
        url("issuer", &reach, section, reader); // discovery begins there
    }
    let mut algorithms = Vec::new();
    if let Some(item) = section.item("algorithms") {
        for item in reader.one_or_more("algorithms", item, "a list of algorithms such as [\"RS256\"]") {
            algorithms.extend(reader.one_of("algorithms", item, "algorithm", &Algorithm::NAMED, &[]));
        }
    } else {
        algorithms.extend(Algorithm::DEFAULT);
    }
    Oidc { issued, jwks_url, algorithms, reach }
}

pub(super) fn jwt(issued: Issued, section: &mut Section<'_>, folder: &Path, reader: &mut Reader<'_>) -> Option<Jwt> {
    const ABOUT: &str = "the key that signs the tokens, here or in \"secret_file\" or \"public_key_file\"";
    section.only_one(&["secret_env", "secret_file", "public_key_file"], ABOUT, reader);
    let secret = section.secret(["secret_file", "secret_env"], folder, reader).map(JwtKey::Secret);
    let public_key = section.file("public_key_file", folder, reader).map(JwtKey::PublicKeyFile);
    Some(Jwt { issued, key: secret.or(public_key)? })
}

pub(super) fn api_token(section: &mut Section<'_>, folder: &Path, reader: &mut Reader<'_>) -> Option<ApiToken> {
    const SHA256: &str = "the SHA-256 of the token, 64 hex digits, or a list of them";
    const ABOUT: &str = "the hash of the token, or the token in \"token_env\" or \"token_file\"";
    section.only_one(&["sha256", "token_env", "token_file"], ABOUT, reader);
    let mut hashes = Vec::new();
    if let Some(item) = section.item("sha256") {
        for item in reader.one_or_more("sha256", item, SHA256) {
            hashes.extend(reader.read("sha256", item, SHA256, |value| sha256(value.as_str()?)));
        }
    }
    let secret = section.secret(["token_file", "token_env"], folder, reader).map(ApiToken::Secret);
    secret.or((!hashes.is_empty()).then_some(ApiToken::Sha256(hashes)))
}

pub(super) fn forward(section: &mut Section<'_>, folder: &Path, reader: &mut Reader<'_>) -> Option<Forward> {
    const COOKIES: &str = "the name of a cookie, or a list of names";
    const ABOUT: &str = "the names of the cookies that the application knows its users by, or set authorization = true";
    let reach = reach(section, folder, reader);
    section.required("url", "where the application says who is signed in", reader);
    let url = url("url", &reach, section, reader);
    let mut cookies = Vec::new();
    for (name, span) in section.texts("cookies", COOKIES, reader) {
        if !name.bytes().all(is_token) {
            reader.mistake(&span, Problem::Wrong { key: "cookies".to_owned(), expected: COOKIES });
        }
        cookies.push(name);
    }
    let authorization = section.flag("authorization", reader).unwrap_or(false);
    if !authorization && !section.has("cookies") {
        reader.mistake(&section.span, Problem::Missing { key: "cookies", place: section.place.clone(), about: ABOUT });
    }
    let timeout = section.optional("timeout", "a duration of at most 10s, such as \"2s\"", reader, |value| {
        duration(value).filter(|timeout| !timeout.is_zero() && *timeout <= MAX_TIMEOUT)
    });
    let cache = section.optional("cache", "a duration such as \"10s\", or \"0s\" to ask each time", reader, duration);
    let ask_room = section.flag("ask_room", reader).unwrap_or(false);
    Some(Forward {
        url: url?,
        cookies,
        authorization,
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        cache: cache.unwrap_or(DEFAULT_CACHE),
        ask_room,
        reach,
    })
}

pub(super) fn proxy(subject: &ClaimPath, section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<Proxy> {
    const EXPECTED: &str =
        "a table of claims and the headers that have them, such as { sub = \"X-Forwarded-User\" }, also of the subject";
    let item = section.required("headers", EXPECTED, reader)?;
    let table = reader.read("headers", item, EXPECTED, DeValue::as_table)?;
    let mut headers: Vec<_> = Vec::new();
    for (claim, item) in table {
        let header = reader.read("headers", item, "the name of a header", |value| value.as_str()?.parse::<HeaderName>().ok());
        headers.extend(header.map(|header| (claim.get_ref().to_string(), header)));
    }
    if !table.keys().any(|claim| ClaimPath::from(vec![claim.get_ref().to_string()]) == *subject) {
        reader.mistake(&item.span(), Problem::Wrong { key: "headers".to_owned(), expected: EXPECTED });
    }
    Some(Proxy { headers })
}

fn reach(section: &mut Section<'_>, folder: &Path, reader: &mut Reader<'_>) -> Reach {
    Reach { ca_file: section.file("ca_file", folder, reader), plaintext: section.flag("plaintext", reader).unwrap_or(false) }
}

fn url(key: &'static str, reach: &Reach, section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<Url> {
    const URL: &str = "a URL such as https://app.example.com/api/me, without a user, a password and a fragment";
    let url = section.http_url(key, URL, reader)?;
    if !reach.allows(&url) {
        reader.mistake(&section.span_of(key), Problem::Plaintext { key });
    }
    Some(url)
}

fn sha256(hex: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    let digits = hex.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// A character of a cookie's name (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

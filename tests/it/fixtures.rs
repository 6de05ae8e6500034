//! What the tests share: the recorded deliveries and tokens, keys and receivers that trust them, and a signer that is not the
//! crate's, so that it can sign anything. Does not know what any test expects.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use roomkey::{ApiKey, ApiKeys, TokenVerifier, UnixTime, WebhookReceiver};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The keys of `fixtures/README.md`: the server's, the one of an egress's own webhook, and the newer server's.
pub(crate) const SERVER_KEY: (&str, &str) = ("APIdevelopFixture", "fixtureSecret-for-tests-only-0123456789abcdef");
pub(crate) const EGRESS_KEY: (&str, &str) = ("APIegressFixture", "another-fixtureSecret-for-tests-9876543210fedcba");
pub(crate) const NEWER_KEY: (&str, &str) = ("APIfixture1311", "fixtureSecret-for-tests-only-1311-0123456789");
pub(crate) const RECORDED_KEYS: [(&str, &str); 3] = [SERVER_KEY, EGRESS_KEY, NEWER_KEY];

/// A moment for whatever has none of its own: when the recording began.
pub(crate) const NOW: u64 = 1_795_317_315;
pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

pub(crate) fn now() -> UnixTime {
    UnixTime::from_secs(NOW)
}

pub(crate) fn api_key((name, secret): (&str, &str)) -> ApiKey {
    ApiKey::new(name, secret).unwrap()
}

/// A verifier that trusts the server's key alone.
pub(crate) fn verifier() -> TokenVerifier {
    TokenVerifier::new(api_key(SERVER_KEY))
}

/// The keys of the recordings; the server's mints.
pub(crate) fn api_keys() -> ApiKeys {
    ApiKeys::new(api_key(SERVER_KEY), RECORDED_KEYS.map(api_key)).unwrap()
}

/// The keys of the recordings, as a setting.
#[cfg(feature = "server")]
pub(crate) fn key_lines() -> String {
    RECORDED_KEYS.map(|(name, secret)| format!("{name}: {secret}\n")).concat()
}

/// A receiver that trusts the keys of the recordings.
pub(crate) fn receiver() -> WebhookReceiver {
    WebhookReceiver::new(TokenVerifier::new(api_keys()))
}

pub(crate) fn path(under: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(under)
}

/// One recorded webhook delivery.
pub(crate) struct Recorded {
    /// The folder that it is in, under `fixtures`.
    pub(crate) folder: &'static str,
    /// The file's name without its ending, such as `001-room_started`.
    pub(crate) name: String,
    pub(crate) authorization: String,
    pub(crate) body: Vec<u8>,
    /// The token's `iat`.
    pub(crate) at: u64,
    /// The token's `exp`.
    pub(crate) until: u64,
    /// The token's `iss`.
    pub(crate) key: String,
}

impl Recorded {
    /// The event that the file's name tells.
    pub(crate) fn event(&self) -> &str {
        self.name.split_once('-').unwrap().1
    }

    /// The file of this `ending`, `head` or `body`.
    #[cfg(feature = "server")]
    pub(crate) fn file(&self, ending: &str) -> PathBuf {
        path(&format!("fixtures/{}/{}.{ending}", self.folder, self.name))
    }

    pub(crate) fn json(&self) -> Map<String, Value> {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The folders of recorded deliveries: of LiveKit Server 1.13.5 and 1.13.11.
const FOLDERS: [&str; 2] = ["deliveries", "deliveries-1.13.11"];

/// All recorded deliveries, in their order.
pub(crate) fn recorded() -> Vec<Recorded> {
    let read = |folder| {
        let files = fs::read_dir(path("fixtures").join(folder)).unwrap();
        let mut heads: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
        heads.retain(|path| path.extension().is_some_and(|extension| extension == "head"));
        heads.sort();
        heads.into_iter().map(move |head| read_delivery(folder, &head))
    };
    FOLDERS.into_iter().flat_map(read).collect()
}

/// The first recorded delivery, for what needs just one.
pub(crate) fn first_recorded() -> Recorded {
    read_delivery(FOLDERS[0], &path("fixtures/deliveries/001-room_started.head"))
}

fn read_delivery(folder: &'static str, head: &Path) -> Recorded {
    let text = fs::read_to_string(head).unwrap();
    let authorization = text.split("\r\n").find_map(|line| line.strip_prefix("Authorization: ")).unwrap().to_owned();
    let claims = payload(&authorization);
    Recorded {
        folder,
        name: head.file_stem().unwrap().to_str().unwrap().to_owned(),
        body: fs::read(head.with_extension("body")).unwrap(),
        at: claims["iat"].as_u64().unwrap(),
        until: claims["exp"].as_u64().unwrap(),
        key: claims["iss"].as_str().unwrap().to_owned(),
        authorization,
    }
}

/// A token that one of LiveKit's own libraries minted.
pub(crate) struct LibraryToken {
    /// The file and the case, such as `go-protocol-1.54.0: join`.
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) token: String,
}

/// The tokens of all three libraries.
pub(crate) fn library_tokens() -> Vec<LibraryToken> {
    let libraries = ["go-protocol-1.54.0", "node-server-sdk-2.19.2", "python-api-1.2.2"];
    let read = |library: &str| fs::read_to_string(path(&format!("fixtures/tokens/{library}.jsonl"))).unwrap();
    libraries.iter().flat_map(|library| read(library).lines().map(|line| read_token(library, line)).collect::<Vec<_>>()).collect()
}

fn read_token(library: &str, line: &str) -> LibraryToken {
    let line: Value = serde_json::from_str(line).unwrap();
    let text = |name: &str| line[name].as_str().unwrap().to_owned();
    LibraryToken { name: format!("{library}: {}", text("case")), key: text("key"), secret: text("secret"), token: text("token") }
}

/// The bytes of a token's payload, unverified.
pub(crate) fn payload_bytes(token: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()
}

/// A token's payload, unverified.
pub(crate) fn payload(token: &str) -> Map<String, Value> {
    serde_json::from_slice(&payload_bytes(token)).unwrap()
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `signing_input` and its HMAC-SHA256, whatever it is.
pub(crate) fn sign(signing_input: &str, secret: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(signing_input).finalize();
    format!("{signing_input}.{}", base64url(mac.into_bytes()))
}

/// A token of any header and payload, signed with the server's key.
pub(crate) fn forge(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    sign(&format!("{}.{}", base64url(header), base64url(payload)), SERVER_KEY.1)
}

/// A token that holds at [`NOW`], whose payload has these `members` too: a list of JSON members, or nothing.
pub(crate) fn forge_with(members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    forge(HEADER, format!(r#"{{"iss":"{}","exp":{NOW}{comma}{members}}}"#, SERVER_KEY.0))
}

/// What a webhook's token says of `body`.
pub(crate) fn digest(body: impl AsRef<[u8]>) -> String {
    STANDARD.encode(Sha256::digest(body))
}

/// `bytes` in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// `depth` objects in each other, each the member `x` of the one around it.
pub(crate) fn nested_objects(depth: usize) -> String {
    format!("{}0{}", r#"{"x":"#.repeat(depth), "}".repeat(depth))
}

/// `depth` lists in each other.
pub(crate) fn nested_lists(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

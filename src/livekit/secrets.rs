//! Owns which members of LiveKit's JSON hold a secret, and which hold a URL or a text that can contain one (livekit/protocol
//! `livekit_egress.proto`, `livekit_ingress.proto`, `livekit_models.proto`). Hiding them and refusing them both start here. Does not
//! know what in a URL is secret.

use serde_json::Value;

use crate::livekit::field_names::{ends_in, is_field};
use crate::livekit::url_secrets;

/// The members whose whole value is a secret: those of a room, of an ingress, and of an egress' outputs.
const SECRETS: [&str; 7] =
    ["turnPassword", "streamKey", "secret", "sessionToken", "assumeRoleExternalId", "credentials", "accountKey"];
/// A `password` is a secret of an egress' output inside this one.
pub(crate) const PROXY: &str = "proxy";
/// The last words of the members that hold URLs.
const URLS: [&str; 5] = ["url", "urls", "location", "endpoint", PROXY];
/// The members that send media to any server. Their URLs end in a stream's key.
const STREAM_OUTPUTS: [&str; 2] = ["streamOutputs", "stream"];

/// Whether the whole value of the member `name` is a secret.
pub(crate) fn is_secret(name: &str, in_proxy: bool) -> bool {
    in_proxy && name == "password" || SECRETS.iter().any(|secret| is_field(name, secret))
}

/// Whether the member `name` holds a URL, or a list of them.
pub(crate) fn is_url(name: &str) -> bool {
    URLS.iter().any(|word| ends_in(name, word))
}

/// Whether the member `name` tells of an error, in a text that may quote URLs.
#[cfg(feature = "server")]
pub(crate) fn is_error(name: &str) -> bool {
    const WORDS: [&str; 4] = ["details", "detail", "reason", "message"];
    name.as_bytes().windows(5).any(|part| part.eq_ignore_ascii_case(b"error")) || WORDS.iter().any(|word| ends_in(name, word))
}

/// Whether the member `name` is the application's own, and none of LiveKit's fields are in it.
#[cfg(feature = "server")]
pub(crate) fn is_applications(name: &str) -> bool {
    ["metadata", "attributes"].iter().any(|word| ends_in(name, word))
}

/// The paths below `path` of everything in `egress` that must not be told to the bearer of a token: credentials, and streams' outputs.
/// Stricter than LiveKit (`CheckCredentials` in livekit/protocol `auth/grants.go`): it looks at every depth, in every output.
pub(crate) fn paths_in(egress: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(egress, &mut vec![path.to_owned()], Place::default(), &mut found);
    found
}

/// What is known of a value from the names around it.
#[derive(Clone, Copy, Default)]
struct Place {
    in_proxy: bool,
    is_url: bool,
}

fn collect(value: &Value, path: &mut Vec<String>, place: Place, found: &mut Vec<String>) {
    let mut descend = |name: String, value: &Value, place: Place, is_forbidden: bool| {
        path.push(name);
        if is_forbidden && !is_empty(value) {
            found.push(path.join("."));
        } else {
            collect(value, path, place, found);
        }
        path.pop();
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let is_forbidden =
                    is_secret(name, place.in_proxy) || STREAM_OUTPUTS.iter().any(|outputs| is_field(name, outputs));
                let place = Place { in_proxy: place.in_proxy || name == PROXY, is_url: is_url(name) };
                descend(shown(name), member, place, is_forbidden);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                descend(index.to_string(), item, place, false);
            }
        }
        Value::String(url) if place.is_url && url_secrets::bears_credentials(url.as_bytes()) => found.push(path.join(".")),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// A name that the client chose, as an error shows it: short, and only of letters that are safe in a log line.
fn shown(name: &str) -> String {
    let is_plain = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { name.to_owned() } else { "…".to_owned() }
}

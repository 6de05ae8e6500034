//! Lists the members of LiveKit's JSON that hold a secret, or a URL or text that can contain one (livekit/protocol
//! `livekit_egress.proto`, `livekit_ingress.proto`, `livekit_models.proto`). The list is used to redact payloads and to refuse
//! credentials in tokens. Does not know which part of a URL is secret.

use serde_json::Value;

use crate::livekit::field_names::{ends_in, is_field};
use crate::livekit::url_secrets;

/// The members whose whole value is a secret: of a room, an ingress, and the outputs of an egress.
const SECRETS: [&str; 7] =
    ["turnPassword", "streamKey", "secret", "sessionToken", "assumeRoleExternalId", "credentials", "accountKey"];
/// Inside this member, `password` is a secret.
pub(crate) const PROXY: &str = "proxy";
/// The last words of the members that hold URLs.
const URLS: [&str; 5] = ["url", "urls", "location", "endpoint", PROXY];
/// The members that send media to other servers. Their URLs end in a stream key.
const STREAM_OUTPUTS: [&str; 2] = ["streamOutputs", "stream"];

/// Whether the whole value of the member `name` is a secret.
pub(crate) fn is_secret(name: &str, in_proxy: bool) -> bool {
    in_proxy && name == "password" || SECRETS.iter().any(|secret| is_field(name, secret))
}

/// Whether the member `name` holds a URL, or a list of them.
pub(crate) fn is_url(name: &str) -> bool {
    URLS.iter().any(|word| ends_in(name, word))
}

/// Whether the member `name` holds an error message, which may quote URLs.
#[cfg(feature = "server")]
pub(crate) fn is_error(name: &str) -> bool {
    const WORDS: [&str; 4] = ["details", "detail", "reason", "message"];
    name.as_bytes().windows(5).any(|part| part.eq_ignore_ascii_case(b"error")) || WORDS.iter().any(|word| ends_in(name, word))
}

/// Whether the member `name` belongs to the application, so that LiveKit's fields are not in it.
#[cfg(feature = "server")]
pub(crate) fn is_applications(name: &str) -> bool {
    ["metadata", "attributes"].iter().any(|word| ends_in(name, word))
}

/// The paths of everything in `egress`, itself at `path`, that the bearer of a token must not see: credentials and stream outputs.
/// Stricter than LiveKit (`CheckCredentials` in livekit/protocol `auth/grants.go`): it looks at every depth, in every output.
pub(crate) fn paths_in(egress: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(egress, &mut vec![path.to_owned()], Within::default(), &mut found);
    found
}

/// What the names around a value say about it.
#[derive(Clone, Copy, Default)]
struct Within {
    in_proxy: bool,
    is_url: bool,
}

fn collect(value: &Value, path: &mut Vec<String>, within: Within, found: &mut Vec<String>) {
    let mut descend = |name: String, value: &Value, within: Within, is_forbidden: bool| {
        path.push(name);
        if is_forbidden && !is_empty(value) {
            found.push(path.join("."));
        } else {
            collect(value, path, within, found);
        }
        path.pop();
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let is_forbidden =
                    is_secret(name, within.in_proxy) || STREAM_OUTPUTS.iter().any(|outputs| is_field(name, outputs));
                let within = Within { in_proxy: within.in_proxy || name == PROXY, is_url: is_url(name) };
                descend(shown(name), member, within, is_forbidden);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                descend(index.to_string(), item, within, false);
            }
        }
        Value::String(url) if within.is_url && url_secrets::bears_credentials(url.as_bytes()) => found.push(path.join(".")),
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

/// A name that the client chose, for an error message: short, and safe in a log line.
fn shown(name: &str) -> String {
    let is_plain = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { name.to_owned() } else { "…".to_owned() }
}

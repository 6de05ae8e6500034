//! Lists the members of LiveKit's JSON that hold a secret, or a URL or text that can contain one (livekit/protocol
//! `livekit_egress.proto`, `livekit_ingress.proto`, `livekit_models.proto`). `redaction` uses the list to redact payloads, and
//! `room_config` to refuse credentials in tokens. Does not know which part of a URL is secret. API secrets are in `key`.

use serde_json::Value;

use crate::livekit::protobuf_json::is_field;
use crate::livekit::secret_urls::bears_credentials;

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

/// Whether the last word of `name`, in either casing, is `word`.
fn ends_in(name: &str, word: &str) -> bool {
    let Some(at) = name.len().checked_sub(word.len()) else { return false };
    let (before, last) = name.as_bytes().split_at(at);
    last.eq_ignore_ascii_case(word.as_bytes())
        && (matches!(before.last(), None | Some(b'_')) || last.first().is_some_and(u8::is_ascii_uppercase))
}

/// The paths of everything in `egress` that the bearer of a token must not see: credentials and stream outputs.
/// Stricter than LiveKit (`CheckCredentials` in livekit/protocol `auth/grants.go`): it looks at every depth, in every output.
pub(crate) fn paths_in(egress: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(egress, "egress", Within::default(), &mut found);
    found
}

/// What the names around a value say about it.
#[derive(Clone, Copy, Default)]
struct Within {
    in_proxy: bool,
    is_url: bool,
}

fn collect(value: &Value, path: &str, within: Within, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = format!("{path}.{}", shown(name));
                let is_stream = || STREAM_OUTPUTS.iter().any(|outputs| is_field(name, outputs));
                if !is_empty(member) && (is_secret(name, within.in_proxy) || is_stream()) {
                    found.push(path);
                } else {
                    let within = Within { in_proxy: within.in_proxy || name == PROXY, is_url: is_url(name) };
                    collect(member, &path, within, found);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{path}.{index}"), within, found);
            }
        }
        Value::String(url) if within.is_url && bears_credentials(url.as_bytes()) => found.push(path.to_owned()),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value == "" || value.as_array().is_some_and(Vec::is_empty)
}

/// A name that the client chose, for an error message: short, and safe in a log line.
fn shown(name: &str) -> &str {
    let is_plain = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { name } else { "…" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_begins_with_a_capital_or_after_an_underscore() {
        for name in ["url", "websocketUrl", "custom_base_url", "baseURL"] {
            assert!(ends_in(name, "url"), "{name}");
        }
        for name in ["curl", "urls", "urlName", "", "rl", "\u{e9}rl"] {
            assert!(!ends_in(name, "url"), "{name}");
        }
    }
}

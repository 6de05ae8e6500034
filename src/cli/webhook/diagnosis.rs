//! Finds out what happened to a body that does not match its token. Does not know how a change is undone.

use serde::de::IgnoredAny;

use crate::cli::webhook::body_changes::{BodyChange, undone};
use crate::json::Members;
use crate::livekit::webhook::Authenticated;

/// The longest body that is searched for one change, and for two. LiveKit's are far shorter.
const MAX_SEARCHED: (usize, usize) = (4 * 1024 * 1024, 1024 * 1024);

/// Looks for one change, and then for two, that give the body that `authenticated` was signed for when they are undone. Returns
/// them in the order in which they are undone; none if there are no such changes.
pub(super) fn changes(authenticated: &Authenticated, body: &[u8]) -> Vec<BodyChange> {
    if body.len() > MAX_SEARCHED.0 {
        return Vec::new();
    }
    let is_original = |(_, original): &(BodyChange, Vec<u8>)| authenticated.vouches_for(original);
    let once: Vec<_> = undone(body).collect();
    if let Some((change, _)) = once.iter().find(|each| is_original(each)) {
        return vec![*change];
    }
    let mut short = once.iter().filter(|(_, between)| between.len() <= MAX_SEARCHED.1);
    let twice = short.find_map(|(first, between)| Some(vec![*first, undone(between).find(is_original)?.0]));
    twice.unwrap_or_default()
}

/// What can be seen in a body whose original cannot be found. `announced_length` is that of the request's head.
pub(super) fn hint(body: &[u8], announced_length: Option<usize>) -> String {
    let hint = match announced_length {
        _ if body.is_empty() => "the body is empty: something read it before it came here",
        Some(announced) if announced != body.len() => {
            let length = body.len();
            return format!(
                "the head announces {announced} bytes and the body has {length}: it was cut, or belongs to another request"
            );
        }
        _ if serde_json::from_slice::<IgnoredAny>(body).is_err() => {
            "the body is not complete JSON: it was cut, or more than its white space was changed"
        }
        _ if String::from_utf8_lossy(body).contains(char::REPLACEMENT_CHARACTER) => {
            "the body contains U+FFFD, with which a program replaces what it cannot read: the original characters are lost"
        }
        _ if is_sorted(body) => {
            "its members are in alphabetical order, as a map or `jq -S` writes them: a parser read the body and wrote it again, so verify the raw body"
        }
        _ => {
            "undoing the usual changes does not give the body that was signed: it belongs to another delivery, or its content was changed"
        }
    };
    hint.to_owned()
}

/// Whether the members of the outer object are in alphabetical order, in which LiveKit never writes them.
fn is_sorted(body: &[u8]) -> bool {
    Members::parse(body).is_ok_and(|members| members.names().count() > 1 && members.names().is_sorted())
}

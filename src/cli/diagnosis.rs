//! Owns the search for what happened to a body that its token does not vouch for.

use crate::cli::damage::Damage;
use crate::json::Members;
use crate::livekit::webhook::Authenticated;

/// Bytes of a body that is searched at all, and of one in which two changes are looked for; LiveKit's are far shorter.
const MAX_SEARCHED: (usize, usize) = (4 * 1024 * 1024, 1024 * 1024);

/// What a search found.
#[derive(Debug)]
pub(super) enum Diagnosis {
    /// This was done to the body; more than one thing, in the order in which they are undone.
    Damaged(Vec<Damage>),
    /// The body that was signed cannot be had from this one.
    Lost(Hint),
}

/// What can be seen in a body that is not to be had back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    Empty,
    OtherLength { told: usize, came: usize },
    Replaced,
    Sorted,
    NotJson,
    None,
}

/// Looks for one change that, undone, gives the body that `authenticated` vouches for, and then for two.
pub(super) fn diagnose(authenticated: &Authenticated, body: &[u8], told_length: Option<usize>) -> Diagnosis {
    if body.len() > MAX_SEARCHED.0 {
        return Diagnosis::Lost(hint(body, told_length));
    }
    let is_it = |original: &Vec<u8>| authenticated.vouches_for(original);
    let once: Vec<(Damage, Vec<u8>)> =
        Damage::ALL.iter().flat_map(|damage| damage.undone(body)).filter(|(_, original)| original != body).collect();
    if let Some((damage, _)) = once.iter().find(|(_, original)| is_it(original)) {
        return Diagnosis::Damaged(vec![*damage]);
    }
    for (first, between) in once.iter().filter(|(_, between)| between.len() <= MAX_SEARCHED.1) {
        for second in Damage::ALL {
            if let Some((second, _)) = second.undone(between).into_iter().find(|(_, original)| is_it(original)) {
                return Diagnosis::Damaged(vec![*first, second]);
            }
        }
    }
    Diagnosis::Lost(hint(body, told_length))
}

fn hint(body: &[u8], told_length: Option<usize>) -> Hint {
    let json = serde_json::from_slice::<serde::de::IgnoredAny>(body);
    match told_length {
        _ if body.is_empty() => Hint::Empty,
        Some(told) if told != body.len() => Hint::OtherLength { told, came: body.len() },
        _ if json.is_err() => Hint::NotJson,
        _ if String::from_utf8_lossy(body).contains(char::REPLACEMENT_CHARACTER) => Hint::Replaced,
        _ if is_sorted(body) => Hint::Sorted,
        _ => Hint::None,
    }
}

/// Whether the members of the outer object stand in alphabetical order, in which LiveKit never writes them.
fn is_sorted(body: &[u8]) -> bool {
    match Members::parse(body) {
        Ok(members) => members.names().count() > 1 && members.names().is_sorted(),
        Err(_) => false,
    }
}

impl Hint {
    /// What it means.
    pub(super) fn sentence(self) -> String {
        match self {
            Self::Empty => "the body is empty: something read it before it came here".to_owned(),
            Self::OtherLength { told, came } => {
                format!("the head tells {told} bytes and the body has {came}: it was cut, or is that of another request")
            }
            Self::Replaced => {
                "the body holds U+FFFD, with which a program replaces what it cannot read: the letters that were there are lost".to_owned()
            }
            Self::Sorted => {
                "its members stand in alphabetical order, as a map or `jq -S` writes them: a parser read the body and wrote it again, so \
                 verify the raw body"
                    .to_owned()
            }
            Self::NotJson => "the body is no whole JSON: it was cut, or changed beyond white space".to_owned(),
            Self::None => {
                "none of the usual changes, undone, gives the body that was signed: it is that of another delivery, or its content was \
                 changed"
                    .to_owned()
            }
        }
    }
}

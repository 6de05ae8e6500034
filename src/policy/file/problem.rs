//! What can be wrong with a policy file or a file of targets, in words that say what would be right. Never shows a value that could be a
//! secret.

use std::fmt;
use std::str::Utf8Error;
use std::time::Duration;

use crate::livekit::room_config::RoomConfigurationError;
use crate::policy::file::suggestion::Suggestion;
use crate::policy::template::TemplateError;

/// A place in the file. Both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Position {
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    /// The place of the byte `offset` of `source`.
    pub(crate) fn of(source: &str, offset: usize) -> Self {
        let before = source.get(..offset).unwrap_or(source);
        let line = before.matches('\n').count().saturating_add(1);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
        Self { line, column }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Something in the file that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{at}: {problem}")]
pub(crate) struct Mistake {
    pub(crate) at: Position,
    pub(crate) problem: Problem,
}

impl Mistake {
    /// `bytes` are not UTF-8.
    pub(crate) fn not_utf8(bytes: &[u8], error: Utf8Error) -> Self {
        let valid = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
        Self { at: Position::of(&valid, valid.len()), problem: Problem::NotUtf8 }
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Problem {
    #[error("it is not UTF-8: save it as UTF-8")]
    NotUtf8,
    /// The message is that of the TOML parser.
    #[error("this is not TOML: {message}")]
    Syntax { message: String },
    #[error("the file is empty: write at least one {section}")]
    Empty { section: &'static str },
    #[error("there is no key {key:?} in {place}: did you mean {nearest:?}?")]
    UnknownKey { key: String, place: String, nearest: &'static str },
    #[error("there is no {what} {name:?}: {}", suggestion.about(what))]
    UnknownName { what: &'static str, name: String, suggestion: Suggestion },
    #[error("the caller \"anonymous\" needs no section, because it has no credential: give this one another name")]
    Anonymous,
    #[error("this caller has no name: write [callers.NAME]")]
    NoName,
    #[error("{place} needs {key:?}: {about}")]
    Missing { key: &'static str, place: String, about: &'static str },
    #[error("{key:?} must be {expected}")]
    Wrong { key: String, expected: &'static str },
    #[error("{first:?} and {second:?} are both given: keep one of them")]
    Both { first: &'static str, second: &'static str },
    #[error("{key:?}: {error}")]
    Template { key: String, error: TemplateError },
    #[error("{key:?}: {{{first}}} and {{{second}}} touch, so two different pairs could give one text: put text between them")]
    Touching { key: String, first: String, second: String },
    #[error(
        "\"room\": only a star stands between {{{first}}} and {{{second}}}, so two different pairs could give one room: put text between them that no value has, such as \"/\""
    )]
    PartedByStar { first: String, second: String },
    #[error("{key:?}: {{{placeholder}}} is an object, which text cannot contain: use it alone, as \"{{{placeholder}}}\"")]
    ObjectInText { key: String, placeholder: String },
    #[error("{key:?}: the caller {caller:?} has no subject: use {{request.identity}} or {{random}}")]
    NoSubject { key: String, caller: String },
    #[error("{key:?}: its own text is longer than 256 bytes, which LiveKit does not take: shorten it")]
    TooLong { key: String },
    #[error("{key:?}: {error}")]
    RoomConfig { key: &'static str, error: RoomConfigurationError },
    #[error("the {what} {name:?} is in line {line} already: give this one another name")]
    SameName { what: &'static str, name: String, line: usize },
    #[error("{key:?} must not be longer than {other:?}")]
    Longer { key: &'static str, other: &'static str },
    #[error(
        "\"give_up_after\" must be shorter than ROOMKEY_INBOX_KEEP, which is {}: an event that is deleted cannot be sent any more",
        humantime::format_duration(*keep)
    )]
    OutlivesInbox { keep: Duration },
    #[error(
        "{claim}: {{ has = … }}, {{ word = … }}, {{ has_key = … }}, {{ like = … }} and {{ exists = … }} stand alone: write one of them"
    )]
    SeveralMatchers { claim: String },
    #[error(
        "the caller {caller:?} is believed only behind trusted proxies, and there are none: set TRUSTED_PROXIES to the address of the proxy"
    )]
    NoTrustedProxies { caller: String },
    #[error("{key:?} is an http:// URL, whose answers others could forge: use https://, or allow it with plaintext = true")]
    Plaintext { key: &'static str },
}

/// Something in the file that can be used, but is perhaps not meant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) at: Position,
    pub(crate) about: About,
}

impl Finding {
    /// Whether it warns of something. If not, it is only good to know.
    pub(crate) fn is_warning(&self) -> bool {
        !matches!(self.about, About::ModeratorReadsEvents { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.about)
    }
}

/// Continues "warning:" or "note:".
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum About {
    #[error("there is no [[rule]], so nobody gets a token")]
    NoRules,
    #[error("no rule names the caller {caller:?}")]
    UnusedCaller { caller: String },
    #[error("the rule {rule:?} never answers, because {earlier:?} before it matches all of its requests")]
    Covered { rule: String, earlier: String },
    #[error(
        "{rule:?} for {caller:?} and {other_rule:?} for {other:?} can give one identity in one room, and LiveKit then disconnects the first participant: begin their identities with different text"
    )]
    SameIdentity { rule: String, caller: String, other_rule: String, other: String },
    #[error("the rule {rule:?} lets anyone join every room, without a credential")]
    AnonymousEverywhere { rule: String },
    #[error("the rule {rule:?} allows {permission:?} to anyone, without a credential")]
    AnonymousPower { rule: String, permission: &'static str },
    #[error("the rule {rule:?} lets anyone read events, without a credential")]
    AnonymousEvents { rule: String },
    #[error("the rule {rule:?} is also for {caller:?}, which has no claims, so {{{placeholder}}} denies")]
    NoClaims { rule: String, caller: String, placeholder: String },
    #[error(
        "the rule {rule:?} is also for {caller:?}, but never answers it, because it has no claims, and claims.{path} must be there"
    )]
    NeverAnswers { rule: String, caller: String, path: String },
    #[error(
        "users can edit the claim {path} themselves: decide by a claim that only the application sets, such as one in app_metadata"
    )]
    EditedByUsers { path: String },
    #[error("{caller:?} may be asked over http://, so that others on the way can read and forge what it says")]
    Plaintext { caller: String },
    #[error(
        "{caller:?} takes cookies, but CORS_ORIGIN lists no origin: list those of the application, because only pages of this host can use the cookies until then"
    )]
    CookiesOfAnyOrigin { caller: String },
    #[error("{name:?} is not an event that LiveKit is known to send: did you mean {nearest:?}?")]
    UnknownEvent { name: String, nearest: String },
    #[error("the events for {target:?} are sent over http://, so that others on the way can read them: use https://")]
    PlainTarget { target: String },
    #[error("{path} is read as the path of a claim: did you mean {{ {nearest} = … }}?")]
    NearlyAMatcher { path: String, nearest: &'static str },
    #[error(
        "in {pattern} nothing keeps {{{placeholder}}} apart from the star, so a room of one value can fit another value too: put text between them that no value has, such as \"/\""
    )]
    OpenEnd { pattern: String, placeholder: String },
    #[error("{key:?} has no effect on {caller:?}")]
    NoEffect { key: &'static str, caller: String },
    #[error("whoever gets a token from {rule:?} can read the events of its room with it, because it moderates the room")]
    ModeratorReadsEvents { rule: String },
}

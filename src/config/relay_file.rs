//! Reads the file of the relay's targets. Finds all of its mistakes in one run, each with its place. Does not read other files, the
//! environment, or any secret.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeInteger;
use url::{Host, Url};

use crate::caller::settings::SecretSource;
use crate::client;
use crate::livekit::event::EVENTS;
use crate::policy::file::problem::{About, Finding, Mistake, Position, Problem};
use crate::policy::file::reader::{Reader, Section, sections};
use crate::policy::file::suggestion::nearest;
use crate::policy::file::values::{duration, word};
use crate::relay::settings::{TargetOptions, Wanted, is_target_name};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
const MIN_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_CONCURRENCY: usize = 16;
const MAX_CONCURRENCY: usize = 256;
const DEFAULT_HOLD: Duration = Duration::from_secs(15 * 60);
const DEFAULT_GIVE_UP_AFTER: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// A file of targets that can be used, as far as it alone shows.
#[derive(Debug)]
pub(crate) struct RelayFile {
    /// In the order of the file.
    pub(crate) targets: Vec<TargetSection>,
    /// What is perhaps not meant.
    pub(crate) findings: Vec<Finding>,
}

/// A `[[target]]`.
#[derive(Debug)]
pub(crate) struct TargetSection {
    pub(crate) at: Position,
    pub(crate) name: String,
    /// With the system's authorities.
    pub(crate) endpoint: client::Target,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) key: String,
    pub(crate) secret: SecretSource,
    pub(crate) standard_webhooks_secret: Option<SecretSource>,
    pub(crate) options: TargetOptions,
}

impl RelayFile {
    /// Reads `text`. Relative paths in it begin in `folder`, and the inbox keeps events for as long as `keep` says.
    ///
    /// # Errors
    /// All mistakes, in the order of the file.
    pub(crate) fn parse(text: &str, folder: &Path, keep: Duration) -> Result<Self, Vec<Mistake>> {
        const EXPECTED: &str = "tables [[target]], with two brackets";
        let (mut reader, document) = Reader::begin(text, "[[target]]");
        let mut document = Section::new("the file".to_owned(), 0..0, document.get_ref());
        let (mut names, mut targets) = (HashMap::new(), Vec::new());
        for mut section in sections("target", "the target", EXPECTED, document.item("target"), &mut reader) {
            targets.extend(target(&mut section, &mut names, folder, keep, &mut reader));
            section.finish(&mut reader);
        }
        document.finish(&mut reader);
        reader.finish().map(|findings| Self { targets, findings })
    }
}

fn target(
    section: &mut Section<'_>,
    names: &mut HashMap<String, usize>,
    folder: &Path,
    keep: Duration,
    reader: &mut Reader<'_>,
) -> Option<TargetSection> {
    const KEY: &str = "a name without blanks, such as \"APIrelayApp\"";
    let name = name(section, names, reader);
    let endpoint = endpoint(name.as_deref(), section, reader);
    let key = section.required("key", "the name of the key that signs, which is this target's own", reader);
    let key = key.and_then(|item| reader.read("key", item, KEY, word));
    let (secret, standard_webhooks_secret) = secrets(section, folder, reader);
    let options = options(section, keep, reader);
    let ca_file = section.file("ca_file", folder, reader);
    Some(TargetSection {
        at: reader.position(&section.span),
        name: name?,
        endpoint: endpoint?,
        ca_file,
        key: key?.to_owned(),
        secret: secret?,
        standard_webhooks_secret,
        options,
    })
}

fn options(section: &mut Section<'_>, keep: Duration, reader: &mut Reader<'_>) -> TargetOptions {
    const TIMEOUT: &str = "a duration from 1s to 60s, such as \"15s\"";
    const CONCURRENCY: &str = "a number from 1 to 256";
    let wanted = wanted(section, reader);
    let is_ordered = choice("order", "order", [("room", true), ("none", false)], section, reader);
    let timeout = section.optional("timeout", TIMEOUT, reader, |value| {
        duration(value).filter(|timeout| (MIN_TIMEOUT..=MAX_TIMEOUT).contains(timeout))
    });
    let concurrency = section.optional("concurrency", CONCURRENCY, reader, |value| {
        value.as_integer().and_then(number).filter(|number| (1..=MAX_CONCURRENCY).contains(number))
    });
    let (hold, give_up_after) = patience(keep, section, reader);
    let redacts = section.flag("redact", reader);
    let from_oldest = choice("from", "beginning", [("now", false), ("oldest", true)], section, reader);
    TargetOptions {
        wanted,
        is_ordered: is_ordered.unwrap_or(true),
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        concurrency: concurrency.unwrap_or(DEFAULT_CONCURRENCY),
        hold,
        give_up_after,
        redacts: redacts.unwrap_or(false),
        from_oldest: from_oldest.unwrap_or(false),
    }
}

fn name(section: &mut Section<'_>, names: &mut HashMap<String, usize>, reader: &mut Reader<'_>) -> Option<String> {
    const EXPECTED: &str = "1 to 32 small letters, digits and hyphens, such as \"app\"";
    let item = section.required("name", "what the log, the metrics and `roomkey relay` call it", reader)?;
    let name = reader.read("name", item, EXPECTED, |value| value.as_str().filter(|name| is_target_name(name)))?;
    let line = reader.position(&item.span()).line;
    if let Some(line) = names.insert(name.to_owned(), line) {
        reader.mistake(&item.span(), Problem::SameName { what: "target", name: name.to_owned(), line });
    }
    Some(name.to_owned())
}

fn endpoint(name: Option<&str>, section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<client::Target> {
    const URL: &str = "a URL such as https://app.example.com/livekit, without a user, a password and a fragment";
    section.required("url", "where the events are sent", reader)?;
    let url = section.http_url("url", URL, reader)?;
    let span = section.span_of("url");
    if url.scheme() == "http" && !is_private(&url) {
        reader.find(&span, About::PlainTarget { target: name.unwrap_or_default().to_owned() });
    }
    let target = client::Target::parse(url.as_str()).ok();
    if target.is_none() {
        reader.mistake(&span, Problem::Wrong { key: "url".to_owned(), expected: URL });
    }
    target
}

/// Whether the host of `url` is this machine, or one that only a network of one's own has.
fn is_private(url: &Url) -> bool {
    const SUFFIXES: [&str; 6] = ["localhost", "local", "internal", "lan", "svc", "home.arpa"];
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
        // A name without a dot is one of a container, or of a neighbour.
        Some(Host::Domain(name)) => {
            let is_below = |suffix: &&str| name.strip_suffix(*suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            !name.contains('.') || SUFFIXES.iter().any(is_below)
        }
        None => false,
    }
}

/// The secret that signs, and that of Standard Webhooks.
fn secrets(section: &mut Section<'_>, folder: &Path, reader: &mut Reader<'_>) -> (Option<SecretSource>, Option<SecretSource>) {
    const ABOUT: &str = "the file with the key's secret, or the variable in \"secret_env\"";
    const SECRET: [&str; 2] = ["secret_file", "secret_env"];
    const STANDARD: [&str; 2] = ["standard_webhooks_secret_file", "standard_webhooks_secret_env"];
    section.only_one(&SECRET, ABOUT, reader);
    section.at_most_one(&STANDARD, reader);
    (section.secret(SECRET, folder, reader), section.secret(STANDARD, folder, reader))
}

fn wanted(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Wanted {
    let rooms = section.texts("rooms", "a pattern such as \"course-*\", or a list of patterns", reader);
    let events = section.texts("events", "the name of an event, such as \"participant_joined\", or a list of names", reader);
    for (name, span) in events.iter().filter(|(name, _)| !EVENTS.contains(&name.as_str())) {
        let nearest = nearest(name, EVENTS).to_owned();
        reader.find(span, About::UnknownEvent { name: name.clone(), nearest }); // LiveKit may have new ones
    }
    let texts = |read: Vec<(String, _)>| read.into_iter().map(|(text, _)| text).collect();
    Wanted { rooms: texts(rooms), events: texts(events) }
}

fn choice(
    key: &'static str,
    what: &'static str,
    known: [(&'static str, bool); 2],
    section: &mut Section<'_>,
    reader: &mut Reader<'_>,
) -> Option<bool> {
    section.item(key).and_then(|item| reader.one_of(key, item, what, &known, &[]))
}

/// How long a failing event holds up its room, and how long it is tried.
fn patience(keep: Duration, section: &mut Section<'_>, reader: &mut Reader<'_>) -> (Duration, Duration) {
    let hold = section.optional("hold", "a duration such as \"15m\", or \"0s\" to hold nothing up", reader, duration);
    let give_up_after = section.optional("give_up_after", "a duration of a second or more, such as \"3d\"", reader, |value| {
        duration(value).filter(|after| after.as_secs() > 0)
    });
    let give_up_after = give_up_after.unwrap_or(DEFAULT_GIVE_UP_AFTER);
    if give_up_after >= keep {
        reader.mistake(&section.span_of("give_up_after"), Problem::OutlivesInbox { keep });
    }
    if hold.is_some_and(|hold| hold > give_up_after) {
        reader.mistake(&section.span_of("hold"), Problem::Longer { key: "hold", other: "give_up_after" });
    }
    (hold.unwrap_or(DEFAULT_HOLD.min(give_up_after)), give_up_after)
}

fn number(integer: &DeInteger<'_>) -> Option<usize> {
    usize::from_str_radix(integer.as_str(), integer.radix()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    #[test]
    fn private_hosts() {
        for host in
            ["localhost", "app", "app.internal", "app.prod.svc", "127.0.0.9", "10.1.2.3", "192.168.0.1", "[::1]", "[fd00::1]"]
        {
            assert!(is_private(&format!("http://{host}/").parse().unwrap()), "{host}");
        }
        for host in ["app.example.com", "notlocalhost.com", "8.8.8.8", "172.32.0.1", "[2001:db8::1]", "mylocal.de"] {
            assert!(!is_private(&format!("http://{host}/").parse().unwrap()), "{host}");
        }
    }
}

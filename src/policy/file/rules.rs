//! Reads `[[rule]]`. Does not know what a rule decides.

use std::collections::HashMap;

use toml::de::DeValue;

use crate::caller::matchers::Matcher;
use crate::policy::file::callers::Callers;
use crate::policy::file::matchers::matchers;
use crate::policy::file::problem::{About, Position, Problem};
use crate::policy::file::reader::{Item, Reader, Section, sections, text};
use crate::policy::file::templates;
use crate::policy::file::values::duration;
use crate::policy::permission::{OTHER_NAMES, PERMISSIONS, Permission};
use crate::policy::placeholder::Placeholder;
use crate::policy::rate::{self, Rate};
use crate::policy::rule::{EventsRight, Rule};

const EVENTS: [(&str, EventsRight); 3] = [("none", EventsRight::None), ("room", EventsRight::Room), ("all", EventsRight::All)];

/// The rules, those with mistakes included, because the file is refused then.
pub(super) fn rules(item: Option<&Item<'_>>, callers: &Callers, reader: &mut Reader<'_>) -> Vec<(Rule, Position)> {
    const EXPECTED: &str = "tables [[rule]], with two brackets";
    let mut names = HashMap::new();
    let mut rules = Vec::new();
    for mut section in sections("rule", "the rule", EXPECTED, item, reader) {
        let at = reader.position(&section.span);
        let rule = rule(&mut section, callers, &mut names, reader);
        section.finish(reader);
        rules.push((rule, at));
    }
    rules
}

fn rule(section: &mut Section<'_>, callers: &Callers, names: &mut HashMap<String, usize>, reader: &mut Reader<'_>) -> Rule {
    let name = name(section, names, reader);
    let callers_named = callers_of(section, callers, reader);
    let claims = section.item("claims").map(|item| matchers("claims", item, reader)).unwrap_or_default();
    let rooms = templates::rooms(section, reader);
    let identity = templates::identity(section, reader);
    let display = templates::display(section, reader);
    let metadata = templates::text_of("metadata", section, reader);
    let attributes = templates::attributes(section, reader);
    let room_config = templates::room_config(section, reader);
    let allow = allow(section, reader);
    let lifetime = section.optional("lifetime", "a duration of a second or more, such as \"30m\"", reader, |value| {
        duration(value).filter(|lifetime| lifetime.as_secs() > 0)
    });
    let limit = section.optional("limit", rate::EXPECTED, reader, |value| Rate::parse(value.as_str()?));
    let events = section.item("events").and_then(|item| reader.one_of("events", item, "right", &EVENTS, &[]));
    let rule = Rule {
        name,
        callers: callers_named,
        claims,
        rooms,
        identity,
        display,
        metadata,
        attributes,
        room_config,
        allow: allow.into(),
        lifetime,
        limit,
        events: events.unwrap_or_default(),
    };
    check_subjects(&rule, callers, section, reader);
    rule
}

fn name(section: &mut Section<'_>, names: &mut HashMap<String, usize>, reader: &mut Reader<'_>) -> String {
    let item = section.required("name", "what the log and `roomkey policy test` call it", reader);
    let Some(item) = item else { return String::new() };
    let Some(name) = reader.read("name", item, "text that is not empty", text) else { return String::new() };
    let line = reader.position(&item.span()).line;
    if let Some(line) = names.insert(name.to_owned(), line) {
        reader.mistake(&item.span(), Problem::SameName { what: "rule", name: name.to_owned(), line });
    }
    name.to_owned()
}

/// An empty list is fine: it allows to join, and no more.
fn allow(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Vec<Permission> {
    const ALLOW: &str = "a list of permissions, such as [\"publish\", \"subscribe\"]";
    let items = section.optional("allow", ALLOW, reader, DeValue::as_array).into_iter().flatten();
    items.filter_map(|item| reader.one_of("allow", item, "permission", &PERMISSIONS, &OTHER_NAMES)).collect()
}

fn callers_of(section: &mut Section<'_>, callers: &Callers, reader: &mut Reader<'_>) -> Vec<String> {
    section.required("caller", "the name of a caller, or a list of names", reader);
    let mut named = Vec::new();
    for (name, span) in section.texts("caller", "the name of a caller, or a list of names", reader) {
        if let Err(suggestion) = callers.check(&name) {
            reader.mistake(&span, Problem::UnknownName { what: "caller", name: name.clone(), suggestion });
        }
        if !named.contains(&name) {
            named.push(name);
        }
    }
    named
}

/// Reports where a rule needs the subject or the claims of a caller that has none.
fn check_subjects(rule: &Rule, callers: &Callers, section: &Section<'_>, reader: &mut Reader<'_>) {
    for caller in rule.callers.iter().filter(|caller| callers.check(caller).is_ok() && !callers.has_claims(caller)) {
        let needed = rule.claims.0.iter().find(|(_, matcher)| *matcher != Matcher::Exists(false));
        if let Some((path, _)) = needed {
            let (rule, path) = (rule.name.clone(), path.to_string());
            reader.find(&section.span_of("claims"), About::NeverAnswers { rule, caller: caller.clone(), path });
        }
        for (key, placeholder) in rule.placeholders() {
            match placeholder {
                Placeholder::Subject => {
                    reader.mistake(&section.span_of(key), Problem::NoSubject { key: key.to_owned(), caller: caller.clone() });
                }
                Placeholder::Claim(_) if needed.is_none() => {
                    let (rule, placeholder) = (rule.name.clone(), placeholder.to_string());
                    reader.find(&section.span_of(key), About::NoClaims { rule, caller: caller.clone(), placeholder });
                }
                _ => {}
            }
        }
    }
}

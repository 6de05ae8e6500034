//! Reads the keys of a rule whose values are templates. Does not know how a template is filled.

use std::ops::Range;

use serde_json::{Number, Value};
use toml::de::DeValue;

use crate::livekit::access_token::MAX_NAME_BYTES;
use crate::livekit::room_fields::{ROOM_CONFIGURATION, Type};
use crate::policy::content::{Attributes, Json, RoomConfig};
use crate::policy::file::matchers::integer;
use crate::policy::file::problem::Problem;
use crate::policy::file::reader::{Item, Reader, Section, text};
use crate::policy::file::suggestion::Suggestion;
use crate::policy::pattern::Pattern;
use crate::policy::placeholder::{Field, Placeholder};
use crate::policy::template::{Piece, Template, TemplateError};

const TEXT: &str = "text that is not empty: leave it out for none";

pub(super) fn rooms(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Vec<Pattern> {
    const ROOM: &str = "a pattern such as \"course-{claims.course}\" or \"webinar-*\", or a list of them";
    let Some(item) = section.required("room", ROOM, reader) else { return Vec::new() };
    let mut patterns = Vec::new();
    for item in reader.one_or_more("room", item, ROOM) {
        let Some(source) = reader.read("room", item, ROOM, text) else { continue };
        let Some(pattern) = parsed("room", Pattern::parse(source), &item.span(), reader) else { continue };
        pattern.parts().iter().for_each(|part| refuse_objects("room", part, &item.span(), reader));
        check_name("room", pattern.parts(), &item.span(), reader);
        if let Some((first, second)) = pattern.parted_by_star() {
            reader.mistake(&item.span(), Problem::PartedByStar { first: first.to_string(), second: second.to_string() });
        }
        patterns.push(pattern);
    }
    patterns
}

pub(super) fn identity(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Template {
    section.required("identity", "the participant's identity, such as \"{subject}\"", reader);
    let identity = text_of("identity", section, reader).unwrap_or_default();
    if let Some(item) = section.item("identity") {
        check_name("identity", std::slice::from_ref(&identity), &item.span(), reader);
    }
    identity
}

pub(super) fn display(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<Template> {
    let display = text_of("display", section, reader)?;
    check_length("display", std::slice::from_ref(&display), &section.span_of("display"), reader);
    Some(display)
}

pub(super) fn text_of(key: &'static str, section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<Template> {
    let item = section.item(key)?;
    text_template(key, item, reader)
}

pub(super) fn attributes(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<Attributes> {
    const EXPECTED: &str = "a table of texts, or only \"{request.attributes}\" or a claim";
    let item = section.item("attributes")?;
    if let DeValue::Table(table) = item.get_ref() {
        let each = table.iter().map(|(name, item)| {
            let name = name.get_ref().to_string();
            text_template(&format!("attributes.{name}"), item, reader).map(|template| (name, template))
        });
        return Some(Attributes::Each(each.collect::<Vec<_>>().into_iter().flatten().collect()));
    }
    whole("attributes", item, EXPECTED, Field::Attributes, reader).map(Attributes::Whole)
}

pub(super) fn room_config(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<RoomConfig> {
    const EXPECTED: &str = "a table, or only \"{request.room_config}\" or a claim";
    let item = section.item("room_config")?;
    let DeValue::Table(_) = item.get_ref() else {
        return whole("room_config", item, EXPECTED, Field::RoomConfig, reader).map(RoomConfig::Whole);
    };
    misspelt_fields(item, ROOM_CONFIGURATION, reader);
    let mistakes = reader.mistakes.len();
    let Some(Json::Object(members)) = json("room_config", item, reader) else { return None };
    let config = RoomConfig::Table(members);
    if let (true, Err(error)) = (mistakes == reader.mistakes.len(), config.check()) {
        reader.mistake(&item.span(), Problem::RoomConfig { key: "room_config", error });
    }
    Some(config)
}

/// Reports each field whose name is close to a known one. Other unknown fields may be new ones of LiveKit.
fn misspelt_fields(item: &Item<'_>, known: Type, reader: &mut Reader<'_>) {
    match (item.get_ref(), known) {
        (DeValue::Table(table), Type::Object(_)) => {
            for (name, value) in table {
                if let Some(of) = known.field(name.get_ref()) {
                    misspelt_fields(value, of, reader);
                    continue;
                }
                let suggestion = Suggestion::of(name.get_ref(), known.fields().map(|(camel, _)| camel), &[]);
                if let Suggestion::Near(_) = suggestion {
                    let (span, name) = (name.span(), name.get_ref().to_string());
                    reader.mistake(&span, Problem::UnknownName { what: "field", name, suggestion });
                }
            }
        }
        (DeValue::Array(items), Type::List(of)) => items.iter().for_each(|item| misspelt_fields(item, *of, reader)),
        _ => {}
    }
}

/// The placeholder that is the whole of `item`: the request's `field`, or a claim.
fn whole(key: &str, item: &Item<'_>, expected: &'static str, field: Field, reader: &mut Reader<'_>) -> Option<Placeholder> {
    let source = reader.read(key, item, expected, text)?;
    let template = parsed(key, Template::parse(source), &item.span(), reader)?;
    let only =
        template.only_placeholder().filter(|only| matches!(only, Placeholder::Claim(_)) || **only == Placeholder::Request(field));
    if only.is_none() {
        reader.mistake(&item.span(), Problem::Wrong { key: key.to_owned(), expected });
    }
    only.cloned()
}

/// A template that gives text.
fn text_template(key: &str, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Template> {
    let source = reader.read(key, item, TEXT, text)?;
    let template = parsed(key, Template::parse(source), &item.span(), reader)?;
    refuse_objects(key, &template, &item.span(), reader);
    Some(template)
}

fn json(key: &str, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Json> {
    const NUMBER: &str = "a number that JSON has";
    const EXPECTED: &str = "a value that JSON has: a date is text";
    Some(match item.get_ref() {
        DeValue::String(source) => {
            let template = parsed(key, Template::parse(source), &item.span(), reader)?;
            match template.only_placeholder() {
                Some(Placeholder::Request(Field::Attributes)) => {}
                _ => refuse_objects(key, &template, &item.span(), reader),
            }
            Json::Template(template)
        }
        DeValue::Integer(_) => Json::Literal(reader.read(key, item, NUMBER, integer)?.into()),
        DeValue::Float(_) => Json::Literal(Value::Number(reader.read(key, item, NUMBER, float)?)),
        DeValue::Boolean(flag) => Json::Literal(Value::Bool(*flag)),
        DeValue::Datetime(_) => return reader.read(key, item, EXPECTED, |_| None),
        DeValue::Array(items) => Json::List(items.iter().filter_map(|item| json(key, item, reader)).collect()),
        DeValue::Table(table) => {
            let members = table.iter().map(|(name, item)| {
                let name = name.get_ref().to_string();
                json(&format!("{key}.{name}"), item, reader).map(|json| (name, json))
            });
            Json::Object(members.collect::<Vec<_>>().into_iter().flatten().collect())
        }
    })
}

fn float(value: &DeValue<'_>) -> Option<Number> {
    Number::from_f64(value.as_float()?.as_str().parse().ok()?)
}

fn parsed<T>(key: &str, read: Result<T, TemplateError>, span: &Range<usize>, reader: &mut Reader<'_>) -> Option<T> {
    read.map_err(|error| reader.mistake(span, Problem::Template { key: key.to_owned(), error })).ok()
}

fn refuse_objects(key: &str, template: &Template, span: &Range<usize>, reader: &mut Reader<'_>) {
    if let Some(object) = template.placeholders().find(|each| each.is_object()) {
        reader.mistake(span, Problem::ObjectInText { key: key.to_owned(), placeholder: object.to_string() });
    }
}

/// Checks templates that become a name by which rooms or participants are told apart.
fn check_name(key: &str, parts: &[Template], span: &Range<usize>, reader: &mut Reader<'_>) {
    for part in parts {
        if let Some((first, second)) = part.touching() {
            let (first, second) = (first.to_string(), second.to_string());
            reader.mistake(span, Problem::Touching { key: key.to_owned(), first, second });
        }
    }
    check_length(key, parts, span, reader);
}

/// Checks the text that is in the name whatever the values are.
fn check_length(key: &str, parts: &[Template], span: &Range<usize>, reader: &mut Reader<'_>) {
    let bytes: usize = parts.iter().flat_map(Template::pieces).map(Piece::text).map(str::len).sum();
    if bytes > MAX_NAME_BYTES {
        reader.mistake(span, Problem::TooLong { key: key.to_owned() });
    }
}

//! Reads matchers: tables whose keys are the paths of claims. Does not know whose claims they are.

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::caller::claim_path::ClaimPath;
use crate::caller::matchers::{Matcher, Matchers};
use crate::policy::file::problem::{About, Problem};
use crate::policy::file::reader::{Item, Reader, text};
use crate::policy::file::suggestion::nearest;

/// The keys of the tables that are matchers, and not parts of a path.
const NAMES: [&str; 5] = ["has", "word", "has_key", "like", "exists"];
const EXPECTED: &str = "text, an integer, true, false, a list of them, or one of { has = … }, { word = … }, { has_key = … }, { like = … } and { exists = … }";

pub(super) fn matchers(key: &str, item: &Item<'_>, reader: &mut Reader<'_>) -> Matchers {
    let mut read = Vec::new();
    match item.get_ref() {
        DeValue::Table(table) => members(table, &[], &mut read, reader),
        _ => reader.mistake(
            &item.span(),
            Problem::Wrong { key: key.to_owned(), expected: "a table: the claims and what they have to be" },
        ),
    }
    // In the order of the file, because the first that does not hold is the reason that is told.
    read.sort_by_key(|(start, ..)| *start);
    Matchers(read.into_iter().map(|(_, path, matcher)| (path, matcher)).collect())
}

type Read = (usize, ClaimPath, Matcher);

fn members(table: &DeTable<'_>, path: &[String], read: &mut Vec<Read>, reader: &mut Reader<'_>) {
    for (name, item) in table {
        let path = [path, &[name.get_ref().to_string()]].concat();
        if path.len() > 1 {
            warn_if_nearly_a_matcher(&path, name.get_ref(), item, reader);
        }
        claim(path, item, read, reader);
    }
}

/// Reads what one claim has to be, or the claims below it.
fn claim(names: Vec<String>, item: &Item<'_>, read: &mut Vec<Read>, reader: &mut Reader<'_>) {
    let path = ClaimPath::from(names.clone());
    let matcher = match item.get_ref() {
        DeValue::Table(table) if table.keys().any(|key| NAMES.contains(&&**key.get_ref())) => {
            let mut members = table.iter();
            match (members.next(), members.next()) {
                (Some((name, value)), None) => named(&path, name.get_ref(), value, reader),
                _ => {
                    reader.mistake(&item.span(), Problem::SeveralMatchers { claim: path.to_string() });
                    None
                }
            }
        }
        DeValue::Table(table) if !table.is_empty() => return members(table, &names, read, reader),
        DeValue::Array(_) => {
            let items = reader.one_or_more(&path.to_string(), item, EXPECTED);
            Some(Matcher::OneOf(items.into_iter().filter_map(|item| scalar(&path, item, EXPECTED, reader)).collect()))
        }
        _ => scalar(&path, item, EXPECTED, reader).map(|value| Matcher::OneOf(vec![value])),
    };
    read.extend(matcher.map(|matcher| (item.span().start, path, matcher)));
}

fn named(path: &ClaimPath, name: &str, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Matcher> {
    let key = format!("{path}.{name}");
    let mut text_of = |item| reader.read(&key, item, "text that is not empty", text).map(str::to_owned);
    match name {
        "has" => scalar(path, item, "text, an integer, true or false: the element of the list", reader).map(Matcher::Has),
        "word" => text_of(item).map(Matcher::Word),
        "has_key" => text_of(item).map(Matcher::HasKey),
        "like" => text_of(item).map(Matcher::Like),
        _ => reader.read(&key, item, "true or false", DeValue::as_bool).map(Matcher::Exists),
    }
}

/// A value that a claim can equal.
fn scalar(path: &ClaimPath, item: &Item<'_>, expected: &'static str, reader: &mut Reader<'_>) -> Option<Value> {
    reader.read(&path.to_string(), item, expected, |value| match value {
        DeValue::String(text) => Some(Value::from(&**text)),
        DeValue::Boolean(flag) => Some(Value::from(*flag)),
        DeValue::Integer(_) => integer(value).map(Value::from),
        _ => None,
    })
}

pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// `{ hass = "a" }` is the claim `hass` below another one.
fn warn_if_nearly_a_matcher(path: &[String], name: &str, item: &Item<'_>, reader: &mut Reader<'_>) {
    let near = nearest(name, NAMES);
    if !item.get_ref().is_table() && !NAMES.contains(&name) && strsim::damerau_levenshtein(name, near) == 1 {
        reader.find(&item.span(), About::NearlyAMatcher { path: ClaimPath::from(path.to_vec()).to_string(), nearest: near });
    }
}

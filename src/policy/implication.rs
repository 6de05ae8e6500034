//! Which claims meet a matcher because they meet others. Does not know rules.

use crate::caller::claim_path::ClaimPath;
use crate::caller::matchers::{Matcher, Matchers, is_like};

type OfClaim = (ClaimPath, Matcher);

/// Whether claims that meet `own` always meet the `others`.
pub(super) fn imply(own: &Matchers, others: &Matchers) -> bool {
    others.0.iter().all(|other| own.0.iter().any(|each| implies(each, other)))
}

fn implies((own_path, own): &OfClaim, (path, other): &OfClaim) -> bool {
    if own_path == path {
        return claim_implies(own, other);
    }
    match (own, other) {
        // What is absent has nothing below it.
        (Matcher::Exists(false), Matcher::Exists(false)) => name_below(own_path, path).is_some(),
        (Matcher::Exists(false), _) => false,
        (Matcher::HasKey(name), Matcher::Exists(true)) if own_path.names().chain([name.as_str()]).eq(path.names()) => true,
        // What has something below it is an object with the name that leads there.
        (_, Matcher::Exists(true)) => name_below(path, own_path).is_some(),
        (_, Matcher::HasKey(name)) => name_below(path, own_path) == Some(name),
        _ => false,
    }
}

/// Whether a claim that meets `own` always meets `other`.
fn claim_implies(own: &Matcher, other: &Matcher) -> bool {
    match (own, other) {
        (Matcher::OneOf(values), other) => values.iter().all(|value| other.holds(Some(value))),
        (Matcher::Like(text), Matcher::OneOf(values)) => !text.contains('*') && values.iter().any(|value| value == text),
        // A star of the narrow pattern is a letter like others: only a star of the wide one fits it.
        (Matcher::Like(narrow), Matcher::Like(wide)) => is_like(wide, narrow),
        (Matcher::Word(word), Matcher::Like(wide)) => is_like(wide, &format!("*{word}*")),
        (own, Matcher::Exists(true)) => *own != Matcher::Exists(false),
        _ => own == other,
    }
}

/// The name that leads from `outer` to `inner`, if `inner` is below it.
fn name_below<'a>(outer: &ClaimPath, inner: &'a ClaimPath) -> Option<&'a str> {
    let mut names = inner.names();
    if outer.names().all(|name| names.next() == Some(name)) { names.next() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::file::PolicyFile;

    /// The matchers of the claims that are written so.
    fn matchers(claims: &str) -> Matchers {
        let file = format!(
            "[callers.a]\nkind = \"proxy\"\nheaders = {{ sub = \"X\" }}\n\
             [[rule]]\nname = \"a\"\ncaller = \"a\"\nclaims = {{ {claims} }}\nroom = \"a\"\nidentity = \"a\""
        );
        PolicyFile::parse(&file, Path::new("")).unwrap().rules.iter().next().unwrap().claims.clone()
    }

    #[test]
    fn matchers_that_imply_others() {
        for (own, others) in [
            ("a = 1", ""),
            ("a = 1", "a = [1, 2]"),
            ("a = 'x'", "a = { like = '*' }"),
            ("a = ['xa', 'x']", "a = { like = 'x*' }"),
            ("a = 'x'", "a = { word = 'x' }"),
            ("a = ['x y', 'y']", "a = { word = 'y' }"),
            ("a = { like = 'x' }", "a = ['x', 1]"),
            ("a = { like = 'a-*-b' }", "a = { like = '*-b' }"),
            ("a = { like = '*' }", "a = { like = '**' }"),
            ("a = { word = 'x' }", "a = { like = '*' }"),
            ("a.b = 1", "a = { has_key = 'b' }"),
            ("a.b.c = { has = 1 }", "a = { has_key = 'b' }"),
            ("a.b.c = 1", "a.b = { exists = true }"),
            ("a = { has_key = 'b' }", "a.b = { exists = true }"),
            ("a = { exists = false }", "a.b = { exists = false }"),
            ("a = { like = 'x*' }, b.c = true, d = 1", "d = 1, b = { exists = true }, a = { like = '*' }"),
        ] {
            assert!(imply(&matchers(own), &matchers(others)), "{own} {others}");
        }
        for (own, others) in [
            ("", "a = 1"),
            ("a = 1", "a = { like = '*' }"),
            ("a = ['x', 1]", "a = { word = 'x' }"),
            ("a = 'xy'", "a = { word = 'x' }"),
            ("a = { like = 'x*' }", "a = 'x*'"),
            ("a = { like = '*x' }", "a = { like = 'x*' }"),
            ("a = { exists = true }", "a = { like = '*' }"),
            ("a = { has = 'x' }", "a = { like = '*' }"),
            ("a.b = { exists = false }", "a = { exists = true }"),
            ("a.b = { exists = false }", "a = { exists = false }"),
            ("a.b = 1", "a = { has_key = 'c' }"),
            ("a.b = 1", "a.c = { exists = true }"),
            ("a = { exists = true }", "a.b = { exists = true }"),
            ("a = { has_key = 'b' }", "a.c = { exists = true }"),
            ("a = { has_key = 'b' }", "a.b.c = { exists = true }"),
            ("\"a.b\" = 1", "a = { has_key = 'b' }"),
        ] {
            assert!(!imply(&matchers(own), &matchers(others)), "{own} {others}");
        }
    }
}

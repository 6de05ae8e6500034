//! Reads `[callers.NAME]`. Does not know how a caller proves itself.

use std::ops::Range;
use std::path::Path;

use toml::de::DeValue;

use crate::caller::claim_path::ClaimPath;
use crate::caller::matchers::Matchers;
use crate::caller::settings::{ANONYMOUS, CallerSettings, Issued, Proof};
use crate::policy::file::matchers::matchers;
use crate::policy::file::problem::{About, Position, Problem};
use crate::policy::file::proofs;
use crate::policy::file::reader::{Item, Reader, Section, text};
use crate::policy::file::suggestion::Suggestion;
use crate::policy::placeholder::claim_path;

/// The callers of a file, in its order.
#[derive(Debug, Default)]
pub(super) struct Callers {
    /// Without those that have mistakes.
    pub(super) read: Vec<(CallerSettings, Position)>,
    /// With those that have mistakes. `true`: it has a subject and claims.
    names: Vec<(String, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Oidc,
    Jwt,
    ApiToken,
    Forward,
    Proxy,
}

const KINDS: [(&str, Kind); 5] =
    [("oidc", Kind::Oidc), ("jwt", Kind::Jwt), ("api-token", Kind::ApiToken), ("forward", Kind::Forward), ("proxy", Kind::Proxy)];
const KIND: &str = "oidc, jwt, api-token, forward or proxy";
const PATH: &str = "the path of a claim, such as \"sub\" or \"user.id\"";

impl Callers {
    pub(super) fn read(item: Option<&Item<'_>>, folder: &Path, reader: &mut Reader<'_>) -> Self {
        let mut callers = Self { read: Vec::new(), names: vec![(ANONYMOUS.to_owned(), false)] };
        let Some(item) = item else { return callers };
        let DeValue::Table(table) = item.get_ref() else {
            reader.mistake(&item.span(), Problem::Wrong { key: "callers".to_owned(), expected: "tables [callers.NAME]" });
            return callers;
        };
        let mut sections: Vec<_> = table.iter().collect();
        sections.sort_by_key(|(name, _)| name.span().start); // the first caller whose issuer and audience match counts
        for (name, item) in sections {
            callers.caller(name.get_ref(), name.span(), item, folder, reader);
        }
        callers
    }

    fn caller(&mut self, name: &str, span: Range<usize>, item: &Item<'_>, folder: &Path, reader: &mut Reader<'_>) {
        if name.is_empty() {
            return reader.mistake(&span, Problem::NoName);
        }
        if name == ANONYMOUS {
            return reader.mistake(&span, Problem::Anonymous);
        }
        let DeValue::Table(table) = item.get_ref() else {
            return reader.mistake(&span, Problem::Wrong { key: name.to_owned(), expected: "a table [callers.NAME]" });
        };
        let mut section = Section::new(format!("the caller {name:?}"), span.clone(), table);
        let kind = section.required("kind", KIND, reader).and_then(|item| reader.one_of("kind", item, "kind", &KINDS, &[]));
        self.names.push((name.to_owned(), kind != Some(Kind::ApiToken)));
        let Some(kind) = kind else {
            // Which keys are allowed depends on the kind, but a key that no kind has is a mistake anyway.
            let mut apart = reader.apart();
            for (_, kind) in KINDS {
                settings(name, kind, &mut section, folder, &mut apart);
            }
            return section.finish(reader);
        };
        let mistakes = reader.mistakes.len();
        let settings = settings(name, kind, &mut section, folder, reader);
        section.finish(reader);
        let is_right = reader.mistakes.len() == mistakes;
        self.read.extend(settings.filter(|_| is_right).map(|settings| (settings, reader.position(&span))));
    }

    /// Whether a rule may name this caller. If not, which ones it may name.
    pub(super) fn check(&self, name: &str) -> Result<(), Suggestion> {
        let names = || self.names.iter().map(|(name, _)| name.as_str());
        if names().any(|each| each == name) { Ok(()) } else { Err(Suggestion::of(name, names(), &[])) }
    }

    /// Whether the caller has a subject and claims.
    pub(super) fn has_claims(&self, name: &str) -> bool {
        self.names.iter().any(|(each, has_claims)| each == name && *has_claims)
    }
}

fn settings(name: &str, kind: Kind, section: &mut Section<'_>, folder: &Path, reader: &mut Reader<'_>) -> Option<CallerSettings> {
    if kind == Kind::Forward {
        section.required("subject", "the claim that identifies the caller in the application's answer", reader);
    }
    let (mut subject, mut require) = (sub(), Matchers::default());
    if kind != Kind::ApiToken {
        subject = path("subject", section, reader).unwrap_or(subject);
        require = section.item("require").map(|item| matchers("require", item, reader)).unwrap_or_default();
    }
    if matches!(kind, Kind::Forward | Kind::Proxy)
        && let Some(item) = section.item("audience_claim")
    {
        reader.find(&item.span(), About::NoEffect { key: "audience_claim", caller: name.to_owned() });
    }
    let proof = match kind {
        Kind::Oidc => Proof::Oidc(proofs::oidc(issued(&require, section, reader), section, folder, reader)),
        Kind::Jwt => Proof::Jwt(proofs::jwt(issued(&require, section, reader), section, folder, reader)?),
        Kind::ApiToken => Proof::ApiToken(proofs::api_token(section, folder, reader)?),
        Kind::Forward => Proof::Forward(proofs::forward(section, folder, reader)?),
        Kind::Proxy => Proof::Proxy(proofs::proxy(&subject, section, reader)?),
    };
    Some(CallerSettings { name: name.to_owned(), proof, subject, require })
}

fn sub() -> ClaimPath {
    vec!["sub".to_owned()].into()
}

fn path(key: &'static str, section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<ClaimPath> {
    section.optional(key, PATH, reader, |value| claim_path(text(value)?))
}

fn issued(require: &Matchers, section: &mut Section<'_>, reader: &mut Reader<'_>) -> Issued {
    const AUDIENCE: &str = "text, or a list of texts: what tokens for this application have in \"aud\"";
    let issuer = section.required("issuer", "what tokens have in \"iss\", to the letter", reader);
    let issuer = issuer.and_then(|item| reader.read("issuer", item, "text that is not empty", text));
    let audience: Vec<_> = section.texts("audience", AUDIENCE, reader).into_iter().map(|(text, _)| text).collect();
    if require.0.is_empty() && !section.has("audience") {
        let about = "without it, or a claim in \"require\", tokens that the issuer made for other applications would hold here";
        reader.mistake(&section.span, Problem::Missing { key: "audience", place: section.place.clone(), about });
    }
    Issued {
        issuer: issuer.unwrap_or_default().to_owned(),
        audience,
        audience_claim: path("audience_claim", section, reader).unwrap_or_else(|| vec!["aud".to_owned()].into()),
    }
}

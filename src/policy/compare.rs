//! Compares the rules of a file with each other: which never answer because of an earlier one, and which can give one identity to two
//! participants. Does not know what else can be wrong with a rule.

use std::collections::HashMap;

use crate::caller::claim_path::ClaimPath;
use crate::caller::settings::{CallerSettings, Proof};
use crate::policy::file::problem::About;
use crate::policy::implication::imply;
use crate::policy::overlap::{Shape, overlap};
use crate::policy::placeholder::Placeholder;
use crate::policy::rule::Rule;

/// A rule, prepared for being compared with many others.
#[derive(Debug)]
pub(super) struct Compared<'a> {
    rule: &'a Rule,
    rooms: Vec<Shape<'a>>,
    /// The claim that identifies all of its callers.
    subject: Option<&'a ClaimPath>,
    people: Vec<(&'a str, People<'a>)>,
    has_random_identity: bool,
}

/// Whom the identities of a caller are about. Within one of these, a name means one person.
#[derive(Clone, Copy, Debug, PartialEq)]
enum People<'a> {
    OfIssuer(&'a str),
    OfCaller(&'a str),
}

/// The rules, in their order.
pub(super) fn compared<'a>(rules: impl Iterator<Item = &'a Rule>, callers: &'a [CallerSettings]) -> Vec<Compared<'a>> {
    let callers: HashMap<_, _> = callers.iter().map(|caller| (caller.name.as_str(), caller)).collect();
    rules.map(|rule| Compared::of(rule, &callers)).collect()
}

impl<'a> Compared<'a> {
    fn of(rule: &'a Rule, callers: &HashMap<&'a str, &'a CallerSettings>) -> Self {
        let settings = rule.callers.iter().map(|caller| callers.get(caller.as_str()).copied());
        let mut subjects = settings.clone().map(|caller| caller.map(|caller| &caller.subject));
        let subject = subjects.next().flatten().filter(|first| subjects.all(|each| each == Some(first)));
        let people =
            rule.callers.iter().zip(settings).filter_map(|(name, settings)| Some((name.as_str(), people(name, settings)?)));
        Self {
            rule,
            rooms: rule.rooms.iter().map(Shape::of).collect(),
            subject,
            people: people.collect(),
            has_random_identity: rule.identity.placeholders().any(|each| *each == Placeholder::Random),
        }
    }

    /// The first of the earlier rules that matches every request that this one does.
    pub(super) fn covered(&self, earlier: &[Self]) -> Option<About> {
        let covers = earlier.iter().find(|earlier| {
            self.rule.callers.iter().all(|caller| earlier.rule.callers.contains(caller))
                && self.rooms.iter().all(|room| earlier.rooms.iter().any(|wide| wide.covers(room, self.subject)))
                && imply(&self.rule.claims, &earlier.rule.claims)
        })?;
        Some(About::Covered { rule: self.rule.name.clone(), earlier: covers.rule.name.clone() })
    }

    /// The first two callers, one of them of this rule, who could get one identity in one room.
    pub(super) fn same_identity(&self, earlier: &[Self]) -> Option<About> {
        earlier.iter().chain([self]).find_map(|other| {
            let pairs = self.people.iter().flat_map(|one| other.people.iter().map(move |each| (one, each)));
            let ((caller, _), (each, _)) = pairs.into_iter().find(|((_, one), (_, other))| one != other)?;
            let (rooms, other_rooms) = (&self.rule.rooms, &other.rule.rooms);
            let meet = rooms.iter().any(|room| other_rooms.iter().any(|each| overlap(room.widest(), each.widest())));
            (!self.has_other_identities_than(other) && meet).then(|| About::SameIdentity {
                rule: self.rule.name.clone(),
                caller: (*caller).to_owned(),
                other_rule: other.rule.name.clone(),
                other: (*each).to_owned(),
            })
        })
    }

    /// Whether no identity of one rule can be one of the other: they begin with different text, or nobody knows them in advance.
    fn has_other_identities_than(&self, other: &Self) -> bool {
        let (first, second) = (self.rule.identity.prefix(), other.rule.identity.prefix());
        let are_random = self.has_random_identity && other.has_random_identity;
        are_random || !first.starts_with(second) && !second.starts_with(first)
    }
}

/// `None` for a server with an API token, which chooses names itself.
fn people<'a>(name: &'a str, settings: Option<&'a CallerSettings>) -> Option<People<'a>> {
    match settings.map(|caller| &caller.proof) {
        Some(Proof::ApiToken(_)) => None,
        Some(Proof::Oidc(oidc)) => Some(People::OfIssuer(&oidc.issued.issuer)),
        Some(Proof::Jwt(jwt)) => Some(People::OfIssuer(&jwt.issued.issuer)),
        Some(Proof::Forward(_) | Proof::Proxy(_)) | None => Some(People::OfCaller(name)),
    }
}

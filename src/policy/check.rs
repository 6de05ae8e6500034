//! What in a policy file is perhaps not meant: rules that never answer, and rules that give more than one would expect. Does not know
//! how the file is written, nor the settings of the server.

use crate::caller::claim_path::ClaimPath;
use crate::caller::settings::{ANONYMOUS, CallerSettings, Proof};
use crate::policy::file::PolicyFile;
use crate::policy::file::problem::{About, Finding, Position};
use crate::policy::overlap::{covers, overlap};
use crate::policy::permission::Permission;
use crate::policy::placeholder::Placeholder;
use crate::policy::rule::{EventsRight, Rule};

/// Claims that identity providers let users set: `user_metadata` of Supabase and Auth0, `unsafe_metadata` of Clerk.
const EDITED_BY_USERS: [&str; 2] = ["user_metadata", "unsafe_metadata"];

/// Everything that is worth a look, in the order of the file. `takes_any_origin`: no `CORS_ORIGIN` is set.
pub(crate) fn findings(file: &PolicyFile, takes_any_origin: bool) -> Vec<Finding> {
    let mut findings = file.findings.clone();
    let rules: Vec<&Rule> = file.rules.iter().collect();
    if rules.is_empty() {
        findings.push(Finding { at: Position::START, about: About::NoRules });
    }
    for (caller, at) in file.callers.iter().zip(&file.places.0) {
        findings.extend(of_caller(caller, file, takes_any_origin).map(|about| Finding { at: *at, about }));
    }
    for (index, (rule, at)) in rules.iter().zip(&file.places.1).enumerate() {
        let earlier = rules.get(..index).unwrap_or_default();
        let alone = of_anonymous(rule).chain(open_ends(rule)).chain(claims_of_users(rule)).chain(moderates(rule));
        let about = covered(rule, earlier).into_iter().chain(same_identity(rule, earlier, &file.callers)).chain(alone);
        findings.extend(about.map(|about| Finding { at: *at, about }));
    }
    findings.sort_by_key(|finding| finding.at);
    findings
}

fn of_caller(caller: &CallerSettings, file: &PolicyFile, takes_any_origin: bool) -> impl Iterator<Item = About> {
    let name = || caller.name.clone();
    let (plaintext, cookies) = match &caller.proof {
        Proof::Oidc(oidc) => (oidc.reach.plaintext, false),
        Proof::Forward(forward) => (forward.reach.plaintext, !forward.cookies.is_empty()),
        Proof::Jwt(_) | Proof::ApiToken(_) | Proof::Proxy(_) => (false, false),
    };
    let paths = caller.require.0.iter().map(|(path, _)| path).chain([&caller.subject]);
    let edited = paths.filter(|path| is_edited_by_users(path)).map(|path| About::EditedByUsers { path: path.to_string() });
    let unused = (!file.rules.is_for(&caller.name)).then(|| About::UnusedCaller { caller: name() });
    let plaintext = plaintext.then(|| About::Plaintext { caller: name() });
    let cookies = (cookies && takes_any_origin).then(|| About::CookiesOfAnyOrigin { caller: name() });
    unused.into_iter().chain(plaintext).chain(cookies).chain(edited.collect::<Vec<_>>())
}

/// The first of the earlier rules that matches every request that `rule` does.
fn covered(rule: &Rule, earlier: &[&Rule]) -> Option<About> {
    let covers = earlier.iter().find(|earlier| {
        rule.callers.iter().all(|caller| earlier.callers.contains(caller))
            && rule.claims.imply(&earlier.claims)
            && rule.rooms.iter().all(|room| earlier.rooms.iter().any(|wide| covers(wide, room)))
    })?;
    Some(About::Covered { rule: rule.name.clone(), earlier: covers.name.clone() })
}

/// The first two callers, one of them of `rule`, who could get one identity in one room.
fn same_identity(rule: &Rule, earlier: &[&Rule], callers: &[CallerSettings]) -> Option<About> {
    let meets = |other: &&&Rule| {
        !have_distinct_identities(rule, other)
            && rule.rooms.iter().any(|room| other.rooms.iter().any(|each| overlap(room.widest(), each.widest())))
    };
    earlier.iter().chain([&rule]).filter(meets).find_map(|other| {
        let pairs = rule.callers.iter().flat_map(|caller| other.callers.iter().map(move |each| (caller, each)));
        let (caller, each) = pairs.into_iter().find(|(caller, each)| can_be_confused(caller, each, callers))?;
        Some(About::SameIdentity {
            rule: rule.name.clone(),
            caller: caller.clone(),
            other_rule: other.name.clone(),
            other: each.clone(),
        })
    })
}

/// Whether no identity of one rule can be one of the other: they begin with different text, or nobody knows them in advance.
fn have_distinct_identities(one: &Rule, other: &Rule) -> bool {
    let is_random = |rule: &Rule| rule.identity.placeholders().any(|each| *each == Placeholder::Random);
    let (first, second) = (one.identity.prefix(), other.identity.prefix());
    is_random(one) && is_random(other) || !first.starts_with(second) && !second.starts_with(first)
}

/// Whether one name can mean different people to the two callers. A server with an API token chooses names itself.
fn can_be_confused(one: &str, other: &str, callers: &[CallerSettings]) -> bool {
    let proof = |name: &str| callers.iter().find(|caller| caller.name == name).map(|caller| &caller.proof);
    let issuer = |proof: Option<&Proof>| match proof {
        Some(Proof::Oidc(oidc)) => Some(oidc.issued.issuer.clone()),
        Some(Proof::Jwt(jwt)) => Some(jwt.issued.issuer.clone()),
        _ => None,
    };
    let (first, second) = (proof(one), proof(other));
    let is_server = |proof: Option<&Proof>| matches!(proof, Some(Proof::ApiToken(_)));
    let have_one_issuer = issuer(first).is_some() && issuer(first) == issuer(second);
    one != other && !is_server(first) && !is_server(second) && !have_one_issuer
}

fn of_anonymous(rule: &Rule) -> impl Iterator<Item = About> {
    let is_anonymous = rule.callers.iter().any(|caller| caller == ANONYMOUS);
    let everywhere = is_anonymous && rule.rooms.iter().any(|room| covers_all(room.widest(), room.placeholders()));
    let everywhere = everywhere.then(|| About::AnonymousEverywhere { rule: rule.name.clone() });
    let powers = [(Permission::Moderate, "moderate"), (Permission::Hidden, "hidden")];
    let powers = powers.into_iter().filter(move |(power, _)| is_anonymous && rule.allow.contains(power));
    let powers = powers.map(|(_, permission)| About::AnonymousPower { rule: rule.name.clone(), permission });
    everywhere.into_iter().chain(powers)
}

/// Whether a pattern fits every room, because only stars and what the client chooses are in it.
fn covers_all<'a>(widest: &str, mut placeholders: impl Iterator<Item = &'a Placeholder>) -> bool {
    widest.chars().all(|each| each == '*') && placeholders.all(|each| matches!(each, Placeholder::Request(_)))
}

fn open_ends(rule: &Rule) -> impl Iterator<Item = About> {
    rule.rooms.iter().filter_map(|pattern| {
        let placeholder = pattern.open_end()?.to_string();
        Some(About::OpenEnd { pattern: pattern.to_string(), placeholder })
    })
}

/// Claims that decide or that the application may trust. A display name is the user's own.
fn claims_of_users(rule: &Rule) -> impl Iterator<Item = About> {
    let matched = rule.claims.0.iter().map(|(path, _)| path);
    let filled = rule.placeholders().filter(|(key, _)| *key != "display").filter_map(|(_, placeholder)| match placeholder {
        Placeholder::Claim(path) => Some(path),
        _ => None,
    });
    let edited = matched.chain(filled).filter(|path| is_edited_by_users(path));
    edited.map(|path| About::EditedByUsers { path: path.to_string() })
}

fn is_edited_by_users(path: &ClaimPath) -> bool {
    path.names().any(|name| EDITED_BY_USERS.contains(&name))
}

fn moderates(rule: &Rule) -> Option<About> {
    let is_worth_a_note = rule.allow.contains(&Permission::Moderate) && rule.events == EventsRight::None;
    is_worth_a_note.then(|| About::ModeratorReadsEvents { rule: rule.name.clone() })
}

//! What in a policy file is perhaps not meant: rules that never answer, and rules that give more than one would expect. Does not know
//! how the file is written, nor the settings of the server.

use crate::caller::claim_path::ClaimPath;
use crate::caller::settings::{ANONYMOUS, CallerSettings, Proof, is_open_on_the_way_to};
use crate::policy::compare::compared;
use crate::policy::file::PolicyFile;
use crate::policy::file::problem::{About, Finding, Mistake, Position, Problem};
use crate::policy::pattern::Pattern;
use crate::policy::permission::Permission;
use crate::policy::placeholder::Placeholder;
use crate::policy::rule::{EventsRight, Rule};

/// Claims that identity providers let users set: `user_metadata` of Supabase and Auth0, `unsafe_metadata` of Clerk.
const EDITED_BY_USERS: [&str; 2] = ["user_metadata", "unsafe_metadata"];

/// The settings of the server that a policy depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    /// No `CORS_ORIGIN` is set.
    pub(crate) takes_any_origin: bool,
    /// `TRUSTED_PROXIES` is set.
    pub(crate) trusts_proxies: bool,
}

/// Which of the callers cannot be used with these settings.
pub(crate) fn mistakes<'c>(
    callers: impl Iterator<Item = (&'c CallerSettings, Position)>,
    surroundings: Surroundings,
) -> Vec<Mistake> {
    let needs_proxies = |caller: &CallerSettings| matches!(caller.proof, Proof::Proxy(_)) && !surroundings.trusts_proxies;
    let callers = callers.filter(|(caller, _)| needs_proxies(caller));
    callers.map(|(caller, at)| Mistake { at, problem: Problem::NoTrustedProxies { caller: caller.name.clone() } }).collect()
}

/// Everything that is worth a look, in the order of the file.
pub(crate) fn findings(file: &PolicyFile, Surroundings { takes_any_origin, .. }: Surroundings) -> Vec<Finding> {
    let mut findings = file.findings.clone();
    let rules = compared(file.rules.iter(), &file.callers);
    if rules.is_empty() {
        findings.push(Finding { at: Position::START, about: About::NoRules });
    }
    for (caller, at) in file.placed_callers() {
        findings.extend(of_caller(caller, file, takes_any_origin).map(|about| Finding { at, about }));
    }
    for (index, (rule, at)) in file.rules.iter().zip(&file.places.1).enumerate() {
        let alone = of_anonymous(rule).chain(open_ends(rule)).chain(claims_of_users(rule)).chain(moderates(rule));
        let (earlier, rest) = rules.split_at_checked(index).unwrap_or_default();
        let beside =
            rest.first().into_iter().flat_map(|rule| rule.covered(earlier).into_iter().chain(rule.same_identity(earlier)));
        findings.extend(beside.chain(alone).map(|about| Finding { at: *at, about }));
    }
    findings.sort_by_key(|finding| finding.at);
    findings
}

fn of_caller(caller: &CallerSettings, file: &PolicyFile, takes_any_origin: bool) -> impl Iterator<Item = About> {
    let name = || caller.name.clone();
    let (plaintext, cookies) = match &caller.proof {
        Proof::Oidc(oidc) => (oidc.may_be_asked_in_plaintext(), false),
        Proof::Forward(forward) => (is_open_on_the_way_to(&forward.url), !forward.cookies.is_empty()),
        Proof::Jwt(_) | Proof::ApiToken(_) | Proof::Proxy(_) => (false, false),
    };
    let paths = caller.require.0.iter().map(|(path, _)| path).chain([&caller.subject]);
    let edited = paths.filter(|path| is_edited_by_users(path)).map(|path| About::EditedByUsers { path: path.to_string() });
    let unused = (!file.rules.is_for(&caller.name)).then(|| About::UnusedCaller { caller: name() });
    let plaintext = plaintext.then(|| About::Plaintext { caller: name() });
    let cookies = (cookies && takes_any_origin).then(|| About::CookiesOfAnyOrigin { caller: name() });
    unused.into_iter().chain(plaintext).chain(cookies).chain(edited.collect::<Vec<_>>())
}

fn of_anonymous(rule: &Rule) -> impl Iterator<Item = About> {
    let is_anonymous = rule.callers.iter().any(|caller| caller == ANONYMOUS);
    let everywhere = is_anonymous && rule.rooms.iter().any(covers_all);
    let everywhere = everywhere.then(|| About::AnonymousEverywhere { rule: rule.name.clone() });
    let powers = [(Permission::Moderate, "moderate"), (Permission::Hidden, "hidden")];
    let powers = powers.into_iter().filter(move |(power, _)| is_anonymous && rule.allow.has(*power));
    let powers = powers.map(|(_, permission)| About::AnonymousPower { rule: rule.name.clone(), permission });
    let events = is_anonymous && rule.events != EventsRight::None;
    let events = events.then(|| About::AnonymousEvents { rule: rule.name.clone() });
    everywhere.into_iter().chain(powers).chain(events)
}

/// Whether a pattern fits every room, because only stars and what the client chooses are in it.
fn covers_all(pattern: &Pattern) -> bool {
    let only_stars = pattern.widest().iter().all(String::is_empty);
    only_stars && pattern.placeholders().all(|each| matches!(each, Placeholder::Request(_)))
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
    let is_worth_a_note = rule.allow.has(Permission::Moderate) && rule.events == EventsRight::None;
    is_worth_a_note.then(|| About::ModeratorReadsEvents { rule: rule.name.clone() })
}

//! The rules of a policy file, and what they decide. Pure: the same caller and request always get the same answer. Does not know how
//! rules are written.

use std::collections::BTreeMap;
use std::fmt;

use crate::caller::Caller;
use crate::caller::claim_path::ClaimPath;
use crate::caller::settings::ANONYMOUS;
use crate::livekit::access_token::ParticipantToken;
use crate::policy::Policy;
use crate::policy::asked::Asked;
use crate::policy::denial::{Mismatch, Passed, Reason};
use crate::policy::rule::{EventsRight, Match, Rule};
use crate::policy::template::Random;
use crate::policy::values::Values;

/// The rules in their order.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    /// The rules of each caller, in their order.
    by_caller: BTreeMap<String, Vec<Indexed>>,
    /// The claims that rules match, each once: with many rules, finding a claim takes longer than comparing it.
    paths: Vec<ClaimPath>,
}

/// Where a rule is, and where the path of each of its matchers is.
#[derive(Clone, Debug)]
struct Indexed {
    rule: usize,
    paths: Vec<usize>,
}

/// A token that a caller gets.
#[derive(Debug)]
pub(crate) struct Decision<'a> {
    /// The rule that answered. Its limit is still to be counted.
    pub(crate) rule: &'a Rule,
    pub(crate) token: ParticipantToken,
}

/// A request that gets no token.
#[derive(Debug)]
pub(crate) struct Denial<'a> {
    rules: &'a Rules,
    values: Values<'a>,
    pub(crate) reason: Reason<'a>,
}

impl Rules {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let mut paths: Vec<ClaimPath> = Vec::new();
        let mut by_caller: BTreeMap<String, Vec<Indexed>> = BTreeMap::new();
        for (index, rule) in rules.iter().enumerate() {
            let mut index_of = |path: &ClaimPath| {
                paths.iter().position(|each| each == path).unwrap_or_else(|| {
                    paths.push(path.clone());
                    paths.len().saturating_sub(1)
                })
            };
            let indexed = Indexed { rule: index, paths: rule.claims.0.iter().map(|(path, _)| index_of(path)).collect() };
            for caller in &rule.callers {
                by_caller.entry(caller.clone()).or_default().push(indexed.clone());
            }
        }
        Self { rules, by_caller, paths }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Whether a rule names this caller. If none names `anonymous`, a request needs a credential.
    pub(crate) fn is_for(&self, caller: &str) -> bool {
        self.by_caller.contains_key(caller)
    }

    /// The token for this request. The first rule that matches decides.
    pub(crate) fn decide<'p: 'a, 'a>(
        &'p self,
        caller: &'a Caller,
        asked: &'a Asked<'a>,
        bounds: &Policy,
        random: &mut Random<'_>,
    ) -> Result<Decision<'p>, Denial<'a>> {
        let values = Values { caller, asked };
        let Some((rule, matched)) = self.first_match(&values) else {
            let is_anonymous = &*caller.name == ANONYMOUS && !self.is_for(ANONYMOUS);
            let reason = if is_anonymous { Reason::Anonymous } else { Reason::NoRule };
            return Err(Denial { rules: self, values, reason });
        };
        let token = match matched {
            Match::Denies(unfit) => Err(unfit),
            _ => rule.token(&values, bounds, random),
        };
        match token {
            Ok(token) => Ok(Decision { rule, token }),
            Err(unfit) => Err(Denial { rules: self, values, reason: Reason::Rule { name: &rule.name, unfit } }),
        }
    }

    /// The rules before the one that decides, or all if none does, and why each does not match. They are tried again, because
    /// hardly anybody asks.
    pub(crate) fn passed<'a>(&'a self, values: Values<'a>) -> impl Iterator<Item = Passed<'a>> {
        self.rules.iter().map_while(move |rule| {
            let why = if !rule.callers.iter().any(|caller| **caller == *values.caller.name) {
                Mismatch::Caller { caller: &values.caller.name, callers: &rule.callers }
            } else if let Match::No(why) = rule.matches(&values) {
                why
            } else {
                return None;
            };
            Some(Passed { rule: &rule.name, why })
        })
    }

    /// What this caller may read of the events: those of all rooms, or of `room`.
    pub(crate) fn events(&self, caller: &Caller, room: Option<&str>) -> EventsRight {
        let right = |room: Option<&str>| {
            let asked = Asked { room: room.map(Into::into), ..Asked::default() };
            match self.first_match(&Values { caller, asked: &asked }) {
                Some((rule, Match::Yes)) => rule.events,
                _ => EventsRight::None,
            }
        };
        match right(None) {
            EventsRight::All => EventsRight::All,
            _ => room.filter(|room| !room.is_empty()).map_or(EventsRight::None, |room| right(Some(room))),
        }
    }

    /// The first rule that decides.
    fn first_match<'p: 'a, 'a>(&'p self, values: &Values<'a>) -> Option<(&'p Rule, Match<'a>)> {
        let found: Vec<_> = self.paths.iter().map(|path| path.find(&values.caller.claims)).collect();
        self.by_caller.get(&*values.caller.name)?.iter().find_map(|Indexed { rule, paths }| {
            let rule = self.rules.get(*rule)?;
            let claims = paths.iter().map(|path| found.get(*path).copied().flatten());
            if !rule.claims.hold(claims) {
                return None;
            }
            match rule.matches_room(values) {
                Match::No(_) => None,
                decides => Some((rule, decides)),
            }
        })
    }
}

/// In one line, as for the log, which has to do only with rules for this caller.
impl fmt::Display for Denial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        let mut tried = self.rules.passed(self.values).filter(|passed| !matches!(passed.why, Mismatch::Caller { .. }));
        tried.try_for_each(|Passed { rule, why }| write!(f, "; {rule:?}: {why}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::policy::file::PolicyFile;

    const POLICY: &str = r#"
        [callers.school]
        kind = "oidc"
        issuer = "https://id.school.example"
        audience = "classroom"
        [callers.backend]
        kind = "api-token"
        token_env = "A"
        [[rule]]
        name = "teacher"
        caller = "school"
        claims = { role = "teacher" }
        room = ["course-{claims.course}", "staff-*"]
        identity = "{subject}"
        events = "room"
        [[rule]]
        name = "head"
        caller = "school"
        claims = { role = "head" }
        room = "course-1"
        identity = "{claims.none}"
        events = "all"
        [[rule]]
        name = "everyone"
        caller = "school"
        room = "*"
        identity = "{subject}"
        [[rule]]
        name = "backend"
        caller = "backend"
        room = "*"
        identity = "{request.identity}"
        events = "all""#;

    fn caller(name: &str, claims: serde_json::Value) -> Caller {
        Caller { name: name.into(), subject: Some("s".to_owned()), claims: claims.as_object().unwrap().clone(), ends: None }
    }

    #[test]
    fn who_may_read_which_events() {
        use EventsRight::{All, None as Nothing, Room};
        let file = PolicyFile::parse(POLICY, Path::new("")).unwrap();
        let teacher = caller("school", json!({"role": "teacher", "course": 1}));
        let head = caller("school", json!({"role": "head"}));
        for (caller, room, expected) in [
            (&teacher, Some("course-1"), Room),
            (&teacher, Some("staff-a"), Room),
            (&teacher, Some("course-2"), Nothing), // the rule for everyone
            (&teacher, Option::None, Nothing),
            (&teacher, Some(""), Nothing),
            (&caller("school", json!({"role": "teacher"})), Some("course-1"), Nothing),
            (&head, Some("course-1"), All),
            (&head, Some("course-2"), All), // as roomList
            (&head, Option::None, All),
            (&caller("school", json!({})), Some("course-1"), Nothing),
            (&caller("backend", json!({})), Option::None, All),
            (&caller("backend", json!({})), Some("x"), All),
            (&caller("anonymous", json!({})), Some("x"), Nothing),
        ] {
            assert_eq!(file.rules.events(caller, room), expected, "{caller:?} {room:?}");
        }
    }

    #[test]
    fn a_denial_tells_the_log_all_reasons_in_one_line() {
        let file = PolicyFile::parse(POLICY, Path::new("")).unwrap();
        let (caller, asked) = (caller("school", json!({"role": "pupil"})), Asked::default());
        let denial = file.rules.decide(&caller, &asked, &Policy::default(), &mut || Ok(String::new())).unwrap_err();
        assert_eq!(
            denial.to_string(),
            "the rule \"everyone\" denies: the request names no room, and the rule is about several; \
             \"teacher\": claims.role is \"pupil\", not \"teacher\"; \"head\": claims.role is \"pupil\", not \"head\""
        );
    }

    #[test]
    fn only_what_cannot_be_filled_becomes_a_star() {
        let rule = |name, room| format!("[[rule]]\nname = {name:?}\ncaller = \"school\"\nroom = {room:?}\nidentity = \"x\"\n");
        let text = format!(
            "{}\n{}{}",
            POLICY.split("[[rule]]").next().unwrap(),
            rule("pair", "x-{claims.c}-{claims.d}"),
            rule("next", "*")
        );
        let file = PolicyFile::parse(&text, Path::new("")).unwrap();
        for (claims, room, rule) in [
            (json!({"c": "1", "d": "2"}), "x-1-2", "pair"),
            (json!({"c": "1", "d": "2"}), "x-1-3", "next"),
            (json!({"c": "1"}), "x-1-9", "pair"),
            (json!({"c": "1"}), "x-2-9", "next"),
            (json!({"c": "*"}), "x-2-9", "next"),
            (json!({"d": "9"}), "x-1-9", "pair"),
            (json!({"d": "9"}), "x-1-8", "next"),
            (json!({}), "x-1-9", "pair"),
            (json!({}), "y-1-9", "next"),
            (json!({"c": "1-2", "d": "3"}), "x-1-2-3", "pair"),
            (json!({"c": "1-2", "d": "3"}), "x-9-3", "pair"),
            (json!({"c": "1-2", "d": "3"}), "x-9-9", "next"),
        ] {
            let (caller, asked) = (caller("school", claims), Asked { room: Some(room.into()), ..Asked::default() });
            let answers = match file.rules.decide(&caller, &asked, &Policy::default(), &mut || Ok(String::new())) {
                Ok(decision) => Some(decision.rule.name.as_str()),
                Err(denial) => denial.reason.rule(),
            };
            assert_eq!(answers, Some(rule), "{caller:?} {room}");
        }
    }
}

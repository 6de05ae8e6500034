//! The rules of a policy file, and what they decide. Pure: the same caller and request always get the same answer. Does not know how
//! rules are written.

use std::collections::HashMap;

use crate::caller::Caller;
use crate::caller::settings::ANONYMOUS;
use crate::livekit::access_token::ParticipantToken;
use crate::policy::Policy;
use crate::policy::asked::Asked;
use crate::policy::denial::{Denial, Passed, Reason};
use crate::policy::rule::{EventsRight, Match, Rule};
use crate::policy::template::Random;
use crate::policy::values::Values;

/// The rules in their order.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    /// The rules of each caller, in their order.
    by_caller: HashMap<String, Vec<usize>>,
}

/// A token that a caller gets.
#[derive(Debug)]
pub(crate) struct Decision<'a> {
    /// The rule that answered. Its limit is still to be counted.
    pub(crate) rule: &'a Rule,
    pub(crate) token: ParticipantToken,
    /// The rules of this caller before it, which do not match.
    pub(crate) passed: Vec<Passed<'a>>,
}

impl Rules {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let mut by_caller: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, rule) in rules.iter().enumerate() {
            for caller in &rule.callers {
                by_caller.entry(caller.clone()).or_default().push(index);
            }
        }
        Self { rules, by_caller }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Whether a rule names this caller. If none names `anonymous`, a request needs a credential.
    pub(crate) fn is_for(&self, caller: &str) -> bool {
        self.by_caller.contains_key(caller)
    }

    /// The token for this request. The first rule that matches decides.
    pub(crate) fn decide<'a>(
        &'a self,
        caller: &'a Caller,
        asked: &'a Asked<'a>,
        bounds: &Policy,
        random: &mut Random<'_>,
    ) -> Result<Decision<'a>, Denial<'a>> {
        let values = Values { caller, asked };
        let (passed, found) = self.first_match(&values);
        let Some((rule, matched)) = found else {
            let is_anonymous = &*caller.name == ANONYMOUS && !self.is_for(ANONYMOUS);
            return Err(Denial { passed, reason: if is_anonymous { Reason::Anonymous } else { Reason::NoRule } });
        };
        let token = match matched {
            Match::Denies(unfit) => Err(unfit),
            _ => rule.token(&values, bounds, random),
        };
        match token {
            Ok(token) => Ok(Decision { rule, token, passed }),
            Err(unfit) => Err(Denial { passed, reason: Reason::Rule { name: &rule.name, unfit } }),
        }
    }

    #[allow(dead_code, reason = "the server does not use it yet")]
    /// What this caller may read of the events: those of `room`, or of all rooms if it names none.
    pub(crate) fn events(&self, caller: &Caller, room: Option<&str>) -> EventsRight {
        let asked = Asked { room: room.map(Into::into), ..Asked::default() };
        let (_, found) = self.first_match(&Values { caller, asked: &asked });
        match found {
            Some((rule, Match::Yes)) if asked.room().is_some() || rule.events == EventsRight::All => rule.events,
            _ => EventsRight::None,
        }
    }

    /// The first rule that decides, after those that do not match.
    fn first_match<'a>(&'a self, values: &Values<'a>) -> (Vec<Passed<'a>>, Option<(&'a Rule, Match<'a>)>) {
        let mut passed = Vec::new();
        let indices = self.by_caller.get(&*values.caller.name).map_or(&[][..], Vec::as_slice);
        for rule in indices.iter().filter_map(|index| self.rules.get(*index)) {
            match rule.matches(values) {
                Match::No(why) => passed.push(Passed { rule: &rule.name, why }),
                decides => return (passed, Some((rule, decides))),
            }
        }
        (passed, None)
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
            (&head, Some("course-2"), Nothing),
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
}

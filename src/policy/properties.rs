//! Properties of decisions, over generated policies, callers and requests: no request gets more than the rule that answers says, and
//! no caller's claims reach another's room or identity. Fills and matches in its own, simpler way.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::clock::UnixTime;
use crate::livekit::inspection::Inspection;
use crate::livekit::key::ApiKey;
use crate::policy::Policy;
use crate::policy::asked::Asked;
use crate::policy::check::{Surroundings, findings};
use crate::policy::file::problem::About;
use crate::policy::file::{BrokenFile, PolicyFile};
use crate::policy::rules::Decision;

const CALLERS: &str = r#"
    [callers.school]
    kind = "oidc"
    issuer = "https://id.school.example"
    audience = "classroom"
    [callers.club]
    kind = "proxy"
    headers = { sub = "X-User" }
"#;
const RANDOM: &str = "abcdefghijkmnpqr";
/// Placeholders, text that could be confused with values, and stars.
const BITS: [&str; 14] = [
    "{subject}",
    "{claims.x}",
    "{claims.y}",
    "{request.identity}",
    "{request.name}",
    "{request.room}",
    "{random}",
    "a",
    "-",
    "--",
    "a-",
    "/",
    "{{",
    "\u{e4}",
];
const ALLOW: [&str; 11] = [
    "publish",
    "publish.camera",
    "publish.microphone",
    "publish.screen_share",
    "publish.screen_share_audio",
    "subscribe",
    "data",
    "own_metadata",
    "hidden",
    "moderate",
    "record",
];

#[derive(Clone, Debug)]
struct GivenRule {
    callers: Vec<&'static str>,
    /// The claim `x`.
    must_be: Option<String>,
    rooms: Vec<Vec<&'static str>>,
    identity: Vec<&'static str>,
    display: Option<Vec<&'static str>>,
    allow: Vec<&'static str>,
    lifetime: Option<u64>,
}

#[derive(Clone, Debug)]
struct Given {
    caller: Caller,
    room: Option<String>,
    identity: Option<String>,
    name: Option<String>,
}

/// Short texts that collide with each other and with the text of templates.
fn value() -> impl Strategy<Value = String> {
    prop::collection::vec(select(vec!["a", "b", "-", "--", "/", "*", "{", "\u{e4}", "1"]), 1..4).prop_map(|parts| parts.concat())
}

fn template(bits: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(select(bits), 1..=most)
}

fn rule() -> impl Strategy<Value = GivenRule> {
    const WITH_STAR: &[&str] = &["*", "*", "{claims.x}", "{claims.y}", "{subject}", "a", "-", "--", "{random}", "{request.name}"];
    (
        subsequence(vec!["school", "club"], 1..=2),
        prop::option::of(value()),
        prop::collection::vec(prop_oneof![template(&BITS, 4), template(WITH_STAR, 4)], 1..3),
        template(&BITS, 4),
        prop::option::of(template(&BITS, 2)),
        subsequence(ALLOW.to_vec(), 0..ALLOW.len()),
        prop::option::of(1..100_000_u64),
    )
        .prop_map(|(callers, must_be, rooms, identity, display, allow, lifetime)| GivenRule {
            callers,
            must_be,
            rooms,
            identity,
            display,
            allow,
            lifetime,
        })
}

/// Policies that can be read, with their rules.
fn policy(most: usize) -> impl Strategy<Value = (Vec<GivenRule>, std::sync::Arc<PolicyFile>)> {
    prop::collection::vec(rule(), 1..=most).prop_filter_map("the file has mistakes", |rules| {
        let file = PolicyFile::parse(&written(&rules), Path::new("")).ok()?;
        Some((rules, file.into()))
    })
}

fn written(rules: &[GivenRule]) -> String {
    let mut text = CALLERS.to_owned();
    for (index, rule) in rules.iter().enumerate() {
        let rooms: Vec<_> = rule.rooms.iter().map(|room| room.concat()).collect();
        let claims = rule.must_be.iter().map(|x| format!("claims = {{ x = {} }}\n", json!(x))).collect::<String>();
        let display = rule.display.iter().map(|bits| format!("display = {}\n", json!(bits.concat()))).collect::<String>();
        let lifetime = rule.lifetime.iter().map(|seconds| format!("lifetime = \"{seconds}s\"\n")).collect::<String>();
        let (caller, room, identity, allow) =
            (json!(rule.callers), json!(rooms), json!(rule.identity.concat()), json!(rule.allow));
        text += &format!(
            "[[rule]]\nname = \"{index}\"\ncaller = {caller}\nroom = {room}\nidentity = {identity}\nallow = {allow}\n{claims}{display}{lifetime}"
        );
    }
    text
}

fn given() -> impl Strategy<Value = Given> {
    let claim =
        || prop_oneof![3 => value().prop_map(Value::from), 1 => (-2..20_i64).prop_map(Value::from), 1 => Just(Value::Null)];
    (select(vec!["school", "club"]), value(), claim(), claim(), [(); 3].map(|()| prop::option::of(value()))).prop_map(
        |(name, subject, x, y, [room, identity, name_asked])| {
            let claims: Map<_, _> = [("x".to_owned(), x), ("y".to_owned(), y)].into_iter().collect();
            let caller = Caller { name: name.into(), subject: Some(subject), claims, ends: None };
            Given { caller, room, identity, name: name_asked }
        },
    )
}

/// A template of two or three values with text between them.
fn separated() -> impl Strategy<Value = Vec<&'static str>> {
    let value = || select(vec!["{subject}", "{claims.x}", "{claims.y}"]);
    let text = || select(vec!["-", "--", "a", "-a-"]);
    let third = prop::option::of((text(), value()));
    (value(), text(), value(), third).prop_map(|(first, text, second, third)| {
        let third = third.into_iter().flat_map(|(text, value)| [text, value]);
        [first, text, second].into_iter().chain(third).collect()
    })
}

/// A caller whose values are so short and alike that they are easily confused.
fn given_alike() -> impl Strategy<Value = Given> {
    let value = || prop::collection::vec(select(vec!["a", "-"]), 1..=2).prop_map(|parts| parts.concat());
    (value(), value(), value()).prop_map(|(subject, x, y)| {
        let claims = [("x".to_owned(), x.into()), ("y".to_owned(), y.into())].into_iter().collect();
        let caller = Caller { name: "school".into(), subject: Some(subject), claims, ends: None };
        Given { caller, room: None, identity: None, name: None }
    })
}

impl Given {
    fn asked(&self) -> Asked<'_> {
        let text = |text: &'_ Option<String>| text.as_deref().map(|text| text.to_owned().into());
        Asked { room: text(&self.room), identity: text(&self.identity), name: text(&self.name), ..Asked::default() }
    }

    /// What `bit` of a template stands for.
    fn value(&self, bit: &str) -> Option<String> {
        let claim = |name: &str| match &self.caller.claims[name] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        match bit {
            "{subject}" => self.caller.subject.clone(),
            "{claims.x}" => claim("x"),
            "{claims.y}" => claim("y"),
            "{request.identity}" => self.identity.clone(),
            "{request.name}" => self.name.clone(),
            "{request.room}" => self.room.clone(),
            "{random}" => Some(RANDOM.to_owned()),
            "{{" => Some("{".to_owned()),
            text => Some(text.to_owned()),
        }
    }

    fn fill(&self, bits: &[&str]) -> Option<String> {
        bits.iter().map(|bit| self.value(bit)).collect()
    }

    /// Whether `room` is one that the pattern means, tried in every way.
    fn fits(&self, pattern: &[&str], room: &str) -> bool {
        match pattern.split_first() {
            None => room.is_empty(),
            Some((&"*", rest)) => {
                let mut ends = room.char_indices().map(|(at, _)| at).chain([room.len()]);
                ends.any(|end| self.fits(rest, &room[end..]))
            }
            Some((bit, rest)) => {
                self.value(bit).is_some_and(|value| room.strip_prefix(&value).is_some_and(|room| self.fits(rest, room)))
            }
        }
    }

    fn decide<'a>(&'a self, file: &'a PolicyFile, asked: &'a Asked<'a>, bounds: &Policy) -> Option<Decision<'a>> {
        file.rules.decide(&self.caller, asked, bounds, &mut || Ok(RANDOM.to_owned())).ok()
    }
}

/// The claims of the token.
fn claims(decision: &Decision<'_>) -> Map<String, Value> {
    let (key, now) = (ApiKey::new("devkey", "secret").unwrap(), UnixTime::from_secs(1_795_317_315));
    let jwt = decision.token.to_jwt(&key, now);
    serde_json::from_slice(Inspection::of(&jwt, now).unwrap().payload()).unwrap()
}

/// The whole claim `video`, from the words of the rule.
fn video(allow: &[&str], room: &str) -> Value {
    let has = |word: &str| allow.contains(&word);
    let sources: Vec<_> = allow.iter().filter_map(|word| word.strip_prefix("publish.")).collect();
    let mut video = json!({"roomJoin": true, "room": room, "canPublish": has("publish") || !sources.is_empty(),
        "canSubscribe": has("subscribe"), "canPublishData": has("data")});
    if !has("publish") && !sources.is_empty() {
        video["canPublishSources"] = json!(sources);
    }
    for (word, grant) in
        [("own_metadata", "canUpdateOwnMetadata"), ("hidden", "hidden"), ("moderate", "roomAdmin"), ("record", "roomRecord")]
    {
        if has(word) {
            video[grant] = json!(true);
        }
    }
    video
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_token_is_what_the_rule_that_answers_says((rules, file) in policy(4), given in given(), ttl in 1..100_000_u64) {
        let asked = given.asked();
        let bounds = Policy { ttl: Duration::from_secs(ttl), allow_client_egress: false };
        let Some(decision) = given.decide(&file, &asked, &bounds) else { return Ok(()) };
        let index: usize = decision.rule.name.parse().unwrap();
        let is_about = |rule: &GivenRule| rule.callers.contains(&&*given.caller.name)
            && rule.must_be.as_ref().is_none_or(|x| given.caller.claims["x"] == **x);
        let fits = |rule: &GivenRule, room: &str| rule.rooms.iter().any(|pattern| {
            given.fill(pattern).is_some() && !pattern.contains(&"{random}") && given.fits(pattern, room)
        });
        let rule = &rules[index];
        prop_assert!(is_about(rule));
        let room = match &given.room {
            Some(room) => {
                prop_assert!(fits(rule, room));
                room.clone()
            }
            None => {
                prop_assert!(rule.rooms.len() == 1 && !rule.rooms[0].contains(&"*"));
                given.fill(&rule.rooms[0]).unwrap()
            }
        };
        // No earlier rule would have answered.
        let is_earlier = |rule: &GivenRule| is_about(rule) && given.room.as_ref().is_none_or(|room| fits(rule, room));
        prop_assert!(!rules[..index].iter().any(is_earlier));

        let mut claims = claims(&decision);
        prop_assert_eq!(claims.remove("video"), Some(video(&rule.allow, &room)));
        prop_assert_eq!(claims.remove("sub"), given.fill(&rule.identity).map(Value::from));
        let display = rule.display.as_ref().and_then(|display| given.fill(display));
        prop_assert_eq!(claims.remove("name"), display.map(Value::from));
        let lifetime = claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap();
        prop_assert_eq!(lifetime, rule.lifetime.unwrap_or(ttl).min(ttl));
        claims.retain(|name, _| !["iss", "nbf", "iat", "exp"].contains(&name.as_str()));
        prop_assert!(claims.is_empty(), "{claims:?}");
    }

    /// A rule that is said never to answer never does.
    #[test]
    fn no_rule_answers_that_an_earlier_one_is_said_to_cover((_, file) in policy(4), given in given()) {
        let asked = given.asked();
        let surroundings = Surroundings { takes_any_origin: false, trusts_proxies: true };
        let Some(decision) = given.decide(&file, &asked, &Policy::default()) else { return Ok(()) };
        let is_covered = |about: &About| matches!(about, About::Covered { rule, .. } if *rule == decision.rule.name);
        prop_assert!(!findings(&file, surroundings).iter().any(|finding| is_covered(&finding.about)), "{:?}", file.rules);
    }

    /// A star never reaches over a value that ends the pattern or begins it.
    #[test]
    fn a_room_with_a_star_begins_and_ends_with_the_callers_values((rules, file) in policy(1), given in given()) {
        let asked = given.asked();
        let (Some(room), Some(_)) = (&given.room, given.decide(&file, &asked, &Policy::default())) else { return Ok(()) };
        let is_within = |pattern: &Vec<&str>| {
            let start: Option<String> = pattern.iter().take_while(|bit| **bit != "*").map(|bit| given.value(bit)).collect();
            let end: Option<Vec<String>> = pattern.iter().rev().take_while(|bit| **bit != "*").map(|bit| given.value(bit)).collect();
            let end = end.map(|mut parts| { parts.reverse(); parts.concat() });
            start.is_some_and(|start| room.starts_with(&start)) && end.is_some_and(|end| room.ends_with(&end))
        };
        prop_assert!(rules[0].rooms.iter().any(is_within));
    }
}

proptest! {
    // Few values are confused.
    #![proptest_config(cases(5000))]

    #[test]
    fn different_values_never_give_one_room_or_identity(
        (room, identity) in (separated(), separated()),
        (one, other) in (given_alike(), given_alike()),
    ) {
        let rule = GivenRule {
            callers: vec!["school"],
            must_be: None,
            rooms: vec![room.clone()],
            identity: identity.clone(),
            display: None,
            allow: Vec::new(),
            lifetime: None,
        };
        let file = PolicyFile::parse(&written(&[rule]), Path::new("")).unwrap();
        let asked = Asked::default();
        let token = |given: &Given| given.decide(&file, &asked, &Policy::default()).map(|decision| claims(&decision));
        let (Some(first), Some(second)) = (token(&one), token(&other)) else { return Ok(()) };
        let values = |given: &Given, bits: &[&str]| bits.iter().map(|bit| given.value(bit)).collect::<Vec<_>>();
        if first["video"]["room"] == second["video"]["room"] {
            prop_assert_eq!(values(&one, &room), values(&other, &room));
        }
        if first["sub"] == second["sub"] {
            prop_assert_eq!(values(&one, &identity), values(&other, &identity));
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn whatever_stands_in_a_file_is_read_without_a_panic(
        example in select(vec!["classroom", "webinar", "support", "everything"]),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[\\[\\]{}=\"'#.,*a-z0-9 \n]{0,3}"), 1..6),
    ) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/policy/{example}.toml"));
        let mut letters: Vec<char> = std::fs::read_to_string(path).unwrap().chars().collect();
        for (at, length, text) in cuts {
            let at = at.index(letters.len() + 1);
            let end = (at + length.index(4)).min(letters.len());
            letters.splice(at..end, text.chars());
        }
        let text: String = letters.into_iter().collect();
        match PolicyFile::parse(&text, Path::new("")) {
            Ok(file) => drop(findings(&file, Surroundings { takes_any_origin: true, trusts_proxies: true })),
            Err(BrokenFile { mistakes, .. }) => {
                let lines = text.lines().count().max(1);
                prop_assert!(!mistakes.is_empty() && mistakes.iter().all(|mistake| (1..=lines + 1).contains(&mistake.at.line)));
            }
        }
    }
}

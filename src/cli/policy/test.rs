//! `roomkey policy test`: what a policy answers, and why. Does not decide anything itself.

use std::io;

use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::caller::expectations::{ClaimsError, Expectations};
use crate::caller::settings::{ANONYMOUS, CallerSettings, Proof};
use crate::cli::policy::request::RequestFlags;
use crate::cli::policy::{print_mistakes, read, settings};
use crate::cli::{Failure, Outcome, input, print, print_json};
use crate::clock::UnixTime;
use crate::config::Config;
use crate::livekit::inspection::Inspection;
use crate::policy::denial::{Blame, Passed, Reason};
use crate::policy::file::PolicyFile;
use crate::policy::rules::Decision;
use crate::policy::values::Values;
use crate::policy::{Policy, random_letters};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey policy test policy.toml --caller school --claims '{\"sub\": \"7\", \"role\": \"pupil\"}' --room course-1
  roomkey policy test policy.toml --caller anonymous --request '{\"room_name\": \"webinar-1\"}' --json

Status 1 if there is no token. TOKEN_TTL, ALLOW_CLIENT_EGRESS and the keys are read as by the server.")]
pub(in crate::cli) struct TestPolicy {
    /// The policy file
    file: String,
    /// The caller, as if it had proven itself
    #[arg(long, value_name = "NAME")]
    caller: String,
    /// The caller's claims, a JSON object; - is stdin
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    #[command(flatten)]
    request: RequestFlags,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: TestPolicy) -> Outcome {
    let settings = settings()?;
    let file = match read(&arguments.file)? {
        Ok(file) => file,
        Err(mistakes) => {
            print_mistakes(&arguments.file, &mistakes)?;
            return Err(Failure { status: 2, reason: None });
        }
    };
    let (caller, doubt) = arguments.caller(&file)?;
    let body = arguments.request.body()?;
    let asked = arguments.request.asked(&body)?;
    let bounds = Policy { ttl: settings.token_ttl, allow_client_egress: settings.allow_client_egress };
    let decision = file.rules.decide(&caller, &asked, &bounds, &mut || random_letters().map_err(io::Error::other));
    let result = match (&decision, doubt) {
        (_, Some(doubt)) => Err((401, format!("the claims do not hold: {doubt}"))),
        (Ok(decision), None) => Ok(claims(decision, &settings)?),
        (Err(denial), None) => Err((status(&denial.reason), denial.reason.to_string())),
    };
    let rule = match &decision {
        _ if matches!(result, Err((401, _))) => None,
        Ok(decision) => Some(decision.rule.name.as_str()),
        Err(denial) => denial.reason.rule(),
    };
    let passed = file.rules.passed(Values { caller: &caller, asked: &asked });
    let passed = passed.map(|Passed { rule, why }| (rule, why.to_string())).collect();
    let answer = Answer { rule, passed, result };
    if arguments.json {
        print_json(format_args!("{:#}", answer.json()))?
    } else {
        print(answer.words())?
    }
    if answer.result.is_ok() { Ok(()) } else { Err(Failure::answered()) }
}

impl TestPolicy {
    /// The caller that is tried out, and why its credential would not hold after all.
    fn caller(&self, file: &PolicyFile) -> Result<(Caller, Option<ClaimsError>), Failure> {
        let settings = file.callers.iter().find(|caller| caller.name == self.caller);
        if settings.is_none() && self.caller != ANONYMOUS {
            let names: Vec<_> = file.callers.iter().map(|caller| caller.name.as_str()).chain([ANONYMOUS]).collect();
            let names = names.join(", ");
            return Err(Failure::wrong(format_args!("--caller: there is no caller {:?}: the callers are {names}", self.caller)));
        }
        let claims = match self.claims.as_deref() {
            None => Map::new(),
            Some("-") => input::object("--claims", &input::read("-")?)?,
            Some(json) => input::object("--claims", json.as_bytes())?,
        };
        let nobody = |claims| Caller { name: self.caller.as_str().into(), subject: None, claims, ends: None };
        match settings.filter(|settings| !matches!(settings.proof, Proof::ApiToken(_))) {
            Some(CallerSettings { subject, require, .. }) => {
                let (subject, require) = (subject.clone(), require.clone());
                let expectations = Expectations { name: self.caller.as_str().into(), subject, require };
                let caller = expectations.caller(claims.clone(), None);
                Ok(caller.map_or_else(|doubt| (nobody(claims), Some(doubt)), |caller| (caller, None)))
            }
            None if claims.is_empty() => Ok((nobody(claims), None)),
            None => Err(Failure::wrong(format_args!("--claims: the caller {:?} has no claims", self.caller))),
        }
    }
}

/// The claims of the token, as the server would sign them now.
fn claims(decision: &Decision<'_>, settings: &Config) -> Result<Map<String, Value>, Failure> {
    let now = UnixTime::now();
    let jwt = decision.token.to_jwt(settings.keys.api_keys.minting(), now);
    input::object("the token", Inspection::of(&jwt, now).map_err(Failure::wrong)?.payload())
}

fn status(reason: &Reason<'_>) -> u16 {
    match reason.blame() {
        Blame::Request => 400,
        Blame::Credential => 401,
        Blame::Rules => 403,
        Blame::System => 500,
    }
}

/// What is printed.
struct Answer<'a> {
    /// The rule that decided.
    rule: Option<&'a str>,
    /// The rules before it, and why each did not decide.
    passed: Vec<(&'a str, String)>,
    /// The claims of the token, or the status and the reason of the denial.
    result: Result<Map<String, Value>, (u16, String)>,
}

impl Answer<'_> {
    fn json(&self) -> Value {
        let passed: Vec<_> = self.passed.iter().map(|(rule, why)| json!({"rule": rule, "why": why})).collect();
        match &self.result {
            Ok(claims) => json!({"allowed": true, "rule": self.rule, "passed": passed, "claims": claims}),
            Err((status, why)) => {
                json!({"allowed": false, "rule": self.rule, "passed": passed, "status": status, "why": why})
            }
        }
    }

    fn words(&self) -> String {
        let mut lines: Vec<_> = self.passed.iter().map(|(rule, why)| format!("{rule:?} does not answer: {why}")).collect();
        lines.push(match (&self.result, &self.rule) {
            (Ok(claims), Some(rule)) => format!("{rule:?} answers\n\n{:#}", Value::Object(claims.clone())),
            (Ok(_), None) => String::new(),
            (Err((status, why)), _) => format!("denied, {status}: {why}"),
        });
        lines.join("\n")
    }
}

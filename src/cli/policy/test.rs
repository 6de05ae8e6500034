//! `roomkey policy test`: what a policy answers, and why. Does not decide anything itself.

use std::io;

use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::cli::policy::caller::CallerFlags;
use crate::cli::policy::request::RequestFlags;
use crate::cli::policy::{lines, read, settings};
use crate::cli::report::report;
use crate::cli::{Failure, Outcome, input, print, print_json};
use crate::clock::UnixTime;
use crate::config::Config;
use crate::livekit::inspection::Inspection;
use crate::policy::denial::{Blame, Passed, Reason};
use crate::policy::rules::Decision;
use crate::policy::values::Values;
use crate::policy::{Policy, random_letters};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey policy test policy.toml --caller school --claims '{\"sub\": \"7\", \"role\": \"pupil\"}' --room course-1
  pass show school-token | roomkey policy test policy.toml --bearer - --room course-1
  roomkey policy test policy.toml --caller anonymous --request '{\"room_name\": \"webinar-1\"}' --json

Status 1 if there is no token. TOKEN_TTL, ALLOW_CLIENT_EGRESS and the keys are read as by the server.")]
pub(in crate::cli) struct TestPolicy {
    /// The policy file
    file: String,
    #[command(flatten)]
    caller: CallerFlags,
    #[command(flatten)]
    request: RequestFlags,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn run(arguments: TestPolicy) -> Outcome {
    let settings = settings()?;
    let file = match read(&arguments.file)? {
        Ok(file) => file,
        Err(broken) => {
            report(&arguments.file, lines(broken.mistakes).collect(), "")?;
            return Err(Failure { status: 2, reason: None });
        }
    };
    let body = arguments.request.body()?;
    let asked = arguments.request.asked(&body)?;
    let found = arguments.caller.find(&file, &arguments.file, &settings.keys.api_keys, asked.room())?;
    let bounds = Policy { ttl: settings.token_ttl, allow_client_egress: settings.allow_client_egress };
    let answer = match &found {
        Err(refused) => Answer { caller: None, rule: None, passed: Vec::new(), result: Err(refused.clone()) },
        Ok(caller) => {
            let decision = file.rules.decide(caller, &asked, &bounds, &mut || random_letters().map_err(io::Error::other));
            let (rule, result) = match decision {
                Ok(decision) => (Some(decision.rule.name.as_str()), Ok(claims(&decision, &settings)?)),
                Err(denial) => (denial.reason.rule(), Err((status(&denial.reason), denial.reason.to_string()))),
            };
            let passed = file.rules.passed(Values { caller, asked: &asked });
            let passed = passed.map(|Passed { rule, why }| (rule, why.to_string())).collect();
            Answer { caller: Some(caller), rule, passed, result }
        }
    };
    if arguments.json {
        print_json(format_args!("{:#}", answer.json()))?
    } else {
        print(answer.words())?
    }
    if answer.result.is_ok() { Ok(()) } else { Err(Failure::answered()) }
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
    /// Who asks, if that is proven.
    caller: Option<&'a Caller>,
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
        let mut answer = match &self.result {
            Ok(claims) => json!({"allowed": true, "rule": self.rule, "passed": passed, "claims": claims}),
            Err((status, why)) => {
                json!({"allowed": false, "rule": self.rule, "passed": passed, "status": status, "why": why})
            }
        };
        if let (Some(answer), Some(caller)) = (answer.as_object_mut(), self.caller) {
            answer.insert("caller".to_owned(), json!({"name": &*caller.name, "subject": caller.subject}));
        }
        answer
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

//! `roomkey token inspect`: explains a token to people, without needing its key. Does not know which grants are dangerous.

use serde_json::json;

use crate::cli::shared_flags::{self, VerifyFlags};
use crate::cli::time_words::{relative, span, utc};
use crate::cli::token::{permissions, verify};
use crate::cli::{Failure, Outcome, input, print, print_json};
use crate::clock::UnixTime;
use crate::livekit::inspection::Inspection;
use crate::livekit::token_verifier::{TokenError, TokenVerifier};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey token inspect eyJhbGciOi...
  roomkey token create --join --token-only | roomkey token inspect -

Status 1 if it is not a token, or if its key is known and it is not valid. The signature is checked only if the key is known.")]
pub(in crate::cli) struct InspectToken {
    /// The token, bare or after `Bearer `; - is stdin
    token: String,
    #[command(flatten)]
    flags: VerifyFlags,
}

pub(in crate::cli) fn run(arguments: InspectToken) -> Outcome {
    let token = input::token(&arguments.token)?;
    let now = arguments.flags.now();
    let inspection = Inspection::of(&token, now).map_err(|error| Failure::refused(verify::reason(&error, "", now)))?;
    let (holds, verdict) = match shared_flags::keys(&arguments.flags.keys) {
        Err(error) => (None, format!("not checked: {error}")),
        Ok(keys) => match TokenVerifier::new(keys.clone()).verify(&token, now) {
            Ok(claims) => {
                let leeway = verify::leeway(&claims, now).map(|leeway| format!(", but {leeway}")).unwrap_or_default();
                (Some(true), format!("the token is valid, signed with the key {:?}{leeway}", claims.iss))
            }
            Err(TokenError::UnknownKey { name }) => (None, format!("not checked: the key {name:?} is not known here")),
            Err(error) => (Some(false), verify::reason(&error, keys.minting().name(), now)),
        },
    };
    if arguments.flags.json {
        print_json(as_json(&inspection, holds, &verdict)?)?;
    } else {
        print(in_words(&inspection, &verdict, now))?;
    }
    if holds == Some(false) { Err(Failure::answered()) } else { Ok(()) }
}

fn as_json(inspection: &Inspection, holds: Option<bool>, verdict: &str) -> Result<String, Failure> {
    let claims = inspection.claims();
    let dangers: Vec<_> =
        inspection.dangers().iter().map(|danger| json!({"danger": danger.kind(), "message": danger.to_string()})).collect();
    let findings = json!({
        "identity": claims.identity(),
        "name": claims.name,
        "room": claims.video.as_ref().map_or("", |video| &video.room),
        "key": claims.iss,
        "begins": verify::begin(claims).map(UnixTime::as_secs),
        "ends": claims.exp.map(UnixTime::as_secs),
        "holds": holds,
        "verdict": verdict,
        "may": permissions::of(claims),
        "dangers": dangers,
        "claims": input::object("the token", inspection.payload())?,
    });
    Ok(format!("{findings:#}"))
}

/// Everything from the token is quoted and escaped, because a terminal obeys what it is sent.
fn in_words(inspection: &Inspection, verdict: &str, now: UnixTime) -> String {
    let claims = inspection.claims();
    let given = |text: &str| Some(text).filter(|text| !text.is_empty()).map(|text| format!("{text:?}"));
    let or_dash = |text: &str| given(text).or(Some("-".to_owned()));
    let at = |time| format!("{} ({}", utc(time), relative(time, now));
    let begin = verify::begin(claims);
    let end = claims.exp.map(|end| {
        let length = begin.map(|begin| span(end.as_secs().saturating_sub(begin.as_secs())));
        let length = length.map(|length| format!(", {length} in all")).unwrap_or_default();
        format!("{}{length})", at(end))
    });
    let rows = [
        ("identity", or_dash(claims.identity())),
        ("name", given(&claims.name)),
        ("kind", claims.kind.map(|kind| kind.to_string())),
        ("room", or_dash(claims.video.as_ref().map_or("", |video| &video.room))),
        ("key", or_dash(&claims.iss)),
        ("from", begin.map(|begin| at(begin) + ")")),
        ("until", end.or(Some("no end".to_owned()))),
        ("metadata", given(&claims.metadata)),
    ];
    let attributes = claims.attributes.iter().map(|(key, value)| ("attribute", Some(format!("{key:?} is {value:?}"))));
    let config = claims.room_config.as_ref().map(|config| config.to_json().replace(['\r', '\n'], " "));
    let rows = rows.into_iter().chain(attributes).chain([("roomConfig", config), ("verdict", Some(verdict.to_owned()))]);
    let mut lines: Vec<_> = rows.filter_map(|(what, text)| Some(format!("{what:<10} {}", text?))).collect();

    let may = permissions::of(claims);
    lines.push(if may.is_empty() { "\nIt allows nothing.".to_owned() } else { "\nIts bearer may".to_owned() });
    lines.extend(may.into_iter().map(|permission| format!("  - {permission}")));
    let dangers = inspection.dangers();
    lines.push(if dangers.is_empty() { "\nNo danger was found.".to_owned() } else { "\nDangers".to_owned() });
    lines.extend(dangers.iter().map(|danger| format!("  - {danger}")));
    lines.join("\n")
}

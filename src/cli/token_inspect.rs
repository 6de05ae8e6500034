//! Owns `roomkey token inspect`: a token told to people, without needing its key.

use serde_json::json;

use crate::cli::judging::JudgingFlags;
use crate::cli::{Failure, Outcome, abilities, input, moment, print, print_json, token_verify};
use crate::clock::UnixTime;
use crate::livekit::inspection::Inspection;
use crate::livekit::token_verifier::{TokenError, TokenVerifier};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey token inspect eyJhbGciOi...
  roomkey token create --join --token-only | roomkey token inspect -

Status 1 where it is no token, or where a key that is here refuses it. The signature is checked only where the key is here.")]
pub(super) struct Arguments {
    /// The token, bare or after `Bearer `; - is stdin
    token: String,
    #[command(flatten)]
    judging: JudgingFlags,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let token = input::token(&arguments.token)?;
    let now = arguments.judging.now();
    let inspection = Inspection::of(&token, now).map_err(|error| Failure::refused(token_verify::reason(&error, "", now)))?;
    let (holds, verdict) = match arguments.judging.keys() {
        Err(error) => (None, format!("not checked: {error}")),
        Ok(keys) => match TokenVerifier::new(keys.clone()).verify(&token, now) {
            Ok(claims) => {
                let leeway = token_verify::leeway(&claims, now).map(|leeway| format!(", but {leeway}")).unwrap_or_default();
                (Some(true), format!("the token holds, by the key {:?}{leeway}", claims.iss))
            }
            Err(TokenError::UnknownKey { name }) => (None, format!("not checked: the key {name:?} is not here")),
            Err(error) => (Some(false), token_verify::reason(&error, keys.minting().name(), now)),
        },
    };
    if arguments.judging.json {
        print_json(as_json(&inspection, holds, &verdict)?)?;
    } else {
        print(in_words(&inspection, &verdict, now))?;
    }
    if holds == Some(false) { Err(Failure::answered()) } else { Ok(()) }
}

fn as_json(inspection: &Inspection, holds: Option<bool>, verdict: &str) -> Result<String, Failure> {
    let claims = inspection.claims();
    let seconds = |moment: Option<UnixTime>| moment.map(UnixTime::as_secs);
    let dangers: Vec<_> =
        inspection.dangers().iter().map(|danger| json!({"danger": danger.kind(), "message": danger.to_string()})).collect();
    let findings = json!({
        "identity": claims.identity(),
        "name": claims.name,
        "room": claims.video.as_ref().map_or("", |video| &video.room),
        "key": claims.iss,
        "begins": seconds([claims.nbf, claims.iat].into_iter().flatten().max()),
        "ends": seconds(claims.exp),
        "holds": holds,
        "verdict": verdict,
        "may": abilities::of(claims),
        "dangers": dangers,
        "claims": input::object("the token", inspection.payload())?,
    });
    Ok(format!("{findings:#}"))
}

/// Everything that comes out of the token is quoted and escaped: a terminal obeys what it is sent.
fn in_words(inspection: &Inspection, verdict: &str, now: UnixTime) -> String {
    let claims = inspection.claims();
    let mut lines = Vec::new();
    let mut tell = |what: &str, text: String| lines.push(format!("{what:<10} {text}"));
    let quoted = |text: &str| if text.is_empty() { "-".to_owned() } else { format!("{text:?}") };

    tell("identity", quoted(claims.identity()));
    if !claims.name.is_empty() {
        tell("name", quoted(&claims.name));
    }
    if let Some(kind) = claims.kind {
        tell("kind", kind.to_string());
    }
    tell("room", quoted(claims.video.as_ref().map_or("", |video| &video.room)));
    tell("key", quoted(&claims.iss));
    let begin = [claims.nbf, claims.iat].into_iter().flatten().max();
    if let Some(begin) = begin {
        tell("from", format!("{} ({})", moment::utc(begin), moment::relative(begin, now)));
    }
    if let Some(end) = claims.exp {
        let length = begin.map(|begin| moment::span(end.as_secs().saturating_sub(begin.as_secs())));
        let length = length.map(|length| format!(", {length} in all")).unwrap_or_default();
        tell("until", format!("{} ({}{length})", moment::utc(end), moment::relative(end, now)));
    } else {
        tell("until", "for ever, by what it says".to_owned());
    }
    if !claims.metadata.is_empty() {
        tell("metadata", quoted(&claims.metadata));
    }
    for (key, value) in &claims.attributes {
        tell("attribute", format!("{key:?} is {value:?}"));
    }
    if let Some(config) = &claims.room_config {
        tell("roomConfig", config.to_json().replace(['\r', '\n'], " "));
    }
    tell("verdict", verdict.to_owned());

    let may = abilities::of(claims);
    lines.push(if may.is_empty() { "\nIt allows nothing.".to_owned() } else { "\nIts bearer may".to_owned() });
    lines.extend(may.into_iter().map(|ability| format!("  - {ability}")));
    let dangers = inspection.dangers();
    lines.push(if dangers.is_empty() { "\nNo danger was found.".to_owned() } else { "\nDangers".to_owned() });
    lines.extend(dangers.iter().map(|danger| format!("  - {danger}")));
    lines.join("\n")
}

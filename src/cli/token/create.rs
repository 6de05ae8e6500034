//! `roomkey token create`: who a token is for, how long it is valid, and how it is printed. The flags are those of LiveKit's
//! `lk token create`; `src/guide/cli.md` lists the differences. Does not know what a token allows; that is `grant_flags`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::token::duration;
use crate::cli::token::grant_flags::{GrantFlags, RoomFlags};
use crate::cli::{Failure, Outcome, input, print, print_json, shared_flags, tell, time_words};
use crate::clock::UnixTime;
use crate::config::KeyFlags;
use crate::livekit::access_token::{AccessToken, Identity, NameError, ParticipantName, RoomName};
use crate::livekit::danger::Danger;
use crate::livekit::grants::{ParticipantKind, VideoGrants};
use crate::livekit::inspection::Inspection;
use crate::policy::random_name;

/// The length of the random part of a generated name: 80 bits.
const GENERATED_LETTERS: usize = 16;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey token create --join --room daily --identity alice
  roomkey token create --join -r daily -i viewer --grant '{\"canPublish\": false}' --valid-for 1h30m
  roomkey token create --join -r daily -i alice --agent helper --job-metadata '{\"lang\": \"de\"}'
  roomkey token create --list --create -i backend --token-only

The key is LIVEKIT_API_KEY with LIVEKIT_API_SECRET, as for the server.")]
pub(in crate::cli) struct CreateToken {
    #[command(flatten)]
    bearer: BearerFlags,
    #[command(flatten)]
    grants: GrantFlags,
    #[command(flatten)]
    room: RoomFlags,
    #[command(flatten)]
    output: OutputFlags,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Who and where")]
struct BearerFlags {
    /// The room [default: a random one with --join]
    #[arg(short, long, value_name = "NAME")]
    room: Option<String>,
    /// Who the bearer is [default: a random one with --join]
    #[arg(short, long, value_name = "ID")]
    identity: Option<String>,
    /// The display name of the bearer [default: the identity]
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    /// The bearer's metadata, often JSON
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    metadata: Option<String>,
    /// An attribute of the bearer; repeat it for more
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = attribute)]
    attribute: Vec<(String, String)>,
    /// A file with more attributes, a JSON object of strings, which override --attribute
    #[arg(long, value_name = "FILE")]
    attribute_file: Option<String>,
    /// What the bearer is: standard, ingress, egress, sip, agent, connector or bridge
    #[arg(
        long, hide_possible_values = true,
        value_parser = PossibleValuesParser::new(["standard", "ingress", "egress", "sip", "agent", "connector", "bridge"])
            .try_map(|kind| ParticipantKind::deserialize(Value::from(kind)))
    )]
    kind: Option<ParticipantKind>,
    /// How long the token is valid, such as 90s, 5m, 1h10m or 1.5h
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse, allow_hyphen_values = true)]
    valid_for: Duration,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Key and output")]
struct OutputFlags {
    /// Print only the token
    #[arg(long, conflicts_with = "json")]
    token_only: bool,
    /// Print access_token, identity, name, room and grants as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    keys: KeyFlags,
}

fn attribute(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(in crate::cli) fn run(arguments: CreateToken) -> Outcome {
    let CreateToken { bearer, grants, room, output } = arguments;
    if !grants.allow_something() {
        return Err(Failure::wrong(
            "the token would allow nothing: add --join, --list, --admin or another of `roomkey token create --help`",
        ));
    }
    let mut video = grants.video(checked("--room", &bearer.room, RoomName::new)?)?;
    if let (false, Some(flag)) = (video.room_join, room.given()) {
        return Err(Failure::wrong(format_args!("{flag} is for the room that joining creates: add --join")));
    }
    let mut identity = checked("--identity", &bearer.identity, Identity::new)?.unwrap_or_default();
    let notices = generate_names(&mut video, &mut identity)?;
    let name = checked("--name", &bearer.name, ParticipantName::new)?;
    let name = name.unwrap_or_else(|| identity.clone());

    let mut token = bearer.token(&identity, &name)?;
    if video != VideoGrants::default() {
        token = token.with_grants(video.clone());
    }
    if let Some(config) = room.room_config()? {
        token = token.with_room_config(config);
    }
    let token = grants.with_service_grants(token)?;
    let keys = shared_flags::keys(&output.keys)?;
    let now = UnixTime::now();
    let jwt = token.to_jwt(keys.minting(), now).map_err(Failure::wrong)?;

    let inspection = Inspection::of(&jwt, now).map_err(Failure::wrong)?;
    notices.into_iter().for_each(tell);
    // The user was told about the development key, or chose it.
    for danger in inspection.dangers().iter().filter(|danger| **danger != Danger::DevelopmentKey) {
        tell(format_args!("warning: {danger}"));
    }
    let grants = grants_of(&inspection, &identity)?;
    if output.token_only {
        print(jwt)
    } else if output.json {
        let result = json!({"access_token": jwt, "identity": identity, "name": name, "room": video.room, "grants": grants});
        print_json(format_args!("{result:#}"))
    } else {
        let until = now.saturating_add(bearer.valid_for);
        tell(format_args!("valid for {}, until {}", time_words::span(bearer.valid_for.as_secs()), time_words::utc(until)));
        print_json(format_args!("Token grants:\n{:#}\n\nAccess token: {jwt}", Value::Object(grants)))
    }
}

/// The value of `flag`, if it is a valid name.
fn checked<T>(flag: &str, value: &Option<String>, check: fn(String) -> Result<T, NameError>) -> Result<Option<String>, Failure> {
    let checked = value.clone().map(check).transpose();
    checked.map_err(|error| Failure::wrong(format_args!("{flag} {}", error.reason())))?;
    Ok(value.clone())
}

/// Generates the room and the identity of a token for joining if they are empty, and returns what to tell the user.
fn generate_names(video: &mut VideoGrants, identity: &mut String) -> Result<Vec<String>, Failure> {
    let mut notices = Vec::new();
    if video.room_join && video.room.is_empty() {
        video.room = random_name("room-", GENERATED_LETTERS)?;
        notices.push(format!("no --room was given: the room is {}", video.room));
    }
    if video.room_join && identity.is_empty() {
        *identity = random_name("participant-", GENERATED_LETTERS)?;
        notices.push(format!("no --identity was given: the identity is {identity}"));
    }
    if video.room_admin && video.room.is_empty() {
        notices.push("warning: --admin moderates the room of --room, and --room is not given".to_owned());
    }
    Ok(notices)
}

impl BearerFlags {
    /// A token that allows nothing yet.
    fn token(&self, identity: &str, name: &str) -> Result<AccessToken, Failure> {
        let token = AccessToken::new()
            .with_identity(identity)
            .with_name(name)
            .with_metadata(self.metadata.clone().unwrap_or_default())
            .with_attributes(self.attributes()?)
            .with_ttl(Duration::from_secs(self.valid_for.as_secs())); // a token counts whole seconds
        Ok(if let Some(kind) = self.kind { token.with_kind(kind) } else { token })
    }

    fn attributes(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut attributes = BTreeMap::from_iter(self.attribute.iter().cloned());
        if let Some(path) = &self.attribute_file {
            let file: BTreeMap<String, String> = serde_json::from_slice(&input::read(path)?)
                .or(Err(Failure::wrong(format_args!("--attribute-file: {path} is not a JSON object of strings"))))?;
            attributes.extend(file);
        }
        Ok(attributes)
    }
}

/// The token's claims as `lk` prints them: with the identity, and without the registered claims.
fn grants_of(inspection: &Inspection, identity: &str) -> Result<Map<String, Value>, Failure> {
    let mut claims = input::object("the token", inspection.payload())?;
    claims.retain(|name, _| !["iss", "sub", "nbf", "iat", "exp"].contains(&name.as_str()));
    if !identity.is_empty() {
        claims.insert("identity".to_owned(), identity.into());
    }
    Ok(claims)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use clap::{Args, Command};

    use super::*;

    #[test]
    fn every_kind_of_the_flag_is_one() {
        let command = BearerFlags::augment_args(Command::new("create"));
        let flag = command.get_arguments().find(|argument| argument.get_id() == "kind").unwrap();
        for value in flag.get_possible_values() {
            let kind = ParticipantKind::deserialize(Value::from(value.get_name())).unwrap();
            assert_eq!(kind.to_string(), value.get_name());
        }
    }
}

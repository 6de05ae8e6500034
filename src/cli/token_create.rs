//! Owns `roomkey token create`: who a token is for and how long it holds, and how it is told. What it allows is another file's.
//! The flags are those of LiveKit's `lk token create`; the README tells where they differ.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::token_grants::{GrantFlags, RoomFlags};
use crate::cli::{Failure, Outcome, duration, input, moment, print, print_json, settings, tell};
use crate::clock::UnixTime;
use crate::config::KeyFlags;
use crate::livekit::access_token::{AccessToken, Identity, NameError, ParticipantName, RoomName};
use crate::livekit::danger::Danger;
use crate::livekit::grants::{ParticipantKind, VideoGrants};
use crate::livekit::inspection::Inspection;
use crate::policy::random_name;

/// Of a name that is made up: 70 bits.
const GENERATED_LETTERS: usize = 16;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  roomkey token create --join --room daily --identity alice
  roomkey token create --join -r daily -i viewer --grant '{\"canPublish\": false}' --valid-for 1h30m
  roomkey token create --join -r daily -i alice --agent helper --job-metadata '{\"lang\": \"de\"}'
  roomkey token create --list --create -i backend --token-only

The key is LIVEKIT_API_KEY with LIVEKIT_API_SECRET, as for the server.")]
pub(super) struct Arguments {
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
    /// How the others see the bearer [default: the identity]
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    /// The bearer's metadata, often JSON
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    metadata: Option<String>,
    /// An attribute of the bearer's; repeat it for more
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = attribute)]
    attribute: Vec<(String, String)>,
    /// A file with more attributes, a JSON object of strings; they beat those of --attribute
    #[arg(long, value_name = "FILE")]
    attribute_file: Option<String>,
    /// What the bearer is: standard, ingress, egress, sip, agent, connector or bridge
    #[arg(
        long, hide_possible_values = true,
        value_parser = ["standard", "ingress", "egress", "sip", "agent", "connector", "bridge"]
    )]
    kind: Option<String>,
    /// How long the token holds, such as 90s, 5m, 1h10m or 1.5h
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse, allow_hyphen_values = true)]
    valid_for: Duration,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Key and output")]
struct OutputFlags {
    /// Print the token alone
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

pub(super) fn run(arguments: Arguments) -> Outcome {
    let Arguments { bearer, grants, room, output } = arguments;
    if !grants.allow_something() {
        return Err(Failure::wrong(
            "the token would allow nothing: add --join, --list, --admin or another of `roomkey token create --help`",
        ));
    }
    let video = grants.video(checked("--room", bearer.room.clone(), |name| RoomName::new(name).map(drop))?)?;
    if let (false, Some(flag)) = (video.room_join, room.given()) {
        return Err(Failure::wrong(format_args!("{flag} is for the room that joining creates: add --join")));
    }
    let (video, identity, notices) =
        named(video, checked("--identity", bearer.identity.clone(), |name| Identity::new(name).map(drop))?)?;
    let name = checked("--name", bearer.name.clone(), |name| ParticipantName::new(name).map(drop))?;
    let name = name.unwrap_or_else(|| identity.clone());

    let mut token = AccessToken::new()
        .with_identity(&*identity)
        .with_name(&*name)
        .with_metadata(bearer.metadata.clone().unwrap_or_default())
        .with_attributes(bearer.attributes()?)
        .with_ttl(Duration::from_secs(bearer.valid_for.as_secs())); // a token counts in whole ones
    if video != VideoGrants::default() {
        token = token.with_grants(video.clone());
    }
    if let Some(kind) = bearer.kind {
        let kind = ParticipantKind::deserialize(Value::from(kind)).or(Err(Failure::wrong("--kind is none")))?;
        token = token.with_kind(kind);
    }
    if let Some(config) = room.room_config()? {
        token = token.with_room_config(config);
    }
    let token = grants.with_service_grants(token)?;
    let keys = settings::keys(output.keys)?;
    let now = UnixTime::now();
    let jwt = token.to_jwt(keys.minting(), now).map_err(Failure::wrong)?;

    let inspection = Inspection::of(&jwt, now).map_err(Failure::wrong)?;
    notices.into_iter().for_each(tell);
    // That of the development key was told, or it was chosen.
    for danger in inspection.dangers().iter().filter(|danger| **danger != Danger::DevelopmentKey) {
        tell(format_args!("warning: {danger}"));
    }
    let grants = grants_of(&inspection, &identity)?;
    if output.token_only {
        print(jwt)
    } else if output.json {
        let told = json!({"access_token": jwt, "identity": identity, "name": name, "room": video.room, "grants": grants});
        print_json(format_args!("{told:#}"))
    } else {
        let until = now.saturating_add(bearer.valid_for);
        tell(format_args!("valid for {}, until {}", moment::span(bearer.valid_for.as_secs()), moment::utc(until)));
        print_json(format_args!("Token grants:\n{:#}\n\nAccess token: {jwt}", Value::Object(grants)))
    }
}

/// The value of `flag`, where it is a name that can be.
fn checked(
    flag: &str,
    value: Option<String>,
    check: impl FnOnce(String) -> Result<(), NameError>,
) -> Result<Option<String>, Failure> {
    if let Some(value) = &value {
        check(value.clone()).map_err(|error| Failure::wrong(format_args!("{flag} {}", error.reason())))?;
    }
    Ok(value)
}

/// The room in `video` and the identity, which one who joins is given where they were not said, and what there is to tell of
/// that.
fn named(mut video: VideoGrants, identity: Option<String>) -> Result<(VideoGrants, String, Vec<String>), Failure> {
    let mut notices = Vec::new();
    let mut identity = identity.unwrap_or_default();
    if video.room_join && video.room.is_empty() {
        video.room = random_name("room-", GENERATED_LETTERS)?;
        notices.push(format!("no --room was given: the room is {}", video.room));
    }
    if video.room_join && identity.is_empty() {
        identity = random_name("participant-", GENERATED_LETTERS)?;
        notices.push(format!("no --identity was given: the identity is {identity}"));
    }
    if video.room_admin && video.room.is_empty() {
        notices.push("warning: --admin moderates the room of --room, and none is given".to_owned());
    }
    Ok((video, identity, notices))
}

impl BearerFlags {
    fn attributes(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut attributes = BTreeMap::from_iter(self.attribute.iter().cloned());
        if let Some(path) = &self.attribute_file {
            let file: BTreeMap<String, String> = serde_json::from_slice(&input::read(path)?)
                .or(Err(Failure::wrong(format_args!("--attribute-file: {path} is no JSON object of strings"))))?;
            attributes.extend(file);
        }
        Ok(attributes)
    }
}

/// The token's claims as `lk` tells them: the identity by that name, and the registered ones left out.
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

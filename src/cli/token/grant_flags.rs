//! The flags of `roomkey token create` that say what a token allows, and the claims that they set. Does not know who the token is for.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::{Failure, input};
use crate::livekit::access_token::AccessToken;
use crate::livekit::claims::Claims;
use crate::livekit::grants::{InferenceGrants, SIPGrants, VideoGrants};
use crate::livekit::inspection::{of_wrong_type, unknown_grants};
use crate::livekit::room_config::RoomConfiguration;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What it allows")]
pub(super) struct GrantFlags {
    /// Join the room
    #[arg(long)]
    join: bool,
    /// Create and delete rooms
    #[arg(long)]
    create: bool,
    /// List all rooms
    #[arg(long)]
    list: bool,
    /// Moderate the room
    #[arg(long)]
    admin: bool,
    /// Start and stop recordings and streams (egress)
    #[arg(long)]
    egress: bool,
    /// Manage ingresses
    #[arg(long, visible_alias = "ingress-admin")]
    ingress: bool,
    /// Record the room, and be shown as a recorder
    #[arg(long)]
    recorder: bool,
    /// Be invisible to the other participants
    #[arg(long)]
    hidden: bool,
    /// Change the bearer's own name, metadata and attributes
    #[arg(long)]
    allow_update_metadata: bool,
    /// Publish only this source: camera, microphone, screen_share or screen_share_audio; repeat it or separate by commas for more
    #[arg(
        long, value_name = "SOURCE", value_delimiter = ',', hide_possible_values = true,
        value_parser = ["camera", "microphone", "screen_share", "screen_share_audio"]
    )]
    allow_source: Vec<String>,
    /// Use LiveKit's inference
    #[arg(long)]
    inference: bool,
    /// Manage SIP trunks and dispatch rules
    #[arg(long)]
    sip_admin: bool,
    /// Call out over SIP
    #[arg(long)]
    sip_call: bool,
    /// Any grants of LiveKit's claim `video`, such as '{"canPublish": false}', which override the other flags
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    grant: Option<String>,
    /// Any further claims that have no flag, such as '{"agent": {"admin": true}}'
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    claims: Option<String>,
}

/// The claims that have flags of their own.
const CLAIMS_WITH_FLAGS: [(&str, &str); 13] = [
    ("iss", "it is the API key's name"),
    ("sub", "use --identity"),
    ("exp", "use --valid-for"),
    ("nbf", "it is the current time"),
    ("iat", "it is the current time"),
    ("name", "use --name"),
    ("metadata", "use --metadata"),
    ("attributes", "use --attribute"),
    ("kind", "use --kind"),
    ("video", "use --grant"),
    ("sip", "use --sip-admin and --sip-call"),
    ("inference", "use --inference"),
    ("roomConfig", "use --room-configuration"),
];

impl GrantFlags {
    /// Whether any flag allows anything.
    pub(super) fn allow_something(&self) -> bool {
        let rooms = [self.join, self.create, self.list, self.admin, self.egress, self.ingress];
        let services = [self.inference, self.sip_admin, self.sip_call, self.grant.is_some(), self.claims.is_some()];
        rooms.contains(&true) || services.contains(&true)
    }

    /// The claim `video` with this `room`.
    pub(super) fn video(&self, room: Option<String>) -> Result<VideoGrants, Failure> {
        let flags = [
            ("roomJoin", self.join),
            ("roomCreate", self.create),
            ("roomList", self.list),
            ("roomAdmin", self.admin),
            ("roomRecord", self.egress),
            ("ingressAdmin", self.ingress),
            ("recorder", self.recorder),
            ("hidden", self.hidden),
            ("canUpdateOwnMetadata", self.allow_update_metadata),
        ];
        let flags = flags.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| (name.to_owned(), Value::from(true)));
        let mut grants = Map::from_iter(flags);
        grants.insert("room".to_owned(), room.unwrap_or_default().into());
        grants.insert("canPublishSources".to_owned(), self.allow_source.as_slice().into());
        if let Some(json) = &self.grant {
            grants.extend(more_grants(json)?);
        }
        VideoGrants::deserialize(Value::Object(grants)).or(Err(Failure::wrong("--grant does not contain LiveKit's grants")))
    }

    /// `token` with the grants outside `video`, and the further claims.
    pub(super) fn with_service_grants(&self, mut token: AccessToken) -> Result<AccessToken, Failure> {
        if self.inference {
            token = token.with_inference_grants(InferenceGrants { perform: true });
        }
        if self.sip_admin || self.sip_call {
            token = token.with_sip_grants(SIPGrants { admin: self.sip_admin, call: self.sip_call });
        }
        match &self.claims {
            Some(json) => with_claims(token, json),
            None => Ok(token),
        }
    }
}

/// The value of `--grant`, if LiveKit knows these grants. They override the flags, as in `lk`.
fn more_grants(json: &str) -> Result<Map<String, Value>, Failure> {
    let mut grants = input::object("--grant", json.as_bytes())?;
    grants.retain(|_, value| !value.is_null());
    for (name, value) in &grants {
        check_claim("--grant", name, &Map::from_iter([("video".to_owned(), json!({name: value}))]))?;
    }
    Ok(grants)
}

fn with_claims(token: AccessToken, json: &str) -> Result<AccessToken, Failure> {
    let claims = input::object("--claims", json.as_bytes())?;
    if let Some((name, instead)) = CLAIMS_WITH_FLAGS.iter().find(|(name, _)| claims.contains_key(*name)) {
        return Err(Failure::wrong(format_args!("--claims cannot set {name}: {instead}")));
    }
    for (name, value) in &claims {
        check_claim("--claims", name, &Map::from_iter([(name.clone(), value.clone())]))?;
    }
    let (known, further): (Map<_, _>, Map<_, _>) = claims.into_iter().partition(|(name, _)| Claims::is_known(name));
    let known =
        Claims::deserialize(Value::Object(known)).or(Err(Failure::wrong("--claims does not contain LiveKit's claims")))?;
    let token = token.with_claims(known);
    token.with_further_claims(further).map_err(|error| Failure::wrong(format_args!("--claims: {error}")))
}

/// Refuses a claim that LiveKit would refuse or in part ignore. `name` is the part of the flag's value that it comes from.
fn check_claim(flag: &str, name: &str, claim: &Map<String, Value>) -> Result<(), Failure> {
    if let Some(danger) = unknown_grants(claim).first() {
        return Err(Failure::wrong(format_args!("{flag}: {danger}")));
    }
    if !of_wrong_type(claim).is_empty() {
        return Err(Failure::wrong(format_args!("{flag}: {name} does not have the type that LiveKit reads")));
    }
    Ok(())
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The room that joining creates")]
pub(super) struct RoomFlags {
    /// The agent to dispatch to the room
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Which deployment of the agent [default: production]
    #[arg(short, long, value_name = "NAME", requires = "agent")]
    deployment: Option<String>,
    /// Metadata for the agent's job
    #[arg(long, value_name = "TEXT", requires = "agent", allow_hyphen_values = true)]
    job_metadata: Option<String>,
    /// A file with LiveKit's RoomConfiguration as JSON; - is stdin
    #[arg(long, value_name = "FILE")]
    room_configuration: Option<String>,
}

impl RoomFlags {
    /// The first of these flags that is given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let agent = self.agent.as_ref().map(|_| "--agent");
        agent.or(self.room_configuration.as_ref().map(|_| "--room-configuration"))
    }

    /// The claim `roomConfig`, or `None` if it would be empty.
    pub(super) fn room_config(&self) -> Result<Option<RoomConfiguration>, Failure> {
        let mut fields = match &self.room_configuration {
            Some(path) => input::object("--room-configuration", &input::read(path)?)?,
            None => Map::new(),
        };
        if let Some(agent) = &self.agent {
            let texts =
                [("agentName", Some(agent)), ("deployment", self.deployment.as_ref()), ("metadata", self.job_metadata.as_ref())];
            let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?.as_str()))));
            let agents = fields.entry("agents").or_insert(Value::Array(Vec::new()));
            match agents {
                Value::Array(agents) => agents.push(Value::Object(texts.collect())),
                _ => return Err(Failure::wrong("--room-configuration: agents must be a list of objects")),
            }
        }
        let config =
            RoomConfiguration::new(fields).map_err(|error| Failure::wrong(format_args!("--room-configuration: {error}")))?;
        Ok(Some(config).filter(|config| !config.is_empty()))
    }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use clap::{Args, Command};

    use super::*;
    use crate::clock::UnixTime;
    use crate::livekit::grants::TrackSource;
    use crate::livekit::inspection::Inspection;
    use crate::livekit::key::ApiKey;

    #[test]
    fn every_source_of_the_flag_is_one() {
        let command = GrantFlags::augment_args(Command::new("create"));
        let flag = command.get_arguments().find(|argument| argument.get_id() == "allow_source").unwrap();
        for value in flag.get_possible_values() {
            let source = TrackSource::deserialize(Value::from(value.get_name())).unwrap();
            assert_ne!(source, TrackSource::Unknown, "{}", value.get_name());
        }
    }

    #[test]
    fn every_claim_is_set_by_its_flag_or_by_claims() {
        let key = ApiKey::new("APIkey", &"x".repeat(32)).unwrap();
        for (name, grants) in Claims::KNOWN {
            let objects = grants.iter().map(|grant| json!({*grant: true}));
            let samples = objects.chain([json!("x"), json!(["x"])]).map(|value| Map::from_iter([((*name).to_owned(), value)]));
            let sample = samples.into_iter().find(|claims| of_wrong_type(claims).is_empty()).unwrap_or_default();
            let token = with_claims(AccessToken::new(), &Value::Object(sample.clone()).to_string());
            if !CLAIMS_WITH_FLAGS.iter().any(|(with_flag, _)| with_flag == name) {
                let jwt = token.unwrap_or_else(|_| panic!("{name} is refused")).to_jwt(&key, UnixTime::from_secs(0)).unwrap();
                let inspection = Inspection::of(&jwt, UnixTime::from_secs(0)).unwrap();
                let minted: Map<String, Value> = serde_json::from_slice(inspection.payload()).unwrap();
                assert!(minted.contains_key(*name) && minted.get(*name) == sample.get(*name), "{name}");
            }
        }
        assert!(CLAIMS_WITH_FLAGS.iter().all(|(name, _)| Claims::is_known(name)));
    }
}

//! The flags of `roomkey token create` that say what a token allows, and the claims that they set. Does not know who the token is for.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::{Failure, input};
use crate::livekit::access_token::AccessToken;
use crate::livekit::claims::Claims;
use crate::livekit::grants::{InferenceGrants, SIPGrants, TrackSource, VideoGrants};
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
const CLAIMS_WITH_FLAGS: [(&str, &str); 12] = [
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
];

impl GrantFlags {
    /// Whether any flag allows anything.
    pub(super) fn allow_something(&self) -> bool {
        let [rooms, services] = [
            [self.join, self.create, self.list, self.admin, self.egress, self.ingress],
            [self.inference, self.sip_admin, self.sip_call, self.grant.is_some(), self.claims.is_some(), false],
        ];
        rooms.into_iter().chain(services).any(|flag| flag)
    }

    /// The claim `video` with this `room`.
    pub(super) fn video(&self, room: Option<String>) -> Result<VideoGrants, Failure> {
        let source = |name: &String| TrackSource::deserialize(Value::from(name.as_str())).unwrap_or(TrackSource::Unknown);
        let grants = VideoGrants {
            room_join: self.join,
            room_create: self.create,
            room_list: self.list,
            room_admin: self.admin,
            room_record: self.egress,
            ingress_admin: self.ingress,
            recorder: self.recorder,
            hidden: self.hidden,
            can_update_own_metadata: self.allow_update_metadata.then_some(true),
            can_publish_sources: self.allow_source.iter().map(source).collect(),
            room: room.unwrap_or_default(),
            ..VideoGrants::default()
        };
        match &self.grant {
            Some(json) => overlaid(&grants, json),
            None => Ok(grants),
        }
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

/// `grants`, overridden by those in `json`, as `lk` does.
fn overlaid(grants: &VideoGrants, json: &str) -> Result<VideoGrants, Failure> {
    let mut given = input::object("--grant", json.as_bytes())?;
    given.retain(|_, value| !value.is_null());
    let as_claim = Map::from_iter([("video".to_owned(), Value::Object(given.clone()))]);
    if let Some(danger) = unknown_grants(&as_claim).first() {
        return Err(Failure::wrong(format_args!("--grant: {danger}")));
    }
    let read = |grants| VideoGrants::deserialize(Value::Object(grants));
    if let Some((name, _)) =
        given.iter().find(|(name, value)| read(Map::from_iter([((*name).clone(), (*value).clone())])).is_err())
    {
        return Err(Failure::wrong(format_args!("--grant: {name} does not have the type that LiveKit reads")));
    }
    let mut base = Vec::new();
    grants.write(&mut base);
    let mut all = input::object("--grant", &base)?;
    all.extend(given);
    read(all).or(Err(Failure::wrong("--grant does not contain LiveKit's grants")))
}

fn with_claims(token: AccessToken, json: &str) -> Result<AccessToken, Failure> {
    let claims = input::object("--claims", json.as_bytes())?;
    let with_flag = CLAIMS_WITH_FLAGS.iter().chain(&[("roomConfig", "use --room-configuration")]);
    if let Some((name, instead)) = with_flag.into_iter().find(|(name, _)| claims.contains_key(*name)) {
        return Err(Failure::wrong(format_args!("--claims cannot set {name}: {instead}")));
    }
    if let Some(name) = of_wrong_type(&claims).first() {
        return Err(Failure::wrong(format_args!("--claims: {name} does not have the type that LiveKit reads")));
    }
    if let Some(danger) = unknown_grants(&claims).first() {
        return Err(Failure::wrong(format_args!("--claims: {danger}")));
    }
    let (known, further): (Map<_, _>, Map<_, _>) =
        claims.into_iter().partition(|(name, _)| Claims::names().contains(&name.as_str()));
    let known =
        Claims::deserialize(Value::Object(known)).or(Err(Failure::wrong("--claims does not contain LiveKit's claims")))?;
    let mut token = token
        .with_id(known.jti)
        .with_kind_details(known.kind_details)
        .with_room_preset(known.room_preset)
        .with_sha256(known.sha256);
    if let Some(agent) = known.agent {
        token = token.with_agent_grants(agent);
    }
    if let Some(observability) = known.observability {
        token = token.with_observability_grants(observability);
    }
    if let Some(agent_endpoint) = known.agent_endpoint {
        token = token.with_agent_endpoint_grants(agent_endpoint);
    }
    if let Some(agent_thread) = known.agent_thread {
        token = token.with_agent_thread_grants(agent_thread);
    }
    token.with_further_claims(further).map_err(|error| Failure::wrong(format_args!("--claims: {error}")))
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
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use clap::{Args, Command};

    use super::*;

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
    fn the_claims_with_flags_are_claims() {
        for (name, _) in CLAIMS_WITH_FLAGS {
            assert!(Claims::names().contains(&name), "{name}");
        }
    }
}

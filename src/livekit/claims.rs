//! Owns the claims of an access token as LiveKit reads them (livekit/protocol `auth/grants.go`), and the registered ones
//! that every token is judged by. Does not judge them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::clock::UnixTime;
use crate::json::{Named, Names, ObjectWriter, Text, Unambiguous, name, only_object};
use crate::livekit::field_names::field_names;
use crate::livekit::grants::{
    AgentEndpointGrants, AgentGrants, AgentThreadGrants, InferenceGrants, ObservabilityGrants, ParticipantKind, SIPGrants,
    VideoGrants,
};
use crate::livekit::room_config::RoomConfiguration;

/// What a token says. A claim that it lacks has its type's default; unknown claims are left out.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claims {
    /// The API key that signed.
    pub iss: String,
    /// The participant's identity. Older tokens bear it in `jti`: see [`identity`](Self::identity).
    pub sub: String,
    /// The token's own id.
    pub jti: String,
    /// When it ends.
    pub exp: Option<UnixTime>,
    /// When it begins.
    pub nbf: Option<UnixTime>,
    /// When it was minted.
    pub iat: Option<UnixTime>,
    /// The participant's display name.
    pub name: String,
    /// The participant's metadata.
    pub metadata: String,
    /// The participant's attributes.
    pub attributes: BTreeMap<String, String>,
    /// What the participant is; absent means a person.
    #[serde(deserialize_with = "kind")]
    pub kind: Option<ParticipantKind>,
    /// More about the kind, in lower case.
    pub kind_details: Vec<String>,
    /// What the bearer may do with rooms.
    #[serde(deserialize_with = "only_object")]
    pub video: Option<VideoGrants>,
    /// What the bearer may do over SIP.
    #[serde(deserialize_with = "only_object")]
    pub sip: Option<SIPGrants>,
    /// What the bearer may do with agents.
    #[serde(deserialize_with = "only_object")]
    pub agent: Option<AgentGrants>,
    /// Whether the bearer may use inference.
    #[serde(deserialize_with = "only_object")]
    pub inference: Option<InferenceGrants>,
    /// Whether the bearer may report observations.
    #[serde(deserialize_with = "only_object")]
    pub observability: Option<ObservabilityGrants>,
    /// Which agent endpoint the bearer may call.
    #[serde(deserialize_with = "only_object")]
    pub agent_endpoint: Option<AgentEndpointGrants>,
    /// What the bearer may do with agents' threads.
    #[serde(deserialize_with = "only_object")]
    pub agent_thread: Option<AgentThreadGrants>,
    /// How the room is set up where the bearer's joining creates it.
    pub room_config: Option<RoomConfiguration>,
    /// The name of such a set-up.
    pub room_preset: String,
    /// The standard base64 of a body's SHA-256; only in a webhook's token.
    pub sha256: String,
}

/// Leaves out metadata, attributes and the room's configuration, which hold what the application pleases.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("iss", &self.iss)
            .field("identity", &self.identity())
            .field("exp", &self.exp)
            .field("kind", &self.kind)
            .field("video", &self.video)
            .finish_non_exhaustive()
    }
}

impl Claims {
    /// The names of all claims, as the derived reader takes them.
    pub(crate) fn names() -> &'static [&'static str] {
        field_names::<Self>()
    }

    /// The participant's identity: `sub`, or where that is empty `jti`, as LiveKit reads it.
    #[must_use]
    pub fn identity(&self) -> &str {
        if self.sub.is_empty() { &self.jti } else { &self.sub }
    }

    /// Appends every claim but `iss`, with `nbf`, `iat` and `exp` as given, and the `further` ones. Zero values are left out. By hand, for this is the
    /// minting of a token; the names are those that the derived reader takes.
    pub(crate) fn write_after_iss(&self, out: &mut Vec<u8>, now: UnixTime, expiry: UnixTime, further: &Map<String, Value>) {
        let mut object = ObjectWriter::resume(out);
        object.text(name!("sub"), &self.sub);
        object.text(name!("jti"), &self.jti);
        object.text(name!("name"), &self.name);
        object.value(name!("nbf"), &now.as_secs());
        object.value(name!("iat"), &now.as_secs());
        object.value(name!("exp"), &expiry.as_secs());
        if let Some(video) = &self.video {
            object.member(name!("video"), |out| video.write(out));
        }
        object.text(name!("metadata"), &self.metadata);
        if !self.attributes.is_empty() {
            object.value(name!("attributes"), &self.attributes);
        }
        object.optional(name!("kind"), self.kind.as_ref());
        if !self.kind_details.is_empty() {
            object.value(name!("kindDetails"), &self.kind_details);
        }
        object.optional(name!("sip"), self.sip.as_ref());
        object.optional(name!("agent"), self.agent.as_ref());
        object.optional(name!("inference"), self.inference.as_ref());
        object.optional(name!("observability"), self.observability.as_ref());
        object.optional(name!("agentEndpoint"), self.agent_endpoint.as_ref());
        object.optional(name!("agentThread"), self.agent_thread.as_ref());
        object.optional(name!("roomConfig"), self.room_config.as_ref());
        object.text(name!("roomPreset"), &self.room_preset);
        object.text(name!("sha256"), &self.sha256);
        for (name, value) in further {
            object.further(name, value);
        }
        object.end();
    }
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ParticipantKind>, D::Error> {
    Ok(Option::<Named<_>>::deserialize(deserializer)?.map(|kind| kind.0))
}

/// The claims that decide whether a token holds (RFC 7519, section 4.1), and a webhook's digest. Reading them refuses an
/// object in which any name stands twice, at any depth.
#[derive(Debug, Default)]
pub(crate) struct Registered<'a> {
    pub(crate) iss: Option<Cow<'a, str>>,
    pub(crate) exp: Option<UnixTime>,
    pub(crate) nbf: Option<UnixTime>,
    pub(crate) iat: Option<UnixTime>,
    pub(crate) sha256: Option<Cow<'a, str>>,
}

impl<'de> Deserialize<'de> for Registered<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RegisteredVisitor;

        impl<'de> Visitor<'de> for RegisteredVisitor {
            type Value = Registered<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of claims")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut claims = Registered::default();
                let (mut known, mut unknown) = ([false; 5], Names::default());
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    let [iss, exp, nbf, iat, sha256] = &mut known;
                    let seen = match &*name.0 {
                        "iss" => {
                            claims.iss = text(&mut map)?;
                            iss
                        }
                        "exp" => {
                            claims.exp = map.next_value()?;
                            exp
                        }
                        "nbf" => {
                            claims.nbf = map.next_value()?;
                            nbf
                        }
                        "iat" => {
                            claims.iat = map.next_value()?;
                            iat
                        }
                        "sha256" => {
                            claims.sha256 = text(&mut map)?;
                            sha256
                        }
                        _ => {
                            map.next_value::<Unambiguous>()?;
                            unknown.push(name);
                            continue;
                        }
                    };
                    if std::mem::replace(seen, true) {
                        return Err(A::Error::custom("a claim stands twice"));
                    }
                }
                unknown.check()?;
                Ok(claims)
            }
        }

        deserializer.deserialize_map(RegisteredVisitor)
    }
}

/// A member's value as a string; `null` is as if the member were absent.
fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    Ok(map.next_value::<Option<Text<'de>>>()?.map(|text| text.0))
}

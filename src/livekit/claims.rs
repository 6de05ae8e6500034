//! The claims of an access token as LiveKit reads them (livekit/protocol `auth/grants.go`). Does not decide whether a token is valid.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::Deserializer;

use crate::clock::UnixTime;
use crate::json::{self, Buffer, Named, ObjectWriter, Scan, Scanner, Written, name, only_object, ten_digits};
use crate::livekit::grants::{
    AgentEndpointGrants, AgentGrants, AgentThreadGrants, InferenceGrants, ObservabilityGrants, ParticipantKind, SIPGrants,
    VideoGrants,
};
use crate::livekit::room_config::RoomConfiguration;

/// The one list of claims: gives its rows to the macro `$declare`. A row is a field, its name in JSON, its type, and the setter in
/// `AccessToken`, unless that is written by hand or the token sets the claim itself.
macro_rules! claims {
    ($declare:ident) => {
        $declare! {
            /// The API key that signed.
            iss = "iss": String;
            /// The participant's identity. Older tokens have it in `jti`: see [`Claims::identity`](crate::Claims::identity).
            sub = "sub": String, with_identity(impl Into<String>);
            /// The token's own id. LiveKit reads it as the identity if there is no other.
            jti = "jti": String, with_id(impl Into<String>);
            /// When the token expires.
            exp = "exp": Option<UnixTime>;
            /// The time before which the token is not valid.
            nbf = "nbf": Option<UnixTime>;
            /// When the token was minted.
            iat = "iat": Option<UnixTime>;
            /// The participant's display name.
            name = "name": String, with_name(impl Into<String>);
            /// What the bearer may do with rooms.
            #[serde(deserialize_with = "only_object")]
            video = "video": Option<VideoGrants>, with_grants(VideoGrants);
            /// The participant's metadata.
            metadata = "metadata": String, with_metadata(impl Into<String>);
            /// The participant's attributes.
            attributes = "attributes": BTreeMap<String, String>;
            /// What the participant is; absent means a person.
            #[serde(deserialize_with = "kind")]
            kind = "kind": Option<ParticipantKind>, with_kind(ParticipantKind);
            /// More about the kind, in lower case.
            kind_details = "kindDetails": Vec<String>, with_kind_details(Vec<String>);
            /// What the bearer may do over SIP.
            #[serde(deserialize_with = "only_object")]
            sip = "sip": Option<SIPGrants>, with_sip_grants(SIPGrants);
            /// What the bearer may do with agents.
            #[serde(deserialize_with = "only_object")]
            agent = "agent": Option<AgentGrants>, with_agent_grants(AgentGrants);
            /// Whether the bearer may use inference.
            #[serde(deserialize_with = "only_object")]
            inference = "inference": Option<InferenceGrants>, with_inference_grants(InferenceGrants);
            /// Whether the bearer may report observations.
            #[serde(deserialize_with = "only_object")]
            observability = "observability": Option<ObservabilityGrants>, with_observability_grants(ObservabilityGrants);
            /// Which agent endpoint the bearer may call.
            #[serde(deserialize_with = "only_object")]
            agent_endpoint = "agentEndpoint": Option<AgentEndpointGrants>, with_agent_endpoint_grants(AgentEndpointGrants);
            /// What the bearer may do with agents' threads.
            #[serde(deserialize_with = "only_object")]
            agent_thread = "agentThread": Option<AgentThreadGrants>, with_agent_thread_grants(AgentThreadGrants);
            /// How LiveKit sets up the room if the bearer creates it by joining.
            room_config = "roomConfig": Option<RoomConfiguration>, with_room_config(RoomConfiguration);
            /// The name of a room configuration that LiveKit Server has.
            room_preset = "roomPreset": String, with_room_preset(impl Into<String>);
            /// The standard base64 of a body's SHA-256. Only a webhook's token has it.
            sha256 = "sha256": String, with_sha256(impl Into<String>);
        }
    };
}
pub(super) use claims;

macro_rules! declare {
    ($($(#[$meta:meta])* $field:ident = $name:literal: $type:ty $(, $setter:ident($given:ty))?;)*) => {
        /// What a token says. A claim that it lacks has its type's default; unknown claims are left out.
        #[derive(Clone, Default, PartialEq, Deserialize)]
        #[serde(default)]
        pub struct Claims {
            $($(#[$meta])* #[serde(rename = $name)] pub $field: $type,)*
        }

        impl Claims {
            /// The name of each claim, and the names of the grants in it.
            pub(crate) const KNOWN: &'static [(&'static str, &'static [&'static str])] =
                &[$(($name, <$type as Written>::MEMBERS)),*];

            /// Writes the claims into an object that may have others.
            pub(super) fn write_members(&self, object: &mut ObjectWriter<'_, impl Buffer>) {
                $(object.non_zero(name!($name), &self.$field);)*
            }

            /// Takes over every claim that `others` has.
            #[cfg(feature = "server")]
            pub(crate) fn extend(&mut self, others: Self) {
                $(if !others.$field.is_zero() {
                    self.$field = others.$field;
                })*
            }
        }

        /// Refuses duplicate names too, at any depth.
        impl<'a> Scan<'a> for Claims {
            fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
                let (mut claims, mut others) = (Self::default(), Vec::new());
                scanner.object(|scanner, name| match name {
                    $($name => scanner.once(&mut claims.$field),)*
                    _ => scanner.other(name, &mut others),
                })?;
                Some(claims)
            }
        }
    };
}
claims!(declare);

/// Leaves out metadata, attributes and the room configuration, because the application may put anything there.
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
    /// Whether LiveKit knows a claim of this name.
    pub(crate) fn is_known(name: &str) -> bool {
        Self::KNOWN.iter().any(|(known, _)| *known == name)
    }

    /// The participant's identity: `sub`, or `jti` if that is empty, as LiveKit reads it.
    #[must_use]
    pub fn identity(&self) -> &str {
        if self.sub.is_empty() { &self.jti } else { &self.sub }
    }

    pub(super) fn set_attributes<K: Into<String>, V: Into<String>>(&mut self, attributes: impl IntoIterator<Item = (K, V)>) {
        self.attributes = attributes.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    }
}

/// Appends the claims of a token that is valid from `now`: the times, and what `others` writes. The object begins with `iss`.
#[inline]
pub(super) fn write_after_iss<B: Buffer>(
    out: &mut B,
    now: UnixTime,
    expiry: UnixTime,
    others: impl FnOnce(&mut ObjectWriter<'_, B>),
) {
    let mut object = ObjectWriter::begin(out);
    if let Some(times) = times(now, expiry) {
        object.continue_with(&times);
    } else {
        object.non_zero(name!("nbf"), &now);
        object.non_zero(name!("iat"), &now);
        object.non_zero(name!("exp"), &expiry);
    }
    others(&mut object);
    out.append(b"}");
}

/// The members `nbf`, `iat` and `exp` in one piece; `None` if one does not have ten digits: before 2001 or after 2286.
#[inline]
fn times(now: UnixTime, expiry: UnixTime) -> Option<[u8; 51]> {
    let (now, expiry) = (ten_digits(now.as_secs())?, ten_digits(expiry.as_secs())?);
    let mut members = *br#","nbf":0000000000,"iat":0000000000,"exp":0000000000"#;
    for (member, digits) in members.as_chunks_mut::<17>().0.iter_mut().zip([now, now, expiry]) {
        *member.last_chunk_mut()? = digits;
    }
    Some(members)
}

impl Written for ParticipantKind {
    fn write(&self, out: &mut impl Buffer) {
        json::write(out, self);
    }
}

impl<'a> Scan<'a> for ParticipantKind {
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        scanner.variant()
    }
}

impl Written for RoomConfiguration {
    fn write(&self, out: &mut impl Buffer) {
        json::write(out, self);
    }
}

/// Gives up: it is rare, and may be any object.
impl<'a> Scan<'a> for RoomConfiguration {
    fn scan(_: &mut Scanner<'a>) -> Option<Self> {
        None
    }
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ParticipantKind>, D::Error> {
    Ok(Option::<Named<_>>::deserialize(deserializer)?.map(|kind| kind.0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;
    use crate::livekit::registered_claims::Registered;

    #[test]
    fn what_is_read_quickly_is_read_alike_by_serde() {
        let join = r#"{"iss":"APIx","nbf":1795317324,"iat":1795317324,"exp":1795338924,"sub":"alice","name":"Alice","video":{"roomJoin":true,"room":"daily","canPublish":false,"canPublishSources":["camera"]}}"#;
        let other = r#"{"iss":"x","exp":17,"identity":"a","aud":7,"kind":"agent","kindDetails":["a","b"],"attributes":{"a":"1","b":"2"},"agentThread":{"all":true,"x":true},"sha256":"="}"#;
        let mut quickly = 0;
        for json in [join, other].into_iter().flat_map(json::mutations) {
            let registered: Result<Registered<'_>, _> = serde_json::from_str(&json);
            if let Some(quick) = json::scan::<Registered<'_>>(&json) {
                assert_eq!(format!("{quick:?}"), format!("{:?}", registered.as_ref().unwrap()), "{json}");
            }
            if let Some(quick) = json::scan::<Claims>(&json) {
                assert!(registered.is_ok(), "{json}");
                assert_eq!(serde_json::from_str::<Claims>(&json).unwrap(), quick, "{json}");
                quickly += 1;
            }
        }
        assert!(quickly > 1000, "{quickly}");
        assert!(json::scan::<Claims>(join).is_some() && json::scan::<Claims>(other).is_some());
    }

    #[test]
    fn times_have_the_digits_of_their_seconds() {
        let around = |power: u32| [10_u64.pow(power) - 1, 10_u64.pow(power), 10_u64.pow(power) + 7];
        for now in (0..19).flat_map(around).chain([1_795_317_324]) {
            for expiry in [now, now + 21_600, 4_000_000_000, 40_000_000_000] {
                let mut out = Vec::new();
                write_after_iss(&mut out, UnixTime::from_secs(now), UnixTime::from_secs(expiry), |_| ());
                assert_eq!(out, format!(r#","nbf":{now},"iat":{now},"exp":{expiry}}}"#).as_bytes());
            }
        }
    }
}

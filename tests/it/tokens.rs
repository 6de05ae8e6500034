//! Tests of the tokens that LiveKit's own libraries minted: all verify, say what their payloads say, and come out the same when
//! their claims are minted here.

use roomkey::{
    AccessToken, AgentEndpointGrants, AgentGrants, AgentThreadGrants, ApiKey, Claims, InferenceGrants, ObservabilityGrants,
    ParticipantKind, RoomConfiguration, SIPGrants, TokenError, TokenVerifier, TrackSource, UnixTime, VideoGrants, jws,
};
use serde_json::{Map, Value};

use crate::fixtures::{LibraryToken, library_tokens, payload};

type Object = Map<String, Value>;

impl LibraryToken {
    fn payload(&self) -> Object {
        payload(&self.token)
    }

    fn seconds(&self, claim: &str) -> u64 {
        self.payload()[claim].as_u64().unwrap()
    }

    fn verifier(&self) -> TokenVerifier {
        TokenVerifier::with_api_key(&self.key, &self.secret).unwrap()
    }

    fn verify(&self, seconds: u64) -> Result<Claims, TokenError> {
        self.verifier().verify(&self.token, UnixTime::from_secs(seconds))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(text).collect()
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap()
}

/// Reads an object member by member, so that one that nobody expects fails the test.
macro_rules! read {
    ($value:expr => $type:ident { $($name:literal: $field:ident = $read:expr,)* }) => {{
        let mut read = $type::default();
        for (name, value) in $value.as_object().unwrap() {
            match name.as_str() {
                $($name => read.$field = $read(value),)*
                other => panic!("{other} in {}", stringify!($type)),
            }
        }
        read
    }};
}

/// The claims that `payload` tells, read without the crate's own reader.
fn claims(payload: &Value) -> Claims {
    let seconds = |value: &Value| Some(UnixTime::from_secs(value.as_u64().unwrap()));
    read!(payload => Claims {
        "iss": iss = text,
        "sub": sub = text,
        "exp": exp = seconds,
        "nbf": nbf = seconds,
        "iat": iat = seconds,
        "name": name = text,
        "metadata": metadata = text,
        "attributes": attributes = |value: &Value| value.as_object().unwrap().iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        "kind": kind = |value: &Value| { assert_eq!(value, "agent"); Some(ParticipantKind::Agent) },
        "kindDetails": kind_details = texts,
        "video": video = |value| Some(video(value)),
        "sip": sip = |value: &Value| Some(read!(value => SIPGrants { "admin": admin = flag, "call": call = flag, })),
        "agent": agent = |value: &Value| Some(read!(value => AgentGrants {
            "admin": admin = flag,
            "simulationAdmin": simulation_admin = flag,
            "databaseAdmin": database_admin = flag,
            "dispatchAdmin": dispatch_admin = flag,
        })),
        "inference": inference = |value: &Value| Some(read!(value => InferenceGrants { "perform": perform = flag, })),
        "observability": observability = |value: &Value| Some(read!(value => ObservabilityGrants { "write": write = flag, })),
        "agentEndpoint": agent_endpoint = |value: &Value| Some(read!(value => AgentEndpointGrants {
            "call": call = flag,
            "agentName": agent_name = text,
            "deployment": deployment = text,
        })),
        "agentThread": agent_thread = |value: &Value| Some(read!(value => AgentThreadGrants {
            "all": all = flag,
            "scope": scope = text,
            "threadIds": thread_ids = texts,
            "list": list = flag,
            "create": create = flag,
            "write": write = flag,
            "read": read = flag,
            "delete": delete = flag,
        })),
        "roomConfig": room_config = |value: &Value| Some(RoomConfiguration::new(value.as_object().unwrap().clone()).unwrap()),
        "roomPreset": room_preset = text,
        "sha256": sha256 = text,
    })
}

fn video(value: &Value) -> VideoGrants {
    let three_valued = |value: &Value| Some(flag(value));
    let source = |value: &Value| match value.as_str().unwrap() {
        "microphone" => TrackSource::Microphone,
        "screen_share_audio" => TrackSource::ScreenShareAudio,
        other => panic!("{other}"),
    };
    read!(value => VideoGrants {
        "roomCreate": room_create = flag,
        "roomList": room_list = flag,
        "roomRecord": room_record = flag,
        "roomAdmin": room_admin = flag,
        "roomJoin": room_join = flag,
        "room": room = text,
        "destinationRoom": destination_room = text,
        "canPublish": can_publish = three_valued,
        "canSubscribe": can_subscribe = three_valued,
        "canPublishData": can_publish_data = three_valued,
        "canPublishSources": can_publish_sources = |value: &Value| value.as_array().unwrap().iter().map(source).collect(),
        "canUpdateOwnMetadata": can_update_own_metadata = three_valued,
        "ingressAdmin": ingress_admin = flag,
        "hidden": hidden = flag,
        "recorder": recorder = flag,
        "agent": agent = flag,
        "canSubscribeMetrics": can_subscribe_metrics = three_valued,
        "canManageAgentSession": can_manage_agent_session = three_valued,
    })
}

#[test]
fn every_token_holds_at_its_own_time_and_says_what_its_payload_says() {
    let tokens = library_tokens();
    assert_eq!(tokens.len(), 25, "a token got lost");
    for each in tokens {
        let mut payload = each.payload();
        // Go repeats the identity; LiveKit ignores it.
        if let Some(identity) = payload.remove("identity") {
            assert_eq!(identity, payload["sub"], "{}", each.name);
        }
        let verified = each.verify(each.seconds("nbf")).unwrap_or_else(|error| panic!("{}: {error}", each.name));
        assert_eq!(verified, claims(&Value::Object(payload)), "{}", each.name);
    }
}

#[test]
fn every_token_holds_from_60_s_before_its_time_to_60_s_after_its_end() {
    for each in library_tokens() {
        let (from, until) = (each.seconds("nbf"), each.seconds("exp"));
        for (at, held) in [(from - 61, false), (from - 60, true), (until + 60, true), (until + 61, false)] {
            assert_eq!(each.verify(at).is_ok(), held, "{} at {at}", each.name);
        }
    }
}

#[test]
fn no_token_holds_under_another_key_or_with_a_flipped_bit() {
    for each in library_tokens() {
        let at = UnixTime::from_secs(each.seconds("nbf"));
        let other = TokenVerifier::with_api_key("APIother", &each.secret).unwrap().verify(&each.token, at);
        assert_eq!(other.map(drop), Err(TokenError::UnknownKey { name: each.key.clone() }), "{}", each.name);
        let secret = each.secret.to_uppercase();
        let other = TokenVerifier::with_api_key(&each.key, &secret).unwrap().verify(&each.token, at);
        assert_eq!(other.map(drop), Err(TokenError::Jws(jws::Error::Signature)), "{}", each.name);

        let verifier = each.verifier();
        for bit in 0..each.token.len() * 8 {
            let mut token = each.token.clone().into_bytes();
            token[bit / 8] ^= 1 << (bit % 8);
            if let Ok(token) = str::from_utf8(&token) {
                assert!(verifier.verify(token, at).is_err(), "bit {bit} of {}", each.name);
            }
        }
    }
}

/// A token of the same claims, made with the builder.
fn rebuild(claims: &Claims) -> AccessToken {
    let mut token = AccessToken::new()
        .with_identity(&claims.sub)
        .with_name(&claims.name)
        .with_metadata(&claims.metadata)
        .with_attributes(claims.attributes.clone())
        .with_kind_details(claims.kind_details.clone())
        .with_room_preset(&claims.room_preset)
        .with_sha256(&claims.sha256);
    macro_rules! copy {
        ($($claim:ident: $setter:ident,)*) => {
            $(if let Some(value) = claims.$claim.clone() {
                token = token.$setter(value);
            })*
        };
    }
    copy! {
        kind: with_kind,
        video: with_grants,
        sip: with_sip_grants,
        agent: with_agent_grants,
        inference: with_inference_grants,
        observability: with_observability_grants,
        agent_endpoint: with_agent_endpoint_grants,
        agent_thread: with_agent_thread_grants,
        room_config: with_room_config,
    }
    token
}

#[test]
fn what_a_library_minted_is_minted_here_the_same() {
    for each in library_tokens() {
        let (from, until) = (each.seconds("nbf"), each.seconds("exp"));
        let token = rebuild(&each.verify(from).unwrap()).with_ttl(std::time::Duration::from_secs(until - from));
        let minted = token.to_jwt(&ApiKey::new(&each.key, &each.secret).unwrap(), UnixTime::from_secs(from)).unwrap();

        let (mut ours, mut theirs) = (payload(&minted), each.payload());
        if each.name.starts_with("go-") {
            theirs.remove("identity");
        } else {
            // Node and Python write no `iat`, Python an empty `sub`.
            assert_eq!(ours.remove("iat"), ours.get("nbf").cloned());
            theirs.retain(|_, value| value != "");
        }
        assert_eq!(ours, theirs, "{}", each.name);
    }
}

//! Tests of minting: what exactly tokens say, and what is refused.

use std::time::Duration;

use roomkey::livekit::access_token::{MAX_ATTRIBUTES_BYTES, MAX_METADATA_BYTES, MAX_NAME_BYTES};
use roomkey::{
    AccessToken, AccessTokenError, ApiKey, Claims, Identity, NameError, ParticipantKind, ParticipantName, ParticipantToken,
    RoomConfiguration, RoomName, SIPGrants, TrackSource, UnixTime, VideoGrants,
};
use serde_json::{Map, Value, json};

use crate::fixtures::{NOW, SERVER_KEY, api_key, now, payload, payload_bytes, sign, verifier};

fn participant() -> ParticipantToken {
    ParticipantToken::new(RoomName::new("daily").unwrap(), Identity::new("alice").unwrap())
}

fn join() -> VideoGrants {
    VideoGrants { room_join: true, room: "daily".to_owned(), ..VideoGrants::default() }
}

fn mint(token: &AccessToken) -> Result<Map<String, Value>, AccessTokenError> {
    token.to_jwt(&api_key(SERVER_KEY), now()).map(|jwt| payload(&jwt))
}

fn mint_for_participant(token: &ParticipantToken) -> String {
    token.to_jwt(&api_key(SERVER_KEY), now())
}

/// The claims that a verifier finds in what `token` mints.
fn verified(token: &AccessToken) -> Claims {
    verifier().verify(&token.to_jwt(&api_key(SERVER_KEY), now()).unwrap(), now()).unwrap()
}

#[test]
fn a_token_to_join_says_just_that() {
    let token = mint_for_participant(&participant().with_name(ParticipantName::new("Alice").unwrap()));
    let expected = json!({
        "iss": SERVER_KEY.0, "sub": "alice", "name": "Alice", "nbf": NOW, "iat": NOW, "exp": NOW + 6 * 60 * 60,
        "video": {"room": "daily", "roomJoin": true},
    });
    assert_eq!(Value::Object(payload(&token)), expected);

    let (signing_input, _) = token.rsplit_once('.').unwrap();
    assert_eq!(token, sign(signing_input, SERVER_KEY.1), "the signature is right");
    assert!(token.starts_with("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."), "the header is LiveKit's");
}

#[test]
fn zero_values_are_left_out() {
    assert_eq!(
        Value::Object(mint(&AccessToken::new()).unwrap()),
        json!({"iss": SERVER_KEY.0, "nbf": NOW, "iat": NOW, "exp": NOW + 6 * 60 * 60})
    );
    let zeros = AccessToken::new()
        .with_identity("")
        .with_name("")
        .with_metadata("")
        .with_attributes::<String, String>([])
        .with_kind_details(Vec::new())
        .with_room_preset("")
        .with_sha256("");
    assert_eq!(mint(&zeros), mint(&AccessToken::new()));

    let grants = AccessToken::new().with_grants(VideoGrants::default()).with_sip_grants(SIPGrants::default());
    let payload = mint(&grants).unwrap();
    assert_eq!((&payload["video"], &payload["sip"]), (&json!({}), &json!({})));
}

/// A three-valued grant: its name, and the grants in which it has a value.
type ThreeValued = (&'static str, fn(Option<bool>) -> VideoGrants);

const THREE_VALUED: [ThreeValued; 6] = [
    ("canPublish", |value| VideoGrants { can_publish: value, ..join() }),
    ("canSubscribe", |value| VideoGrants { can_subscribe: value, ..join() }),
    ("canPublishData", |value| VideoGrants { can_publish_data: value, ..join() }),
    ("canUpdateOwnMetadata", |value| VideoGrants { can_update_own_metadata: value, ..join() }),
    ("canSubscribeMetrics", |value| VideoGrants { can_subscribe_metrics: value, ..join() }),
    ("canManageAgentSession", |value| VideoGrants { can_manage_agent_session: value, ..join() }),
];

#[test]
fn a_false_survives_and_what_is_absent_stays_absent() {
    for (name, grants) in THREE_VALUED {
        for value in [None, Some(false), Some(true)] {
            let grants = grants(value);
            let token = AccessToken::new().with_identity("alice").with_grants(grants.clone());
            let mut expected = json!({"roomJoin": true, "room": "daily"});
            if let Some(value) = value {
                expected[name] = value.into();
            }
            assert_eq!(mint(&token).unwrap()["video"], expected, "{name}");
            assert_eq!(verified(&token).video, Some(grants.clone()), "{name}");

            let token = mint_for_participant(&participant().with_grants(grants));
            assert_eq!(payload(&token)["video"], expected, "{name}");
        }
    }
}

#[test]
fn every_grant_survives_a_round_trip() {
    let grants = VideoGrants {
        room_create: true,
        room_list: true,
        room_record: true,
        room_admin: true,
        destination_room: "other".to_owned(),
        can_publish_sources: vec![
            TrackSource::Camera,
            TrackSource::Microphone,
            TrackSource::ScreenShare,
            TrackSource::ScreenShareAudio,
        ],
        ingress_admin: true,
        hidden: true,
        recorder: true,
        agent: true,
        ..join()
    };
    let token = AccessToken::new().with_identity("alice").with_grants(grants.clone()).with_kind(ParticipantKind::Bridge);
    let claims = verified(&token);
    assert_eq!((claims.video, claims.kind), (Some(grants), Some(ParticipantKind::Bridge)));
    assert_eq!(
        mint(&token).unwrap()["video"]["canPublishSources"],
        json!(["camera", "microphone", "screen_share", "screen_share_audio"])
    );
}

/// Names that a writer of JSON, a form or a log could spoil.
const NAMES: [&str; 14] = [
    "\"alice\"",
    "back\\slash \\\" \\u0041",
    "\0",
    "\u{1}\u{8}\t\n\u{c}\r\u{1f}",
    "\u{7f}\u{80}\u{9f}",
    "\u{2028}\u{2029}",
    "<script>&amp;</script>",
    " leading and trailing ",
    "e\u{301} is not é",
    "🚀👩‍👩‍👧‍👦",
    "\u{feff}\u{200b}\u{202e}",
    "\u{10ffff}\u{fffe}\u{ffff}\u{d7ff}\u{e000}",
    "a/b?c=d#e%20+",
    "null",
];

#[test]
fn names_are_kept_to_the_byte() {
    for name in NAMES {
        let token = ParticipantToken::new(RoomName::new(name).unwrap(), Identity::new(name).unwrap())
            .with_name(ParticipantName::new(name).unwrap())
            .with_metadata(name)
            .unwrap()
            .with_attributes([(name, name), ("", name)])
            .unwrap();
        let key = ApiKey::new(name, SERVER_KEY.1).unwrap();
        let jwt = token.to_jwt(&key, now());

        let payload = payload(&jwt);
        for claim in ["iss", "sub", "name", "metadata"] {
            assert_eq!(payload[claim], name, "{claim}");
        }
        assert_eq!(payload["video"]["room"], name);
        assert_eq!(payload["attributes"], json!({name: name, "": name}));
        let claims = roomkey::TokenVerifier::new(key).verify(&jwt, now()).unwrap();
        assert_eq!((claims.iss.as_str(), claims.identity()), (name, name));
        assert_eq!(claims.video.unwrap().room, name);
    }
    assert_eq!(RoomName::new("\0 ").unwrap().as_str(), "\0 ");
}

#[test]
fn no_control_character_stands_raw_in_a_payload() {
    for control in '\0'..' ' {
        let name = format!("a{control}b");
        let token = mint_for_participant(&participant().with_name(ParticipantName::new(&name).unwrap()));
        assert!(payload_bytes(&token).iter().all(|&byte| byte >= 0x20), "{control:?}");
        assert_eq!(payload(&token)["name"], name);
    }
}

#[test]
fn a_name_is_neither_empty_nor_over_its_limit_in_bytes() {
    let fits = ["x", &"x".repeat(256), &"ü".repeat(128), &"🚀".repeat(64)];
    let too_long = ["x".repeat(257), "ü".repeat(128) + "x", "x".repeat(255) + "ü", "🚀".repeat(65), "x".repeat(1 << 20)];
    assert_eq!(MAX_NAME_BYTES, 256);
    type New = fn(&str) -> Result<(), NameError>;
    let constructors: [(&str, New); 3] = [
        ("room name", |name| RoomName::new(name).map(drop)),
        ("identity", |name| Identity::new(name).map(drop)),
        ("participant name", |name| ParticipantName::new(name).map(drop)),
    ];
    for (what, new) in constructors {
        assert_eq!(new(""), Err(NameError::Empty { what }));
        for name in fits {
            assert_eq!(new(name), Ok(()), "{} bytes", name.len());
        }
        for name in &too_long {
            assert_eq!(new(name), Err(NameError::TooLong { what }), "{} bytes", name.len());
        }
    }
}

#[test]
fn an_identity_may_serve_as_the_name() {
    for identity in ["x", &"ü".repeat(128)] {
        assert_eq!(ParticipantName::from(Identity::new(identity).unwrap()).as_str(), identity);
    }
}

#[test]
fn an_access_token_keeps_the_limits_too() {
    let named = |bytes: usize| "ü".repeat(bytes / 2) + &"x".repeat(bytes % 2);
    type Build = fn(AccessToken, String) -> AccessToken;
    let rows: [(&str, usize, Build); 6] = [
        ("room", 256, |token, room| token.with_grants(VideoGrants { room_admin: true, room, ..VideoGrants::default() })),
        ("room", 256, |token, room| token.with_identity("a").with_grants(VideoGrants { room, ..join() })),
        ("identity", 256, |token, identity| token.with_identity(identity)),
        ("name", 256, |token, name| token.with_name(name)),
        ("metadata", 512 * 1024, |token, metadata| token.with_metadata(metadata)),
        ("attributes", 64 * 1024, |token, value| token.with_attributes([("", value)])),
    ];
    for (what, limit, build) in rows {
        assert!(mint(&build(AccessToken::new(), named(limit))).is_ok(), "{what}");
        let refused = mint(&build(AccessToken::new(), named(limit + 1)));
        assert_eq!(refused, Err(AccessTokenError::TooLong { what, limit }));
    }
}

#[test]
fn metadata_is_at_most_512_kib() {
    assert_eq!(MAX_METADATA_BYTES, 524_288);
    let with = |metadata: String| participant().with_metadata(metadata).map(drop);
    let refused = Err(AccessTokenError::TooLong { what: "metadata", limit: 524_288 });
    assert_eq!(with("x".repeat(524_288)), Ok(()));
    assert_eq!(with("ü".repeat(262_144)), Ok(()));
    assert_eq!(with("x".repeat(524_289)), refused);
    assert_eq!(with("ü".repeat(262_144) + "x"), refused);
    // What counts is the text, not what it becomes in JSON.
    assert_eq!(with("\0".repeat(524_288)), Ok(()));
}

#[test]
fn attributes_are_at_most_64_kib_keys_and_values_together() {
    assert_eq!(MAX_ATTRIBUTES_BYTES, 65_536);
    let with = |pairs: &[(String, String)]| participant().with_attributes(pairs.iter().cloned()).map(drop);
    let refused = Err(AccessTokenError::TooLong { what: "attributes", limit: 65_536 });
    let pairs = |count: usize| (0..count).map(|n| (format!("{n:08}"), "ü".repeat(4))).collect::<Vec<_>>();
    assert_eq!(with(&pairs(4096)), Ok(()));
    assert_eq!(with(&[pairs(4096), vec![("x".to_owned(), String::new())]].concat()), refused);
    assert_eq!(with(&[("k".repeat(65_536), String::new())]), Ok(()));
    assert_eq!(with(&[("k".repeat(65_536), "x".to_owned())]), refused);
    assert_eq!(with(&[("k".repeat(65_537), String::new())]), refused);
    // A key that is set twice is one attribute.
    assert_eq!(with(&[("k".to_owned(), "x".repeat(65_535)), ("k".to_owned(), "y".repeat(65_535))]), Ok(()));
}

#[test]
fn a_lifetime_is_6_h_unless_it_is_said() {
    let ends = |ttl: Option<Duration>, now: UnixTime| {
        let token = ttl.map_or_else(participant, |ttl| participant().with_ttl(ttl));
        let payload = payload(&token.to_jwt(&api_key(SERVER_KEY), now));
        assert_eq!(payload["nbf"], payload["iat"]);
        payload["exp"].as_u64().unwrap() - payload["nbf"].as_u64().unwrap()
    };
    assert_eq!(ends(None, now()), 21_600);
    for seconds in [0, 1, 60, 600, 86_400, u64::from(u32::MAX)] {
        assert_eq!(ends(Some(Duration::from_secs(seconds)), now()), seconds);
    }
    let between_seconds = UnixTime::from_secs(NOW).saturating_add(Duration::from_millis(999));
    assert_eq!(ends(None, between_seconds), 21_600);
    assert_eq!(ends(Some(Duration::MAX), UnixTime::from_secs(0)), u64::MAX, "the end of time");
    assert_eq!(ends(Some(Duration::MAX), UnixTime::from_secs(u64::MAX)), 0);
}

#[test]
fn whatever_is_granted_a_participant_stays_in_its_room() {
    for room in ["", "other"] {
        let grants = VideoGrants { room_join: false, room: room.to_owned(), hidden: true, ..VideoGrants::default() };
        let token = participant().with_grants(grants.clone()).with_grants(grants);
        let expected = json!({"roomJoin": true, "room": "daily", "hidden": true});
        assert_eq!(payload(&mint_for_participant(&token))["video"], expected);
    }
}

#[test]
fn later_grants_replace_earlier_ones() {
    let token = participant()
        .with_grants(VideoGrants { hidden: true, can_publish: Some(false), ..VideoGrants::default() })
        .with_grants(VideoGrants { can_subscribe: Some(false), ..VideoGrants::default() });
    let expected = json!({"roomJoin": true, "room": "daily", "canSubscribe": false});
    assert_eq!(payload(&mint_for_participant(&token))["video"], expected);
}

#[test]
fn a_token_to_join_that_lacks_something_is_not_minted() {
    let nowhere = VideoGrants { room: String::new(), ..join() };
    for (refused, token) in [
        (AccessTokenError::NoRoom, AccessToken::new().with_identity("alice").with_grants(nowhere.clone())),
        (AccessTokenError::NoRoom, AccessToken::new().with_grants(nowhere)),
        (AccessTokenError::NoIdentity, AccessToken::new().with_grants(join())),
        (AccessTokenError::NoIdentity, AccessToken::new().with_identity("").with_name("Alice").with_grants(join())),
        (AccessTokenError::DigestForParticipant, AccessToken::new().with_identity("alice").with_grants(join()).with_sha256("x")),
    ] {
        assert_eq!(mint(&token), Err(refused));
    }
}

#[test]
fn a_token_of_a_service_needs_neither_room_nor_identity() {
    let lists = VideoGrants { room_list: true, ..VideoGrants::default() };
    let payload = mint(&AccessToken::new().with_grants(lists)).unwrap();
    assert_eq!(payload["video"], json!({"roomList": true}));
    assert!(!payload.contains_key("sub"));
}

#[test]
fn a_room_configuration_is_minted_as_it_was_checked() {
    let json = br#"{"empty_timeout":300,"agents":[{"agent_name":"helper","metadata":"\"\u2028"}],"new_field":[1,null,{}]}"#;
    let token = participant().with_room_config(RoomConfiguration::from_json(json).unwrap());
    let expected =
        json!({"emptyTimeout": 300, "agents": [{"agentName": "helper", "metadata": "\"\u{2028}"}], "new_field": [1, null, {}]});
    assert_eq!(payload(&mint_for_participant(&token))["roomConfig"], expected);

    let empty = participant().with_room_config(RoomConfiguration::from_json(b"{}").unwrap());
    assert_eq!(payload(&mint_for_participant(&empty))["roomConfig"], json!({}));
}

#[test]
fn further_claims_are_written_as_they_are_and_are_none_of_livekits() {
    let further = json!({"tenant": {"id": 7}, "\"": null, "identity": "a"});
    let token = AccessToken::new().with_identity("svc").with_further_claims(further.as_object().unwrap().clone()).unwrap();
    let claims = mint(&token).unwrap();
    for (name, value) in further.as_object().unwrap() {
        assert_eq!(&claims[name], value);
    }
    assert_eq!(claims["sub"], "svc");

    for name in ["iss", "sub", "jti", "exp", "nbf", "iat", "video", "roomConfig", "sha256", "agentThread", "kindDetails"] {
        let further = Map::from_iter([(name.to_owned(), Value::Null)]);
        let error = AccessToken::new().with_further_claims(further).unwrap_err();
        assert_eq!(error, AccessTokenError::KnownClaim { name: name.to_owned() });
    }
}

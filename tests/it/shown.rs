//! Tests of what the library's types print: `Debug` shows no secret, token or metadata, and every error has its text.

use std::error::Error;

use roomkey::jws;
use roomkey::{
    AccessToken, AccessTokenError, ApiKeys, Claims, EventDetails, Identity, Inspection, KeyError, NameError, ParticipantName,
    ParticipantToken, RoomConfiguration, RoomConfigurationError, RoomName, TokenError, TokenVerifier, UnixTime, WebhookError,
    WebhookReceiver,
};
use serde_json::{Map, Value};

use crate::fixtures::{SERVER_KEY, api_key, forge_with, now, receiver, recorded, verifier};

/// What stands in every place of the tokens below that the application fills.
const METADATA: &str = "whispered";

fn token() -> AccessToken {
    let config = format!(r#"{{"metadata":"{METADATA}","agents":[{{"metadata":"{METADATA}"}}]}}"#);
    let further = Map::from_iter([("further".to_owned(), Value::from(METADATA))]);
    AccessToken::new()
        .with_identity("alice")
        .with_metadata(METADATA)
        .with_attributes([("key", METADATA), (METADATA, "value")])
        .with_room_config(RoomConfiguration::from_json(config.as_bytes()).unwrap())
        .with_further_claims(further)
        .unwrap()
}

fn participant_token() -> ParticipantToken {
    ParticipantToken::new(RoomName::new("daily").unwrap(), Identity::new("alice").unwrap())
        .with_metadata(METADATA)
        .unwrap()
        .with_attributes([(METADATA, METADATA)])
        .unwrap()
}

fn claims() -> Claims {
    verifier().verify(&token().to_jwt(&api_key(SERVER_KEY), now()).unwrap(), now()).unwrap()
}

#[test]
fn no_metadata_is_shown() {
    let jwt = token().to_jwt(&api_key(SERVER_KEY), now()).unwrap();
    let body = format!(
        r#"{{"room":{{"metadata":"{METADATA}"}},"participant":{{"metadata":"{METADATA}","attributes":{{"a":"{METADATA}"}}}},
            "egressInfo":{{"error":"{METADATA}","streamResults":[{{"url":"rtmp://x/{METADATA}"}}]}}}}"#
    );
    let details = EventDetails::parse(body.as_bytes()).unwrap();
    let participant = details.participant.clone().unwrap();
    assert_eq!(participant.metadata, METADATA);
    let shown = [
        format!("{:?} {:#?}", token(), token()),
        format!("{:?} {:#?}", participant_token(), participant_token()),
        format!("{:?} {:#?}", claims(), claims()),
        format!("{:?}", claims().room_config.unwrap()),
        format!("{:?}", Inspection::of(&jwt, now()).unwrap()),
        format!("{details:?} {:?} {participant:?} {:?}", details.room, details.egress_info),
        format!("{:?}", roomkey::WebhookEvent::parse(body.as_bytes()).unwrap()),
        format!("{:?}", jws::Unverified::parse(&jwt).unwrap()),
    ];
    // As text, and as a list of bytes.
    let bytes = METADATA.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    for shown in shown {
        let in_one_line = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!shown.contains(METADATA) && !in_one_line.contains(&bytes), "{shown}");
        assert!(jwt.split('.').all(|part| !shown.contains(part)), "{shown}");
    }
}

#[test]
fn what_is_no_secret_is_shown() {
    let start = r#"Claims { iss: "", identity: "alice", exp: None, kind: None, video: Some(VideoGrants {"#;
    assert!(format!("{:?}", participant_token()).contains(start), "{:?}", participant_token());
    let name = SERVER_KEY.0;
    assert!(format!("{:?}", claims()).starts_with(&format!(r#"Claims {{ iss: "{name}", identity: "alice", exp: Some("#)));
    for (shown, expected) in [
        (format!("{:?}", api_key(SERVER_KEY)), format!("ApiKey {{ name: {name:?}, .. }}")),
        (format!("{:?}", ApiKeys::single(api_key(SERVER_KEY))), format!("ApiKeys([ApiKey {{ name: {name:?}, .. }}])")),
        (format!("{:?}", jws::Key::new(b"secret").unwrap()), "Key(<redacted>)".to_owned()),
        (format!("{:?}", jws::Signer::new(&jws::Key::new(b"secret").unwrap(), b"{")), "Signer(<redacted>)".to_owned()),
        (format!("{:?}", jws::Unverified::parse(&forge_with("")).unwrap()), "Unverified(<redacted>)".to_owned()),
        (format!("{:?}", RoomConfiguration::from_json(b"{}").unwrap()), "RoomConfiguration { .. }".to_owned()),
    ] {
        assert_eq!(shown, expected);
    }
    let keys = format!("ApiKeys([ApiKey {{ name: {name:?}, .. }}])");
    let verifier = TokenVerifier::new(api_key(SERVER_KEY));
    assert_eq!(format!("{verifier:?}"), format!("TokenVerifier {{ keys: {keys} }}"));
    let receiver = WebhookReceiver::new(verifier);
    assert_eq!(format!("{receiver:?}"), format!("WebhookReceiver {{ verifier: TokenVerifier {{ keys: {keys} }} }}"));
}

#[test]
fn a_delivery_shows_its_key_and_its_length() {
    for each in recorded() {
        let at = UnixTime::from_secs(each.at);
        let authenticated = receiver().authenticate(&each.authorization, at).unwrap();
        let shown = format!("{authenticated:?}");
        assert!(shown.contains(&each.key) && each.authorization.split('.').all(|part| !shown.contains(part)), "{shown}");
        let delivery = authenticated.accept(each.body.clone()).unwrap();
        assert_eq!(format!("{delivery:?}"), format!("Delivery {{ key: {:?}, bytes: {}, .. }}", each.key, each.body.len()));
        #[cfg(feature = "server")]
        {
            let id = delivery.event().unwrap().id.into_owned();
            let arrival = roomkey::inbox::Arrival::new(delivery, at);
            assert_eq!(format!("{arrival:?}"), format!("Arrival {{ id: {id:?}, bytes: {}, .. }}", each.body.len()));
        }
    }
}

/// Every error of the library in words, and of those with a source the source's words.
#[test]
fn every_error_has_its_words() {
    let name = || "APIx".to_owned();
    let path = || "agents.0.metadata".to_owned();
    let rows: [(Box<dyn Error>, &str); 42] = [
        (jws::Error::Malformed.into(), "not three non-empty parts of base64url"),
        (jws::Error::Encoding.into(), "a part is not canonical base64url"),
        (jws::Error::Header.into(), "the header is not a JSON object with unique names"),
        (jws::Error::Algorithm.into(), "the algorithm is not HS256"),
        (jws::Error::Critical.into(), "the header has critical parameters"),
        (jws::Error::Signature.into(), "the signature was made with another secret or the token was changed"),
        (KeyError::EmptyName.into(), "the API key is empty"),
        (KeyError::ShortSecret.into(), "the API secret is shorter than 32 bytes"),
        (KeyError::Contradiction { name: name() }.into(), r#"the API key "APIx" is given twice, with different secrets"#),
        (KeyError::Unknown { name: name() }.into(), r#"there is no API key "APIx""#),
        (RoomName::new("").unwrap_err().into(), "the room name must not be empty"),
        (RoomName::new("x".repeat(257)).unwrap_err().into(), "the room name must be at most 256 bytes"),
        (Identity::new("").unwrap_err().into(), "the identity must not be empty"),
        (Identity::new("x".repeat(257)).unwrap_err().into(), "the identity must be at most 256 bytes"),
        (ParticipantName::new("").unwrap_err().into(), "the participant name must not be empty"),
        (ParticipantName::new("x".repeat(257)).unwrap_err().into(), "the participant name must be at most 256 bytes"),
        (NameError::Empty { what: "x" }.into(), "the x must not be empty"),
        (NameError::TooLong { what: "x" }.into(), "the x must be at most 256 bytes"),
        (AccessTokenError::NoRoom.into(), "a token to join needs a room"),
        (AccessTokenError::NoIdentity.into(), "a token to join needs an identity"),
        (AccessTokenError::DigestForParticipant.into(), "a token to join must not have the sha256 of a webhook"),
        (
            AccessTokenError::KnownClaim { name: "sub".to_owned() }.into(),
            "LiveKit defines the claim sub: it cannot be a further claim",
        ),
        (AccessTokenError::TooLong { what: "metadata", limit: 7 }.into(), "metadata must be at most 7 bytes"),
        (TokenError::Jws(jws::Error::Algorithm).into(), "the algorithm is not HS256"),
        (TokenError::Claims.into(), "the claims are not a JSON object with unique names and the right types"),
        (TokenError::UnknownKey { name: name() }.into(), r#"the API key "APIx" is not known here"#),
        (TokenError::NoExpiry.into(), "the token has no expiry"),
        (TokenError::Expired { since: UnixTime::from_secs(7) }.into(), "the token expired at 7"),
        (TokenError::NotYetValid { until: UnixTime::from_secs(7) }.into(), "the token is not valid before 7"),
        (WebhookError::Token(TokenError::NoExpiry).into(), "the token has no expiry"),
        (WebhookError::Token(TokenError::Jws(jws::Error::Header)).into(), "the header is not a JSON object with unique names"),
        (WebhookError::NoDigest.into(), "the token has no sha256, so it is not the token of a webhook"),
        (WebhookError::Digest.into(), "the body is not the one that the token was signed for"),
        (RoomConfigurationError::WrongType { path: String::new(), expected: "an object" }.into(), "must be an object"),
        (RoomConfigurationError::WrongType { path: path(), expected: "a string" }.into(), "agents.0.metadata must be a string"),
        (RoomConfigurationError::BothCasings { path: path() }.into(), "agents.0.metadata is given in both casings"),
        (
            RoomConfigurationError::Credentials { path: path() }.into(),
            "agents.0.metadata must not be in a token, because its bearer can read it",
        ),
        (RoomConfigurationError::Twice.into(), "must not have two members of one name in an object, nor a number beyond 1e308"),
        (RoomConfigurationError::TooManyValues { limit: 7 }.into(), "must hold at most 7 values"),
        (RoomConfigurationError::TooDeep { limit: 7 }.into(), "must not nest deeper than 7 levels"),
        (EventDetails::parse(b"[]").unwrap_err().into(), "the body is not a JSON object, or holds too many values"),
        (roomkey::WebhookEvent::parse(b"").unwrap_err().into(), "the body is not a JSON object, or holds too many values"),
    ];
    for (error, words) in rows {
        assert_eq!(error.to_string(), words);
        if let Some(source) = error.source() {
            assert_eq!(source.to_string(), words, "an error that shows its source's words has that source");
        }
    }
}

//! Tests of the claims that a valid token must have: its times, its names, its types. The tokens are forged with the right key, so
//! that each is refused only for what its row names.

use roomkey::{Claims, ParticipantKind, TokenError, TrackSource, UnixTime};

use crate::fixtures::{EGRESS_KEY, HEADER, NOW, SERVER_KEY, forge, forge_with, nested_lists, nested_objects, now, verifier};

fn verify(members: &str) -> Result<Claims, TokenError> {
    verifier().verify(&forge_with(members), now())
}

/// Verifies a token whose claims are `iss` and these `members`, at `now`.
fn verify_times(members: &str, now: u64) -> Result<(), TokenError> {
    let token = forge(HEADER, format!(r#"{{"iss":"{}",{members}}}"#, SERVER_KEY.0));
    verifier().verify(&token, UnixTime::from_secs(now)).map(drop)
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Holds,
    Expired,
    NotYet,
    NoExpiry,
    Claims,
}
use Verdict::{Expired, Holds, NoExpiry, NotYet};

fn verdict(result: Result<(), TokenError>) -> Verdict {
    match result {
        Ok(()) => Holds,
        Err(TokenError::Expired { .. }) => Expired,
        Err(TokenError::NotYetValid { .. }) => NotYet,
        Err(TokenError::NoExpiry) => NoExpiry,
        Err(TokenError::Claims) => Verdict::Claims,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_token_holds_to_the_second_60_s_beyond_its_times() {
    for (exp, nbf, iat, expected) in [
        (0, 0, 0, Holds),
        (-60, 0, 0, Holds),
        (-61, 0, 0, Expired),
        (0, 60, 0, Holds),
        (0, 61, 0, NotYet),
        (0, 0, 60, Holds),
        (0, 0, 61, NotYet),
        (0, 60, 60, Holds),
        (0, -100_000, 61, NotYet),
        (-60, 60, 60, Holds),
        (-61, 61, 61, Expired),
    ] {
        let at = |offset: i64| NOW.checked_add_signed(offset).unwrap();
        let members = format!(r#""exp":{},"nbf":{},"iat":{}"#, at(exp), at(nbf), at(iat));
        assert_eq!(verdict(verify_times(&members, NOW)), expected, "exp {exp:+}, nbf {nbf:+}, iat {iat:+}");
    }
}

#[test]
fn a_refusal_names_the_time_that_it_is_for() {
    let refusal = |members: &str| verify_times(members, NOW).unwrap_err();
    assert_eq!(refusal(r#""exp":7"#), TokenError::Expired { since: UnixTime::from_secs(7) });
    let (later, latest) = (NOW + 100, NOW + 200);
    for members in [format!(r#""nbf":{later},"iat":{latest}"#), format!(r#""nbf":{latest},"iat":{later}"#)] {
        let refusal = refusal(&format!(r#"{members},"exp":{latest}"#));
        assert_eq!(refusal, TokenError::NotYetValid { until: UnixTime::from_secs(latest) });
    }
}

/// Values that no time can have, whichever claim has them.
const NO_TIMES: [&str; 9] = [r#""1795317315""#, r#""""#, r#""now""#, "true", "false", "[]", "[1795317315]", "{}", "1e400"];

#[test]
fn an_end_may_be_any_number_and_nothing_else() {
    let numbers = [
        ("1795317315.0", Holds),
        ("1.795317315e9", Holds),
        ("1795317255.5", Holds),
        ("1795317255.0", Holds),
        ("1795317254.999", Expired),
        ("1795317254.5", Expired),
        ("1e300", Holds),
        ("18446744073709551615", Holds),
        ("18446744073709551616", Holds),
        ("9223372036854775808", Holds),
        ("0", Expired),
        ("-0.0", Expired),
        ("1e-300", Expired),
        ("-1", Expired),
        ("-1.5", Expired),
        ("-1e300", Expired),
        ("-9223372036854775808", Expired),
        ("null", NoExpiry),
    ];
    for (exp, expected) in numbers.into_iter().chain(NO_TIMES.map(|exp| (exp, Verdict::Claims))) {
        assert_eq!(verdict(verify_times(&format!(r#""exp":{exp}"#), NOW)), expected, "exp {exp}");
    }
    assert_eq!(verdict(verify_times(r#""Exp":1e300"#, NOW)), NoExpiry);
}

#[test]
fn a_beginning_may_be_any_number_and_nothing_else() {
    let numbers = [
        ("1795317375.0", Holds),
        ("1795317374.5", Holds),
        ("1795317375.5", NotYet),
        ("1e300", NotYet),
        ("18446744073709551615", NotYet),
        ("18446744073709551616", NotYet),
        ("0", Holds),
        ("-1", Holds),
        ("-1.5", Holds),
        ("-1e300", Holds),
        ("null", Holds),
    ];
    for claim in ["nbf", "iat"] {
        for (from, expected) in numbers.iter().chain(&NO_TIMES.map(|from| (from, Verdict::Claims))) {
            let members = format!(r#""exp":{NOW},"{claim}":{from}"#);
            assert_eq!(verdict(verify_times(&members, NOW)), *expected, "{claim} {from}");
        }
    }
}

#[test]
fn no_moment_is_too_early_or_too_late_to_judge() {
    for (members, at, expected) in [
        (r#""exp":0"#, 0, Holds),
        (r#""exp":0"#, 60, Holds),
        (r#""exp":0"#, 61, Expired),
        (r#""exp":0"#, u64::MAX, Expired),
        (r#""exp":1e300,"nbf":1e300,"iat":1e300"#, u64::MAX, Holds),
        (r#""exp":18446744073709551615"#, u64::MAX, Holds),
        (r#""exp":1,"nbf":61"#, 0, NotYet),
    ] {
        assert_eq!(verdict(verify_times(members, at)), expected, "{members} at {at}");
    }
}

#[test]
fn a_name_that_stands_twice_is_refused_at_any_depth() {
    for members in [
        r#""sub":"a","sub":"b""#,
        r#""sub":"a","sub":"a""#,
        r#""sub":"a","\u0073ub":"a""#,
        r#""\u0069ss":"APIdevelopFixture""#,
        r#""iss":"APIother""#,
        r#""exp":1e300"#,
        r#""\u0065xp":1e300"#,
        r#""nbf":0,"nbf":0"#,
        r#""nbf":null,"nbf":null"#,
        r#""iat":0,"\u0069at":0"#,
        r#""sha256":"x","sha256":"x""#,
        r#""video":{},"video":{}"#,
        r#""video":{"room":"a","room":"b"}"#,
        r#""video":{"roomJoin":false,"\u0072oomJoin":true}"#,
        r#""attributes":{"k":"1","k":"2"}"#,
        r#""roomConfig":{"agents":[{"agentName":"a","agentName":"b"}]}"#,
        r#""unknown":1,"unknown":1"#,
        r#""unknown":{"a":{"b":[[{"c":1,"c":2}]]}}"#,
        r#""é":1,"\u00e9":1"#,
        r#""🚀":1,"\ud83d\ude80":1"#,
        r#""":1,"":1"#,
    ] {
        assert_eq!(verify(members).map(drop), Err(TokenError::Claims), "{members}");
    }
}

#[test]
fn the_same_name_in_different_objects_is_no_duplicate() {
    let claims = verify(
        r#""sub":"a","video":{"room":"r","x":{"room":"r"}},"unknown":[{"sub":1},{"sub":2},{"Sub":3,"sub":4}],"attributes":{"sub":"b"}"#,
    )
    .unwrap();
    assert_eq!((claims.sub.as_str(), claims.video.unwrap().room.as_str()), ("a", "r"));
}

#[test]
fn a_claim_of_a_wrong_type_is_refused() {
    for members in [
        r#""sub":1"#,
        r#""jti":1"#,
        r#""name":["Alice"]"#,
        r#""metadata":{}"#,
        r#""attributes":{"k":1}"#,
        r#""attributes":["k"]"#,
        r#""attributes":"k""#,
        r#""kind":1"#,
        r#""kind":["agent"]"#,
        r#""kind":{"agent":null}"#,
        r#""kindDetails":"forwarded""#,
        r#""kindDetails":[1]"#,
        r#""video":true"#,
        r#""video":"roomJoin""#,
        r#""video":[]"#,
        r#""video":[true]"#,
        r#""video":{"roomJoin":"true"}"#,
        r#""video":{"roomJoin":1}"#,
        r#""video":{"room":1}"#,
        r#""video":{"canPublish":"false"}"#,
        r#""video":{"canPublish":0}"#,
        r#""video":{"canPublishSources":"camera"}"#,
        r#""video":{"canPublishSources":[1]}"#,
        r#""video":{"canPublishSources":{}}"#,
        r#""video":{"canPublishSources":[{"camera":null}]}"#,
        r#""sip":[true,true]"#,
        r#""sip":{"admin":1}"#,
        r#""agent":[true]"#,
        r#""agent":{"admin":"x"}"#,
        r#""inference":[true]"#,
        r#""inference":true"#,
        r#""observability":[true]"#,
        r#""observability":1"#,
        r#""agentEndpoint":[true]"#,
        r#""agentEndpoint":{"agentName":1}"#,
        r#""agentThread":[true]"#,
        r#""agentThread":{"threadIds":"t"}"#,
        r#""roomConfig":[]"#,
        r#""roomConfig":"x""#,
        r#""roomPreset":{}"#,
        r#""sha256":1"#,
    ] {
        assert_eq!(verify(members).map(drop), Err(TokenError::Claims), "{members}");
    }
}

#[test]
fn a_payload_that_is_no_object_is_refused() {
    let (objects, lists) = (nested_objects(100_000), nested_lists(100_000));
    let rows: [&[u8]; 14] = [
        b" ",
        b"null",
        b"true",
        b"1",
        b"\"x\"",
        b"[]",
        br#"[{"iss":"APIdevelopFixture","exp":1e300}]"#,
        br#"["APIdevelopFixture",1e300]"#,
        br#"{"iss":"APIdevelopFixture","exp":1e300"#,
        br#"{"iss":"APIdevelopFixture","exp":1e300}}"#,
        b"\xef\xbb\xbf{\"iss\":\"APIdevelopFixture\",\"exp\":1e300}",
        b"{\"iss\":\"APIdevelopFixture\",\"exp\":1e300,\"sub\":\"\xff\"}",
        lists.as_bytes(),
        objects.as_bytes(),
    ];
    for payload in rows {
        let judged = verifier().verify(&forge(HEADER, payload), now()).map(drop);
        assert_eq!(judged, Err(TokenError::Claims), "{:.80}", String::from_utf8_lossy(payload));
    }
    for nested in [objects, lists] {
        assert_eq!(verify(&format!(r#""unknown":{nested}"#)).map(drop), Err(TokenError::Claims));
    }
}

#[test]
fn unknown_claims_and_grants_are_left_out() {
    let claims =
        verify(r#""identity":"x","aud":["y"],"video":{"roomJoin":true,"room":"r","canFly":true},"sip":{"x":1}"#).unwrap();
    assert!(claims.sub.is_empty() && claims.identity().is_empty());
    assert!(claims.video.unwrap().room_join);
}

#[test]
fn the_identity_is_sub_and_where_that_is_empty_jti() {
    for (members, identity) in [
        ("", ""),
        (r#""sub":"alice""#, "alice"),
        (r#""sub":"alice","jti":"bob""#, "alice"),
        (r#""sub":"","jti":"bob""#, "bob"),
        (r#""jti":"bob","identity":"carol""#, "bob"),
    ] {
        assert_eq!(verify(members).unwrap().identity(), identity, "{members}");
    }
}

#[test]
fn a_source_that_is_unknown_matches_nothing_and_a_kind_that_is_unknown_is_a_person() {
    let sources =
        |list: &str| verify(&format!(r#""video":{{"canPublishSources":{list}}}"#)).unwrap().video.unwrap().can_publish_sources;
    assert_eq!(
        sources(r#"["camera","microphone","screen_share","screen_share_audio"]"#),
        [TrackSource::Camera, TrackSource::Microphone, TrackSource::ScreenShare, TrackSource::ScreenShareAudio]
    );
    assert_eq!(sources(r#"["CAMERA","Camera","screenShare","","hologram"]"#), [TrackSource::Unknown; 5]);
    assert_eq!(sources("[]"), []);

    for (kind, expected) in [
        ("standard", ParticipantKind::Standard),
        ("ingress", ParticipantKind::Ingress),
        ("egress", ParticipantKind::Egress),
        ("sip", ParticipantKind::Sip),
        ("agent", ParticipantKind::Agent),
        ("connector", ParticipantKind::Connector),
        ("bridge", ParticipantKind::Bridge),
        ("AGENT", ParticipantKind::Standard),
        ("robot", ParticipantKind::Standard),
        ("", ParticipantKind::Standard),
    ] {
        assert_eq!(verify(&format!(r#""kind":"{kind}""#)).unwrap().kind, Some(expected), "{kind}");
    }
}

#[test]
fn a_token_of_another_key_is_refused() {
    let payload = |iss: &str| format!(r#"{{"iss":"{iss}","exp":{NOW}}}"#);
    let verify = |token: String| verifier().verify(&token, now()).map(drop);
    assert_eq!(
        verify(forge(HEADER, payload(EGRESS_KEY.0))),
        Err(TokenError::UnknownKey { name: EGRESS_KEY.0.to_owned() }),
        "the key that signed is ours, the one that is named is not"
    );
    let token = roomkey::AccessToken::new().to_jwt(&crate::fixtures::api_key((SERVER_KEY.0, EGRESS_KEY.1)), now()).unwrap();
    assert_eq!(verify(token), Err(TokenError::Jws(roomkey::jws::Error::Signature)));
}

#[test]
fn an_access_token_is_bare() {
    let token = forge_with("");
    assert!(verifier().verify(&token, now()).is_ok());
    for wrong in [format!("Bearer {token}"), format!("{token}\n"), format!(" {token}")] {
        assert_eq!(verifier().verify(&wrong, now()).map(drop), Err(TokenError::Jws(roomkey::jws::Error::Malformed)));
    }
}

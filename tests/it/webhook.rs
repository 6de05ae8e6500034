//! Tests of what a webhook's token must say. The tokens are forged with the right key, so that each is refused only for what its
//! row names.

use roomkey::{Delivery, TokenError, UnixTime, WebhookError};

use crate::fixtures::{
    EGRESS_KEY, HEADER, NOW, SERVER_KEY, base64url, digest, first_recorded, forge, forge_with, hex, library_tokens, nested_lists,
    now, payload, receiver, sign,
};

const BODY: &str = r#"{"event":"room_started"}"#;

fn receive(authorization: &str) -> Result<Delivery<&str>, WebhookError> {
    receiver().receive(authorization, BODY, now())
}

#[test]
fn a_token_that_vouches_for_no_body_is_refused() {
    for members in ["", r#""sha256":null"#, r#""video":{"roomJoin":true,"room":"r"},"sub":"alice""#, r#""SHA256":"x""#] {
        assert_eq!(receive(&forge_with(members)).unwrap_err(), WebhookError::NoDigest, "{members}");
    }
}

#[test]
fn access_tokens_of_every_library_are_no_webhooks_and_their_webhooks_are() {
    let recorded = first_recorded();
    let (mut webhooks, mut others) = (0, 0);
    for each in library_tokens() {
        let at = UnixTime::from_secs(payload(&each.token)["nbf"].as_u64().unwrap());
        let received = receiver().receive(&each.token, &recorded.body, at);
        if each.name.ends_with(": webhook") {
            assert_eq!(received.map(drop), Ok(()), "{}", each.name);
            webhooks += 1;
        } else {
            assert_eq!(received.map(drop), Err(WebhookError::NoDigest), "{}", each.name);
            others += 1;
        }
    }
    assert_eq!((webhooks, others), (3, 22));
}

#[test]
fn a_digest_in_any_other_writing_is_refused() {
    use base64::Engine;
    use sha2::{Digest, Sha256};
    // A body whose digest has both letters in which base64 and base64url differ.
    let body = (0..).map(|n: u32| n.to_string()).find(|body| digest(body).contains('+') && digest(body).contains('/')).unwrap();
    let (right, bytes) = (digest(&body), Sha256::digest(&body));
    let trailing = format!("{}{}=", &right[..42], char::from(right.as_bytes()[42] + 1));
    let url_padded = base64::engine::general_purpose::URL_SAFE.encode(bytes);

    let judge = |sha256: &str| {
        let token = forge_with(&format!(r#""sha256":"{sha256}""#));
        receiver().receive(&token, &body, now()).map(drop)
    };
    assert_eq!(judge(&right), Ok(()));
    assert_eq!(judge(&right.replace('+', "\\u002b")), Ok(()), "an escape is the same string");
    for (name, sha256) in [
        ("of another body", digest("another")),
        ("of no body", digest("")),
        ("hex", hex(&bytes)),
        ("hex in upper case", hex(&bytes).to_uppercase()),
        ("base64url, padded", url_padded),
        ("base64url", base64url(bytes)),
        ("unpadded", right.trim_end_matches('=').to_owned()),
        ("padded twice", format!("{right}=")),
        ("trailing bits", trailing),
        ("a blank in front", format!(" {right}")),
        ("a line end behind", format!("{right}\\n")),
        ("with its name", format!("sha256={right}")),
        ("lower case", right.to_lowercase()),
        ("empty", String::new()),
    ] {
        assert_eq!(judge(&sha256), Err(WebhookError::Digest), "{name}: {sha256}");
    }
}

#[test]
fn a_digest_that_is_no_string_is_refused() {
    for sha256 in ["0", "1.5", "true", "[]", "{}"] {
        let error = receive(&forge_with(&format!(r#""sha256":{sha256}"#))).unwrap_err();
        assert_eq!(error, TokenError::Claims.into(), "{sha256}");
    }
}

#[test]
fn a_claim_that_stands_twice_is_refused_though_the_signature_is_right() {
    let right = digest(BODY);
    assert_eq!(receive(&forge_with(&format!(r#""sha256":"{right}""#))).map(drop), Ok(()));
    for members in [
        format!(r#""sha256":"{right}","sha256":"{right}""#),
        format!(r#""sha256":null,"sha256":"{right}""#),
        format!(r#""sha256":"{right}","\u0073ha256":"{right}""#),
        format!(r#""sha256":"{right}","x":[{{"a":1,"a":1}}]"#),
        format!(r#""sha256":"{right}","exp":{NOW}"#),
        format!(r#""sha256":"{right}","x":{}"#, nested_lists(100_000)),
    ] {
        assert_eq!(receive(&forge_with(&members)).unwrap_err(), TokenError::Claims.into(), "{members:.200}");
    }
}

#[test]
fn a_valid_token_is_refused_where_its_issuer_is_another() {
    let payload = |iss: &str| format!(r#"{{{iss}"exp":{NOW},"sha256":"{}"}}"#, digest(BODY));
    let of = |iss: &str| forge(HEADER, payload(iss));
    let unknown = |name: &str| WebhookError::from(TokenError::UnknownKey { name: name.to_owned() });
    assert_eq!(receive(&of(r#""iss":"APIother","#)).unwrap_err(), unknown("APIother"));
    assert_eq!(receive(&of(r#""iss":"apidevelopfixture","#)).unwrap_err(), unknown("apidevelopfixture"));
    assert_eq!(receive(&of(r#""iss":"","#)).unwrap_err(), unknown(""));
    assert_eq!(receive(&of(r#""iss":null,"#)).unwrap_err(), unknown(""));
    assert_eq!(receive(&of("")).unwrap_err(), unknown(""));
    assert_eq!(receive(&of(r#""iss":1,"#)).unwrap_err(), TokenError::Claims.into());
    let crossed = of(&format!(r#""iss":"{}","#, EGRESS_KEY.0));
    assert_eq!(receive(&crossed).unwrap_err(), TokenError::Jws(roomkey::jws::Error::Signature).into());
}

#[test]
fn a_webhook_without_an_end_is_refused() {
    let members = format!(r#""iss":"{}","sha256":"{}""#, SERVER_KEY.0, digest(BODY));
    for exp in ["", r#","exp":null"#] {
        assert_eq!(receive(&forge(HEADER, format!("{{{members}{exp}}}"))).unwrap_err(), TokenError::NoExpiry.into());
    }
}

#[test]
fn a_bearer_in_any_case_may_stand_in_front() {
    let token = forge_with(&format!(r#""sha256":"{}""#, digest(BODY)));
    for before in ["", "Bearer ", "bearer ", "BEARER ", "bEaReR ", "Bearer   "] {
        assert_eq!(receive(&format!("{before}{token}")).map(drop), Ok(()), "{before:?}");
    }
    for before in [" ", "Bearer:", "Bearer\t", "Bearer Bearer ", "Basic ", "Token ", "Bearer, ", " Bearer ", "\u{a0}"] {
        let error = receive(&format!("{before}{token}")).unwrap_err();
        assert!(error.is_malformed(), "{before:?}: {error}");
    }
    for nothing in ["", "Bearer", "Bearer ", "bearer  ", " "] {
        assert!(receive(nothing).unwrap_err().is_malformed(), "{nothing:?}");
    }
    assert!(receive(&format!("{token} ")).unwrap_err().is_malformed());
}

#[test]
fn only_what_is_not_in_the_form_of_a_token_is_malformed() {
    let input = format!("{}.{}", base64url(HEADER), base64url("{}"));
    for (malformed, authorization) in [
        (true, "x".to_owned()),
        (true, "a.b".to_owned()),
        (true, "a.b.".to_owned()),
        (true, "a.b.c.d".to_owned()),
        (true, "a.b=.c".to_owned()),
        (true, forge(HEADER, "")),
        (true, sign(&format!(".{}", base64url("{}")), SERVER_KEY.1)),
        (false, "a.b.c".to_owned()),
        (false, "-._.0".to_owned()),
        (false, forge("[]", "{}")),
        (false, forge(r#"{"alg":"none"}"#, "{}")),
        (false, forge(HEADER, "x")),
        (false, forge(HEADER, "{}")),
        (false, format!("{input}.{}", base64url([0; 32]))),
        (false, forge_with("")),
        (false, forge_with(r#""sha256":"x""#)),
    ] {
        let error = receive(&authorization).unwrap_err();
        assert_eq!(error.is_malformed(), malformed, "{authorization}: {error}");
    }
}

#[test]
fn a_body_of_any_kind_of_bytes_is_handed_back_as_it_came() {
    let token = |body: &[u8]| forge_with(&format!(r#""sha256":"{}""#, digest(body)));
    let bodies: [&[u8]; 5] = [b"", b"\xff\xfe\x00", b"null", b" {\r\n} \t", b"\xef\xbb\xbf{}"];
    for body in bodies {
        let borrowed = receiver().receive(&token(body), body, now()).unwrap();
        let owned = receiver().receive(&token(body), body.to_vec(), now()).unwrap();
        assert_eq!((borrowed.body(), owned.body()), (body, body));
    }
}

#[test]
fn a_sender_is_judged_before_there_is_a_body() {
    let authenticate = |token: &str| receiver().authenticate(token, now());
    assert_eq!(authenticate(&forge_with("")).map(drop), Err(WebhookError::NoDigest));
    let sender = || authenticate(&forge_with(&format!(r#""sha256":"{}""#, digest(BODY)))).unwrap();
    assert_eq!(sender().accept(BODY).unwrap().key(), SERVER_KEY.0);
    assert_eq!(sender().accept("{}").map(drop), Err(WebhookError::Digest));
}

//! Tests the form, encoding, header and signature of a JWS. Each token here has a right signature, so that the only thing wrong with
//! it is what its row names.

use roomkey::jws::{Error, Key, Signer, Unverified};

use crate::fixtures::{HEADER, SERVER_KEY, base64url, forge, nested_lists, nested_objects, sign};

const SECRET: &str = SERVER_KEY.1;

fn verify(token: &str) -> Result<Vec<u8>, Error> {
    let key = Key::new(SECRET.as_bytes()).unwrap();
    Unverified::parse(token)?.verify(&key).map(<[u8]>::to_vec)
}

#[test]
fn the_example_of_rfc_7515_appendix_a_1_holds() {
    use base64::Engine;
    let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let key = Key::new(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(secret).unwrap()).unwrap();
    let token = Unverified::parse(concat!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ))
    .unwrap();
    let payload = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    assert_eq!(token.verify(&key).unwrap(), payload.as_bytes());
}

#[test]
fn what_is_signed_is_what_an_independent_signer_signs() {
    let key = Key::new(SECRET.as_bytes()).unwrap();
    for length in 1..300 {
        let payload = "x".repeat(length);
        let signed = Signer::new(&key, b"x").sign(|out| out.extend_from_slice(&payload.as_bytes()[1..]));
        assert_eq!(signed, forge(HEADER, &payload), "{length} bytes");
    }
}

#[test]
fn headers_that_ask_for_hs256_and_nothing_more_hold() {
    for header in [
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"typ":"jwt","alg":"HS256","kid":"1"}"#,
        "\t{ \"alg\" :\r\n \"HS256\" } ",
        r#"{"alg":"\u0048S256"}"#,
        r#"{"\u0061lg":"HS256"}"#,
        r#"{"alg":"HS256","typ":null,"x":{"alg":"none","crit":[]},"y":[1,-1.5,true,{}]}"#,
    ] {
        assert_eq!(verify(&forge(header, "{}")), Ok(b"{}".to_vec()), "{header}");
    }
}

#[test]
fn every_other_algorithm_is_refused() {
    let names = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "nonE",
        "NonE",
        "HS384",
        "HS512",
        "RS256",
        "PS256",
        "ES256",
        "EdDSA",
        "hs256",
        "Hs256",
        "HS256 ",
        " HS256",
        "HS256\\u0000",
        "SHA256",
        "",
    ];
    let named = names.map(|name| format!(r#"{{"alg":"{name}","typ":"JWT"}}"#));
    let others = ["{}", r#"{"typ":"JWT"}"#, r#"{"ALG":"HS256"}"#, r#"{"alg ":"HS256"}"#, r#"{"x":{"alg":"HS256"}}"#];
    let types = ["null", "true", "256", "0", r#"["HS256"]"#, r#"{"HS256":null}"#].map(|alg| format!(r#"{{"alg":{alg}}}"#));
    for header in named.into_iter().chain(types).chain(others.map(str::to_owned)) {
        assert_eq!(verify(&forge(&header, "{}")), Err(Error::Algorithm), "{header}");
    }
}

#[test]
fn an_unsigned_token_is_refused_whatever_it_claims() {
    for header in [HEADER, r#"{"alg":"none"}"#, r#"{"alg":"None"}"#] {
        assert_eq!(verify(&format!("{}.{}.", base64url(header), base64url("{}"))), Err(Error::Malformed), "{header}");
    }
}

#[test]
fn a_right_mac_of_another_algorithm_is_refused() {
    use hmac::{Hmac, KeyInit, Mac};
    let input = |header: &str| format!("{}.{}", base64url(header), base64url("{}"));
    let hs384 = |input: &str| Hmac::<sha2::Sha384>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(input).finalize();
    for (header, expected) in [(r#"{"alg":"HS384"}"#, Error::Algorithm), (HEADER, Error::Encoding)] {
        let input = input(header);
        assert_eq!(verify(&format!("{input}.{}", base64url(hs384(&input).into_bytes()))), Err(expected), "{header}");
    }
}

#[test]
fn a_payload_and_a_signature_as_long_as_a_mac_are_told_apart() {
    // The payload, a dot and the signature have the 43 characters of a MAC.
    for (header, expected) in [(r#"{"alg":"none"}"#, Error::Algorithm), (HEADER, Error::Encoding)] {
        let token = format!("{}.{}.{}", base64url(header), "a".repeat(10), "b".repeat(32));
        assert_eq!(verify(&token), Err(expected), "{header}");
    }
}

#[test]
fn any_crit_is_refused() {
    for header in [
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","crit":["exp"],"exp":0}"#,
        r#"{"alg":"HS256","crit":["alg"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","crit":false}"#,
        r#"{"alg":"HS256","crit":""}"#,
        r#"{"alg":"HS256","crit":{}}"#,
        r#"{"crit":["x"],"alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0063rit":["x"]}"#,
    ] {
        assert_eq!(verify(&forge(header, "{}")), Err(Error::Critical), "{header}");
    }
}

#[test]
fn a_header_that_is_no_object_of_unique_names_is_refused() {
    let (objects, lists) = (nested_objects(100_000), nested_lists(100_000));
    let deep = format!(r#"{{"alg":"HS256","x":{objects}}}"#);
    let rows: [(&str, &[u8]); 21] = [
        ("the same alg twice", br#"{"alg":"HS256","alg":"HS256"}"#),
        ("none, then HS256", br#"{"alg":"none","alg":"HS256"}"#),
        ("HS256, then none", br#"{"alg":"HS256","alg":"none"}"#),
        ("an escaped second alg", br#"{"alg":"none","\u0061lg":"HS256"}"#),
        ("crit twice", br#"{"alg":"HS256","crit":null,"crit":null}"#),
        ("an unknown name twice", br#"{"alg":"HS256","x":1,"x":1}"#),
        ("a nested name twice", br#"{"alg":"HS256","jwk":{"k":"a","k":"b"}}"#),
        ("a name twice in a list", br#"{"alg":"HS256","x":[1,{"a":1,"\u0061":1}]}"#),
        ("a list", br#"["HS256"]"#),
        ("a list of a member", br#"[{"alg":"HS256"}]"#),
        ("a string", br#""HS256""#),
        ("null", b"null"),
        ("a number", b"1"),
        ("a blank", b" "),
        ("cut off", br#"{"alg":"HS256""#),
        ("something after it", br#"{"alg":"HS256"}{}"#),
        ("a byte order mark", b"\xef\xbb\xbf{\"alg\":\"HS256\"}"),
        ("not UTF-8", b"{\"alg\":\"HS256\",\"x\":\"\xff\"}"),
        ("a lone surrogate", br#"{"alg":"HS256","x":"\ud800"}"#),
        ("100,000 objects in each other", deep.as_bytes()),
        ("100,000 lists in each other", lists.as_bytes()),
    ];
    for (name, header) in rows {
        assert_eq!(verify(&forge(header, "{}")), Err(Error::Header), "{name}");
    }
}

#[test]
fn a_signature_of_another_length_is_refused() {
    let input = format!("{}.{}", base64url(HEADER), base64url("{}"));
    for length in [1, 16, 31, 33, 48, 64] {
        assert_eq!(verify(&format!("{input}.{}", base64url(vec![0; length]))), Err(Error::Encoding), "{length} bytes");
    }
    assert_eq!(verify(&format!("{input}.{}", base64url([0; 32]))), Err(Error::Signature));
}

#[test]
fn another_secret_is_refused() {
    let token = forge(HEADER, "{}");
    for secret in ["x", "fixtureSecret-for-tests-only-0123456789abcdeF", "fixtureSecret-for-tests-only-0123456789abcdef\u{1}"] {
        let key = Key::new(secret.as_bytes()).unwrap();
        assert_eq!(Unverified::parse(&token).unwrap().verify(&key), Err(Error::Signature), "{secret}");
    }
}

/// A token whose three parts each have unused bits in the last character, and the parts.
fn token_with_trailing_bits() -> (String, [String; 3]) {
    let token = forge(r#"{"alg":"HS256" }"#, "1234567");
    let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    assert!(parts.iter().all(|part| part.len() % 4 != 0));
    assert_eq!(verify(&token).unwrap(), b"1234567");
    (token, parts.try_into().unwrap())
}

/// The token of these parts. It is signed again, unless the changed part, at `index`, is the signature.
fn rejoin(parts: &[String; 3], index: usize) -> String {
    let input = format!("{}.{}", parts[0], parts[1]);
    if index == 2 { format!("{input}.{}", parts[2]) } else { sign(&input, SECRET) }
}

#[test]
fn trailing_bits_that_are_not_zero_are_refused_in_each_part() {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (_, parts) = token_with_trailing_bits();
    for index in 0..3 {
        let (rest, last) = parts[index].split_at(parts[index].len() - 1);
        let at = ALPHABET.find(last).unwrap();
        let spare = if parts[index].len() % 4 == 2 { 16 } else { 4 };
        assert_eq!(at % spare, 0);
        for bits in 1..spare {
            let mut parts = parts.clone();
            parts[index] = format!("{rest}{}", &ALPHABET[at + bits..=at + bits]);
            assert_eq!(verify(&rejoin(&parts, index)), Err(Error::Encoding), "part {index}, bits {bits:b}");
        }
    }
}

#[test]
fn a_length_that_no_bytes_have_is_refused_in_each_part() {
    let (_, parts) = token_with_trailing_bits();
    for index in 0..3 {
        let mut parts = parts.clone();
        while parts[index].len() % 4 != 1 {
            parts[index].push('A');
        }
        assert_eq!(verify(&rejoin(&parts, index)), Err(Error::Encoding), "part {index}");
    }
}

#[test]
fn what_is_no_letter_of_base64url_is_malformed_in_each_part() {
    let (_, parts) = token_with_trailing_bits();
    for index in 0..3 {
        for junk in ["=", "==", "+", "/", "?", "#", "!", ",", ":", "%", " ", "\t", "\n", "\r\n", "\0", "\u{7f}", "é", "\u{ff21}"]
        {
            for at in [0, 5, parts[index].len()] {
                let mut parts = parts.clone();
                parts[index].insert_str(at, junk);
                assert_eq!(verify(&rejoin(&parts, index)), Err(Error::Malformed), "{junk:?} at {at} of part {index}");
            }
        }
    }
}

#[test]
fn what_is_not_three_parts_that_hold_something_is_malformed() {
    let (token, [header, payload, signature]) = token_with_trailing_bits();
    for wrong in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        header.clone(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{header}.{token}"),
        format!("{header}..{payload}.{signature}"),
        sign(&format!("{header}."), SECRET),
        sign(&format!(".{payload}"), SECRET),
        sign(&format!("{header}.{payload}.{payload}"), SECRET),
        format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#),
    ] {
        assert_eq!(verify(&wrong), Err(Error::Malformed), "{wrong:?}");
    }
}

#[test]
fn an_empty_payload_is_malformed_though_it_is_signed() {
    for header in [HEADER, r#"{"alg":"HS256"}"#] {
        assert_eq!(verify(&forge(header, "")), Err(Error::Malformed), "{header}");
    }
}

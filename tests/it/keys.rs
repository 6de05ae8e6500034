//! Tests of keys: which names and secrets are valid, what each of several keys does, and that none shows its secret.

use roomkey::livekit::key::MIN_SECRET_BYTES;
use roomkey::{AccessToken, ApiKey, ApiKeys, KeyError, TokenVerifier, WebhookReceiver, jws};

use crate::fixtures::{EGRESS_KEY, SERVER_KEY, api_key, forge_with, now, receiver, verifier};

#[test]
fn an_empty_or_short_secret_is_refused() {
    let (short, enough) = ("s".repeat(MIN_SECRET_BYTES - 1), "s".repeat(MIN_SECRET_BYTES));
    for (name, secret) in [
        ("key", ""),
        ("key", "s"),
        ("key", &short),
        ("key", "secret"),
        ("devkey", ""),
        ("devkey", "Secret"),
        ("devkey", "secrets"),
        ("DEVKEY", "secret"),
    ] {
        assert_eq!(ApiKey::new(name, secret).map(drop), Err(KeyError::ShortSecret), "{name} {secret}");
        assert_eq!(TokenVerifier::with_api_key(name, secret).map(drop), Err(KeyError::ShortSecret), "{name} {secret}");
    }
    assert_eq!(ApiKey::new("key", &enough).map(|key| key.name().to_owned()), Ok("key".to_owned()));
    assert_eq!(jws::Key::new(b""), None);
}

#[test]
fn a_secret_is_counted_in_bytes() {
    assert_eq!(ApiKey::new("key", &"ü".repeat(16)).map(drop), Ok(()));
    assert_eq!(ApiKey::new("key", &"ü".repeat(15)).map(drop), Err(KeyError::ShortSecret));
}

#[test]
fn a_key_without_a_name_is_refused() {
    assert_eq!(ApiKey::new("", SERVER_KEY.1).map(drop), Err(KeyError::EmptyName));
    assert_eq!(ApiKey::new("", "").map(drop), Err(KeyError::EmptyName));
}

#[test]
fn the_development_pair_is_known_as_such() {
    assert!(ApiKey::new("devkey", "secret").unwrap().is_development());
    assert!(!ApiKey::new("devkey", SERVER_KEY.1).unwrap().is_development());
    assert!(!api_key(SERVER_KEY).is_development());
}

#[test]
fn keys_are_equal_by_name_and_secret() {
    assert_eq!(api_key(SERVER_KEY), api_key(SERVER_KEY));
    assert_ne!(api_key(SERVER_KEY), api_key((SERVER_KEY.0, EGRESS_KEY.1)));
    assert_ne!(api_key(SERVER_KEY), api_key((EGRESS_KEY.0, SERVER_KEY.1)));
}

#[test]
fn the_first_key_mints_and_all_verify() {
    let keys = ApiKeys::new(api_key(EGRESS_KEY), [api_key(SERVER_KEY)]).unwrap();
    assert_eq!(keys.minting().name(), EGRESS_KEY.0);
    assert_eq!(keys.find(SERVER_KEY.0), Some(&api_key(SERVER_KEY)));
    assert_eq!(keys.find("APIother"), None);

    let verifier = TokenVerifier::new(keys);
    for pair in [EGRESS_KEY, SERVER_KEY] {
        let token = AccessToken::new().to_jwt(&api_key(pair), now()).unwrap();
        assert_eq!(verifier.verify(&token, now()).unwrap().iss, pair.0);
    }
}

#[test]
fn one_name_with_two_secrets_is_a_contradiction() {
    let contradicting = api_key((SERVER_KEY.0, EGRESS_KEY.1));
    let expected = Err(KeyError::Contradiction { name: SERVER_KEY.0.to_owned() });
    assert_eq!(ApiKeys::new(api_key(SERVER_KEY), [contradicting.clone()]).map(drop), expected);
    assert_eq!(ApiKeys::new(api_key(EGRESS_KEY), [api_key(SERVER_KEY), contradicting]).map(drop), expected);
}

#[test]
fn the_same_key_twice_is_one_key() {
    let keys = ApiKeys::new(api_key(SERVER_KEY), [api_key(SERVER_KEY), api_key(EGRESS_KEY), api_key(EGRESS_KEY)]).unwrap();
    assert_eq!(format!("{keys:?}").matches("ApiKey {").count(), 2);
    assert_eq!(keys.minting(), &api_key(SERVER_KEY));
}

#[test]
fn another_key_than_the_first_mints() {
    let keys = ApiKeys::new(api_key(SERVER_KEY), [api_key(EGRESS_KEY)]).unwrap();
    assert!(keys.names().eq([SERVER_KEY.0, EGRESS_KEY.0]));
    let other = keys.clone().minting_with(EGRESS_KEY.0).unwrap();
    assert_eq!(other.minting(), &api_key(EGRESS_KEY));
    assert!(other.names().eq([EGRESS_KEY.0, SERVER_KEY.0]));
    assert!(keys.clone().minting_with(SERVER_KEY.0).unwrap().names().eq(keys.names()));
    let unknown = Err(KeyError::Unknown { name: "APIother".to_owned() });
    assert_eq!(keys.minting_with("APIother").map(drop), unknown);
}

#[test]
fn no_secret_is_shown() {
    let (name, secret) = SERVER_KEY;
    let key = jws::Key::new(secret.as_bytes()).unwrap();
    let token = forge_with("");
    let shown = [
        format!("{key:?} {key:#?}"),
        format!("{:?}", jws::Signer::new(&key, b"{")),
        format!("{:?}", jws::Unverified::parse(&token).unwrap()),
        format!("{:?} {:#?}", api_key(SERVER_KEY), api_key(SERVER_KEY)),
        format!("{:?} {:#?}", ApiKeys::from(api_key(SERVER_KEY)), ApiKeys::single(api_key(SERVER_KEY))),
        format!("{:?} {:#?}", verifier(), verifier()),
        format!("{:?} {:#?}", receiver(), WebhookReceiver::new(verifier())),
        format!("{:?}", ApiKey::new(name, &secret[..20])),
        format!("{:?}", ApiKeys::new(api_key(SERVER_KEY), [api_key((name, EGRESS_KEY.1))])),
        KeyError::Contradiction { name: name.to_owned() }.to_string(),
    ];
    // As text, and as a list of bytes.
    let bytes = secret.as_bytes()[..4].iter().map(u8::to_string).collect::<Vec<_>>();
    let forms = [&secret[..8], &EGRESS_KEY.1[..8], &bytes.join(", ")];
    for shown in shown.map(|shown| shown.split_whitespace().collect::<Vec<_>>().join(" ")) {
        assert!(forms.iter().all(|form| !shown.contains(form)), "{shown}");
        assert!(token.split('.').all(|part| !shown.contains(part)), "{shown}");
    }
}

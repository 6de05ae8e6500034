//! Tests of the recorded deliveries as webhooks: each verifies at its own time, and none does if anything about it is changed.

use std::collections::BTreeMap;

use roomkey::jws::Error;
use roomkey::{ApiKey, TokenError, TokenVerifier, UnixTime, WebhookError, WebhookReceiver};
use sha2::{Digest, Sha256};

use crate::fixtures::{EGRESS_KEY, Recorded, SERVER_KEY, api_key, receiver, recorded};

/// Hands `delivery` to a receiver of all keys, `seconds` after 1970.
fn receive(delivery: &Recorded, seconds: u64) -> Result<(), WebhookError> {
    receiver().receive(&delivery.authorization, &delivery.body, UnixTime::from_secs(seconds)).map(drop)
}

#[test]
fn every_delivery_holds_at_its_own_time() {
    let recorded = recorded();
    assert_eq!(recorded.len(), 40, "a delivery got lost");
    for each in &recorded {
        let received = receiver().receive(&each.authorization, &each.body, UnixTime::from_secs(each.at)).unwrap();
        assert_eq!(received.body(), each.body, "{}", each.name);
        assert_eq!(received.key(), each.key, "{}", each.name);
        assert_eq!(received.digest(), &<[u8; 32]>::from(Sha256::digest(&each.body)), "{}", each.name);
    }
}

#[test]
fn every_delivery_holds_from_60_s_before_its_time_to_60_s_after_its_end() {
    for each in recorded() {
        for (held, at) in [
            (false, 0),
            (false, each.at - 61),
            (true, each.at - 60),
            (true, each.at),
            (true, each.at + 1),
            (true, each.until),
            (true, each.until + 60),
            (false, each.until + 61),
            (false, u64::MAX),
        ] {
            match receive(&each, at) {
                Ok(()) => assert!(held, "{} held at {at}", each.name),
                Err(WebhookError::Token(TokenError::NotYetValid { until })) => {
                    assert!(!held && at < each.at, "{} at {at}", each.name);
                    assert_eq!(until.as_secs(), each.at);
                }
                Err(WebhookError::Token(TokenError::Expired { since })) => {
                    assert!(!held && at > each.until, "{} at {at}", each.name);
                    assert_eq!(since.as_secs(), each.until);
                }
                Err(error) => panic!("{} at {at}: {error}", each.name),
            }
        }
    }
}

#[test]
fn a_token_vouches_for_its_own_body_alone() {
    let (recorded, receiver) = (recorded(), receiver());
    for each in &recorded {
        let at = UnixTime::from_secs(each.at);
        for other in &recorded {
            let expected = if each.body == other.body { Ok(()) } else { Err(WebhookError::Digest) };
            let received = receiver.receive(&each.authorization, &other.body, at).map(drop);
            assert_eq!(received, expected, "the token of {} with the body of {}", each.name, other.name);
        }
    }
}

#[test]
fn a_body_that_is_longer_or_shorter_is_refused() {
    let receiver = receiver();
    for each in recorded() {
        let (longer, shorter) = ([&each.body[..], b"\n"].concat(), &each.body[..each.body.len() - 1]);
        for body in [&longer, shorter, &each.body[1..], b"", b"{}"] {
            let received = receiver.receive(&each.authorization, body, UnixTime::from_secs(each.at));
            assert_eq!(received.map(drop), Err(WebhookError::Digest), "{}", each.name);
        }
    }
}

/// All bits of a body would take minutes; a prime step visits every position of a byte.
const SAMPLED_BITS: usize = 53;

#[test]
fn a_flipped_bit_in_a_body_is_refused() {
    let receiver = receiver();
    for mut each in recorded() {
        for bit in (0..each.body.len() * 8).step_by(SAMPLED_BITS) {
            each.body[bit / 8] ^= 1 << (bit % 8);
            let received = receiver.receive(&each.authorization, &each.body, UnixTime::from_secs(each.at));
            assert_eq!(received.map(drop), Err(WebhookError::Digest), "bit {bit} of {}", each.name);
            each.body[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// What `is_malformed` promises, in the words of its definition.
fn has_three_parts(token: &str) -> bool {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let parts: Vec<&str> = token.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| !part.is_empty() && part.chars().all(|letter| ALPHABET.contains(letter)))
}

/// Refuses `authorization`, which is no token of ours any more, and says rightly whether it still looks like one.
fn assert_refused(receiver: &WebhookReceiver, authorization: &str, at: u64) {
    let error = receiver.authenticate(authorization, UnixTime::from_secs(at)).map(drop).expect_err(authorization);
    assert_eq!(error.is_malformed(), !has_three_parts(authorization), "{authorization}: {error}");
}

#[test]
fn a_flipped_bit_in_a_token_is_refused() {
    let receiver = receiver();
    for each in recorded() {
        let mut token = each.authorization.into_bytes();
        let mut flipped = 0;
        for bit in 0..token.len() * 8 {
            token[bit / 8] ^= 1 << (bit % 8);
            // What is not UTF-8 never gets here: it cannot be in a `&str`.
            if let Ok(token) = str::from_utf8(&token) {
                assert_refused(&receiver, token, each.at);
                flipped += 1;
            }
            token[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(flipped, token.len() * 7, "each bit but the highest of a byte is in reach");
    }
}

#[test]
fn a_token_that_is_cut_anywhere_is_refused() {
    let receiver = receiver();
    for Recorded { authorization, at, .. } in recorded() {
        for cut in 0..authorization.len() {
            assert_refused(&receiver, &authorization[..cut], at);
            assert_refused(&receiver, &authorization[cut + 1..], at);
            assert_refused(&receiver, &format!("{}{}", &authorization[..cut], &authorization[cut + 1..]), at);
        }
    }
}

#[test]
fn a_token_with_a_letter_too_many_is_refused() {
    let receiver = receiver();
    let Recorded { authorization, at, .. } = &recorded()[0];
    for place in 0..=authorization.len() {
        for letter in ["A", "_", ".", "=", " ", "\0", "é"] {
            assert_refused(&receiver, &format!("{}{letter}{}", &authorization[..place], &authorization[place..]), *at);
        }
    }
}

#[test]
fn a_delivery_of_a_key_that_is_not_ours_is_refused() {
    for each in recorded() {
        let other = if each.key == SERVER_KEY.0 { EGRESS_KEY } else { SERVER_KEY };
        let only = |key: ApiKey| WebhookReceiver::new(TokenVerifier::new(key));
        let at = UnixTime::from_secs(each.at);

        let stranger = only(api_key(other)).receive(&each.authorization, &each.body, at).map(drop);
        assert_eq!(stranger, Err(TokenError::UnknownKey { name: each.key.clone() }.into()), "{}", each.name);

        let impostor = only(api_key((&each.key, other.1))).receive(&each.authorization, &each.body, at).map(drop);
        assert_eq!(impostor, Err(TokenError::Jws(Error::Signature).into()), "{}", each.name);
    }
}

#[test]
fn an_event_that_came_under_two_keys_is_one_event() {
    let recorded = recorded();
    let mut by_id: BTreeMap<String, Vec<&Recorded>> = BTreeMap::new();
    for each in &recorded {
        let received = receiver().receive(&each.authorization, &each.body, UnixTime::from_secs(each.at)).unwrap();
        by_id.entry(received.event().unwrap().id.into_owned()).or_default().push(each);
    }
    let pairs: Vec<_> = by_id.values().filter(|deliveries| deliveries.len() > 1).collect();
    assert_eq!((by_id.len(), pairs.len()), (37, 3));
    for pair in pairs {
        let [one, other] = pair[..] else { panic!("{} is no pair", pair[0].name) };
        assert_eq!((&one.body, one.event()), (&other.body, other.event()));
        assert_ne!(one.key, other.key);
    }
}

#[test]
fn a_refusal_shows_neither_token_nor_body() {
    for each in recorded() {
        let mut wrong = vec![
            receive(&each, 0).unwrap_err(),
            receive(&each, u64::MAX).unwrap_err(),
            receiver().receive(&each.authorization, "", UnixTime::from_secs(each.at)).unwrap_err(),
        ];
        wrong.push(receiver().authenticate(&each.authorization[1..], UnixTime::from_secs(each.at)).unwrap_err());
        for error in wrong {
            let shown = format!("{error} {error:?}");
            assert!(each.authorization.split('.').all(|part| !shown.contains(&part[1..])), "{shown}");
        }
    }
}

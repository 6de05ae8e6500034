//! Tests of refused webhooks: 400 if there is no token, one and the same 401 for everything else.

use hmac::{Hmac, KeyInit, Mac};
use roomkey::UnixTime;
use sha2::{Digest, Sha256, Sha384};

use crate::fixtures::{EGRESS_KEY, HEADER, NOW, SERVER_KEY, api_key, base64url, digest, first_recorded, forge, recorded, sign};
use crate::harness::client::{Answer, post};
use crate::harness::edge::{Server, Setup};
use crate::harness::sender::{STRANGER, authorization, authorization_at, forge_claims, part, request_of};

/// The one body of every 401.
const REFUSED: &[u8] = br#"{"errorMessage":"Error validating webhook event"}"#;

fn deliver(server: &Server, authorization: &str, body: impl AsRef<[u8]>) -> Answer {
    server.ask(post("/webhook", &[("Authorization", authorization)], body))
}

#[track_caller]
fn assert_refused(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 401, "{why}");
    assert_eq!(answer.body, REFUSED, "{why}");
    answer.error();
}

/// The claims of a webhook's valid token for an empty body.
fn claims() -> String {
    format!(r#"{{"iss":"{}","exp":{NOW},"sha256":"{}"}}"#, SERVER_KEY.0, digest(""))
}

#[test]
fn the_claims_that_the_refusals_start_from_hold() {
    assert_eq!(deliver(&Server::start(), &forge(HEADER, claims()), "").status, 200);
}

#[test]
fn a_recorded_delivery_too_late_or_too_early() {
    let server = Server::start();
    for delivery in recorded() {
        for now in [0, 1_000_000_000, delivery.at - 61, delivery.until + 61, delivery.until + 1_000_000, u64::MAX] {
            server.set_time(now);
            assert_refused(&server.ask(request_of(&delivery)), &format!("{} at {now}", delivery.name));
        }
    }
}

#[test]
fn a_recorded_delivery_with_the_body_of_another() {
    let server = Server::start();
    let deliveries = recorded();
    for (index, delivery) in deliveries.iter().enumerate() {
        let other = deliveries.iter().cycle().skip(index + 1).find(|other| other.body != delivery.body).unwrap();
        server.set_time(delivery.at);
        assert_refused(&deliver(&server, &delivery.authorization, &other.body), &delivery.name);
        assert_refused(&deliver(&server, &delivery.authorization, ""), &delivery.name);
        assert_refused(&deliver(&server, &delivery.authorization, [&delivery.body[..], b"\n"].concat()), &delivery.name);
        assert_refused(&deliver(&server, &delivery.authorization, &delivery.body[..delivery.body.len() - 1]), &delivery.name);
    }
}

#[test]
fn a_recorded_delivery_where_its_key_is_not_known() {
    for (known, unknown) in [(SERVER_KEY, EGRESS_KEY), (EGRESS_KEY, SERVER_KEY)] {
        let server = Setup { keys: api_key(known).into(), ..Setup::default() }.start();
        for delivery in recorded().iter().filter(|delivery| delivery.key == unknown.0) {
            server.set_time(delivery.at);
            assert_refused(&server.ask(request_of(delivery)), &delivery.name);
        }
    }
}

#[test]
fn a_recorded_delivery_where_its_key_has_another_secret() {
    let server = Setup { keys: api_key((SERVER_KEY.0, STRANGER.1)).into(), ..Setup::default() }.start();
    assert_refused(&server.ask(request_of(&first_recorded())), "another secret");
}

#[test]
fn a_recorded_delivery_with_another_bit_in_its_body() {
    let server = Server::start();
    for delivery in recorded().iter().step_by(7) {
        server.set_time(delivery.at);
        for bit in (0..delivery.body.len() * 8).step_by(401) {
            let mut body = delivery.body.clone();
            body[bit / 8] ^= 1 << (bit % 8);
            assert_refused(&deliver(&server, &delivery.authorization, body), &format!("{}, bit {bit}", delivery.name));
        }
    }
}

#[test]
fn a_recorded_delivery_with_another_bit_in_its_token() {
    let server = Server::start();
    let delivery = first_recorded();
    let parts: Vec<Vec<u8>> = (0..3).map(|index| part(&delivery.authorization, index)).collect();
    for (index, step) in [(0, 5), (1, 11), (2, 1)] {
        for bit in (0..parts[index].len() * 8).step_by(step) {
            let mut altered = parts.clone();
            altered[index][bit / 8] ^= 1 << (bit % 8);
            let token = altered.iter().map(base64url).collect::<Vec<_>>().join(".");
            assert_refused(&deliver(&server, &token, &delivery.body), &format!("part {index}, bit {bit}"));
        }
    }
}

#[test]
fn a_header_that_is_missing_or_no_token_is_a_400() {
    let server = Server::start();
    let good = forge(HEADER, claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let padded = format!("{good}=");
    let standard = format!("{head}.{}+/", &signature[2..]);
    let twice = format!("Bearer Bearer {good}");
    let basic = format!("Basic {good}");
    let listed = format!("{good}, {good}");
    let tab = format!("Bearer\t{good}");
    let inner = format!("{head} .{signature}");
    let letter = format!("{head}.{signature}é");
    for authorization in [
        "",
        "Bearer",
        "Bearer ",
        "token",
        "Bearer token",
        "a.b",
        "a.b.c.d",
        "a.b.c.",
        ".a.b.c",
        "..",
        "...",
        ".b.c",
        "a..c",
        "a.b.",
        "a.b.=",
        "a.b.c=",
        "a.b.c+",
        "a/.b.c",
        "a.b .c",
        "a.b.c~",
        "a.b.%63",
        "a,b,c",
        "Basic dXNlcjpwYXNz",
        &padded,
        &standard,
        &twice,
        &basic,
        &listed,
        &tab,
        &inner,
        &letter,
    ] {
        let answer = deliver(&server, authorization, "");
        assert_eq!(answer.status, 400, "{authorization:?}");
        assert!(!answer.error().contains(signature), "the token is told");
    }
    let answer = server.ask(post("/webhook", &[], ""));
    assert_eq!(answer.status, 400, "missing");
    answer.error();
}

#[test]
fn two_headers_are_as_good_as_none() {
    let server = Server::start();
    let token = forge(HEADER, claims());
    let answer = server.ask(post("/webhook", &[("Authorization", &token), ("Authorization", &token)], ""));
    assert_eq!(answer.status, 400);
}

#[test]
fn three_parts_of_base64url_that_are_no_token_are_a_401() {
    let server = Server::start();
    for authorization in [
        "a.b.c",
        "Bearer a.b.c",
        "AAAA.AAAA.AAAA",
        "-._._",
        "e30.e30.e30",
        "BearerAAAA.AAAA.AAAA",
        &format!("{0}.{0}.{0}", "A".repeat(4000)),
    ] {
        assert_refused(&deliver(&server, authorization, ""), authorization);
    }
}

#[test]
fn every_401_is_the_same_to_the_byte() {
    let server = Server::start();
    let delivery = first_recorded();
    let stranger = authorization_at(UnixTime::from_secs(NOW), STRANGER, &delivery.body);
    let answers = [
        deliver(&server, "a.b.c", &delivery.body),
        deliver(&server, &stranger, &delivery.body),
        deliver(&server, &authorization("other"), &delivery.body),
        deliver(&server, &forge_claims(&format!(r#""exp":{NOW}"#)), &delivery.body),
        deliver(&server, &forge_claims(r#""exp":1"#), &delivery.body),
    ];
    for answer in &answers {
        assert_eq!((answer.status, answer.body.as_slice()), (401, REFUSED));
        assert_eq!(answer.header_names(), answers[0].header_names());
    }
}

#[test]
fn an_algorithm_other_than_hs256() {
    let server = Server::start();
    for algorithm in ["none", "None", "NONE", "nOnE", "hs256", "Hs256", "HS256 ", "HS384", "HS512", "RS256", "ES256", "EdDSA", ""]
    {
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
        let token = forge(&header, claims());
        assert_refused(&deliver(&server, &token, ""), algorithm);
        let (signing_input, _) = token.rsplit_once('.').unwrap();
        let short = format!("{signing_input}.AA");
        assert_refused(&deliver(&server, &short, ""), &format!("{algorithm} with a signature of one byte"));
    }
    for header in [
        "{}",
        r#"{"typ":"JWT"}"#,
        r#"{"alg":null}"#,
        r#"{"alg":256}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"ALG":"HS256"}"#,
        r#"["HS256"]"#,
        r#""HS256""#,
        r#"{"alg":"HS256""#,
        r#"{"alg":"HS256"}{}"#,
        "\u{feff}{\"alg\":\"HS256\"}",
    ] {
        assert_refused(&deliver(&server, &forge(header, claims()), ""), header);
    }
}

#[test]
fn a_token_of_hs384_with_the_right_secret() {
    let signing_input = format!("{}.{}", base64url(r#"{"alg":"HS384","typ":"JWT"}"#), base64url(claims()));
    let mac = Hmac::<Sha384>::new_from_slice(SERVER_KEY.1.as_bytes()).unwrap().chain_update(&signing_input).finalize();
    let token = format!("{signing_input}.{}", base64url(mac.into_bytes()));
    assert_refused(&deliver(&Server::start(), &token, ""), "HS384");
}

#[test]
fn a_token_of_no_secret() {
    let server = Server::start();
    let signing_input = format!("{}.{}", base64url(HEADER), base64url(claims()));
    for secret in ["", "s", "secret", SERVER_KEY.0, &SERVER_KEY.1[..31], &SERVER_KEY.1.to_uppercase()] {
        assert_refused(&deliver(&server, &sign(&signing_input, secret), ""), secret);
    }
}

#[test]
fn critical_parameters_in_any_form() {
    let server = Server::start();
    for critical in ["[\"exp\"]", "[\"b64\"]", "[\"alg\"]", "[]", "null", "\"\"", "{}", "false", "0"] {
        let header = format!(r#"{{"alg":"HS256","b64":false,"crit":{critical}}}"#);
        assert_refused(&deliver(&server, &forge(header, claims()), ""), critical);
    }
}

#[test]
fn base64url_that_is_not_canonical() {
    let server = Server::start();
    let good = forge(HEADER, claims());
    let (signing_input, signature) = good.rsplit_once('.').unwrap();
    // The last of 43 letters holds 4 bits of the MAC and 2 that are zero.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.iter().position(|&letter| letter == *signature.as_bytes().last().unwrap()).unwrap();
    for trailing in 1..4 {
        let altered = format!("{signing_input}.{}{}", &signature[..42], char::from(alphabet[last + trailing]));
        assert_refused(&deliver(&server, &altered, ""), "trailing bits of the signature");
    }
    for (header, payload) in
        [(r#"{"alg":"HS256"} "#, claims()), (HEADER, format!("{} ", claims())), (HEADER, format!("{}  ", claims()))]
    {
        for altered in 0..2 {
            let mut parts = [base64url(header), base64url(&payload)];
            if parts[altered].len() % 4 != 0 {
                let letter = parts[altered].pop().unwrap();
                let value = alphabet.iter().position(|&each| char::from(each) == letter).unwrap();
                parts[altered].push(char::from(alphabet[value + 1]));
                assert_refused(&deliver(&server, &sign(&parts.join("."), SERVER_KEY.1), ""), "trailing bits");
            }
        }
    }
    for (wrong, why) in [
        (format!("{good}A"), "a letter too many"),
        (good[..good.len() - 1].to_owned(), "a letter too few"),
        (format!("{good}{good}").replace('.', "").chars().take(50).collect::<String>() + ".A.A", "lengths that cannot be"),
    ] {
        assert_refused(&deliver(&server, &wrong, ""), why);
    }
}

#[test]
fn times_that_do_not_hold() {
    let server = Server::start();
    let ahead = NOW + 61;
    for times in [
        String::new(),
        r#","exp":null"#.to_owned(),
        format!(r#","nbf":{NOW},"iat":{NOW}"#),
        format!(r#","exp":{}"#, NOW - 61),
        format!(r#","exp":{}.5"#, NOW - 61),
        r#","exp":0"#.to_owned(),
        r#","exp":-1"#.to_owned(),
        r#","exp":-1e300"#.to_owned(),
        format!(r#","exp":"{NOW}""#),
        r#","exp":"1e300""#.to_owned(),
        r#","exp":1e999"#.to_owned(),
        r#","exp":true"#.to_owned(),
        format!(r#","exp":[{NOW}]"#),
        format!(r#","exp":{{"seconds":{NOW}}}"#),
        format!(r#","Exp":{NOW}"#),
        format!(r#","exp":{NOW},"nbf":{ahead}"#),
        format!(r#","exp":{NOW},"iat":{ahead}"#),
        format!(r#","exp":{NOW},"nbf":{NOW},"iat":{ahead}"#),
        format!(r#","exp":{NOW},"nbf":{ahead},"iat":{NOW}"#),
        format!(r#","exp":{NOW},"nbf":{}.5"#, NOW + 60),
        format!(r#","exp":{NOW},"nbf":1e300"#),
        format!(r#","exp":{NOW},"nbf":18446744073709551615"#),
        format!(r#","exp":{NOW},"nbf":"{NOW}""#),
        format!(r#","exp":{NOW},"iat":"{NOW}""#),
        format!(r#","exp":{NOW},"nbf":false"#),
    ] {
        let members = format!(r#""sha256":"{}"{times}"#, digest(""));
        assert_refused(&deliver(&server, &forge_claims(&members), ""), &times);
    }
}

#[test]
fn names_that_stand_there_twice() {
    let server = Server::start();
    for header in [
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"HS256"}"#,
        r#"{"alg":"HS256","typ":"JWT","typ":"JWT"}"#,
        r#"{"alg":"HS256","x":{"y":1,"y":1}}"#,
    ] {
        assert_refused(&deliver(&server, &forge(header, claims()), ""), header);
    }
    let sha256 = digest("");
    for members in [
        format!(r#""exp":{NOW},"exp":{NOW},"sha256":"{sha256}""#),
        format!(r#""exp":{NOW},"sha256":"{sha256}","sha256":"{sha256}""#),
        format!(r#""exp":{NOW},"sha256":"{sha256}","iss":"{}""#, SERVER_KEY.0),
        format!(r#""exp":{NOW},"sha256":"{sha256}","\u0065xp":{NOW}"#),
        format!(r#""exp":{NOW},"sha256":"{sha256}","nbf":0,"nbf":0"#),
        format!(r#""exp":{NOW},"sha256":"{sha256}","iat":0,"iat":0"#),
        format!(r#""exp":{NOW},"sha256":"{sha256}","novel":1,"novel":1"#),
        format!(r#""exp":{NOW},"sha256":"{sha256}","novel":[{{"a":1,"a":1}}]"#),
    ] {
        assert_refused(&deliver(&server, &forge_claims(&members), ""), &members);
    }
}

#[test]
fn a_token_without_the_digest_of_this_body() {
    let server = Server::start();
    let body = r#"{"event":"room_started"}"#;
    let bytes = Sha256::digest(body);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let standard = digest(body);
    let url = standard.replace('+', "-").replace('/', "_");
    let digests = [
        String::new(),
        r#","sha256":null"#.to_owned(),
        r#","sha256":7"#.to_owned(),
        r#","sha256":"""#.to_owned(),
        format!(r#","sha256":["{standard}"]"#),
        format!(r#","sha256":{{"sha256":"{standard}"}}"#),
        format!(r#","SHA256":"{standard}""#),
        format!(r#","sha256":"{}""#, digest("")),
        format!(r#","sha256":"{}""#, digest("another body")),
        format!(r#","sha256":"{hex}""#),
        format!(r#","sha256":"{}""#, hex.to_uppercase()),
        format!(r#","sha256":"{}""#, standard.trim_end_matches('=')),
        format!(r#","sha256":"{}""#, url.trim_end_matches('=')),
        format!(r#","sha256":" {standard}""#),
        format!(r#","sha256":"{standard}\n""#),
        format!(r#","sha256":"{standard}{standard}""#),
    ];
    for members in digests {
        let token = forge_claims(&format!(r#""exp":{NOW}{members}"#));
        assert_refused(&deliver(&server, &token, body), &members);
    }
}

#[test]
fn a_digest_in_base64url_where_that_differs() {
    let body = (0..).map(|count: u32| count.to_string()).find(|body| digest(body).contains(['+', '/'])).unwrap();
    let url = digest(&body).replace('+', "-").replace('/', "_");
    let token = forge_claims(&format!(r#""exp":{NOW},"sha256":"{url}""#));
    assert_refused(&deliver(&Server::start(), &token, &body), "base64url");
}

#[test]
fn a_participants_token_is_no_webhooks() {
    let server = Server::start();
    let answer = server.ask(post("/token", &[], r#"{"roomName":"daily","participantName":"alice"}"#));
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    assert_refused(&deliver(&server, &token, ""), "a participant's token");
}

#[test]
fn a_token_of_another_key_than_it_says() {
    let server = Server::start();
    let sha256 = digest("");
    for issuer in [
        format!(r#""{}""#, EGRESS_KEY.0),
        format!(r#""{}""#, STRANGER.0),
        format!(r#""{} ""#, SERVER_KEY.0),
        format!(r#""{}""#, SERVER_KEY.0.to_lowercase()),
        format!(r#"["{}"]"#, SERVER_KEY.0),
        r#""""#.to_owned(),
        "null".to_owned(),
        "1".to_owned(),
    ] {
        let token = forge(HEADER, format!(r#"{{"iss":{issuer},"exp":{NOW},"sha256":"{sha256}"}}"#));
        assert_refused(&deliver(&server, &token, ""), &issuer);
    }
    let without = forge(HEADER, format!(r#"{{"exp":{NOW},"sha256":"{sha256}"}}"#));
    assert_refused(&deliver(&server, &without, ""), "no issuer");
    let stranger = authorization_at(UnixTime::from_secs(NOW), STRANGER, "");
    assert_refused(&deliver(&server, &stranger, ""), "a valid token of another key");
}

#[test]
fn claims_that_are_no_object() {
    let server = Server::start();
    let deep = "[".repeat(5000);
    for payload in ["null", "1", "\"\"", "[]", "[{}]", "{", "{}", "x", "{}{}", &deep, &format!("{},", claims())] {
        assert_refused(&deliver(&server, &forge(HEADER, payload), ""), &payload[..payload.len().min(20)]);
    }
    assert_refused(&deliver(&server, &forge(HEADER, [claims().as_bytes(), b"\xff"].concat()), ""), "no UTF-8");
}

//! Tests of `webhook verify`: the recorded deliveries, and each way in which a body is changed on the way.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::assert_says;
use crate::fixtures::{NOW, Recorded, SERVER_KEY, digest, first_recorded, forge_with, recorded};
use crate::harness::ended::Ended;
use crate::harness::program::Start;

/// Verifies `body` with the token of `delivery`, at the delivery's own time.
fn verify(delivery: &Recorded, body: impl AsRef<[u8]>, more: &[&str]) -> Ended {
    let at = delivery.at.to_string();
    let arguments = ["webhook", "verify", "--body", "body", "--authorization", &delivery.authorization, "--at", &at];
    Start::command_with_keys([&arguments, more].concat()).file("body", body).run()
}

/// A delivery of any body, signed by the server's key.
fn signed(body: impl AsRef<[u8]>) -> Recorded {
    let authorization = forge_with(&format!(r#""sha256":"{}""#, digest(&body)));
    let (folder, name, key) = ("", String::new(), SERVER_KEY.0.to_owned());
    Recorded { folder, name, authorization, body: body.as_ref().to_vec(), at: NOW, until: NOW, key }
}

#[test]
fn every_recorded_delivery_is_valid() {
    for each in recorded() {
        let file = |ending: &str| each.file(ending).display().to_string();
        let at = each.at.to_string();
        let arguments = ["webhook", "verify", "--body", &file("body"), "--head", &file("head"), "--at", &at];
        let event = each.json();
        let told = Start::command_with_keys(arguments).run().done();
        assert_says(&told, &["the delivery is valid", each.event(), event["id"].as_str().unwrap(), &each.key]);

        let verdict = Start::command_with_keys([&arguments[..], &["--json"]].concat()).run().json();
        let told: Vec<_> = ["holds", "key", "event", "id"].map(|name| &verdict[name]).into();
        assert_eq!(told, [&json!(true), &json!(each.key), &event["event"], &event["id"]]);
        assert_eq!(
            verdict["participant"],
            event.get("participant").map_or(Value::Null, |participant| participant["identity"].clone())
        );
    }
}

#[test]
fn the_reason_why_a_delivery_is_invalid() {
    let (first, second) = (&first_recorded(), &recorded()[1]);
    assert_says(&verify(first, &second.body, &[]).refused(), &["not the one", "another delivery"]);
    let late = Start::command_with_keys(["webhook", "verify", "--body", "b", "--authorization", &first.authorization])
        .file("b", &first.body);
    assert_says(&late.run().refused(), &["expired", &format!("--at {}", first.at)]);
    let stranger =
        Start::command(["webhook", "verify", "--body", "b", "--authorization", &first.authorization]).file("b", &first.body);
    assert_says(&stranger.run().refused(), &[SERVER_KEY.0, "not among the keys"]);
    let arguments = ["webhook", "verify", "--body", "b", "--authorization", &forge_with(""), "--at", &NOW.to_string()];
    assert_says(&Start::command_with_keys(arguments).file("b", "{}").run().refused(), &["no sha256"]);

    let ended = verify(first, &second.body, &["--json"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (1, ""));
    let verdict: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(verdict["holds"], false);
    assert_says(verdict["reason"].as_str().unwrap(), &["not the one"]);
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// The text that a program gets if it reads these bytes as Latin-1.
fn as_latin1(body: &[u8]) -> String {
    body.iter().map(|byte| char::from(*byte)).collect()
}

/// All letters beyond ASCII as `\u`, as `json.dumps` writes them.
fn with_ascii(text: &str) -> String {
    let escaped = |letter: char| match letter {
        letter if letter.is_ascii() => letter.to_string(),
        letter => letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    text.chars().map(escaped).collect()
}

/// JSON without blanks and empty lists as pretty JSON, with its members in the same order.
fn pretty(body: &[u8], indent: &str) -> String {
    let (mut out, mut depth, mut in_string, mut escaped) = (String::new(), 0, false, false);
    for letter in str::from_utf8(body).unwrap().chars() {
        match letter {
            '}' | ']' if !in_string => {
                depth -= 1;
                out.extend(["\n", &indent.repeat(depth), &letter.to_string()]);
            }
            '{' | '[' if !in_string => {
                depth += 1;
                out.extend([&letter.to_string(), "\n", &indent.repeat(depth)]);
            }
            ',' if !in_string => out.extend([",\n", &indent.repeat(depth)]),
            ':' if !in_string => out.push_str(": "),
            _ => out.push(letter),
        }
        in_string ^= letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
    }
    out
}

#[test]
fn each_change_to_a_recorded_body_is_found() {
    for each in [first_recorded(), recorded().swap_remove(6)] {
        let body = &each.body;
        let text = str::from_utf8(body).unwrap();
        let mut cases = vec![
            ([&body[..], b"\n"].concat(), "a line end was added", "echo"),
            ([&body[..], b"\r\n"].concat(), "a line end was added", "echo"),
            ([&body[..], b"\n\n "].concat(), "a line end was added", "echo"),
            ([b"\xef\xbb\xbf", &body[..]].concat(), "byte order mark", "PowerShell"),
            (gzip(body), "gzip", "proxy"),
            (pretty(body, "  ").into_bytes(), "written again, pretty", "jq"),
            (pretty(body, "    ").into_bytes(), "written again, pretty", "jq"),
            (pretty(body, "\t").into_bytes(), "written again, pretty", "jq"),
            ((pretty(body, "  ") + "\n").into_bytes(), "written again, pretty", "jq"),
            (text.replace("\",\"", "\", \"").into_bytes(), "written again, with", "parse"),
            (as_latin1(body).into_bytes(), "read as Latin-1", "bytes"),
            (with_ascii(text).into_bytes(), "other escapes", "json.dumps"),
            (text.replace('/', "\\/").into_bytes(), "other escapes", "json_encode"),
            (text.replace('<', "\\u003c").into_bytes(), "other escapes", "json.Marshal"),
            ([b"\xef\xbb\xbf", &body[..], b"\n"].concat(), "byte order mark", "echo"),
            (gzip(&[&body[..], b"\n"].concat()), "gzip", "echo"),
            (as_latin1(&[&body[..], b"\n"].concat()).into_bytes(), "read as Latin-1", "echo"),
            (body[..body.len() - 1].to_vec(), "not complete JSON", "cut"),
            (Vec::new(), "the body is empty", "read it before"),
            (text.replace("ö", "\u{fffd}").into_bytes(), "U+FFFD", "lost"),
            (serde_json::to_vec(&serde_json::from_str::<Value>(text).unwrap()).unwrap(), "alphabetical order", "raw body"),
        ];
        cases.retain(|(changed, ..)| changed != body);
        for (changed, what, habit) in cases {
            assert_says(&verify(&each, changed, &[]).refused(), &[what, habit]);
        }
    }
}

#[test]
fn each_change_to_a_body_in_another_style_is_found() {
    let compact = r#"{"event":"room_started","room":{"name":"Größe €"},"list":[1,2,{}],"id":"EV_1"}"#;
    let go = r#"{"event":"room_started", "room":{"name":"Größe €"}, "list":[1, 2, {}], "id":"EV_1"}"#;
    let python = r#"{"event": "room_started", "room": {"name": "Größe €"}, "list": [1, 2, {}], "id": "EV_1"}"#;
    let windows_1252 = compact.replace('€', "").replace("ö", "Ã¶").replace("ß", "ÃŸ");
    let without_euro = compact.replace('€', "");
    let latin1: Vec<u8> = without_euro.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
    for (original, changed, what, habit) in [
        (go, compact.as_bytes(), "without white space", "JSON.stringify"),
        (python, compact.as_bytes(), "without white space", "JSON.stringify"),
        (compact, go.as_bytes(), "Go's spacing", "raw body"),
        (compact, python.as_bytes(), "blanks after commas and colons", "json.dumps"),
        (go, python.as_bytes(), "blanks after commas and colons", "json.dumps"),
        (&format!("{compact}\n"), compact.as_bytes(), "line end at the end was lost", "curl -d"),
        (&format!("{compact}\r\n"), compact.as_bytes(), "line end at the end was lost", "curl -d"),
        ("{\n \"a\": 1\n}", b"{\r\n \"a\": 1\r\n}", "made CRLF", "autocrlf"),
        ("{\r\n \"a\": 1\r\n}", b"{\n \"a\": 1\n}", "made LF", "dos2unix"),
        (&without_euro, &latin1, "Latin-1 instead of UTF-8", "charset"),
        (&without_euro, windows_1252.as_bytes(), "read as Latin-1", "Windows-1252"),
        (compact, b"{\"event\" : \"room_started\",\"room\":{\"name\":\"Gr\xc3\xb6\xc3\x9fe \xe2\x82\xac\"},\"list\":[1,2,{}],\"id\":\"EV_1\"}", "other white space", "raw body"),
    ] {
        assert_says(&verify(&signed(original), changed, &[]).refused(), &[what, habit]);
    }
}

#[test]
fn a_head_is_read_as_it_arrived() {
    let each = first_recorded();
    let at = each.at.to_string();
    let with_head = |head: String, body: &[u8]| {
        let arguments = ["webhook", "verify", "--body", "body", "--head", "head", "--at", &at];
        Start::command_with_keys(arguments).file("head", head).file("body", body).run()
    };
    let token = &each.authorization;
    for head in [
        format!("POST / HTTP/1.1\r\nauthorization:{token}\r\n\r\n"),
        format!("POST / HTTP/1.1\nHost: x\nAUTHORIZATION:   Bearer {token}  \n"),
        format!("Authorization: {token}"),
    ] {
        with_head(head, &each.body).done();
    }
    assert_says(&with_head("POST / HTTP/1.1\r\nHost: x\r\n\r\n".into(), &each.body).refused(), &["no Authorization", "proxy"]);
    assert_says(&with_head(String::new(), &each.body).refused(), &["no Authorization"]);
    let twice = format!("POST / HTTP/1.1\r\nAuthorization: {token}\r\nAuthorization: {token}\r\n\r\n");
    assert_says(&with_head(twice, &each.body).refused(), &["twice"]);
    let head = format!("POST / HTTP/1.1\r\nAuthorization: {token}\r\nContent-Length: {}\r\n\r\n", each.body.len());
    let cut = &each.body[..100];
    assert_says(&with_head(head, cut).refused(), &[&each.body.len().to_string(), "100", "cut"]);
}

#[test]
fn files_that_cannot_be_read() {
    let arguments = ["webhook", "verify", "--body", "nowhere", "--authorization", "x"];
    assert_says(&Start::command_with_keys(arguments).run().wrong(), &["cannot read nowhere"]);
    let arguments = ["webhook", "verify", "--body", "b", "--head", "nowhere"];
    assert_says(&Start::command_with_keys(arguments).file("b", "").run().wrong(), &["cannot read nowhere"]);
    let arguments = ["webhook", "verify", "--body", "-", "--head", "-"];
    assert_says(&Start::command_with_keys(arguments).run().wrong(), &["stdin"]);
}

#[test]
fn a_body_or_a_token_may_be_on_stdin() {
    let each = first_recorded();
    let at = each.at.to_string();
    let arguments = ["webhook", "verify", "--body", "-", "--authorization", &each.authorization, "--at", &at];
    Start::command_with_keys(arguments).stdin(each.body.clone()).run().done();
    let arguments = ["webhook", "verify", "--body", "b", "--authorization", "-", "--at", &at];
    Start::command_with_keys(arguments).file("b", &each.body).stdin(format!("{}\n", each.authorization)).run().done();
}

#[test]
fn a_body_that_unpacks_to_too_much_is_harmless() {
    let each = first_recorded();
    assert_says(&verify(&each, gzip(&vec![b'x'; 5 * 1024 * 1024]), &[]).refused(), &["not the one"]);
}

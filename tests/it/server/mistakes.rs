//! Tests of invalid settings: status 2, and one sentence that names the setting or the file and never a secret.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::fixtures::{EGRESS_KEY, SERVER_KEY};
use crate::harness::ended::Ended;
use crate::harness::program::Start;
use crate::harness::sender::STRANGER;

/// Must not appear in any sentence.
const SECRETS: [&str; 4] = [SERVER_KEY.1, EGRESS_KEY.1, STRANGER.1, "hushhush"];

/// Runs a command that must end with one sentence that contains `parts`.
#[track_caller]
fn assert_mistake(start: Start, parts: &[&str]) {
    let Ended { status, stdout, stderr } = start.run();
    assert_eq!(status, 2, "{parts:?}: {stderr}");
    assert_eq!(stdout, "", "{parts:?}");
    assert_eq!(stderr.lines().count(), 1, "{parts:?}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part} is missing: {stderr}");
    }
    for secret in SECRETS {
        assert!(!stderr.contains(secret), "a secret is told: {stderr}");
    }
}

fn environment(variables: &[(&str, &str)]) -> Start {
    variables.iter().fold(Start::new(), |start, (name, value)| start.env(name, value))
}

#[test]
fn a_value_that_cannot_be() {
    for (name, values) in [
        ("SERVER_PORT", &["no", "65536", "-1", "60.80", "0x10", "6080\u{feff}1"][..]),
        ("TOKEN_TTL", &["0s", "0", "-5m", "soon", "10", "5 parsecs", "500ms", "99999999999999999999y", "h", "PT5M"]),
        ("LOG_LEVEL", &["loud", "off", "3", "+3", "warning", "info,debug", "in fo"]),
        ("LOG_FORMAT", &["yaml", "JSON5", "pretty", "js on"]),
        (
            "CORS_ORIGIN",
            &[
                "app.example.com",
                "https://",
                "https://app.example.com/x",
                "https://app.example.com//",
                "https://app.example.com?x=1",
                "https://app.example.com#x",
                "https://user:hushhush@app.example.com",
                "https://a.example,,https://b.example",
                ",",
                "a b",
                "*.example.com",
                "https://*",
                "https://*example.com",
                "https://a.*.example.com",
                "https://app.example.com:*",
                "https://a.example,*",
                "wss://app.example.com",
            ],
        ),
        (
            "LIVEKIT_URL",
            &[
                "livekit.example.com",
                "localhost:7880",
                "wss://",
                "wss:livekit.example.com",
                "wss:///livekit.example.com",
                "ftp://livekit.example.com",
                "wss://key:hushhush@livekit.example.com",
                "wss://hushhush@livekit.example.com/rtc",
                "wss://@livekit.example.com",
                "wss://live kit.example.com",
                "wss://livekit.example.com:port",
                "wss://livekit.example.com:70000",
                "wss://<my-project>.livekit.cloud",
                "wss://{PROJECT}.livekit.cloud",
                "redis://localhost",
            ],
        ),
    ] {
        for value in values {
            let flag = format!("--{}", name.to_ascii_lowercase().replace('_', "-"));
            assert_mistake(Start::bare().env(name, value), &[name, "must be"]);
            assert_mistake(Start::bare().flags(&[&format!("{flag}={value}")]), &[name, "must be"]);
            assert_mistake(Start::bare().file(".env", format!("{name}='{value}'\n")), &[name, "must be"]);
        }
    }
}

#[test]
fn a_value_with_a_minus_after_its_flag() {
    assert_mistake(Start::bare().flags(&["--token-ttl", "-5m"]), &["TOKEN_TTL", "must be"]);
    assert_mistake(Start::bare().flags(&["--server-port", "-1"]), &["SERVER_PORT", "must be"]);
    assert_mistake(Start::bare().flags(&["--cors-origin="]), &["CORS_ORIGIN", "must be"]);
    assert_mistake(Start::bare().flags(&["--max-connections", "-1"]), &["MAX_CONNECTIONS", "must be"]);
    assert_mistake(Start::bare().flags(&["--shutdown-delay", "-5m"]), &["SHUTDOWN_DELAY", "must be"]);
}

#[test]
fn a_flag_that_is_not_there() {
    for (flags, part) in [
        (&["--nowhere"][..], "--nowhere"),
        (&["-x"], "-x"),
        (&["--livekit-api-secret", "hushhush"], "--livekit-api-secret"),
        (&["--livekit-api-secret=hushhush"], "--livekit-api-secret"),
        (&["--livekit-keys=a: hushhush"], "--livekit-keys"),
        (&["--token-ttl"], "--token-ttl"),
        (&["--log-level", "info", "--log-level", "debug"], "--log-level"),
    ] {
        assert_mistake(Start::bare().flags(flags), &[part]);
    }
}

#[test]
fn half_a_pair() {
    for (given, missing) in [
        (("LIVEKIT_API_KEY", SERVER_KEY.0), "LIVEKIT_API_SECRET"),
        (("LIVEKIT_API_KEY", "devkey"), "LIVEKIT_API_SECRET"),
        (("LIVEKIT_API_SECRET", SERVER_KEY.1), "LIVEKIT_API_KEY"),
        (("LIVEKIT_API_SECRET", "secret"), "LIVEKIT_API_KEY"),
        (("LIVEKIT_API_SECRET_FILE", "secret.txt"), "LIVEKIT_API_KEY"),
    ] {
        for more in [None, Some(("LIVEKIT_KEYS", format!("{}: {}", EGRESS_KEY.0, EGRESS_KEY.1)))] {
            let mut start = environment(&[given]).file("secret.txt", SERVER_KEY.1);
            if let Some((name, value)) = more {
                start = start.env(name, value);
            }
            assert_mistake(start, &[given.0, missing]);
        }
    }
    assert_mistake(Start::new().flags(&["--livekit-api-key", SERVER_KEY.0]), &["LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"]);
}

#[test]
fn a_key_of_several_lines() {
    for name in ["APIone\nAPItwo", "API\tone", "API\u{7f}"] {
        for secret in [("LIVEKIT_API_SECRET", SERVER_KEY.1), ("LIVEKIT_API_SECRET_FILE", "secret.txt")] {
            let start = environment(&[("LIVEKIT_API_KEY", name), secret]).file("secret.txt", SERVER_KEY.1);
            assert_mistake(start, &["LIVEKIT_API_KEY has a line end or another control character", "the key that mints tokens"]);
        }
    }
}

#[test]
fn a_secret_and_a_file_of_it() {
    let pair = [("LIVEKIT_API_KEY", SERVER_KEY.0), ("LIVEKIT_API_SECRET", SERVER_KEY.1)];
    let start = environment(&pair).file("secret.txt", SERVER_KEY.1).env("LIVEKIT_API_SECRET_FILE", "secret.txt");
    assert_mistake(start, &["LIVEKIT_API_SECRET", "LIVEKIT_API_SECRET_FILE"]);
    // The same if they come from different sources.
    let dotenv = format!("LIVEKIT_API_KEY={}\nLIVEKIT_API_SECRET={}\n", SERVER_KEY.0, SERVER_KEY.1);
    let start = Start::new().file(".env", dotenv).file("secret.txt", SERVER_KEY.1);
    assert_mistake(start.flags(&["--livekit-api-secret-file=secret.txt"]), &["LIVEKIT_API_SECRET", "LIVEKIT_API_SECRET_FILE"]);
}

#[test]
fn a_secret_file_that_cannot_be_read() {
    let start = || environment(&[("LIVEKIT_API_KEY", SERVER_KEY.0), ("LIVEKIT_API_SECRET_FILE", "secret.txt")]);
    assert_mistake(start(), &["LIVEKIT_API_SECRET_FILE", "secret.txt"]);
    assert_mistake(start().directory("secret.txt"), &["LIVEKIT_API_SECRET_FILE", "secret.txt"]);
    assert_mistake(start().file("secret.txt", b"hushhush\xffhushhush-0123456789-0123456789"), &["LIVEKIT_API_SECRET_FILE"]);
    for short in ["", "\n", "hushhush\n"] {
        assert_mistake(start().file("secret.txt", short), &["LIVEKIT_API_SECRET_FILE", "32 bytes"]);
    }
}

#[test]
fn a_secret_that_is_too_short() {
    let almost = "hushhush-0123456789-0123456789-";
    assert_eq!(almost.len(), 31);
    for secret in ["hushhush", almost] {
        let pair = [("LIVEKIT_API_KEY", "APIshort"), ("LIVEKIT_API_SECRET", secret)];
        assert_mistake(environment(&pair), &["LIVEKIT_API_SECRET", "32 bytes"]);
        let line = format!("APIshort: {secret}");
        assert_mistake(environment(&[("LIVEKIT_KEYS", &line)]), &["LIVEKIT_KEYS", "line 1", "32 bytes"]);
    }
    // Only the whole development pair is accepted.
    for (key, secret) in [("devkey", "hushhush"), ("APIshort", "secret"), ("DEVKEY", "secret"), ("devkey", "sec ret")] {
        let pair = [("LIVEKIT_API_KEY", key), ("LIVEKIT_API_SECRET", secret)];
        assert_mistake(environment(&pair), &["LIVEKIT_API_SECRET", "32 bytes"]);
    }
}

#[test]
fn a_variable_of_secrets_that_is_empty() {
    for name in ["LIVEKIT_API_SECRET", "LIVEKIT_API_KEY", "LIVEKIT_KEYS", "LIVEKIT_KEYS_FILE", "LIVEKIT_API_SECRET_FILE"] {
        for value in ["", " ", "\n", "\u{feff}", "\"\"", "' '"] {
            assert_mistake(environment(&[(name, value)]), &[name, "empty"]);
            assert_mistake(Start::new().file(".env", format!("{name}=\"{}\"\n", value.replace('"', "\\\""))), &[name, "empty"]);
        }
    }
    // The file's content does not matter.
    let dotenv = format!("LIVEKIT_API_KEY={}\nLIVEKIT_API_SECRET={}\n", SERVER_KEY.0, SERVER_KEY.1);
    assert_mistake(environment(&[("LIVEKIT_API_SECRET", "")]).file(".env", dotenv), &["LIVEKIT_API_SECRET", "empty"]);
    for flag in ["--livekit-api-key", "--keys-file", "--livekit-api-secret-file"] {
        assert_mistake(Start::new().flags(&[&format!("{flag}=")]), &["empty"]);
    }
    assert_mistake(environment(&[("LIVEKIT_KEYS", "# only a comment")]), &["LIVEKIT_KEYS"]);
}

#[test]
fn several_keys_that_are_no_pairs() {
    let good = format!("{}: {}", SERVER_KEY.0, SERVER_KEY.1);
    for (line, part) in [
        ("hushhush", "key: secret"),
        ("hushhush hushhush hushhush hushhush hushhush", "key: secret"),
        (": hushhush-0123456789-0123456789-0123456789", "empty"),
        ("\"\": hushhush-0123456789-0123456789-0123456789", "empty"),
        ("APIkey:", "32 bytes"),
        ("APIkey: \"\"", "32 bytes"),
        ("APIkey: hushhush", "32 bytes"),
        // Too short without its quotes.
        ("APIkey: \"hushhush-0123456789-012345678\"", "32 bytes"),
    ] {
        assert_mistake(environment(&[("LIVEKIT_KEYS", line)]), &["LIVEKIT_KEYS", "line 1", part]);
        let list = format!("# ours\n{good}\n\n{line}\n");
        assert_mistake(environment(&[("LIVEKIT_KEYS", &list)]), &["LIVEKIT_KEYS", "line 4", part]);
    }
}

#[test]
fn keys_that_contradict_each_other() {
    let list = format!("{}: {}\n{}: {}", SERVER_KEY.0, SERVER_KEY.1, SERVER_KEY.0, EGRESS_KEY.1);
    assert_mistake(environment(&[("LIVEKIT_KEYS", &list)]), &["LIVEKIT_KEYS", SERVER_KEY.0]);
    let list = format!("{}: {}", SERVER_KEY.0, EGRESS_KEY.1);
    let beside = [("LIVEKIT_KEYS", list.as_str()), ("LIVEKIT_API_KEY", SERVER_KEY.0), ("LIVEKIT_API_SECRET", SERVER_KEY.1)];
    assert_mistake(environment(&beside), &["LIVEKIT_KEYS", SERVER_KEY.0]);
}

#[test]
fn a_line_of_the_file_that_cannot_be_read() {
    for (dotenv, line) in [
        ("LIVEKIT_API_SECRET=hushhush hushhush hushhush\n".to_owned(), "line 1"),
        ("LIVEKIT_API_KEY=APIkey\n\nLIVEKIT_API_SECRET='hushhush\n".to_owned(), "line 3"),
        ("LIVEKIT_API_KEY=APIkey\nLIVEKIT_API_SECRET=\"hushhush\\q\"\n".to_owned(), "line 2"),
        ("APP_NAME=My App\r\n\r\nexport LIVEKIT_API_SECRET=\"hushhush\r\n".to_owned(), "line 3"),
        ("\u{feff}LIVEKIT_API_SECRET: hushhush\n".to_owned(), "line 1"),
        ("X=it's\nSERVER_PORT=1 2\n".to_owned(), "line 2"),
        (format!("TOKEN_TTL=5m\nLIVEKIT_KEYS={}: {}\n", SERVER_KEY.0, SERVER_KEY.1), "line 2"),
    ] {
        assert_mistake(Start::new().file(".env", &dotenv), &[".env", line]);
    }
}

#[test]
fn a_file_that_cannot_be_read() {
    assert_mistake(Start::new().directory(".env"), &[".env"]);
    assert_mistake(Start::new().file(".env", b"\nLIVEKIT_API_SECRET=hushhush\xff\n"), &[".env", "line 2", "UTF-8"]);
    let utf16: Vec<u8> = "\u{feff}LIVEKIT_API_SECRET=hushhush\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_mistake(Start::new().file(".env", utf16), &[".env", "UTF-8"]);
    assert_mistake(Start::new().file(".env", "X=1\n".repeat(300_000)), &[".env"]);
}

#[test]
fn a_port_that_is_in_use() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert_mistake(Start::bare().env("SERVER_PORT", &port).env("SERVER_BIND", "127.0.0.1"), &["SERVER_PORT", &port, "in use"]);
    assert_mistake(Start::bare().flags(&["--server-port", &port]), &["SERVER_PORT", &port, "in use"]);
}

#[test]
fn a_host_that_is_not_known() {
    // None of these leaves the machine: the first ones are no names, the last one is an address for documentation.
    let label = "x".repeat(64);
    for host in ["no..such", &label, "a host", "[::1]", "127.0.0.1:80", "http://localhost", "203.0.113.1"] {
        assert_mistake(Start::new().env("SERVER_BIND", host), &["SERVER_BIND", host]);
        assert_mistake(Start::new().flags(&["--server-bind", host]), &["SERVER_BIND", host]);
    }
}

#[test]
fn what_is_not_utf_8() {
    let broken = || OsStr::from_bytes(b"hushhush\xff-0123456789-0123456789-012345");
    for name in ["LIVEKIT_API_SECRET", "LIVEKIT_API_KEY", "LIVEKIT_KEYS", "LIVEKIT_URL", "TOKEN_TTL", "ROOMKEY_INBOX"] {
        assert_mistake(Start::new().env(name, broken()), &[name, "UTF-8"]);
    }
    let line = format!("{}: {}\n\nAPIbroken: ", SERVER_KEY.0, SERVER_KEY.1);
    let list = [line.as_bytes(), broken().as_bytes()].concat();
    assert_mistake(Start::new().env("LIVEKIT_KEYS", OsStr::from_bytes(&list)), &["LIVEKIT_KEYS", "UTF-8"]);
    assert_mistake(Start::new().file("k", &list).env("LIVEKIT_KEYS_FILE", "k"), &["LIVEKIT_KEYS_FILE", "line 3", "UTF-8"]);
    let start = Start::new().file("s", broken().as_bytes()).env("LIVEKIT_API_KEY", "APIkey").env("LIVEKIT_API_SECRET_FILE", "s");
    assert_mistake(start, &["LIVEKIT_API_SECRET_FILE", "UTF-8"]);
    // Variables of other programs are ignored.
    Start::new().env("APP_NAME", broken()).serve();
}

#[test]
fn an_inbox_that_cannot_be_made() {
    let start = || Start::new().directory("data");
    let place = start().env("ROOMKEY_INBOX", "sqlite:data");
    assert_mistake(place, &["data cannot be used: it is not a regular file: set ROOMKEY_INBOX to another place"]);
    for file in ["data/none/inbox.db", "/proc/inbox.db", ".env/inbox.db"] {
        let start = start().file(".env", "").env("ROOMKEY_INBOX", format!("sqlite:{file}"));
        let path = start.path(file).display().to_string();
        let directory = Path::new(&path).parent().unwrap().display().to_string();
        assert_mistake(start, &[&path, "ROOMKEY_INBOX", &format!("directory {directory} ")]);
    }
    let start = start().env("ROOMKEY_INBOX", "sqlite:/proc/inbox.db");
    assert_mistake(start, &["/proc/inbox.db", "mode 0555", "belongs to user 0", "runs as user "]);
}

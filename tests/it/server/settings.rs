//! Tests of valid settings: what each does, and which of its sources wins.

use roomkey::{TokenVerifier, UnixTime};

use crate::fixtures::{EGRESS_KEY, SERVER_KEY, api_key, payload};
use crate::harness::client::{post, request};
use crate::harness::ended::Ended;
use crate::harness::program::{Program, Start};
use crate::harness::sender::{STRANGER, authorization_at};

fn token(program: &Program) -> String {
    let answer = program.ask(post("/token", &[], r#"{"roomName":"daily","participantName":"alice"}"#));
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn lifetime(program: &Program) -> u64 {
    let claims = payload(&token(program));
    claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap()
}

#[track_caller]
fn assert_mints_with(program: &Program, key: (&str, &str)) {
    let verifier = TokenVerifier::new(api_key(key));
    verifier.verify(&token(program), UnixTime::now()).unwrap();
}

/// The status of the answer to a webhook signed with `key`.
fn delivered(program: &Program, key: (&str, &str)) -> u16 {
    let authorization = authorization_at(UnixTime::now(), key, "{}");
    program.ask(post("/webhook", &[("Authorization", &authorization)], "{}")).status
}

/// The value of `Access-Control-Allow-Origin` for a page of `origin`.
fn allowed(program: &Program, origin: &str) -> Option<String> {
    let answer = program.ask(request("GET", "/healthz", &[("Origin", origin)], b""));
    answer.header("access-control-allow-origin").map(str::to_owned)
}

fn line(key: (&str, &str)) -> String {
    format!("{}: {}", key.0, key.1)
}

fn with_server_key(start: Start) -> Start {
    start.env("LIVEKIT_API_KEY", SERVER_KEY.0).env("LIVEKIT_API_SECRET", SERVER_KEY.1)
}

#[test]
fn a_source_that_beats_the_one_above_it() {
    let dotenv = format!(
        "SERVER_PORT=0\nSERVER_BIND=127.0.0.1\nTOKEN_TTL=1m\nCORS_ORIGIN=https://file.example\nLOG_FORMAT=json\nLOG_LEVEL=debug\n\
         LIVEKIT_URL=ws://file.example\nLIVEKIT_API_KEY=APIfile\nLIVEKIT_API_SECRET={}\n",
        SERVER_KEY.1
    );
    let by_file = || Start::bare().file(".env", &dotenv);
    let by_environment = || {
        by_file()
            .env("SERVER_BIND", "0.0.0.0")
            .env("TOKEN_TTL", "2m")
            .env("CORS_ORIGIN", "https://variable.example")
            .env("LOG_FORMAT", "text")
            .env("LOG_LEVEL", "info")
            .env("LIVEKIT_URL", "ws://variable.example")
            .env("LIVEKIT_API_KEY", "APIvariable")
            .env("LIVEKIT_API_SECRET", EGRESS_KEY.1)
    };
    let by_flags = || {
        by_environment().flags(&[
            "--server-bind=127.0.0.1",
            "--token-ttl=3m",
            "--cors-origin=https://flag.example",
            "--log-format=json",
            "--log-level=debug",
            "--livekit-url=ws://flag.example",
            "--livekit-api-key=APIflag",
        ])
    };
    for (start, bind, source, key, seconds, is_json) in [
        (by_file(), "127.0.0.1", "file", ("APIfile", SERVER_KEY.1), 60, true),
        (by_environment(), "0.0.0.0", "variable", ("APIvariable", EGRESS_KEY.1), 120, false),
        (by_flags(), "127.0.0.1", "flag", ("APIflag", EGRESS_KEY.1), 180, true),
    ] {
        let program = start.serve();
        assert_eq!(program.listens_at().ip().to_string(), bind, "{source}");
        assert_eq!(lifetime(&program), seconds, "{source}");
        assert_mints_with(&program, key);
        let origin = format!("https://{source}.example");
        assert_eq!(allowed(&program, &origin), Some(origin), "{source}");
        for other in ["file", "variable", "flag"].into_iter().filter(|other| *other != source) {
            assert_eq!(allowed(&program, &format!("https://{other}.example")), None, "{source}");
        }
        assert!(program.log()[0].contains(key.0), "{source}");
        assert_eq!(delivered(&program, STRANGER), 401);
        let log = program.stop();
        assert_eq!(log.iter().any(|line| line.contains("DEBUG")), is_json, "{source}: {log:#?}");
        assert_eq!(log[0].starts_with('{'), is_json, "{source}");
    }
}

#[test]
fn a_port_that_a_better_source_makes_good() {
    Start::bare().file(".env", "SERVER_PORT=no\n").env("SERVER_PORT", "0").serve();
    Start::bare().env("SERVER_PORT", "no").flags(&["--server-port", "0"]).serve();
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let start = with_server_key(Start::new());
    let program =
        ["TOKEN_TTL", "SERVER_BIND", "LIVEKIT_URL", "LOG_LEVEL", "LOG_FORMAT", "CORS_ORIGIN", "LIVEKIT_API_SECRET_FILE"]
            .into_iter()
            .fold(start, |start, name| start.env(name, ""))
            .serve();
    assert_eq!(lifetime(&program), 6 * 60 * 60);
    assert_eq!(allowed(&program, "https://app.example.com").as_deref(), Some("*"));
}

#[test]
fn an_empty_source_leaves_it_to_the_next() {
    for empty in ["", " ", "\n", "\"\""] {
        let start = with_server_key(Start::new()).file(".env", "TOKEN_TTL=7m\nCORS_ORIGIN=https://file.example\n");
        let start = start.env("TOKEN_TTL", empty).env("CORS_ORIGIN", empty);
        let program = start.flags(&[&format!("--token-ttl={empty}")]).serve();
        assert_eq!(lifetime(&program), 420, "{empty:?}");
        assert_eq!(allowed(&program, "https://other.example"), None, "{empty:?}");
    }
    let all = [
        "SERVER_BIND",
        "LIVEKIT_URL",
        "LIVEKIT_SIGNING_KEY",
        "SANDBOX_ID",
        "ALLOW_CLIENT_EGRESS",
        "TOKEN_TTL",
        "BASE_PATH",
        "MAX_CONNECTIONS",
        "SHUTDOWN_DELAY",
        "METRICS_BIND",
        "ROOMKEY_INBOX",
        "ROOMKEY_INBOX_KEEP",
        "ROOMKEY_INBOX_MAX_SIZE",
        "LOG_LEVEL",
        "LOG_FORMAT",
        "CORS_ORIGIN",
        "TRUSTED_PROXIES",
        "PROXY_PROTOCOL",
        "IDLE_TIMEOUT",
        "ACCESS_LOG",
    ];
    all.into_iter().fold(Start::new(), |start, name| start.env(name, "")).serve();
}

/// Forms of `text` after it was pasted.
fn pasted(text: &str) -> Vec<String> {
    let forms = [
        "TEXT",
        " TEXT",
        "TEXT\n",
        "TEXT\r\n",
        "TEXT\n\n\r\n",
        "\u{feff}TEXT",
        "\"TEXT\"",
        "'TEXT'",
        "\"TEXT\"\n",
        "'TEXT\n'",
        "\u{feff}\"TEXT\"\r\n",
        "\t 'TEXT' \n",
    ];
    forms.iter().map(|form| form.replace("TEXT", text)).collect()
}

#[test]
fn what_is_pasted_is_taken_as_meant() {
    let (name, secret) = SERVER_KEY;
    for (name, secret) in pasted(name).into_iter().zip(pasted(secret)) {
        let start = Start::new().env("LIVEKIT_API_KEY", &name).env("LIVEKIT_API_SECRET", &secret).env("TOKEN_TTL", " 5m\n");
        let program = start.serve();
        assert_mints_with(&program, SERVER_KEY);
        assert_eq!((lifetime(&program), delivered(&program, SERVER_KEY)), (300, 200), "{secret:?}");
        // In double quotes, so that dotenvy leaves the rest to us.
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\\\""));
        let dotenv = format!("LIVEKIT_API_KEY={}\nLIVEKIT_API_SECRET={}\n", quoted(&name), quoted(&secret));
        assert_mints_with(&Start::new().file(".env", dotenv).serve(), SERVER_KEY);
        let start = Start::new().flags(&["--livekit-api-key", &name, "--token-ttl", "'5m' "]).env("LIVEKIT_API_SECRET", &secret);
        assert_mints_with(&start.serve(), SERVER_KEY);
    }
    for list in pasted(&format!("{}\n{}", line(SERVER_KEY), line(EGRESS_KEY))) {
        let by_variable = Start::new().env("LIVEKIT_KEYS", &list).serve();
        let by_file = Start::new().secret_file("keys", &list).env("LIVEKIT_KEYS_FILE", " keys\n").serve();
        for program in [by_variable, by_file] {
            assert_eq!([SERVER_KEY, EGRESS_KEY].map(|key| delivered(&program, key)), [200; 2], "{list:?}");
        }
    }
}

#[test]
fn a_file_of_other_programs_too() {
    let ours = format!("LIVEKIT_API_KEY={}\nLIVEKIT_API_SECRET=\"{}\"\nTOKEN_TTL=$MINUTES\n", SERVER_KEY.0, SERVER_KEY.1);
    let others = "APP_NAME=My App\nmy-var=1\nexport X=y z\nX=it's\n# it's \"\nJSON={\"a\": 1}\nMINUTES=3m\n\
                  PEM=\"-----BEGIN\nLIVEKIT_API_KEY=inner\n-----END\"\nhushhush\nkey: value\nX=\"open\nÜ=ü\n";
    for text in [format!("{others}{ours}"), format!("\u{feff}{}", format!("{others}{ours}{others}").replace('\n', "\r\n"))] {
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(b"CITY=Z\xfcrich\n"); // Latin-1
        let program = Start::new().file(".env", bytes).serve();
        assert_mints_with(&program, SERVER_KEY);
        assert_eq!(lifetime(&program), 180);
    }
}

#[test]
fn an_unknown_variable_of_ours() {
    let start = Start::new().env("ROOMKEY_INBOXX", "none").env("ROOMKEY_TOKEN_TTL", "hushhush").env("ROOMKEY_INBOX", "none");
    let start = start.file(".env", "ROOMKEY_INBOX_KEPT=1d\nROOMKEY_CORS_ORIGINS=hush hush\nROOMKEY_INBOX_KEEP=1d\n");
    let start =
        ["ROOMKEY_SERVICE_HOST", "ROOMKEY_SERVICE_PORT_HTTP", "ROOMKEY_PORT", "ROOMKEY_PORT_6080_TCP_ADDR", "OTHER_INBOX"]
            .into_iter()
            .fold(start, |start, name| start.env(name, "10.0.0.1"));
    let log = with_server_key(start).env("LIVEKIT_URL", "ws://livekit.internal").serve().stop();
    let warnings: Vec<_> = log.iter().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 4, "{log:#?}");
    for (name, nearest) in [
        ("ROOMKEY_INBOXX", "ROOMKEY_INBOX"),
        ("ROOMKEY_TOKEN_TTL", "TOKEN_TTL"),
        ("ROOMKEY_INBOX_KEPT", "ROOMKEY_INBOX_KEEP"),
        ("ROOMKEY_CORS_ORIGINS", "CORS_ORIGIN"),
    ] {
        let names = [format!("\"{name}\""), format!("\"{nearest}\"")];
        assert!(warnings.iter().any(|line| names.iter().all(|name| line.contains(name))), "{name}: {warnings:#?}");
    }
    assert!(!log.iter().any(|line| line.contains("hush")), "{log:#?}");
}

#[test]
fn a_lifetime_that_can_be_set() {
    for (ttl, seconds) in
        [("90s", 90), ("10m", 600), ("2h", 7200), ("1h 30m", 5400), ("1s", 1), ("1.5h", 5400), ("30days", 30 * 24 * 60 * 60)]
    {
        assert_eq!(lifetime(&Start::new().env("TOKEN_TTL", ttl).serve()), seconds, "{ttl}");
    }
    assert_eq!(lifetime(&Program::start()), 6 * 60 * 60);
}

#[test]
fn the_time_that_a_connection_may_be_silent() {
    for wrong in ["4999ms", "3601s", "0s", "75", "never", "-5s"] {
        let error = Start::new().flags(&["--idle-timeout", wrong]).run().wrong();
        assert!(error.contains("IDLE_TIMEOUT") && error.contains("from 5s to 1h"), "{error}");
    }
    Start::new().env("IDLE_TIMEOUT", "1h").serve();
    let program = Start::new().env("IDLE_TIMEOUT", "5s").serve();
    let mut client = program.connect();
    client.assert_usable();
    client.assert_closed(); // the default would take longer than a test waits
}

#[test]
fn origins_in_a_variable_or_in_flags() {
    let variable = Start::new().env("CORS_ORIGIN", "https://a.example, http://localhost:5080");
    let flags = Start::new().env("CORS_ORIGIN", "https://other.example").flags(&[
        "--cors-origin",
        "https://a.example",
        "--cors-origin",
        "http://localhost:5080",
    ]);
    for start in [variable, flags] {
        let program = start.serve();
        for origin in ["https://a.example", "http://localhost:5080"] {
            assert_eq!(allowed(&program, origin).as_deref(), Some(origin));
        }
        assert_eq!(allowed(&program, "https://other.example"), None);
    }
    for start in [Start::new().env("CORS_ORIGIN", "*"), Start::new().flags(&["--cors-origin", "*"])] {
        assert_eq!(allowed(&start.serve(), "https://a.example").as_deref(), Some("*"));
    }
}

#[test]
fn origins_are_compared_as_browsers_send_them() {
    let listed = " HTTPS://App.Example.com:443/ ,'http://b.example:80', https://bücher.example,null, capacitor://localhost,https://*.c.example";
    let program = Start::new().env("CORS_ORIGIN", listed).serve();
    for origin in [
        "https://app.example.com",
        "http://b.example",
        "https://xn--bcher-kva.example",
        "null",
        "capacitor://localhost",
        "https://a.c.example",
        "https://a.b.c.example",
    ] {
        assert_eq!(allowed(&program, origin).as_deref(), Some(origin));
    }
    for origin in [
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://c.example",
        "https://evil-c.example",
        "https://c.example.evil.org",
        "https://a.c.example.evil.org",
        "https://a.c.example:8443",
        "http://a.c.example",
        "https://.c.example",
        "https://evil.org/.c.example",
        "http://localhost",
    ] {
        assert_eq!(allowed(&program, origin), None, "{origin}");
    }
}

#[test]
fn the_url_of_livekit_stays_as_it_was_given() {
    for (given, expected) in [
        ("wss://livekit.example.com", "wss://livekit.example.com"),
        (" ws://LiveKit.internal:7880/ \n", "ws://LiveKit.internal:7880/"),
        ("\"https://livekit.example.com/x\"", "https://livekit.example.com/x"),
        ("http://[::1]:7880", "http://[::1]:7880"),
    ] {
        let program = Start::new().env("LIVEKIT_URL", given).serve();
        let answer = program.ask(post("/connection-details", &[], "{}"));
        assert_eq!(answer.json()["server_url"], expected);
    }
}

#[test]
fn a_host_to_listen_on() {
    for (host, address) in [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0")] {
        let program = Start::new().env("SERVER_BIND", host).serve();
        assert_eq!(program.listens_at().ip().to_string(), address);
        program.connect().assert_usable();
    }
    let program = Start::new().env("SERVER_BIND", "localhost").serve();
    assert!(program.listens_at().ip().is_loopback());
    program.connect().assert_usable();
}

#[test]
fn a_secret_file_whose_end_is_kept() {
    for content in pasted(SERVER_KEY.1) {
        let start = Start::new().file("secret.txt", &content).env("LIVEKIT_API_KEY", SERVER_KEY.0);
        let program = start.env("LIVEKIT_API_SECRET_FILE", "secret.txt").serve();
        assert_mints_with(&program, SERVER_KEY);
    }
    let start = Start::new().file("secret.txt", format!("{}\n", SERVER_KEY.1));
    let program = start.flags(&["--livekit-api-secret-file", "secret.txt", "--livekit-api-key", SERVER_KEY.0]).serve();
    assert_mints_with(&program, SERVER_KEY);
}

#[test]
fn a_secret_that_is_not_kept_to_the_byte() {
    for secret in [
        "a secret  of blanks and \t tabs between words",
        "\"quotes\" at both ends that are \"not\" of one pair \"",
        "Größe-of-a-secret-ünïcode-0123456789",
        "a-secret$HOME`id`\\n\"quotes\"'0123456789",
    ] {
        let key = ("APIodd", secret);
        let program = Start::new().env("LIVEKIT_API_KEY", key.0).env("LIVEKIT_API_SECRET", secret).serve();
        assert_mints_with(&program, key);
        let dotenv = format!("LIVEKIT_API_KEY={}\nLIVEKIT_API_SECRET='{}'\n", key.0, secret.replace('\'', "'\\''"));
        assert_mints_with(&Start::new().file(".env", dotenv).serve(), key);
        let program = Start::new().file("s", secret).env("LIVEKIT_API_KEY", key.0).env("LIVEKIT_API_SECRET_FILE", "s").serve();
        assert_mints_with(&program, key);
    }
}

#[test]
fn the_first_of_several_keys_mints_and_all_verify() {
    let program = Start::new().env("LIVEKIT_KEYS", format!("{}\n{}\n", line(SERVER_KEY), line(EGRESS_KEY))).serve();
    assert_mints_with(&program, SERVER_KEY);
    assert_eq!([SERVER_KEY, EGRESS_KEY, STRANGER].map(|key| delivered(&program, key)), [200, 200, 401]);
    assert_eq!(delivered(&program, ("devkey", "secret")), 401, "the development pair is not trusted beside others");
}

#[test]
fn a_pair_beside_several_keys_mints() {
    let several = format!("{}\n{}", line(SERVER_KEY), line(EGRESS_KEY));
    // An origin that is not listed, and one that is.
    for pair in [STRANGER, EGRESS_KEY] {
        let start = Start::new().env("LIVEKIT_KEYS", &several).env("LIVEKIT_API_KEY", pair.0).env("LIVEKIT_API_SECRET", pair.1);
        let program = start.serve();
        assert_mints_with(&program, pair);
        assert_eq!([SERVER_KEY, EGRESS_KEY, pair].map(|key| delivered(&program, key)), [200; 3]);
    }
}

#[test]
fn the_forms_that_several_keys_may_have() {
    let ((one, secret), (other, other_secret)) = (SERVER_KEY, EGRESS_KEY);
    for list in [
        format!("{one}: {secret}\n{other}: {other_secret}"),
        format!("{one}: \"{secret}\"\n{other}: '{other_secret}'\n"),
        format!("\"{one}\": \"{secret}\"\n'{other}': {other_secret}\n"),
        format!("{one}: {secret}\r\n{other}: {other_secret}\r\n"),
        format!("\n\n  {one}:   {secret}  \n\n\t{other}: {other_secret}\n\n"),
        format!("# ours\n{one}: {secret}\n  # the egress's\n{other}: {other_secret}\n"),
        format!("{one}: {secret}\n{other}: {other_secret}\n{one}: {secret}\n"),
    ] {
        let program = Start::new().env("LIVEKIT_KEYS", &list).serve();
        assert_mints_with(&program, SERVER_KEY);
        assert_eq!([SERVER_KEY, EGRESS_KEY].map(|key| delivered(&program, key)), [200; 2], "{list}");
    }
    let odd = ("APIodd", "a-secret: with: colons#and-hash-0123456789");
    assert_mints_with(&Start::new().env("LIVEKIT_KEYS", format!("{}: '{}'", odd.0, odd.1)).serve(), odd);
}

#[test]
fn several_keys_in_the_file() {
    let dotenv = format!("# settings\nexport TOKEN_TTL='5m'\n\nLIVEKIT_KEYS='{}\n{}'\n", line(SERVER_KEY), line(EGRESS_KEY));
    let program = Start::new().file(".env", dotenv).serve();
    assert_mints_with(&program, SERVER_KEY);
    assert_eq!(delivered(&program, EGRESS_KEY), 200);
    assert_eq!(lifetime(&program), 300);
}

#[test]
fn a_secret_of_exactly_32_bytes() {
    let key = ("APIshort", "0123456789abcdef0123456789abcdef");
    assert_mints_with(&Start::new().env("LIVEKIT_KEYS", line(key)).serve(), key);
}

#[test]
fn help_leaves_a_setting_or_a_default_out() {
    let Ended { status, stdout: help, stderr: log } = Start::bare().flags(&["--help"]).run();
    assert_eq!((status, log.as_str()), (0, ""));
    for (flag, variable, default) in [
        ("--server-port", "SERVER_PORT", "6080"),
        ("--server-bind", "SERVER_BIND", "all"),
        ("--livekit-url", "LIVEKIT_URL", "ws://localhost:7880"),
        ("--livekit-api-key", "LIVEKIT_API_KEY", "devkey"),
        ("--livekit-api-secret-file", "LIVEKIT_API_SECRET_FILE", ""),
        ("--keys-file", "LIVEKIT_KEYS_FILE", ""),
        ("--signing-key", "LIVEKIT_SIGNING_KEY", "the first"),
        ("--token-ttl", "TOKEN_TTL", "6h"),
        ("--log-level", "LOG_LEVEL", "info"),
        ("--log-format", "LOG_FORMAT", "text"),
        ("--cors-origin", "CORS_ORIGIN", "any"),
        ("--trusted-proxies", "TRUSTED_PROXIES", "none"),
        ("--proxy-protocol", "PROXY_PROTOCOL", "false"),
        ("--idle-timeout", "IDLE_TIMEOUT", "75s"),
        ("--access-log", "ACCESS_LOG", "false"),
    ] {
        let line = help.lines().find(|line| line.contains(&format!("{flag} "))).unwrap_or_else(|| panic!("no {flag}: {help}"));
        assert!(line.contains(&format!("env: {variable}")), "{line}");
        assert!(default.is_empty() || line.contains(&format!("default: {default}")), "{line}");
    }
    for variable in ["LIVEKIT_API_SECRET ", "LIVEKIT_KEYS "] {
        assert!(help.contains(variable), "no {variable}: {help}");
    }
    assert!(!help.contains("--livekit-api-secret ") && !help.contains("--livekit-keys"), "a secret has a flag: {help}");
    assert!(help.contains(".env"));
}

#[test]
fn help_tells_what_the_environment_holds() {
    let help = with_server_key(Start::bare()).env("LIVEKIT_KEYS", line(STRANGER)).flags(&["--help"]).run().stdout;
    for secret in [SERVER_KEY.1, STRANGER.1] {
        assert!(!help.contains(secret));
    }
}

#[test]
fn the_version_is_told() {
    let Ended { status, stdout: version, stderr: log } = Start::bare().flags(&["--version"]).run();
    assert_eq!((status, log.as_str()), (0, ""));
    assert_eq!(version.trim(), format!("roomkey {}", env!("CARGO_PKG_VERSION")));
}

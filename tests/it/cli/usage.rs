//! Tests of wrong use and of the help: a sentence that names the flag and repeats no value, and status 2.

use super::assert_says;
use crate::harness::program::Start;

/// A secret that no answer contains, wherever it is in the arguments.
const HUSH: &str = "hushhush-0123456789-0123456789-012345";

#[test]
fn wrong_use_is_answered_in_one_sentence_without_values() {
    for (arguments, part) in [
        (&["nowhere"][..], "no such command"),
        (&["toke"], "token"),
        (&[HUSH], "no such command"),
        (&["token"], "inspect"),
        (&["webhook"], "send"),
        (&["inbox"], "restore"),
        (&["inbox", "export", HUSH], "one argument too many"),
        (&["inbox", "export", "--after", HUSH], "--after must be a cursor"),
        (&["inbox", "restore"], "<COPY>"),
        (&["inbox", "import", "--inbox", "rediss:hushhush-0123456789-0123456789-012345"], "ROOMKEY_INBOX"),
        (&["token", HUSH], "no such command"),
        (&["token", "create", HUSH], "one argument too many"),
        (&["token", "create", "--api-secret", HUSH], "LIVEKIT_API_SECRET"),
        (&["--livekit-api-secret=hushhush-0123456789-0123456789-012345"], "--livekit-api-secret"),
        (&["webhook", "send", "--api-key=hushhush-0123456789-0123456789-012345"], "--api-key"),
        (&["token", "create", "--join", "--kind", HUSH], "--kind must be one of standard"),
        (&["token", "create", "--join", "--valid-for", HUSH], "--valid-for must be a duration"),
        (&["token", "create", "--join", "--allow-source", HUSH], "--allow-source must be one of camera"),
        (&["token", "create", "--join", "--attribute", HUSH], "--attribute must be KEY=VALUE"),
        (&["token", "create", "--join", "--grant", HUSH], "--grant is not a JSON object"),
        (&["token", "create", "--join", "--claims", HUSH], "--claims is not a JSON object"),
        (&["token", "create", "--join", "--join"], "--join must appear only once"),
        (&["token", "create", "--join", "--room"], "--room needs a value"),
        (&["token", "create", "--join=hushhush-0123456789-0123456789-012345"], "--join takes no value"),
        (&["token", "create", "--json", "--token-only", "--join"], "--token-only"),
        (&["token", "inspect"], "<TOKEN>"),
        (&["token", "inspect", "a", HUSH], "one argument too many"),
        (&["token", "verify", "a", "--at", HUSH], "--at must be a time"),
        (&["webhook", "verify", "--body", "b"], "--head"),
        (&["webhook", "verify", "--head", "b"], "--body"),
        (&["webhook", "verify", "--body", "b", "--head", "h", "--authorization", HUSH], "--authorization"),
        (&["webhook", "send", "--url", HUSH, "--event", "room_started"], "--url must be an address"),
        (
            &["webhook", "send", "--url", "http://user:hushhush-0123456789-0123456789-012345@x/", "--event", "room_started"],
            "--url",
        ),
        (&["webhook", "send", "--url", "ftp://localhost/webhook", "--event", "room_started"], "--url must be an address"),
        (&["webhook", "send", "--url", "http://localhost/", "--event", HUSH], "--event must be one of room_started"),
        (&["webhook", "send", "--url", "http://localhost/"], "--event"),
        (&["webhook", "send", "--event", "room_started"], "--url"),
        (&["webhook", "send", "--url", "http://localhost/", "--event", "room_started", "--count", "0"], "--count"),
        (&["events", HUSH], "one argument too many"),
        (&["events", "--url", HUSH], "--url must be an address such as http://localhost:6080:"),
        (&["events", "--url", "http://localhost:99999"], "--url must be an address"),
        (&["events", "--url", "http://localhost/?token=hushhush-0123456789-0123456789-012345"], "--url must not have a query"),
        (&["events", "--after", HUSH], "--after must be a cursor"),
        (&["events", "--access-token", HUSH], "--access-token"),
        (&["relay"], "resume"),
        (&["relay", HUSH], "no such command"),
        (&["relay", "status", "a", HUSH], "one argument too many"),
        (&["relay", "pause"], "<NAME>"),
        (&["relay", "pause", "App"], "<NAME> must be the name of a target"),
        (&["relay", "pause", "a/../b"], "<NAME> must be the name of a target"),
        (&["relay", "owed", "app", "--state", HUSH], "--state must be one of held, aside, dead, expired"),
        (&["relay", "retry", "app"], "<CURSOR>"),
        (&["relay", "retry", "app", HUSH], "must be a cursor"),
        (&["relay", "retry", "app", "--state", "expired"], "--state must be one of held, aside, dead"),
        (&["relay", "retry", "app", "0001d2a0b3c40000", "--state", "dead"], "cannot be used with"),
        (&["relay", "replay", "app"], "--after"),
        (&["relay", "replay", "app", "--since", HUSH], "--since must be a time"),
        (&["relay", "replay", "app", "--since", "2026-11-22T03:15:15Z", "--after", "0001d2a0b3c40000"], "cannot be used with"),
        (&["relay", "skip", "app"], "<CURSOR>"),
        (&["relay", "status", "--url", HUSH], "--url must be an address"),
        (&["check", HUSH], "one argument too many"),
        (&["healthcheck", HUSH], "one argument too many"),
        (&["deploy", HUSH], "roomkey.service"),
        (&["completions", HUSH], "bash"),
        (&["man", HUSH], "no such command"),
        (&["--log-level", "info", "serve"], "--log-level"),
        (&["serve", "--log-level"], "--log-level needs a value"),
        (&["serve", HUSH], "one argument too many"),
    ] {
        let sentence = Start::command(arguments).run().wrong();
        assert_says(&sentence, &[part]);
        assert!(!sentence.contains("hushhush"), "a value is told: {sentence}");
    }
}

#[test]
fn settings_of_serve_work_with_and_without_the_word() {
    for words in [&["--log-level", "loud"][..], &["serve", "--log-level", "loud"]] {
        assert_says(&Start::command(words).run().wrong(), &["LOG_LEVEL", "must be"]);
    }
}

#[test]
fn unusable_keys_end_every_command_that_needs_keys() {
    for arguments in [
        &["token", "create", "--join"][..],
        &["token", "verify", "a.b.c"],
        &["webhook", "verify", "--body", "b", "--authorization", "a"],
        &["webhook", "send", "--url", "http://localhost:1/", "--event", "room_started"],
        &["events", "--url", "http://localhost:1/"],
        &["relay", "pause", "app", "--url", "http://localhost:1/"],
    ] {
        let half = Start::command(arguments).env("LIVEKIT_API_KEY", "APIhalf").run().wrong();
        assert_says(&half, &["LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"]);
        let dotenv =
            Start::command(arguments).file(".env", format!("LIVEKIT_API_KEY=a\nLIVEKIT_API_SECRET={}", &HUSH[..31])).run();
        let sentence = dotenv.wrong();
        assert_says(&sentence, &["LIVEKIT_API_SECRET", "32 bytes"]);
        assert!(!sentence.contains("hushhush"));
    }
}

#[test]
fn a_command_that_needs_no_key_ignores_unusable_ones() {
    let token = Start::command_with_keys(["token", "create", "--list", "--token-only"]).run().done();
    for arguments in [&["token", "inspect", token.trim()][..], &["completions", "bash"], &["man"], &["--help"]] {
        for roomkey in [
            Start::command(arguments).env("LIVEKIT_API_KEY", "APIhalf"),
            Start::command(arguments).env("LIVEKIT_API_SECRET", ""),
            Start::command(arguments).env("LIVEKIT_KEYS", HUSH),
            Start::command(arguments).env("LIVEKIT_KEYS_FILE", "none"),
            Start::command(arguments).file(".env", "LIVEKIT_API_SECRET='hushhush\n"),
            Start::command(arguments).file(".env", [0; 10]),
        ] {
            let ended = roomkey.run();
            assert_eq!((ended.status, &*ended.stderr), (0, ""), "{arguments:?}");
            assert!(arguments[0] != "token" || ended.stdout.contains("not checked: "), "{ended:?}");
            assert!(!ended.stdout.contains("hushhush"));
        }
    }
    // These commands ignore the server's other settings.
    let create = ["token", "create", "--list"];
    Start::command_with_keys(create).env("TOKEN_TTL", "soon").file(".env", "SERVER_PORT=1 2\nCORS_ORIGIN='\n").run().done();
}

#[test]
fn a_command_that_falls_back_to_the_development_key_says_so() {
    const NOTICE: &str = "no key is set";
    let token = Start::command(["token", "create", "--list", "--token-only"]).run().done();
    for arguments in [
        &["token", "create", "--list"][..],
        &["token", "verify", token.trim()],
        &["token", "inspect", token.trim()],
        &["webhook", "verify", "--body", "b", "--authorization", token.trim()],
        &["webhook", "send", "--url", "http://127.0.0.1:1/", "--event", "room_started"],
        &["events", "--url", "http://127.0.0.1:1/"],
    ] {
        let ended = Start::command(arguments).file("b", "{}").run();
        assert_eq!(ended.stderr.matches(NOTICE).count(), 1, "{arguments:?}: {ended:?}");
        assert_says(&ended.stderr, &["LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"]);
        assert!(!ended.stdout.contains(NOTICE));
        for ended in [
            Start::command_with_keys(arguments).file("b", "{}").run(),
            Start::command(arguments).env("LIVEKIT_KEYS", "devkey: secret").file("b", "{}").run(),
        ] {
            assert!(!ended.stderr.contains(NOTICE), "{arguments:?}: {ended:?}");
        }
    }
}

#[test]
fn help_shows_examples() {
    for (arguments, parts) in [
        (&["--help"][..], &["token create", "LIVEKIT_API_SECRET", "Exit status", "  man "][..]),
        (&["man", "--help"], &["Examples:", "token create"]),
        (&["-h"], &["completions"]),
        (&["help", "token"], &["create", "inspect", "verify"]),
        (&["serve", "--help"], &["--server-port", "LIVEKIT_API_SECRET"]),
        (&["token", "create", "--help"], &["Examples:", "--valid-for", "5m"]),
        (&["token", "inspect", "--help"], &["Examples:", "Status 1"]),
        (&["token", "verify", "--help"], &["Examples:", "--at"]),
        (&["webhook", "verify", "--help"], &["Examples:", "--head"]),
        (&["webhook", "send", "--help"], &["Examples:", "--retry"]),
        (&["events", "--help"], &["Examples:", "--follow", "Status 1", "http://127.0.0.1:6080"]),
        (&["check", "--help"], &["--server-port", "LIVEKIT_API_SECRET"]),
        (&["healthcheck", "--help"], &["--server-port", "--base-path"]),
        (&["deploy", "--help"], &["Examples:", "roomkey.service"]),
        (&["inbox", "export", "--help"], &["Examples:", "--after", "Status 1", "secrets"]),
        (&["inbox", "import", "--help"], &["Examples:", "-", "Status 1", "run it again"]),
        (&["inbox", "restore", "--help"], &["Examples:", "sqlite3", "Status 1", "before-restore"]),
        (&["completions", "--help"], &["Examples:", "fish"]),
    ] {
        let ended = Start::command(arguments).run();
        assert_eq!(ended.stderr, "");
        assert!(!ended.stdout.contains('\u{1b}'), "colours without a terminal");
        assert_says(&ended.done(), parts);
    }
    assert_eq!(Start::command(["--version"]).run().done(), concat!("roomkey ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn every_command_has_one_description() {
    let mut commands = vec![Vec::new()];
    let mut described = 0;
    while let Some(command) = commands.pop() {
        let help = |command: &[String]| Start::command(command.iter().map(String::as_str).chain(["--help"])).run().done();
        let help_of_all = help(&command);
        let list = help_of_all.split("Commands:\n").nth(1).unwrap_or_default().lines();
        for line in list.take_while(|line| !line.is_empty()) {
            let (name, description) = line.trim().split_once("  ").unwrap();
            if name == "help" {
                continue;
            }
            let command = [&command[..], &[name.to_owned()]].concat();
            assert_eq!(help(&command).lines().next(), Some(description.trim()), "{command:?}");
            let man = Start::command(["man"].into_iter().chain(command.iter().map(String::as_str))).run().done();
            assert_says(&man.replace('\\', ""), &[description.trim()]);
            described += 1;
            commands.push(command);
        }
    }
    assert!(described > 20, "{described}");
}

#[test]
fn completions_of_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert_says(&Start::command(["completions", shell]).run().done(), &["roomkey", "inspect", "valid-for", "healthcheck"]);
    }
}

#[test]
fn man_pages_of_the_program_and_its_commands() {
    assert_says(&Start::command(["man"]).run().done(), &[".TH roomkey 1", "LIVEKIT_API_SECRET", "roomkey\\-token"]);
    for command in ["check", "healthcheck", "deploy"] {
        assert_says(&Start::command(["man", command]).run().done(), &[&format!(".TH roomkey-{command} 1")]);
    }
    let page = Start::command(["man", "token", "create"]).run().done();
    assert_says(
        &page,
        &[".TH roomkey-token-create 1", concat!("roomkey ", env!("CARGO_PKG_VERSION")), "valid\\-for", "Examples:"],
    );
}

//! Tests of the forms that a file of keys may have: those that LiveKit Server takes.

use std::path::Path;
use std::process::Command;

use super::support::{FILE, Key, NEW, OLD, Rotating, list};
use crate::fixtures::payload;
use crate::harness::ended::Ended;
use crate::harness::program::Start;

#[test]
fn comments_quotes_line_ends_and_marks() {
    let ((old, old_secret), (new, new_secret)) = (OLD, NEW);
    let plain = list(&[OLD, NEW]);
    let mut rotating = Rotating::with(&[OLD]);
    for content in [
        plain.trim_end().to_owned(),
        plain.replace('\n', "\r\n"),
        format!("\u{feff}{plain}"),
        format!("---\n{plain}"),
        format!("# ours\n\n{old}: {old_secret} # until Monday\n\t# theirs\n{new}:\t{new_secret}\t#soon\n\n"),
        format!("{old}: \"{old_secret}\" # until Monday\n{new}: '{new_secret}'\t# soon\n"),
        format!("\"{old}\": \"{old_secret}\"\n'{new}' : {new_secret}\n"),
        format!("  {old}:   {old_secret}  \n  {new}: {new_secret}\n"),
        format!("{plain}{plain}"),
    ] {
        rotating.replace(&content);
        rotating.ask_for("keys reloaded");
        assert_eq!([OLD, NEW].map(|key| rotating.delivered(key)), [200, 200], "{content:?}");
        assert_eq!(rotating.minting(), old, "{content:?}");
    }
}

#[test]
fn names_and_secrets_of_special_characters() {
    let mut rotating = Rotating::with(&[OLD]);
    let keys: [(&str, Key); 8] = [
        ("APIa: 0123456789abcdef#0123456789abcdef", ("APIa", "0123456789abcdef#0123456789abcdef")),
        ("APIb: \"0123456789abcdef # 0123456789abcdef\"", ("APIb", "0123456789abcdef # 0123456789abcdef")),
        (r#"APIc: "0123456789abcdef\"\\0123456789abcdef""#, ("APIc", "0123456789abcdef\"\\0123456789abcdef")),
        ("APId: '0123456789abcdef''\"\\0123456789abcdef'", ("APId", "0123456789abcdef'\"\\0123456789abcdef")),
        ("API:e: 0123456789abcdef:0123456789abcdef==", ("API:e", "0123456789abcdef:0123456789abcdef==")),
        ("'API: f': ' 0123456789abcdef 0123456789abcdef '", ("API: f", " 0123456789abcdef 0123456789abcdef ")),
        ("APIg: 0123456789äöü'\"0123456789äöü", ("APIg", "0123456789äöü'\"0123456789äöü")),
        ("APIh: -0123456789abcdef-0123456789abcdef-", ("APIh", "-0123456789abcdef-0123456789abcdef-")),
    ];
    rotating.replace(keys.map(|(line, _)| line).join("\n"));
    rotating.ask_for("keys reloaded");
    for (line, key) in keys {
        assert_eq!(rotating.delivered(key), 200, "{line}");
    }
}

#[test]
fn commands_take_the_same_file() {
    let start = || Start::bare().secret_file(FILE, list(&[OLD, NEW]));
    let create = ["token", "create", "--join", "-r", "daily", "-i", "alice", "--token-only", "--keys-file", FILE];
    for (more, key) in [(&[][..], OLD), (&["--signing-key", NEW.0], NEW)] {
        let Ended { status, stdout: token, stderr: log } = start().flags(&create).flags(more).run();
        assert_eq!(status, 0, "{log}");
        assert_eq!(payload(token.trim())["iss"], key.0);
        let Ended { status, stderr: log, .. } = start().flags(&["token", "verify", token.trim(), "--keys-file", FILE]).run();
        assert_eq!(status, 0, "{log}");
    }
}

#[test]
fn commands_read_a_pipe_once() {
    let (name, secret) = OLD;
    let create =
        "roomkey token create --join --token-only --livekit-api-key \"$NAME\" --livekit-api-secret-file <(echo \"$SECRET\")";
    let verify = "roomkey token verify - --keys-file <(echo \"$NAME: $SECRET\")";
    let bin = Path::new(env!("CARGO_BIN_EXE_roomkey")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("set -o pipefail; {create} | {verify}")]).env_clear();
    let output = bash.envs([("PATH", &*path), ("NAME", name), ("SECRET", secret)]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_file_of_keys_that_no_variable_can_hold() {
    let many: String = (0..5_000).map(|number| format!("API{number:05}: a-secret-of-more-than-32-bytes-{number:09}\n")).collect();
    assert!(Command::new("true").env("LIVEKIT_KEYS", &many).status().is_err());
    let mut rotating = Rotating::with(&[OLD]);
    rotating.replace(many + &list(&[NEW]));
    rotating.ask_for("keys reloaded");
    assert_eq!(rotating.delivered(NEW), 200);
}

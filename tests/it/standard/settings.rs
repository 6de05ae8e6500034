//! Owns the tests of the settings of LiveKit's standard endpoint.

use super::support::Start;

#[test]
fn a_setting_that_cannot_be_ends_the_program_with_one_sentence() {
    for (name, value) in [
        ("ALLOW_CLIENT_EGRESS", "yes"),
        ("ALLOW_CLIENT_EGRESS", "1"),
        ("SANDBOX_ID", "first,,second"),
        ("SANDBOX_ID", ","),
        ("SANDBOX_ID", "two words"),
        ("SANDBOX_ID", "ünï"),
    ] {
        let output = Start::new().env(name, value).output();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {told}");
        assert!(told.starts_with("roomkey: ") && told.contains(name) && told.lines().count() == 1, "{told}");
    }
    let output = Start::new().args(&["--sandbox-id", ""]).output();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn help_has_the_settings() {
    let help = String::from_utf8(Start::new().args(&["--help"]).output().stdout).unwrap();
    for setting in ["--sandbox-id", "SANDBOX_ID", "--allow-client-egress", "ALLOW_CLIENT_EGRESS"] {
        assert!(help.contains(setting), "{setting}");
    }
}

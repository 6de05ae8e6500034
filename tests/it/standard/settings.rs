//! Owns the tests of the settings of LiveKit's standard endpoint.

use crate::server::program::Start;

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
        let (status, _, told) = Start::new().env(name, value).run();
        assert_eq!(status, Some(2), "{name}={value}: {told}");
        assert!(told.starts_with("roomkey: ") && told.contains(name) && told.lines().count() == 1, "{told}");
    }
    assert_eq!(Start::new().flags(&["--sandbox-id", ""]).run().0, Some(2));
}

#[test]
fn help_has_the_settings() {
    let (_, help, _) = Start::new().flags(&["--help"]).run();
    for setting in ["--sandbox-id", "SANDBOX_ID", "--allow-client-egress", "ALLOW_CLIENT_EGRESS"] {
        assert!(help.contains(setting), "{setting}");
    }
}

//! Tests of the settings of LiveKit's standard endpoint.

use crate::harness::ended::Ended;
use crate::harness::program::Start;

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
        let Ended { status, stderr: told, .. } = Start::new().env(name, value).run();
        assert_eq!(status, 2, "{name}={value}: {told}");
        assert!(told.starts_with("roomkey: ") && told.contains(name) && told.lines().count() == 1, "{told}");
    }
    assert_eq!(Start::new().flags(&["--sandbox-id", ""]).run().status, 2);
}

#[test]
fn help_has_the_settings() {
    let help = Start::new().flags(&["--help"]).run().stdout;
    for setting in ["--sandbox-id", "SANDBOX_ID", "--allow-client-egress", "ALLOW_CLIENT_EGRESS"] {
        assert!(help.contains(setting), "{setting}");
    }
}

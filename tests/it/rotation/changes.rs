//! Tests that a change is used, however the file is changed.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::process::Signal;

use super::support::{FILE, NEW, OLD, Rotating, list, set_mode, wait_for_looks, write_secret};
use crate::fixtures::{EGRESS_KEY, SERVER_KEY};
use crate::harness::program::{Program, Start};

#[test]
fn a_file_that_another_one_replaces() {
    let rotating = Rotating::with(&[OLD]);
    rotating.replace(list(&[NEW]));
    rotating.assert_soon_mints_with(NEW);
    assert_eq!(rotating.delivered(OLD), 401);
    rotating.replace(list(&[OLD, NEW]));
    rotating.assert_soon_mints_with(OLD);
    assert_eq!(rotating.delivered(NEW), 200);
}

#[test]
fn a_file_that_is_written_over() {
    let rotating = Rotating::with(&[OLD]);
    rotating.write(list(&[NEW, OLD]));
    rotating.assert_soon_mints_with(NEW);
    assert_eq!(rotating.delivered(OLD), 200);
    // The same file with the same number of bytes.
    rotating.write(list(&[OLD, NEW]));
    rotating.assert_soon_mints_with(OLD);
}

#[test]
fn a_file_that_is_away_for_a_while() {
    let mut rotating = Rotating::with(&[OLD]);
    fs::remove_file(rotating.path(FILE)).unwrap();
    let warning = rotating.program.wait_for("stay as they were");
    assert!(warning.contains("WARN") && warning.contains("LIVEKIT_KEYS_FILE") && warning.contains(FILE), "{warning}");
    assert_eq!((rotating.delivered(OLD), rotating.minting().as_str()), (200, OLD.0));
    rotating.replace(list(&[NEW]));
    rotating.assert_soon_mints_with(NEW);
}

#[test]
fn a_file_that_is_written_bit_by_bit() {
    let mut rotating = Rotating::with(&[OLD]);
    rotating.write("");
    let warning = rotating.program.wait_for("stay as they were");
    assert!(warning.contains("no key"), "{warning}");
    rotating.write(&list(&[NEW])[..20]);
    rotating.program.wait_for("line 1");
    assert_eq!((rotating.delivered(OLD), rotating.delivered(NEW)), (200, 401));
    rotating.write(list(&[NEW]));
    rotating.assert_soon_mints_with(NEW);
}

/// Kubernetes mounts a Secret like this: the file is a link into `..data`, which is itself a link that is replaced.
#[test]
fn a_link_above_it_that_is_swapped() {
    let start =
        Start::new().directory("mount").directory("mount/..1").directory("mount/..2").secret_file("mount/..1/keys", list(&[OLD]));
    let start = start.link("..1", "mount/..data").link("..data/keys", "mount/keys").env("LIVEKIT_KEYS_FILE", "mount/keys");
    let rotating = Rotating::serve(start);
    let path = |name: &str| rotating.path("mount").join(name);
    write_secret(&path("..2/keys"), list(&[NEW, OLD]));
    symlink("..2", path("..data_tmp")).unwrap();
    fs::rename(path("..data_tmp"), path("..data")).unwrap();
    fs::remove_dir_all(path("..1")).unwrap();
    rotating.assert_soon_mints_with(NEW);
    assert_eq!(rotating.delivered(OLD), 200);
}

#[test]
fn a_signal_has_it_read_at_once() {
    let mut rotating = Rotating::with(&[OLD]);
    // Only a signal makes the program read a file that did not change.
    let line = rotating.ask_for("keys reloaded");
    assert!(line.contains("INFO") && line.contains(OLD.0), "{line}");
    for key in [NEW, OLD, NEW, OLD, NEW] {
        rotating.replace(list(&[key]));
        rotating.ask_for(&format!("key=\"{}\"", key.0));
        assert_eq!((rotating.minting().as_str(), rotating.delivered(key)), (key.0, 200));
    }
}

#[test]
fn a_signal_without_a_file_ends_nothing() {
    let mut program = Program::start();
    program.signal(Signal::HUP);
    assert!(program.wait_for("nothing to read again").contains("INFO"));
    program.connect().assert_usable();
    program.stop();
}

#[test]
fn what_is_told_of_a_change() {
    let mut rotating = Rotating::with(&[OLD]);
    rotating.replace(list(&[NEW, OLD]));
    let line = rotating.program.wait_for("keys reloaded");
    assert!(line.contains("INFO") && line.contains(&format!("keys=\"{} {}\"", NEW.0, OLD.0)), "{line}");
    wait_for_looks();
    let log = rotating.program.stop();
    assert_eq!(log.iter().filter(|line| line.contains("keys reloaded")).count(), 1, "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("WARN") || [OLD, NEW].iter().any(|key| line.contains(key.1))), "{log:#?}");
}

#[test]
fn a_development_key_that_comes_later_is_told() {
    let mut rotating = Rotating::with(&[OLD]);
    rotating.replace(list(&[OLD, ("devkey", "secret")]));
    assert!(rotating.ask_for("development key").contains("WARN"));
    assert_eq!(rotating.delivered(("devkey", "secret")), 200);
}

#[test]
fn the_signing_key_of_several() {
    let start = || Start::new().secret_file(FILE, list(&[OLD, NEW])).env("LIVEKIT_KEYS_FILE", FILE);
    for start in [start().env("LIVEKIT_SIGNING_KEY", NEW.0), start().flags(&["--signing-key", NEW.0])] {
        let mut rotating = Rotating::serve(start);
        assert_eq!(rotating.minting(), NEW.0);
        assert_eq!([OLD, NEW].map(|key| rotating.delivered(key)), [200, 200]);
        rotating.replace(list(&[OLD]));
        let warning = rotating.ask_for("stay as they were");
        assert!(warning.contains("LIVEKIT_SIGNING_KEY") && warning.contains(NEW.0), "{warning}");
        assert_eq!((rotating.minting().as_str(), rotating.delivered(NEW)), (NEW.0, 200));
    }
    let listed = Start::new().env("LIVEKIT_KEYS", list(&[OLD, NEW])).env("LIVEKIT_SIGNING_KEY", NEW.0);
    assert_eq!(Rotating::serve(listed).minting(), NEW.0);
}

#[test]
fn a_file_of_one_secret_is_read_again() {
    let (name, other) = (SERVER_KEY.0, (SERVER_KEY.0, EGRESS_KEY.1));
    let start = Start::new().secret_file(FILE, SERVER_KEY.1).env("LIVEKIT_API_SECRET_FILE", FILE);
    let mut rotating = Rotating::serve(start.env("LIVEKIT_API_KEY", name).env("LIVEKIT_KEYS", list(&[OLD])));
    rotating.replace("hush");
    let warning = rotating.program.wait_for("stay as they were");
    assert!(warning.contains("LIVEKIT_API_SECRET_FILE") && warning.contains("32 bytes"), "{warning}");
    assert_eq!([SERVER_KEY, other, OLD].map(|key| rotating.delivered(key)), [200, 401, 200]);
    rotating.replace(format!("{}\n", other.1));
    rotating.program.wait_for("keys reloaded");
    assert_eq!([SERVER_KEY, other, OLD].map(|key| rotating.delivered(key)), [401, 200, 200]);
    assert_eq!(rotating.minting(), name);
}

#[test]
fn a_file_that_others_may_read() {
    let start = Start::new().secret_file(FILE, list(&[OLD])).mode(FILE, 0o644).env("LIVEKIT_KEYS_FILE", FILE);
    let mut rotating = Rotating::serve(start);
    let warning = rotating.program.wait_for("others may read");
    assert!(warning.contains("WARN") && warning.contains(FILE), "{warning}");
    set_mode(&rotating.path(FILE), 0o640); // like Kubernetes' `fsGroup`
    rotating.program.wait_for("keys reloaded");
    set_mode(&rotating.path(FILE), 0o604);
    rotating.program.wait_for("others may read");
    wait_for_looks();
    let log = rotating.program.stop();
    assert_eq!(log.iter().filter(|line| line.contains("others may read")).count(), 2, "{log:#?}");

    let start = Start::new().secret_file("s", OLD.1).mode("s", 0o644).env("LIVEKIT_API_KEY", OLD.0);
    Rotating::serve(start.env("LIVEKIT_API_SECRET_FILE", "s")).program.wait_for("others may read");
}

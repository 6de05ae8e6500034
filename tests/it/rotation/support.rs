//! The program with a file of keys, the ways to change the file, and how a test finds out which keys the program has.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use roomkey::UnixTime;
use rustix::process::Signal;

use crate::fixtures::payload;
use crate::harness::client::{Client, post};
use crate::harness::program::{Program, Start};
use crate::harness::sender::authorization_at;

pub(super) type Key = (&'static str, &'static str);

/// A change is used within this time.
const WITHIN: Duration = Duration::from_secs(5);
pub(super) const FILE: &str = "keys.yaml";
pub(super) const OLD: Key = ("APIold", "the-old-secret-of-more-than-32-bytes-0123456789");
pub(super) const NEW: Key = ("APInew", "the-new-secret-of-more-than-32-bytes-9876543210");

/// The content of a file of keys.
pub(super) fn list(keys: &[Key]) -> String {
    keys.iter().map(|(name, secret)| format!("{name}: {secret}\n")).collect()
}

/// A POST to `/webhook` that is signed with `key`.
pub(super) fn webhook(key: Key) -> Vec<u8> {
    post("/webhook", &[("Authorization", &authorization_at(UnixTime::now(), key, "{}"))], "{}")
}

pub(super) fn token_request() -> Vec<u8> {
    post("/token", &[], r#"{"roomName":"daily","participantName":"alice"}"#)
}

/// The program with keys from a file that only its owner may read.
pub(super) struct Rotating {
    pub(super) program: Program,
}

impl Rotating {
    /// With a file that holds `keys`.
    pub(super) fn with(keys: &[Key]) -> Self {
        Self::serve(
            Start::new().secret_file(FILE, list(keys)).env("LIVEKIT_KEYS_FILE", FILE).env("LIVEKIT_URL", "ws://livekit.internal"),
        )
    }

    pub(super) fn serve(start: Start) -> Self {
        Self { program: start.env("ROOMKEY_INBOX", "none").serve() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.program.directory().join(name)
    }

    /// Overwrites the file in place.
    pub(super) fn write(&self, content: impl AsRef<[u8]>) {
        fs::write(self.path(FILE), content).unwrap();
    }

    /// Replaces the file by another one.
    pub(super) fn replace(&self, content: impl AsRef<[u8]>) {
        write_secret(&self.path("next"), content);
        fs::rename(self.path("next"), self.path(FILE)).unwrap();
    }

    /// Makes the program read the file again, and waits for a log line about it that contains `text`.
    pub(super) fn ask_for(&mut self, text: &str) -> String {
        self.program.signal(Signal::HUP);
        self.program.wait_for(text)
    }

    /// The status of the answer to a webhook signed with `key`.
    pub(super) fn delivered(&self, key: Key) -> u16 {
        self.program.ask(webhook(key)).status
    }

    /// The name of the key that signs tokens.
    pub(super) fn minting(&self) -> String {
        minting(&mut self.program.connect())
    }

    /// Waits until `key` signs tokens, for as long as a change may take.
    #[track_caller]
    pub(super) fn assert_soon_mints_with(&self, key: Key) {
        let begin = Instant::now();
        while self.minting() != key.0 {
            assert!(begin.elapsed() < WITHIN, "{} does not mint after {WITHIN:?}", key.0);
            sleep(Duration::from_millis(50));
        }
        assert_eq!(self.delivered(key), 200);
    }
}

/// The name of the key that signs the tokens that `client` gets.
pub(super) fn minting(client: &mut Client) -> String {
    let answer = client.ask(token_request());
    assert_eq!(answer.status, 200);
    payload(answer.json()["token"].as_str().unwrap())["iss"].as_str().unwrap().to_owned()
}

/// A file that only its owner may read.
pub(super) fn write_secret(path: &Path, content: impl AsRef<[u8]>) {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(content.as_ref()).unwrap();
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Long enough for the program to check the file several times.
pub(super) fn wait_for_looks() {
    sleep(Duration::from_millis(3_500));
}

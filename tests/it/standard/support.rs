//! Owns how LiveKit's standard endpoint is asked, and how its answers are read. Knows nothing of what is expected.

use roomkey::{Claims, TokenVerifier, UnixTime};
use serde_json::{Map, Value};

use crate::fixtures;
use crate::harness::client::{self, Answer};
use crate::harness::program::Program;

pub(crate) const STANDARD: &str = "/connection-details";
pub(crate) const SANDBOX: &str = "/api/v2/sandbox/connection-details";
pub(crate) const BOTH: [&str; 2] = [STANDARD, SANDBOX];

/// What is asked of a program.
pub(crate) trait Asked {
    /// One request on a connection of its own, its length announced unless `headers` do.
    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer;

    /// POSTs JSON.
    fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", path, &[("Content-Type", "application/json")], body)
    }

    /// The claims of the token that `body` gets.
    #[track_caller]
    fn claims(&self, body: &Value) -> Map<String, Value> {
        let answer = self.post(STANDARD, body.to_string());
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        fixtures::payload(&answer.token())
    }
}

impl Asked for Program {
    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        let length = body.as_ref().len().to_string();
        let is_announced = headers.iter().any(|(name, _)| *name == "Content-Length");
        let length = [("Content-Length", length.as_str())];
        let headers = [headers, if is_announced { &[] } else { &length }].concat();
        self.ask(client::request(method, path, &headers, body.as_ref()))
    }
}

/// What is answered.
pub(crate) trait Answered {
    fn token(&self) -> String;

    /// The claims of a token that holds.
    fn verified(&self) -> Claims;

    /// The message of an error, in both members.
    fn twofold(&self) -> String;

    /// Holds an error against a status and a message.
    #[track_caller]
    fn assert_twofold(&self, status: u16, message: &str);
}

impl Answered for Answer {
    #[track_caller]
    fn token(&self) -> String {
        self.json()["participant_token"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    #[track_caller]
    fn verified(&self) -> Claims {
        TokenVerifier::with_api_key("devkey", "secret").unwrap().verify(&self.token(), UnixTime::now()).unwrap()
    }

    #[track_caller]
    fn twofold(&self) -> String {
        self.error_in(&["error", "errorMessage"])
    }

    #[track_caller]
    fn assert_twofold(&self, status: u16, message: &str) {
        assert_eq!((self.status, self.twofold().as_str()), (status, message));
    }
}

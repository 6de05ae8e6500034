//! A client of LiveKit's standard endpoint. Does not know what any test expects.

use roomkey::{Claims, TokenVerifier, UnixTime};
use serde_json::{Map, Value};

use crate::fixtures;
use crate::harness::client::{self, Answer};
use crate::harness::program::Program;

pub(crate) const STANDARD: &str = "/connection-details";
pub(crate) const SANDBOX: &str = "/api/v2/sandbox/connection-details";
pub(crate) const BOTH: [&str; 2] = [STANDARD, SANDBOX];

impl Program {
    /// One request on a connection of its own, with a `Content-Length` unless `headers` have one.
    pub(super) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        let length = body.as_ref().len().to_string();
        let has_length = headers.iter().any(|(name, _)| *name == "Content-Length");
        let length = [("Content-Length", length.as_str())];
        let headers = [headers, if has_length { &[] } else { &length }].concat();
        self.ask(client::request(method, path, &headers, body.as_ref()))
    }

    /// POSTs JSON.
    pub(super) fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", path, &[("Content-Type", "application/json")], body)
    }

    /// The claims of the token that `body` gets.
    #[track_caller]
    pub(super) fn claims(&self, body: &Value) -> Map<String, Value> {
        let answer = self.post(STANDARD, body.to_string());
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        fixtures::payload(&answer.token())
    }
}

impl Answer {
    #[track_caller]
    pub(super) fn token(&self) -> String {
        self.json()["participant_token"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    /// The claims of its token, which must be valid.
    #[track_caller]
    pub(super) fn verified(&self) -> Claims {
        TokenVerifier::with_api_key("devkey", "secret").unwrap().verify(&self.token(), UnixTime::now()).unwrap()
    }

    /// The message of an error, which must be the same in both members.
    #[track_caller]
    pub(super) fn both_errors(&self) -> String {
        self.error_in(&["error", "errorMessage"])
    }

    #[track_caller]
    pub(super) fn assert_both_errors(&self, status: u16, message: &str) {
        assert_eq!((self.status, self.both_errors().as_str()), (status, message));
    }
}

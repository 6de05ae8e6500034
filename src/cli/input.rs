//! Reads the input of a command: files and tokens. `-` is stdin. Does not know what the input means.

use std::fs::File;
use std::io::{self, Read};

use serde_json::{Map, Value};

use crate::cli::Failure;
use crate::livekit::webhook::strip_bearer;

/// The most bytes that are read of any input. Tokens and webhooks are far smaller.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What is at `path`, and its name for messages.
pub(super) fn open(path: &str) -> Result<(&str, Box<dyn Read>), Failure> {
    match path {
        "-" => Ok(("stdin", Box::new(io::stdin()))),
        path => match File::open(path) {
            Ok(file) => Ok((path, Box::new(file))),
            Err(error) => Err(unreadable(path, &error)),
        },
    }
}

pub(super) fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::wrong(format_args!("cannot read {name}: {error}"))
}

pub(super) fn read(path: &str) -> Result<Vec<u8>, Failure> {
    let (name, source) = open(path)?;
    let mut bytes = Vec::new();
    match source.take(MAX_BYTES.saturating_add(1)).read_to_end(&mut bytes) {
        Err(error) => Err(unreadable(name, &error)),
        Ok(length) if u64::try_from(length).is_ok_and(|length| length > MAX_BYTES) => {
            Err(Failure::wrong(format_args!("{name} is longer than {MAX_BYTES} bytes")))
        }
        Ok(_) => Ok(bytes),
    }
}

/// Returns the token in `argument`, or on stdin, without `Bearer `.
pub(super) fn token(argument: &str) -> Result<String, Failure> {
    let token = match argument {
        "-" => String::from_utf8(read("-")?).or(Err(Failure::wrong("stdin does not contain a token: it is not UTF-8")))?,
        token => token.to_owned(),
    };
    Ok(strip_bearer(token.trim()).to_owned())
}

/// Parses a JSON object; `name` is the flag or file that it comes from.
pub(super) fn object(name: &str, text: &[u8]) -> Result<Map<String, Value>, Failure> {
    serde_json::from_slice(text).or(Err(Failure::wrong(format_args!("{name} is not a JSON object"))))
}

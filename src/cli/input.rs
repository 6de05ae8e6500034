//! Owns the reading of what a command is given: files, and tokens. `-` is stdin.

use std::fs::File;
use std::io::{self, Read};

use serde_json::{Map, Value};

use crate::cli::Failure;
use crate::livekit::webhook::strip_bearer;

/// Bytes that are read of anything; a webhook's body and a token are far smaller.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// All of the file `path`.
pub(super) fn read(path: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = MAX_BYTES.saturating_add(1);
    let read = match path {
        "-" => io::stdin().lock().take(most).read_to_end(&mut bytes),
        path => File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    let name = if path == "-" { "stdin" } else { path };
    match read {
        Err(error) => Err(Failure::wrong(format_args!("cannot read {name}: {error}"))),
        Ok(_) if u64::try_from(bytes.len()).is_ok_and(|bytes| bytes > MAX_BYTES) => {
            Err(Failure::wrong(format_args!("{name} is longer than {MAX_BYTES} bytes")))
        }
        Ok(_) => Ok(bytes),
    }
}

/// The token that `argument` is, or that stands in stdin: bare, or after `Bearer `.
pub(super) fn token(argument: &str) -> Result<String, Failure> {
    let token = match argument {
        "-" => String::from_utf8(read("-")?).or(Err(Failure::wrong("stdin holds no token: it is not UTF-8")))?,
        token => token.to_owned(),
    };
    Ok(strip_bearer(token.trim()).to_owned())
}

/// The JSON object that `text` is, of the flag or file `name`.
pub(super) fn object(name: &str, text: &[u8]) -> Result<Map<String, Value>, Failure> {
    serde_json::from_slice(text).or(Err(Failure::wrong(format_args!("{name} is no JSON object"))))
}

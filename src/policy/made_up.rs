//! Owns the names of rooms and participants that were given none: random, so that nobody meets another by chance or guesses
//! where someone is.

use getrandom::Error;

use crate::livekit::access_token::{Identity, NameError, RoomName};

/// 32 letters and digits, none of which looks like another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Random characters in a name, of 5 bits each: 80 bits together.
const CHARACTERS: usize = 16;

/// `room-` and random characters.
pub(super) fn room() -> Result<RoomName, Error> {
    name("room-", RoomName::new)
}

/// `user-` and random characters.
pub(super) fn identity() -> Result<Identity, Error> {
    name("user-", Identity::new)
}

fn name<T>(prefix: &str, new: fn(String) -> Result<T, NameError>) -> Result<T, Error> {
    let mut random = [0; CHARACTERS];
    getrandom::fill(&mut random)?;
    // 32 divides 256, so that each character is as likely as the others.
    let letters = random.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32)).copied().map(char::from));
    new(prefix.chars().chain(letters).collect()).or(Err(Error::UNEXPECTED)) // neither empty nor too long
}

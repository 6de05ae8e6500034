//! Owns random names, for rooms and participants that were given none: nobody meets another by chance or guesses where someone is.

use getrandom::Error;

/// Letters and digits that are not taken for each other, as in LiveKit's ids (livekit/protocol `utils/guid`).
const LETTERS: &[u8; 57] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Bytes from here on are left out, so that every letter is as likely: the greatest multiple of 57.
const BIASED_FROM: u8 = 228;

/// `prefix` and `letters` random letters of 5.8 bits each, from the operating system's source.
pub(crate) fn random_name(prefix: &str, letters: usize) -> Result<String, Error> {
    let mut name = prefix.to_owned();
    let length = prefix.len().saturating_add(letters);
    while name.len() < length {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let unbiased = bytes.iter().filter(|byte| **byte < BIASED_FROM);
        let drawn = unbiased.filter_map(|byte| LETTERS.get(usize::from(*byte % 57)));
        name.extend(drawn.map(|letter| char::from(*letter)).take(length.saturating_sub(name.len())));
    }
    Ok(name)
}

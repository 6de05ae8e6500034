//! Generates random names for rooms and participants, which nobody can guess and which do not collide. Does not know their use.

use getrandom::Error;

/// Letters and digits that cannot be confused with each other. 32 divides 256, so that all are equally likely.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// `prefix` and `letters` random letters of 5 bits each.
pub(crate) fn random_name(prefix: &str, letters: usize) -> Result<String, Error> {
    let mut random = vec![0; letters];
    getrandom::fill(&mut random)?;
    let letters = random.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32)).copied().map(char::from));
    Ok(prefix.chars().chain(letters).collect())
}

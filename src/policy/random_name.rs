//! Owns random names, for rooms and participants that were given none: nobody meets another by chance or guesses where someone is.

use getrandom::Error;

/// Letters and digits that are not taken for each other. 32 divides 256, so that each is as likely.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// `prefix` and `letters` random letters of 5 bits each, from the operating system's source.
pub(crate) fn random_name(prefix: &str, letters: usize) -> Result<String, Error> {
    let mut random = vec![0; letters];
    getrandom::fill(&mut random)?;
    let letters = random.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32)).copied().map(char::from));
    Ok(prefix.chars().chain(letters).collect())
}

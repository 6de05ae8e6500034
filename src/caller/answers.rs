//! The application's answers, kept for a while under a key that does not reveal the credentials. Does not know what they mean.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::caller::kept::Kept;
use crate::clock::UnixTime;

/// An answer that is from so much later than now is from before the clock was set back. It may have been kept for too long.
const CLOCK_STEP: Duration = Duration::from_secs(60);

/// An HMAC of what was asked, so that no credential stays in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct QuestionKey([u8; 32]);

/// Makes the keys of questions, with a secret that nobody else has.
#[derive(Clone)]
pub(crate) struct QuestionHasher(Hmac<Sha256>);

impl QuestionHasher {
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 64]; // a block of SHA-256
        getrandom::fill(&mut secret)?;
        Ok(Self(Hmac::new(&secret.into())))
    }

    /// The key of a question with these parts, each of which may be absent.
    pub(crate) fn key<const N: usize>(&self, parts: [Option<&[u8]>; N]) -> QuestionKey {
        let mut hmac = self.0.clone();
        for part in parts {
            // The length in front keeps parts apart.
            let length = part.map_or(u64::MAX, |part| part.len().try_into().unwrap_or(u64::MAX));
            hmac.update(&length.to_be_bytes());
            hmac.update(part.unwrap_or_default());
        }
        QuestionKey(hmac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for QuestionHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QuestionHasher(<redacted>)")
    }
}

/// What the application says of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The claims: a JSON object with a subject.
    SignedIn(Arc<[u8]>),
    NotSignedIn,
    /// It must not come in, whoever it is.
    Forbidden,
}

/// The answers that are kept.
#[derive(Debug, Default)]
pub(crate) struct KeptAnswers(Kept<QuestionKey, KeptAnswer>);

#[derive(Debug)]
struct KeptAnswer {
    answer: Answer,
    from: UnixTime,
    end: UnixTime,
}

impl KeptAnswers {
    pub(crate) fn find(&self, key: &QuestionKey, now: UnixTime) -> Option<&Answer> {
        let is_fresh = |kept: &&KeptAnswer| now < kept.end && kept.from.since(now) <= CLOCK_STEP;
        self.0.find(key).filter(is_fresh).map(|kept| &kept.answer)
    }

    /// Keeps `answer` until `lifetime` after `now`.
    pub(crate) fn keep(&mut self, key: QuestionKey, answer: Answer, now: UnixTime, lifetime: Duration) {
        if lifetime.is_zero() {
            return self.0.forget(&key);
        }
        let bytes = if let Answer::SignedIn(claims) = &answer { claims.len() } else { 0 };
        self.0.keep(key, KeptAnswer { answer, from: now, end: now.saturating_add(lifetime) }, bytes);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
    const LIFETIME: Duration = Duration::from_secs(10);

    fn key(hasher: &QuestionHasher, number: usize) -> QuestionKey {
        hasher.key([Some(&number.to_be_bytes())])
    }

    #[test]
    fn an_answer_ends_and_does_not_outlive_a_clock_that_was_set_back() {
        let (hasher, mut answers) = (QuestionHasher::new().unwrap(), KeptAnswers::default());
        answers.keep(key(&hasher, 0), Answer::NotSignedIn, NOW, LIFETIME);
        for (seconds, is_kept) in [(-61, false), (-60, true), (0, true), (9, true), (10, false)] {
            let now = UnixTime::from_secs(NOW.as_secs().checked_add_signed(seconds).unwrap());
            assert_eq!(answers.find(&key(&hasher, 0), now).is_some(), is_kept, "{seconds}");
        }
    }

    #[test]
    fn parts_are_kept_apart() {
        let hasher = QuestionHasher::new().unwrap();
        let parts: [[Option<&[u8]>; 2]; 6] = [
            [Some(b"ab"), None],
            [Some(b"a"), Some(b"b")],
            [None, Some(b"ab")],
            [Some(b"ab"), Some(b"")],
            [None, None],
            [Some(b""), None],
        ];
        for (index, one) in parts.iter().enumerate() {
            for other in parts.iter().skip(index + 1) {
                assert_ne!(hasher.key(*one), hasher.key(*other));
            }
        }
        assert_ne!(hasher.key([None]), QuestionHasher::new().unwrap().key([None]), "each has its own secret");
    }
}

//! The application's answers, kept for a while under a key that does not reveal the credentials. Does not know what they mean.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hashlink::LinkedHashMap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock::UnixTime;

/// The most answers that are kept, and the most bytes of them.
const MAX_ANSWERS: usize = 10_000;
const MAX_BYTES: usize = 16 * 1024 * 1024;

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

/// The answers that are kept. The oldest give way to new ones.
#[derive(Debug, Default)]
pub(crate) struct KeptAnswers {
    answers: LinkedHashMap<QuestionKey, (Answer, UnixTime)>,
    bytes: usize,
}

impl KeptAnswers {
    pub(crate) fn find(&self, key: &QuestionKey, now: UnixTime) -> Option<&Answer> {
        self.answers.get(key).filter(|(_, end)| now < *end).map(|(answer, _)| answer)
    }

    /// Keeps `answer` until `lifetime` after `now`.
    pub(crate) fn keep(&mut self, key: QuestionKey, answer: Answer, now: UnixTime, lifetime: Duration) {
        let last = self.answers.remove(&key);
        self.forgot(last);
        if lifetime.is_zero() {
            return;
        }
        self.bytes = self.bytes.saturating_add(bytes_of(&answer));
        self.answers.insert(key, (answer, now.saturating_add(lifetime)));
        while self.answers.len() > MAX_ANSWERS || self.bytes > MAX_BYTES {
            let oldest = self.answers.pop_front().map(|(_, kept)| kept);
            self.forgot(oldest);
        }
    }

    fn forgot(&mut self, kept: Option<(Answer, UnixTime)>) {
        self.bytes = self.bytes.saturating_sub(kept.map_or(0, |(answer, _)| bytes_of(&answer)));
    }
}

fn bytes_of(answer: &Answer) -> usize {
    if let Answer::SignedIn(claims) = answer { claims.len() } else { 0 }
}

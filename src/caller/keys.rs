//! The keys of an issuer, kept and renewed in the background, so that a request seldom waits for them. Does not know how they are
//! fetched, nor what a token says.
//!
//! One task fetches, one fetch at a time. Requests read the last good keys and never wait for a lock that is held for long. A token
//! whose key is unknown asks for a fetch, and waits for it a short time.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::caller::jwk::{KeyChoiceError, KeySet};
use crate::caller::jwt::JwtError;
use crate::caller::key_fetch::{FetchedKeys, KeyFetchError, KeyPlace};
use crate::caller::observer::{KeyFetchOutcome, Observer};
use crate::caller::pace::Pace;
use crate::caller::settings::Algorithm;
use crate::client::Trust;
use crate::clock::{Clock, UnixTime};
use crate::worker::{Workers, faults};

/// Between two fetches, if the issuer says nothing else.
const REFRESH: Duration = Duration::from_secs(10 * 60);
/// The least and the most that an issuer's `max-age` can make of it.
const MIN_REFRESH: Duration = Duration::from_secs(60);
const MAX_REFRESH: Duration = Duration::from_secs(60 * 60);
/// Between a failure and the next fetch, without keys and with some.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_WITH_KEYS: Duration = Duration::from_secs(60);
/// Between two fetches that tokens ask for, and the same after a failure.
const ASKED_INTERVAL: Duration = Duration::from_secs(30);
const ASKED_INTERVAL_AFTER_FAILURE: Duration = RETRY;
/// The longest that a request waits for a fetch.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long keys verify after the last good fetch.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
const WORKER: &str = "caller-keys";

/// The keys of one caller's issuer.
#[derive(Debug)]
pub(crate) struct IssuerKeys {
    caller: Arc<str>,
    place: KeyPlace,
    /// The authorities in `ca_file`, to notice whether they change.
    authorities: Option<Vec<u8>>,
    trust: Trust,
    clock: Clock,
    observer: Arc<dyn Observer>,
    state: watch::Sender<State>,
}

/// Fetches are numbered from 1.
#[derive(Debug, Default)]
struct State {
    kept: Option<Kept>,
    /// The last fetch that began, and the last one that ended.
    begun: u64,
    ended: u64,
    /// The fetch that a token asked for.
    wanted: u64,
    has_failed: bool,
    unknown_key: Pace,
    bad_signature: Pace,
}

#[derive(Clone, Debug)]
struct Kept {
    keys: Arc<KeySet>,
    fetched_at: UnixTime,
}

/// What a token asks for a fetch for.
#[derive(Clone, Copy, Debug)]
enum Cause {
    UnknownKey,
    BadSignature,
}

impl State {
    fn current(&self, now: UnixTime) -> Option<Arc<KeySet>> {
        let kept = self.kept.as_ref().filter(|kept| now.since(kept.fetched_at) <= KEPT)?;
        Some(Arc::clone(&kept.keys))
    }

    /// The fetch that a request at `now` can wait for, once `cause` has asked for one if it may.
    fn ask(&mut self, cause: Cause, now: UnixTime) -> Option<u64> {
        let interval = if self.has_failed { ASKED_INTERVAL_AFTER_FAILURE } else { ASKED_INTERVAL };
        let pace = match cause {
            Cause::UnknownKey => &mut self.unknown_key,
            Cause::BadSignature => &mut self.bad_signature,
        };
        // One that has not begun yet is as good as a new one.
        if self.wanted <= self.begun && pace.allows(now, interval) {
            self.wanted = self.begun.saturating_add(1);
        }
        self.pending()
    }

    fn pending(&self) -> Option<u64> {
        Some(self.wanted.max(self.begun)).filter(|fetch| *fetch > self.ended)
    }

    /// Takes over the result of a fetch, and returns how long to wait for the next one.
    fn record(&mut self, fetched: Option<FetchedKeys>, now: UnixTime, random: u32) -> Duration {
        self.ended = self.begun;
        self.has_failed = fetched.is_none();
        let interval = match fetched {
            Some(fetched) => {
                self.kept = Some(Kept { keys: Arc::new(fetched.keys), fetched_at: now });
                fetched.max_age.unwrap_or(REFRESH).clamp(MIN_REFRESH, MAX_REFRESH)
            }
            None if self.current(now).is_some() => RETRY_WITH_KEYS,
            None => return RETRY,
        };
        // Up to a tenth less, so that many servers do not ask at the same moment.
        let tenth = interval.as_secs_f64() / 10.0 * f64::from(random) / f64::from(u32::MAX);
        interval.saturating_sub(Duration::try_from_secs_f64(tenth).unwrap_or_default()).max(MIN_REFRESH)
    }
}

impl IssuerKeys {
    /// Begins to fetch the keys at `place`, until the last owner drops them. Call it within a runtime.
    pub(crate) fn start(
        caller: Arc<str>,
        place: KeyPlace,
        (authorities, trust): (Option<Vec<u8>>, Trust),
        clock: Clock,
        observer: Arc<dyn Observer>,
        workers: &Workers,
    ) -> Arc<Self> {
        // The first fetch counts as begun, so that the first requests wait for it.
        let state = watch::Sender::new(State { begun: 1, ..State::default() });
        let keys = Arc::new(Self { caller, place, authorities, trust, clock, observer, state });
        let (weak, workers) = (Arc::downgrade(&keys), workers.clone());
        tokio::spawn(async move { while workers.panicked(WORKER, renew(Weak::clone(&weak))).await {} });
        keys
    }

    /// Whether these are the keys of the caller `name` whose keys are at `place`, behind the same authorities.
    pub(crate) fn are_of(&self, name: &str, place: &KeyPlace, authorities: Option<&[u8]>) -> bool {
        &*self.caller == name && self.place == *place && self.authorities.as_deref() == authorities
    }

    /// How old the keys are at `now`; `None` before the first good fetch.
    pub(crate) fn age(&self, now: UnixTime) -> Option<Duration> {
        self.state.borrow().kept.as_ref().map(|kept| now.since(kept.fetched_at))
    }

    /// The present keys, if there are some that count at `now`.
    pub(crate) fn current(&self, now: UnixTime) -> Option<Arc<KeySet>> {
        self.state.borrow().current(now)
    }

    /// The present keys, of which the one that is meant made `signature` for `message`.
    pub(crate) fn verify(
        &self,
        (kid, algorithm): (Option<&str>, Algorithm),
        message: &[u8],
        signature: &[u8],
        now: UnixTime,
    ) -> Result<Arc<KeySet>, JwtError> {
        let keys = self.current(now).ok_or(JwtError::NotReady)?;
        if keys.find(kid, algorithm)?.verifies(algorithm, message, signature) {
            return Ok(keys);
        }
        self.ask(Cause::BadSignature, now);
        Err(JwtError::Signature)
    }

    /// Waits for a fetch, as far as that is allowed and quick, unless the present keys have one that is meant.
    pub(crate) async fn wait_for(&self, (kid, algorithm): (Option<&str>, Algorithm), now: UnixTime) {
        let is_known = |keys: &Arc<KeySet>| !matches!(keys.find(kid, algorithm), Err(KeyChoiceError::Unknown));
        let fetch = match self.current(now) {
            Some(keys) if is_known(&keys) => return,
            Some(_) => self.ask(Cause::UnknownKey, now),
            None => self.state.borrow().pending(), // the task tries again by itself
        };
        if let Some(fetch) = fetch {
            let mut states = self.state.subscribe();
            let arrived = states.wait_for(|state| state.ended >= fetch || state.current(now).as_ref().is_some_and(is_known));
            let _ = timeout(PATIENCE, arrived).await; // what is there then counts
        }
    }

    /// Asks for a fetch if that is allowed, and returns the one to wait for. Only a new one wakes those who wait already: a flood of
    /// requests must not wake all of them each time.
    fn ask(&self, cause: Cause, now: UnixTime) -> Option<u64> {
        let mut fetch = None;
        self.state.send_if_modified(|state| {
            let wanted = state.wanted;
            fetch = state.ask(cause, now);
            state.wanted != wanted
        });
        fetch
    }

    /// Fetches once, and returns how long to wait for the next time.
    async fn fetch(&self) -> Duration {
        faults::point(WORKER);
        self.state.send_modify(|state| state.begun = state.ended.saturating_add(1));
        let fetched = self.place.fetch(&self.trust).await;
        self.tell(&fetched);
        let (now, random) = (self.clock.now(), getrandom::u32().unwrap_or_default());
        let mut wait = RETRY;
        self.state.send_modify(|state| wait = state.record(fetched.ok(), now, random));
        wait
    }

    /// Counts a fetch, and logs the first failure and the first success after one.
    fn tell(&self, fetched: &Result<FetchedKeys, KeyFetchError>) {
        let (has_failed, caller) = (self.state.borrow().has_failed, &*self.caller);
        match fetched {
            Ok(_) if has_failed => info!(caller, "the issuer's keys can be fetched again"),
            Err(error) if !has_failed => warn!(caller, reason = %error, "the issuer's keys cannot be fetched"),
            _ => {}
        }
        let outcome = if fetched.is_ok() { KeyFetchOutcome::Fetched } else { KeyFetchOutcome::Failed };
        self.observer.keys_fetched(caller, outcome);
    }
}

/// Fetches again and again, at its own pace or when a token asks, as long as the keys have an owner.
async fn renew(keys: Weak<IssuerKeys>) {
    while let Some(owned) = keys.upgrade() {
        let wait = owned.fetch().await;
        let mut states = owned.state.subscribe();
        drop(owned); // the wait must not keep the keys alive
        let _ = timeout(wait, states.wait_for(|state| state.wanted > state.ended)).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn fetched(max_age: Option<u64>) -> Option<FetchedKeys> {
        let jwks = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        Some(FetchedKeys { keys: KeySet::from_jwks(jwks).unwrap(), max_age: max_age.map(Duration::from_secs) })
    }

    #[test]
    fn the_next_fetch_is_when_the_issuer_says_within_bounds_and_soon_after_a_failure() {
        for (max_age, at_most, at_least) in [
            (None, 600, 540),
            (Some(300), 300, 270),
            (Some(0), 60, 60),
            (Some(30), 60, 60),
            (Some(61), 61, 60),
            (Some(86_400), 3600, 3240),
        ] {
            let waits = [0, u32::MAX].map(|random| State::default().record(fetched(max_age), NOW, random));
            assert_eq!(waits, [at_most, at_least].map(Duration::from_secs), "{max_age:?}");
        }
        let mut state = State::default();
        assert_eq!(state.record(None, NOW, 0), RETRY);
        state.record(fetched(None), NOW, 0);
        assert_eq!(state.record(None, NOW, 0), RETRY_WITH_KEYS);
        assert_eq!(state.record(None, NOW.saturating_add(KEPT + RETRY), 0), RETRY, "the keys are too old");
    }
}

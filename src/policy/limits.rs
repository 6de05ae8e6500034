//! Counts the tokens that each rule gave to each caller, and refuses more than the rule's rate. Bounded: it forgets first whoever may
//! have the most. Does not know what a token is, nor the time.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

use crate::caller::Caller;
use crate::caller::settings::ANONYMOUS;
use crate::clock::{Clock, UnixTime};
use crate::policy::rate::Rate;
use crate::policy::rule::Rule;
use crate::worker::lock;

/// The most callers that are counted at one time: about 4 MiB.
const MAX_SUBJECTS: usize = 100_000;
const NANOS: u64 = 1_000_000_000;

/// The generic cell rate algorithm (ITU-T I.371): for each caller only the time when all of its tokens will be used up again.
#[derive(Debug)]
pub(crate) struct Limits {
    /// The rule and the caller are hashed with keys that nobody knows, so that their names take no memory.
    hasher: RandomState,
    /// In nanoseconds since 1970.
    times: Mutex<HashMap<u64, u64>>,
    most: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(MAX_SUBJECTS)
    }
}

impl Limits {
    fn of(most: usize) -> Self {
        Self { hasher: RandomState::new(), times: Mutex::default(), most }
    }

    /// Counts one token that `rule` gives to `caller`. Whoever has no credential is known by the address `client`.
    ///
    /// # Errors
    /// If that exceeds the rule's limit. The error is the time to wait.
    pub(crate) fn count(&self, rule: &Rule, caller: &Caller, client: IpAddr, clock: &Clock) -> Result<(), Duration> {
        let Some(rate) = rule.limit else { return Ok(()) };
        let network = (&*caller.name == ANONYMOUS).then(|| client_network(client));
        self.take(self.hasher.hash_one((&rule.name, &caller.name, &caller.subject, network)), rate, clock.now())
    }

    fn take(&self, key: u64, rate: Rate, now: UnixTime) -> Result<(), Duration> {
        let now = now.as_secs().saturating_mul(NANOS).saturating_add(now.subsec_nanos().into());
        let mut times = lock(&self.times);
        // A time that is later than the rate allows was written before the clock was set back.
        let latest = now.saturating_add(rate.period());
        let used_until = times.get(&key).copied().filter(|until| *until <= latest).unwrap_or(0).max(now);
        let next = used_until.saturating_add(rate.interval());
        if next > latest {
            return Err(Duration::from_nanos(next.saturating_sub(latest)));
        }
        if times.len() >= self.most && !times.contains_key(&key) {
            forget(&mut times, now, self.most);
        }
        times.insert(key, next);
        Ok(())
    }
}

/// What one client can be assumed to have: an IPv4 address, or all of an IPv6 network of 64 bits.
pub(crate) fn client_network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Makes room for a quarter of the `most` callers, so that it is seldom needed.
fn forget(times: &mut HashMap<u64, u64>, now: u64, most: usize) {
    times.retain(|_, until| *until > now);
    let kept = most.saturating_sub(most.div_ceil(4));
    let Some(surplus) = times.len().checked_sub(kept).filter(|surplus| *surplus > 0) else { return };
    let mut sorted: Vec<u64> = times.values().copied().collect();
    let (_, earliest_kept, _) = sorted.select_nth_unstable(surplus.saturating_sub(1));
    let earliest_kept = *earliest_kept;
    times.retain(|_, until| *until > earliest_kept);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use std::path::Path;

    use serde_json::Map;

    use super::*;
    use crate::policy::file::PolicyFile;

    const START: UnixTime = UnixTime::from_secs(1_795_317_315);

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap()
    }

    fn later(millis: u64) -> UnixTime {
        START.saturating_add(Duration::from_millis(millis))
    }

    #[test]
    fn a_burst_and_then_one_at_a_time() {
        let limits = Limits::default();
        for _ in 0..30 {
            limits.take(1, rate("30/min"), START).unwrap();
        }
        assert_eq!(limits.take(1, rate("30/min"), START), Err(Duration::from_secs(2)));
        assert_eq!(limits.take(1, rate("30/min"), later(1500)), Err(Duration::from_millis(500)));
        assert_eq!(limits.take(1, rate("30/min"), later(2000)), Ok(()));
        assert!(limits.take(1, rate("30/min"), later(2000)).is_err());
        assert_eq!(limits.take(2, rate("30/min"), START), Ok(()));
        // All of them again, once none was taken for a period.
        let taken = (0..100).take_while(|_| limits.take(1, rate("30/min"), later(62_000)).is_ok()).count();
        assert_eq!(taken, 30);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let limits = Limits::default();
        limits.take(1, rate("1/h"), later(10_000_000)).unwrap();
        assert_eq!(limits.take(1, rate("1/h"), START), Ok(()));
        assert!(limits.take(1, rate("1/h"), START).is_err());
    }

    #[test]
    fn when_it_is_full_it_forgets_who_may_have_the_most() {
        let limits = Limits::of(100);
        for key in 0..100 {
            for _ in 0..=key {
                limits.take(key, rate("100/h"), START).unwrap();
            }
        }
        for key in 100..10_000 {
            limits.take(key, rate("100/h"), START).unwrap();
            assert!(limits.times.lock().unwrap().len() <= 100);
        }
        assert!(limits.take(99, rate("100/h"), START).is_err(), "who has none left is not forgotten");
        assert_eq!(limits.take(0, rate("100/h"), START), Ok(()));
    }

    #[test]
    fn who_is_counted_together() {
        let text = r#"
            [callers.a]
            kind = "proxy"
            headers = { sub = "X-User" }
            [[rule]]
            name = "one"
            caller = ["a", "anonymous"]
            room = "r"
            identity = "{random}"
            limit = "1/h"
            [[rule]]
            name = "two"
            caller = "a"
            room = "s"
            identity = "{random}"
            limit = "1/h"
            [[rule]]
            name = "three"
            caller = "a"
            room = "t"
            identity = "{random}""#;
        let file = PolicyFile::parse(text, Path::new("")).unwrap();
        let rules: Vec<&Rule> = file.rules.iter().collect();
        let limits = Limits::default();
        let is_first = |rule: usize, caller: &str, subject: Option<&str>, client: &str| {
            let caller = Caller { name: caller.into(), subject: subject.map(str::to_owned), claims: Map::new(), ends: None };
            limits.count(rules.get(rule).unwrap(), &caller, client.parse().unwrap(), &Clock::from_fn(|| START)).is_ok()
        };
        assert!(is_first(0, "a", Some("x"), "10.0.0.1"));
        assert!(!is_first(0, "a", Some("x"), "10.0.0.2"), "a caller with a subject is known by it");
        assert!(is_first(0, "a", Some("y"), "10.0.0.1"), "another subject");
        assert!(is_first(1, "a", Some("x"), "10.0.0.1"), "another rule");
        assert!(is_first(0, "b", Some("x"), "10.0.0.1"), "another caller");
        assert!(is_first(0, "anonymous", None, "10.0.0.1"));
        assert!(!is_first(0, "anonymous", None, "::ffff:10.0.0.1"), "the same address");
        assert!(is_first(0, "anonymous", None, "10.0.0.2"));
        assert!(is_first(0, "anonymous", None, "2001:db8::1"));
        assert!(!is_first(0, "anonymous", None, "2001:db8::ffff:0:0:1"), "the same network");
        assert!(is_first(0, "anonymous", None, "2001:db8:0:1::1"));
        assert!((0..100).all(|_| is_first(2, "a", None, "10.0.0.1")), "no limit");
    }
}

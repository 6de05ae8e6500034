//! How often something may happen. Does not know what.

use std::time::Duration;

use crate::clock::UnixTime;

/// When something happened last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace(Option<UnixTime>);

impl Pace {
    /// Whether it may happen at `now`, which is then the last time: not within `interval` after the last one. A clock that was set
    /// back does not hold it up.
    pub(crate) fn allows(&mut self, now: UnixTime, interval: Duration) -> bool {
        let is_due = self.0.is_none_or(|last| now < last || now.since(last) >= interval);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_passes_between_two_times() {
        let (mut pace, interval) = (Pace::default(), Duration::from_secs(30));
        let allowed = [100, 100, 129, 130, 159, 160, 20, 49, 50].map(|at| pace.allows(UnixTime::from_secs(at), interval));
        assert_eq!(allowed, [true, false, false, true, false, true, true, false, true]);
    }
}

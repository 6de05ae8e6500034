//! Unix time, and the clock that a server reads it from. Only this file calls `SystemTime::now`: everything else takes the time as an
//! argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{Deserialize, Deserializer};
use serde_json::Number;

/// A time, counted from 1970-01-01T00:00:00Z without leap seconds (the `NumericDate` of [RFC 7519, section 2]).
///
/// ```
/// use std::time::Duration;
/// use roomkey::UnixTime;
///
/// let start = UnixTime::from_secs(1_795_317_315);
/// assert_eq!(start.saturating_add(Duration::from_secs(60)).as_secs(), 1_795_317_375);
/// ```
///
/// [RFC 7519, section 2]: https://www.rfc-editor.org/rfc/rfc7519#section-2
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(Duration);

impl UnixTime {
    /// The current time of the system's clock. A time before 1970 reads as 1970.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// `seconds` after the start of 1970.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }

    /// `milliseconds` after the start of 1970.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// Whole milliseconds since 1970.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        self.0.as_millis().try_into().unwrap_or(u64::MAX)
    }

    /// The time that is `earlier` before this one, at least 1970.
    #[must_use]
    pub const fn saturating_sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(earlier))
    }

    /// The time from `earlier` to this; zero if this is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds since 1970, with the fraction.
    #[must_use]
    pub const fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// The fraction of a second, in nanoseconds.
    #[must_use]
    pub const fn subsec_nanos(self) -> u32 {
        self.0.subsec_nanos()
    }

    /// As RFC 3339 writes it, to the millisecond and in UTC, at most the end of the year 9999.
    #[cfg(feature = "server")]
    pub(crate) fn to_rfc3339(self) -> impl std::fmt::Display {
        const LAST_MILLIS: u64 = 253_402_300_799_999;
        let time = UNIX_EPOCH.checked_add(Duration::from_millis(self.as_millis().min(LAST_MILLIS)));
        humantime::format_rfc3339_millis(time.unwrap_or(UNIX_EPOCH))
    }

    /// The time that is `later` after this one, at most the last that can be represented.
    #[must_use]
    pub const fn saturating_add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

impl From<SystemTime> for UnixTime {
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

/// Reads a JSON number, with its fraction. A time before 1970 reads as 1970, one that is too late as the last that can be represented.
impl<'de> Deserialize<'de> for UnixTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer)?;
        if let Some(seconds) = number.as_u64() {
            return Ok(Self::from_secs(seconds));
        }
        let seconds = number.as_f64().unwrap_or_default();
        let beyond = if seconds > 0.0 { Duration::MAX } else { Duration::ZERO };
        Ok(Self(Duration::try_from_secs_f64(seconds).unwrap_or(beyond)))
    }
}

/// Where a server reads the time: the system's clock, or one that a test sets.
#[cfg(feature = "server")]
#[derive(Clone)]
pub struct Clock(std::sync::Arc<dyn Fn() -> UnixTime + Send + Sync>);

#[cfg(feature = "server")]
impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::from_fn(UnixTime::now)
    }

    /// A clock that calls `now` each time.
    #[must_use]
    pub fn from_fn(now: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        Self(std::sync::Arc::new(now))
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        (self.0)()
    }
}

#[cfg(feature = "server")]
impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

//! Owns the time: a moment in Unix seconds, and where the present one comes from.
//!
//! Everything below the server takes the time as an argument; `SystemTime::now` is called in this file alone.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{Deserialize, Deserializer, Visitor};

/// A moment, counted from 1970-01-01T00:00:00Z without leap seconds (the `NumericDate` of [RFC 7519, section 2]).
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
    /// The present, by the system's clock. A clock set before 1970 reads as 1970.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// The moment `seconds` after 1970 began.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }

    /// Seconds since 1970, with their fraction.
    #[must_use]
    pub const fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// The fraction of a second, in nanoseconds.
    #[must_use]
    pub const fn subsec_nanos(self) -> u32 {
        self.0.subsec_nanos()
    }

    /// The moment `later` after this one, at most the end of time.
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

/// Reads a JSON number: decimals count, what lies before 1970 reads as 1970, what lies beyond the end of time as that end.
impl<'de> Deserialize<'de> for UnixTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = UnixTime;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds since 1970")
            }

            fn visit_u64<E>(self, seconds: u64) -> Result<UnixTime, E> {
                Ok(UnixTime::from_secs(seconds))
            }

            fn visit_i64<E>(self, seconds: i64) -> Result<UnixTime, E> {
                Ok(UnixTime::from_secs(seconds.try_into().unwrap_or(0)))
            }

            fn visit_f64<E>(self, seconds: f64) -> Result<UnixTime, E> {
                let beyond = if seconds > 0.0 { Duration::MAX } else { Duration::ZERO };
                Ok(UnixTime(Duration::try_from_secs_f64(seconds).unwrap_or(beyond)))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

/// Where a server takes the time from: the system, or whatever a test puts in its place.
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

    /// A clock that asks `now` each time.
    #[must_use]
    pub fn from_fn(now: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        Self(std::sync::Arc::new(now))
    }

    /// The present, by this clock.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        (self.0)()
    }
}

#[cfg(feature = "server")]
impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

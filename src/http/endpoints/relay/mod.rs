//! `/relay`: shows the targets of the relay and what they are owed, and steers them. Does not know how events are sent.

mod owed;
mod possible;
mod rights;
mod status;
mod steering;

pub(crate) use owed::owed;
pub(crate) use status::status;
pub(crate) use steering::steer;

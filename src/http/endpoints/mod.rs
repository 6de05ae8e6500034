//! Owns the endpoints, one file each.

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod token;
pub(crate) mod webhook;

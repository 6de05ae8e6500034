//! Owns the endpoints, one file each.

pub(crate) mod connection_details;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod token;
pub(crate) mod webhook;

//! The endpoints, one file or folder for each.

pub(crate) mod connection_details;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod relay;
pub(crate) mod sandbox_ids;
pub(crate) mod token;
pub(crate) mod webhook;

//! LiveKit's keys, claims, grants, access tokens and webhooks. Does not know HTTP, storage or configuration, takes the time as an
//! argument, and does no I/O.

pub mod access_token;
pub mod claims;
pub mod danger;
pub mod event;
pub mod event_details;
#[cfg(feature = "server")]
pub(crate) mod event_summary;
pub mod grants;
pub mod inspection;
pub mod key;
pub mod names;
mod protobuf_json;
#[cfg(feature = "server")]
pub(crate) mod redaction;
mod registered_claims;
pub mod room_config;
mod room_config_error;
pub(crate) mod room_fields;
mod secret_fields;
mod secret_urls;
pub mod token_verifier;
pub mod webhook;

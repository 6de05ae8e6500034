//! The tests of everything public, one module for each topic. They share `fixtures` (recordings, keys, and a signer of its own,
//! which signs what the crate would refuse to sign) and, with the feature `server`, `harness` (programs, clients, directories).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod fixtures;
#[cfg(feature = "server")]
mod harness;

#[cfg(feature = "server")]
mod admission;
mod architecture;
mod claims;
#[cfg(feature = "server")]
mod cli;
mod deliveries;
#[cfg(feature = "server")]
mod deploy;
mod event_details;
mod events;
#[cfg(feature = "server")]
mod following;
#[cfg(feature = "server")]
mod guide;
#[cfg(feature = "server")]
mod inbox;
mod jws;
mod keys;
mod minting;
#[cfg(feature = "server")]
mod policy;
#[cfg(feature = "server")]
mod relay;
mod room_config;
mod shown;
mod tokens;
mod webhook;
mod wycheproof;

#[cfg(feature = "server")]
mod rotation;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod standard;
#[cfg(all(feature = "server", debug_assertions))]
mod workers;

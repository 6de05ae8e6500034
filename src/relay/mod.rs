//! The relay: sends the inbox's events to the application's own endpoints, in the order of each room, until each is taken. Does not
//! know the file that names the targets, nor the requests to the server.

mod changes;
mod circuit;
mod connections;
mod dispatcher;
mod events;
pub(crate) mod failure;
pub(crate) mod handle;
mod lanes;
mod lease;
mod observed;
mod plan;
mod progress;
pub(crate) mod request;
mod runner;
pub(crate) mod sender;
mod session;
pub(crate) mod settings;
pub(crate) mod steering;
mod work;

#[cfg(test)]
mod model;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests;

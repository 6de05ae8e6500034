//! The relay: sends the inbox's events to the application's own endpoints, in the order of each room, until each is taken. Does not
//! know the file that names the targets, nor the requests to the server.
//!
//! Each target has a task (`runner`) on the relay's `thread`, which relays while it holds the target's lease (`session`). The `dispatcher`
//! decides what is sent when, without I/O, and the `sender` sends it.

mod dispatcher;
mod failure;
pub(crate) mod handle;
mod lease;
pub(crate) mod observed;
mod runner;
mod sender;
mod session;
pub(crate) mod settings;
pub(crate) mod steering;
mod thread;

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests;

//! The relay: sends the inbox's events to the application's own endpoints, in the order of each room, until each is taken. Does not
//! know the file that names the targets, nor the requests to the server.

pub(crate) mod handle;
pub(crate) mod settings;
pub(crate) mod steering;

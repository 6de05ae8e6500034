//! Owns the tests of LiveKit's standard token endpoint and of the document that describes all endpoints, through the real
//! binary and real sockets. `support` starts the one and speaks over the other.

mod support;

mod errors;
mod openapi;
mod request;
mod room_config;
mod sandbox;
mod settings;

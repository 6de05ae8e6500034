//! Owns the tests of LiveKit's standard token endpoint and of the document that describes all endpoints, through the real
//! binary and real sockets. `support` has how it is asked; the rest is that of the other tests of the server.

mod support;

mod errors;
mod openapi;
mod request;
mod room_config;
mod sandbox;
mod settings;

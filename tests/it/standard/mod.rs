//! Tests of LiveKit's standard token endpoint and of the document that describes all endpoints, through the real binary and real
//! sockets.

mod support;

mod errors;
mod openapi;
mod request;
mod room_config;
mod sandbox;
mod settings;

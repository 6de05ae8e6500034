//! Tests of a server with a policy: who gets a token, what the others are told, and what is logged and counted. Through the real binary.

mod answers;
mod bearers;
mod bodies;
mod events;
mod limits;
mod memory;
mod origins;
mod reload;
mod starts;
mod support;

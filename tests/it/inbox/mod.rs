//! The inbox: one contract over every backend, and what each does when it is killed, starved or robbed.

mod contract;
mod failover;
mod kill;
mod moving;
mod outages;
mod program;
mod redis;
pub(crate) mod redis_server;
mod redis_start;
mod starts;
pub(crate) mod support;
mod watching;

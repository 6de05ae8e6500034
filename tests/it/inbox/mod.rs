//! The inbox: one contract over every backend, and what each does when it is killed, starved or robbed.

mod bounds;
mod clock;
mod contract;
mod failover;
mod kill;
mod moving;
mod outages;
mod power;
mod program;
mod redis;
mod redis_bounds;
mod redis_connections;
mod redis_damage;
pub(crate) mod redis_server;
mod redis_start;
mod starts;
pub(crate) mod support;
mod watching;

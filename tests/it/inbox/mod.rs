//! Tests of the inbox: one contract over every backend, and what each does when it is killed or its storage fails.

mod bounds;
mod clock;
mod contract;
mod failover;
mod kill;
mod moving;
mod outages;
mod power;
mod redis;
mod redis_bounds;
mod redis_connections;
mod redis_damage;
mod redis_start;
mod sender;
mod starts;
pub(crate) mod support;
mod watching;

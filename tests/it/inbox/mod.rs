//! The inbox: one contract for every backend, and how each behaves when it is killed, runs out of space, or loses its data.

mod bounds;
mod clock;
mod contract;
mod failover;
mod kill;
mod moving;
mod moving_stores;
mod outages;
mod power;
mod redis;
mod redis_bounds;
mod redis_connections;
mod redis_damage;
mod redis_replicas;
mod redis_sentinels;
mod redis_start;
mod restarts;
mod restores;
mod rooms;
mod sender;
mod starts;
pub(crate) mod support;
mod watching;

//! The inbox: one contract over every backend, and what each does when it is killed, starved or robbed.

mod contract;
mod redis;
mod redis_server;
mod redis_start;
mod support;

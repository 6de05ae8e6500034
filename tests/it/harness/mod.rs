//! What the tests of the server and of the command line share. Does not know what any test expects.
//!
//! - `program` is the real binary, `start` starts it, `ended` is a run that has ended
//! - `edge` runs the server in this process
//! - `receiver` is an endpoint of the application
//! - `client` writes raw bytes and reads one answer at a time, `sender` signs deliveries and tokens
//! - `redis_server`, `sentinels`, `nginx`, `disk`, `outside` are other programs and disks
//! - `cases` are tables of files and what a command says about them
//! - `clock`, `directory`, `wait` are what most tests need

pub(crate) mod cases;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod directory;
pub(crate) mod disk;
pub(crate) mod edge;
pub(crate) mod ended;
pub(crate) mod nginx;
pub(crate) mod outside;
pub(crate) mod program;
#[allow(dead_code, reason = "the relay's own tests need the rest of it")]
pub(crate) mod receiver;
pub(crate) mod redis_server;
pub(crate) mod sender;
pub(crate) mod sentinels;
mod start;
pub(crate) mod wait;

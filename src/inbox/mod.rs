//! The inbox: the durable, deduplicated record of verified deliveries. An append returns after the commit, each event is kept once,
//! and every reader can follow from any cursor. Does not know HTTP.
//!
//! An arrival waits in the `queue`; the one `writer` thread commits it to the `store`, deletes old entries with the `pruner`, and has
//! the store index them with the `indexer`. A `follower` reads from the store, or the newest entries from the `tail`. `moving` takes
//! entries out of one inbox and into another. What the relay keeps of its `targets` goes through the same queue and writer, into the
//! same store. Each folder in `store/` is a backend. A new one is another folder there, which implements `Store`, and a constructor in
//! `handle`.

mod cursor;
mod entry;
mod follower;
mod handle;
mod health;
mod indexer;
mod mark;
mod moving;
mod pruner;
mod queue;
mod shared;
mod statistics;
mod store;
mod tail;
pub(crate) mod target;
mod target_write;
mod targets;
mod trusted_time;
mod writer;

pub use cursor::{Cursor, MalformedCursor};
pub use entry::{Arrival, Entry, Filter, Page, PageLimit};
pub use follower::Follower;
pub use handle::Inbox;
pub(crate) use moving::{Exporter, ImportError, Imported, Importer};
pub use queue::AppendError;
pub use statistics::{Histogram, Statistics};
pub use store::redis::{MalformedRedisUrl, RedisUrl};
pub use store::sqlite::{OpenError, Why};
pub(crate) use store::sqlite::{RestoreError, Restored, restore};
pub use store::{Appended, Cause, ReadError, Retention, StoreError, Usage};

//! Wakes the followers of this roomkey when any roomkey commits. One thread waits in Redis itself (`XREAD BLOCK`), and checks for
//! missed commits after it reconnects. Does not know the followers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use redis::{Connection, RedisResult, Value};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::inbox::lock;
use crate::inbox::redis::RedisState;
use crate::inbox::redis::connection::TIMEOUT;
use crate::inbox::redis::keys::ENTRIES;
use crate::worker::{Work, Workers, faults};

const THREAD: &str = "inbox-wake-ups";
/// How long Redis waits before it answers that there is nothing new. A connection that is silent for longer is dead.
const BLOCK: Duration = Duration::from_secs(5);
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_secs(1);

/// Starts the thread. It ends at most [`BLOCK`] after `state` is closed.
pub(super) fn start(workers: &Workers, state: Arc<RedisState>, changed: watch::Sender<()>) -> io::Result<()> {
    workers.spawn(THREAD, WakeUps { state, changed })?;
    Ok(())
}

struct WakeUps {
    state: Arc<RedisState>,
    changed: watch::Sender<()>,
}

impl Work for WakeUps {
    fn run(&mut self) {
        let Self { state, changed } = self;
        let mut has_warned = false;
        while !state.is_closed.load(Relaxed) {
            let generation = state.server.generation();
            let heard = state.server.connect().and_then(|mut connection| listen(&mut connection, state, changed, generation));
            let Err(error) = heard else { continue };
            // The writer reports an unreachable server. Only this thread reports a command that is not permitted.
            if error.is_io_error() || has_warned {
                debug!(%error, "followers are woken late until the connection is back");
            } else {
                warn!(%error, "followers are woken late when other roomkeys commit");
                has_warned = true;
            }
            thread::sleep(RETRY);
        }
    }

    fn recover(&mut self) -> bool {
        !self.state.is_closed.load(Relaxed)
    }
}

/// Listens until connections are given up.
fn listen(connection: &mut Connection, state: &RedisState, changed: &watch::Sender<()>, generation: u64) -> RedisResult<()> {
    connection.set_read_timeout(Some(BLOCK.saturating_add(TIMEOUT)))?;
    let mut seen = None;
    while !state.is_closed.load(Relaxed) && state.server.generation() == generation {
        faults::point(THREAD);
        let newest = newest(connection)?;
        if seen.as_ref() != Some(&newest) {
            // The writer itself notifies of its own commits, and so of everything before them.
            if seen.is_none() || !state.is_own(&newest) {
                changed.send_replace(());
            }
            seen = Some(newest.clone());
        }
        let mut wait = redis::cmd("XREAD");
        wait.arg("COUNT").arg(1).arg("BLOCK").arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX));
        wait.arg("STREAMS").arg(ENTRIES).arg(newest).query::<Value>(connection)?;
    }
    Ok(())
}

/// The id of the newest entry, or the lowest id if there is none.
fn newest(connection: &mut Connection) -> RedisResult<String> {
    let mut ask = redis::cmd("XREVRANGE");
    let newest: Vec<(String, Value)> = ask.arg(ENTRIES).arg("+").arg("-").arg("COUNT").arg(1).query(connection)?;
    Ok(newest.into_iter().next().map_or_else(|| "0-0".to_owned(), |(id, _)| id))
}

impl RedisState {
    /// Whether this roomkey committed `id` last.
    fn is_own(&self, id: &str) -> bool {
        *lock(&self.newest) == id
    }
}

//! Wakes the followers of this roomkey when any roomkey commits. One thread waits in Redis itself (`XREAD BLOCK`), and checks for
//! missed commits after it reconnects. Does not know the followers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use redis::{Connection, RedisResult, Value};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::inbox::store::redis::entries::ENTRIES;
use crate::inbox::store::redis::server::{Server, TIMEOUT};
use crate::worker::{Workers, faults, lock};

const THREAD: &str = "inbox-wake-ups";
/// How long Redis waits before it answers that there is nothing new. A connection that is silent for longer is dead.
const BLOCK: Duration = Duration::from_secs(5);
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_secs(1);

/// Starts the thread. It ends at most [`BLOCK`] after `server` is closed.
pub(super) fn start(workers: &Workers, server: Arc<Server>, changed: watch::Sender<()>) -> io::Result<()> {
    let recovering = Arc::clone(&server);
    workers.spawn(THREAD, move || run(&server, &changed), move || !recovering.is_closed.load(Relaxed)).map(drop)
}

fn run(server: &Server, changed: &watch::Sender<()>) {
    let mut has_warned = false;
    while !server.is_closed.load(Relaxed) {
        let generation = server.generation();
        // The writer reports an unreachable server. Only this thread reports a command that is not permitted.
        match server.connect().map(|mut connection| listen(&mut connection, server, changed, generation)) {
            Ok(Ok(())) => continue,
            Ok(Err(error)) if !error.is_io_error() && !has_warned => {
                warn!(%error, "followers are woken late when other roomkeys commit");
                has_warned = true;
            }
            Ok(Err(error)) => debug!(%error, "followers are woken late until the connection is back"),
            Err(error) => debug!(%error, "followers are woken late until there is a connection"),
        }
        thread::sleep(RETRY);
    }
}

/// Listens until connections are given up.
fn listen(connection: &mut Connection, server: &Server, changed: &watch::Sender<()>, generation: u64) -> RedisResult<()> {
    connection.set_read_timeout(Some(BLOCK.saturating_add(TIMEOUT)))?;
    let mut checked_at = Instant::now();
    let mut seen = None::<String>;
    while !server.is_closed.load(Relaxed) && server.generation() == generation {
        faults::point(THREAD);
        let newest = newest(connection)?;
        // The writer itself notifies of its own commits, and so of everything before them.
        if seen.is_none_or(|seen| seen != newest && *lock(&server.newest) != newest) {
            changed.send_replace(());
        }
        let mut wait = redis::cmd("XREAD");
        wait.arg("COUNT").arg(1).arg("BLOCK").arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX));
        wait.arg("STREAMS").arg(ENTRIES).arg(&newest).query::<Value>(connection)?;
        seen = Some(newest);
        if checked_at.elapsed() >= BLOCK {
            server.check_primary();
            checked_at = Instant::now();
        }
    }
    Ok(())
}

/// The id of the newest entry, or the lowest id if there is none.
fn newest(connection: &mut Connection) -> RedisResult<String> {
    let mut ask = redis::cmd("XREVRANGE");
    let newest: Vec<(String, Value)> = ask.arg(ENTRIES).arg("+").arg("-").arg("COUNT").arg(1).query(connection)?;
    Ok(newest.into_iter().next().map_or_else(|| "0-0".to_owned(), |(id, _)| id))
}

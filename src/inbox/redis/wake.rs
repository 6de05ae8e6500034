//! Owns the wake-ups: one thread that hears of what any roomkey has committed, and tells the followers of this one. It waits in
//! Redis itself (`XREAD BLOCK`), and after a loss it looks for what it missed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use redis::{Connection, RedisResult, Value};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::inbox::lock;
use crate::inbox::redis::Shared;
use crate::inbox::redis::connection::PATIENCE;
use crate::inbox::redis::keys::ENTRIES;
use crate::worker::{Work, Workers, faults};

/// The thread's name.
const NAME: &str = "inbox-wake-ups";
/// In which Redis says that there is nothing new: a connection that is silent for longer is dead.
const BLOCK: Duration = Duration::from_secs(5);
/// Between two tries to connect.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the thread. It ends once `shared` is closed, after [`BLOCK`] at most.
pub(super) fn start(workers: &Workers, shared: Arc<Shared>, changed: watch::Sender<()>) -> io::Result<()> {
    workers.spawn(NAME, WakeUps { shared, changed })?;
    Ok(())
}

/// What the thread does.
struct WakeUps {
    shared: Arc<Shared>,
    changed: watch::Sender<()>,
}

impl Work for WakeUps {
    fn run(&mut self) {
        run(&self.shared, &self.changed);
    }

    fn recover(&mut self) -> bool {
        !self.shared.closed.load(Relaxed)
    }
}

fn run(shared: &Shared, changed: &watch::Sender<()>) {
    let mut warned = false;
    while !shared.closed.load(Relaxed) {
        let generation = shared.server.generation();
        let heard = shared.server.connect().and_then(|mut connection| listen(&mut connection, shared, changed, generation));
        if let Err(error) = heard {
            // Of a server that is not there the writer speaks; of what it does not let us do, nobody else.
            if error.is_io_error() || warned {
                debug!(%error, "wake-ups are late until the connection is back");
            } else {
                warn!(%error, "followers hear late of what other roomkeys commit");
                warned = true;
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Listens until the connection is given up.
fn listen(connection: &mut Connection, shared: &Shared, changed: &watch::Sender<()>, generation: u64) -> RedisResult<()> {
    connection.set_read_timeout(Some(BLOCK.saturating_add(PATIENCE)))?;
    let mut told = None;
    while !shared.closed.load(Relaxed) && shared.server.generation() == generation {
        faults::point(NAME);
        let newest = newest(connection)?;
        if told.as_ref() != Some(&newest) {
            // The writer itself tells of what it has committed: of that, and so of all before it.
            if told.is_none() || !shared.is_own(&newest) {
                changed.send_replace(());
            }
            told = Some(newest.clone());
        }
        let mut wait = redis::cmd("XREAD");
        wait.arg("COUNT").arg(1).arg("BLOCK").arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX));
        wait.arg("STREAMS").arg(ENTRIES).arg(newest).query::<Value>(connection)?;
    }
    Ok(())
}

/// The id of the newest entry; where there is none, one before all.
fn newest(connection: &mut Connection) -> RedisResult<String> {
    let mut ask = redis::cmd("XREVRANGE");
    let newest: Vec<(String, Value)> = ask.arg(ENTRIES).arg("+").arg("-").arg("COUNT").arg(1).query(connection)?;
    Ok(newest.into_iter().next().map_or_else(|| "0-0".to_owned(), |(id, _)| id))
}

impl Shared {
    /// Whether `id` is what this roomkey committed last.
    fn is_own(&self, id: &str) -> bool {
        *lock(&self.newest) == id
    }
}

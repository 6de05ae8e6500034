//! The thread of the relay: it sends events there, and gives way to the rest of the program. What is committed waits in the inbox, so the
//! relay can catch up later. It uses the inbox on the server's own runtime, because deliveries and readers wait for the same locks and
//! threads. Does not know the tasks.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::panic::resume_unwind;

use rustix::process::setpriority_process;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinError;
use tracing::debug;

use crate::worker::Workers;

/// The name of the thread, and of the tasks in the log.
pub(super) const NAME: &str = "relay";
/// The thread's nice value, the lowest priority. While all processors are busy, it gets a small part of what others get (sched(7)).
const NICENESS: i32 = 19;

/// Runs until it is dropped.
#[derive(Debug)]
pub(super) struct RelayThread {
    /// Where the relay's tasks are spawned.
    pub(super) tasks: Handle,
    /// The server's own runtime.
    pub(super) server: Handle,
    _end: oneshot::Sender<Infallible>,
}

impl RelayThread {
    /// Starts it. Call this on the server's own runtime.
    ///
    /// # Errors
    /// If the system cannot start it.
    pub(super) fn start(workers: &Workers) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (tasks, (end, mut ended)) = (runtime.handle().clone(), oneshot::channel());
        let run = move || {
            if let Err(error) = setpriority_process(None, NICENESS) {
                debug!(%error, "the relay has the priority of everything else");
            }
            let _ = runtime.block_on(&mut ended);
        };
        workers.spawn(NAME, run, || true)?;
        Ok(Self { tasks, server: Handle::current(), _end: end })
    }
}

/// The output of `work`, which `runtime` does. A panic is passed on.
pub(super) async fn done_by<T: Send + 'static>(runtime: &Handle, work: impl Future<Output = T> + Send + 'static) -> T {
    match output(runtime.spawn(work).await) {
        Some(output) => output,
        None => pending().await,
    }
}

/// What a task returned; `None` if it was cancelled, because the server ends. A panic is passed on.
pub(super) fn output<T>(ended: Result<T, JoinError>) -> Option<T> {
    match ended.map_err(JoinError::try_into_panic) {
        Ok(output) => Some(output),
        Err(Ok(panic)) => resume_unwind(panic),
        Err(Err(_)) => None,
    }
}

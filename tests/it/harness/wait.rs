//! How tests wait: until a condition is met, but never forever.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits before it fails. No test should need nearly as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `is_done`. `what` says what did not happen if the test fails.
#[track_caller]
pub(crate) fn eventually_blocking(what: &str, mut is_done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_done() {
        assert!(begin.elapsed() < PATIENCE, "did not happen: {what}");
        thread::sleep(INTERVAL);
    }
}

/// Like [`eventually_blocking`], without blocking the runtime.
pub(crate) async fn eventually(what: &str, is_done: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !is_done().await {
        assert!(begin.elapsed() < PATIENCE, "did not happen: {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

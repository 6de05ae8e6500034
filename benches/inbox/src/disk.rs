//! Measures the disk without an inbox: how long it takes to sync a few pages. Does not know roomkey.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a sync takes.
pub(crate) struct Syncs {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Writes 32 pages over old ones and syncs them, 500 times: the least that a batch does.
pub(crate) fn syncs(directory: &Path) -> io::Result<Syncs> {
    const BYTES: usize = 32 * 4096;
    const PLACES: u64 = 16;
    const TIMES: u64 = 500;
    let path = directory.join("bench.sync");
    let file = File::options().create(true).truncate(true).write(true).open(&path)?;
    let pages = vec![0x5a; BYTES];
    for place in 0..PLACES {
        file.write_all_at(&pages, place * BYTES as u64)?;
    }
    file.sync_all()?;
    let mut times = (0..TIMES)
        .map(|time| {
            file.write_all_at(&pages, time % PLACES * BYTES as u64)?;
            let begin = Instant::now();
            file.sync_data()?;
            Ok(begin.elapsed())
        })
        .collect::<io::Result<Vec<_>>>()?;
    fs::remove_file(&path)?;
    times.sort();
    Ok(Syncs { p50: times[times.len() / 2], p99: times[times.len() * 99 / 100] })
}

/// Removes an inbox if there is one.
pub(crate) fn remove(file: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        let _ = fs::remove_file(name);
    }
}

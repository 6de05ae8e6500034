//! Builds, starts and stops the program that is measured. Does not know the load.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::load::{KEY, SECRET};

/// Builds roomkey as released, and returns its path.
pub(crate) fn build() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = Command::new("cargo").args(["build", "--release", "--bin", "roomkey"]).current_dir(&root).status();
    match built {
        Ok(status) if status.success() => {
            let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
            Ok(target.join("release/roomkey"))
        }
        _ => Err("cannot build roomkey".to_owned()),
    }
}

/// A server that is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

/// Starts `program` with `inbox`, on a free port.
pub(crate) fn start(program: &Path, inbox: &str) -> Result<Server, String> {
    start_with(program, inbox, &[])
}

/// The same, with more flags.
pub(crate) fn start_with(program: &Path, inbox: &str, flags: &[&str]) -> Result<Server, String> {
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(|error| error.to_string())?.port();
    let child = Command::new(program)
        .args(["--inbox", inbox, "--server-bind", "127.0.0.1", "--server-port", &port.to_string(), "--log-level", "error"])
        .args(flags)
        .env("ROOMKEY_INBOX_MAX_SIZE", "100GiB")
        .env("LIVEKIT_API_KEY", KEY)
        .env("LIVEKIT_API_SECRET", SECRET)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let server = Server { child, address: ([127, 0, 0, 1], port).into() };
    let begin = Instant::now();
    while TcpStream::connect(server.address).is_err() {
        if begin.elapsed() > Duration::from_secs(10) {
            return Err("the server does not start".to_owned());
        }
        sleep(Duration::from_micros(200));
    }
    Ok(server)
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its resident memory in bytes (`/proc/PID/status`).
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// Asks it to stop, and waits until it has written everything.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        asked.and_then(|_| self.child.wait()).map(drop).map_err(|error| error.to_string())
    }

    /// The processor time that it has used (`/proc/PID/stat`, in ticks of 10 ms).
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

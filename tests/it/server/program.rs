//! Owns the real binary: started in an empty directory with nothing in its environment but what the test puts there, its log
//! read line by line, killed when dropped.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::client::{Answer, Client};

/// After which a test fails instead of waiting for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that is empty at first and gone at last.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("server-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), content).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn create_directory(&self, name: &str) {
        fs::create_dir(self.0.join(name)).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How the program is started.
pub(crate) struct Start {
    command: Command,
    directory: Directory,
}

impl Start {
    /// Without settings: on the default port.
    pub(crate) fn bare() -> Self {
        let directory = Directory::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomkey"));
        command.env_clear().current_dir(&directory.0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, directory }
    }

    /// On whichever port is free.
    pub(crate) fn new() -> Self {
        Self::bare().env("SERVER_PORT", "0")
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.command.args(flags);
        self
    }

    /// With a file in its working directory.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.directory.write(name, content);
        self
    }

    /// With a file in its working directory that none but its owner may read.
    pub(crate) fn secret_file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.file(name, content).mode(name, 0o600)
    }

    /// With these permissions of a file in its working directory.
    pub(crate) fn mode(self, name: &str, mode: u32) -> Self {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
        self
    }

    /// With a link in its working directory.
    pub(crate) fn link(self, target: &str, name: &str) -> Self {
        symlink(target, self.path(name)).unwrap();
        self
    }

    /// Where something in its working directory is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// With a directory in its working directory.
    pub(crate) fn directory(self, name: &str) -> Self {
        self.directory.create_directory(name);
        self
    }

    /// Starts, and waits until it listens.
    pub(crate) fn serve(self) -> Program {
        let mut program = self.spawn();
        let line = program.wait_for("listening");
        let address = line.split("http://").nth(1).unwrap_or_else(|| panic!("no address: {line}"));
        let address: SocketAddr = address.split(['"', ' ']).next().unwrap().parse().unwrap();
        program.listens_at = Some(address);
        program
    }

    /// Starts, and waits for a line of the log that has `text` in it.
    pub(crate) fn until(self, text: &str) -> Program {
        let mut program = self.spawn();
        program.wait_for(text);
        program
    }

    /// Starts, and waits for its end: the status, and what it wrote to stdout and stderr.
    pub(crate) fn run(self) -> (Option<i32>, String, String) {
        let mut program = self.spawn();
        let status = program.wait();
        let mut stdout = String::new();
        program.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        (status.code(), stdout, program.log().join("\n"))
    }

    fn spawn(mut self) -> Program {
        let mut child = self.command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Program { child, listens_at: None, lines, log: Vec::new(), directory: self.directory }
    }
}

/// The program, running.
pub(crate) struct Program {
    child: Child,
    listens_at: Option<SocketAddr>,
    lines: Receiver<String>,
    log: Vec<String>,
    directory: Directory,
}

impl Program {
    /// One without other settings than a port.
    pub(crate) fn start() -> Self {
        Start::new().serve()
    }

    /// Its working directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The address in its start line.
    pub(crate) fn listens_at(&self) -> SocketAddr {
        self.listens_at.unwrap()
    }

    /// The memory that it has now.
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// Where to reach it from here.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.listens_at();
        let ip = if address.ip().is_unspecified() { [127, 0, 0, 1].into() } else { address.ip() };
        SocketAddr::new(ip, address.port())
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        self.connect().ask(request)
    }

    /// Waits for a line of the log that has `text` in it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no line with {text:?} in {:#?}", self.log));
            self.log.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        // The end of the log comes with the end of the program.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    assert!(!line.contains("listening"), "it serves: {line}");
                    self.log.push(line);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end: {:#?}", self.log),
            }
        }
    }

    /// The lines of its log that were waited for, and those before them.
    pub(crate) fn log(&self) -> &[String] {
        &self.log
    }

    /// Ends it as an orchestrator would, and gives all of its log.
    pub(crate) fn stop(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        assert!(self.wait().success(), "{:#?}", self.log);
        std::mem::take(&mut self.log)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

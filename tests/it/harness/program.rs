//! The real binary, running: its log is read line by line, and it is killed when dropped.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::client::{Answer, Client};
use super::directory::Directory;
use super::ended::Ended;
pub(crate) use super::start::{Start, free_address};
use super::wait::{PATIENCE, eventually_blocking};

/// The program, running.
pub(crate) struct Program {
    child: Child,
    pub(super) listens_at: Option<SocketAddr>,
    stdout: Option<BufReader<ChildStdout>>,
    lines: Receiver<String>,
    log: Vec<String>,
    directory: Directory,
}

impl Program {
    pub(super) fn new(mut child: Child, input: Vec<u8>, directory: Directory, keeps_policy_warning: bool) -> Self {
        if let Some(mut stdin) = child.stdin.take() {
            thread::spawn(move || stdin.write_all(&input)); // fails if the program does not read it
        }
        let (sender, lines) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            let lines = BufReader::new(stderr).lines().map(Result::unwrap);
            let mut lines = lines.filter(move |line| keeps_policy_warning || !line.contains("there is no policy, so anyone"));
            thread::spawn(move || lines.try_for_each(|line| sender.send(line)));
        }
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, listens_at: None, stdout, lines, log: Vec::new(), directory }
    }

    /// A server without settings other than its port.
    pub(crate) fn start() -> Self {
        Start::new().serve()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its working directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The address at which it says that it listens.
    pub(crate) fn listens_at(&self) -> SocketAddr {
        self.listens_at.unwrap()
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

    /// The answer to `request` on a connection of its own.
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        self.connect().ask(request)
    }

    /// The memory that it uses now.
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// The next line of its stdout, however long that takes.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        assert_eq!(line.pop(), Some('\n'), "its stdout ends with {line:?}");
        line
    }

    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Reads in the log where it listens.
    pub(crate) fn wait_until_it_listens(&mut self) {
        let line = self.wait_for("listening");
        let address = line.split("http://").nth(1).unwrap_or_else(|| panic!("no address: {line}"));
        self.listens_at = Some(address.split(['"', ' ']).next().unwrap().parse().unwrap());
    }

    /// Waits for a line of the log that contains `text`.
    #[track_caller]
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
        // The log ends when the program does.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    assert!(!line.contains("listening"), "it serves: {line}");
                    self.log.push(line);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end: {:#?}", self.log),
            }
        }
        eventually_blocking("it ends", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }

    /// Waits for its end, and reads what it still writes.
    pub(crate) fn ended(mut self) -> Ended {
        let stdout = self.stdout.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut stdout = String::new();
                pipe.read_to_string(&mut stdout).unwrap();
                stdout
            })
        });
        let read = self.log.len();
        let status = self.wait().code().expect("a signal ended it");
        let stdout = stdout.map_or_else(String::new, |reader| reader.join().unwrap());
        Ended { status, stdout, stderr: self.log[read..].iter().map(|line| format!("{line}\n")).collect() }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Its log until it has written nothing for `silence`.
    pub(crate) fn log_until_silent_for(self, silence: Duration) -> Vec<String> {
        std::iter::from_fn(|| self.lines.recv_timeout(silence).ok()).collect()
    }

    /// All of its log that was not waited for.
    pub(crate) fn kill_and_read_log(mut self) -> Vec<String> {
        self.kill();
        self.lines.iter().collect()
    }

    /// The lines of its log up to the last one that was waited for.
    pub(crate) fn log(&self) -> &[String] {
        &self.log
    }

    /// Ends it as an orchestrator does, and returns all of its log.
    pub(crate) fn stop(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        assert!(self.wait().success(), "{:#?}", self.log);
        std::mem::take(&mut self.log)
    }

    /// Ends it as a power cut does, except that the system keeps what it has not written to disk yet.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!(
                "its log: {:#?}",
                self.lines.iter().fold(std::mem::take(&mut self.log), |mut log, line| {
                    log.push(line);
                    log
                })
            );
        }
    }
}

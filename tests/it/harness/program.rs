//! The real binary: started in a directory of its own, with nothing in its environment but what the test puts there, its log
//! read line by line, killed when dropped.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::client::{Answer, Client};
use super::directory::Directory;
use super::ended::Ended;
use super::wait::{PATIENCE, eventually_blocking};
use crate::fixtures::key_lines;

const BINARY: &str = env!("CARGO_BIN_EXE_roomkey");

/// An address of this machine with a port that nothing uses.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap()
}

/// How the program is started.
pub(crate) struct Start {
    command: Command,
    directory: Directory,
    stdin: Vec<u8>,
}

impl Start {
    /// Without settings: a server on the default port.
    pub(crate) fn bare() -> Self {
        Self::with(Command::new(BINARY))
    }

    /// A server on any free port.
    pub(crate) fn new() -> Self {
        Self::bare().env("SERVER_PORT", "0")
    }

    /// A command of the command line, without any settings.
    pub(crate) fn command<A: AsRef<str>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut start = Self::bare();
        start.command.args(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        start
    }

    /// The same with the keys of the recordings.
    pub(crate) fn command_with_keys<A: AsRef<str>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::command(arguments).env("LIVEKIT_KEYS", key_lines())
    }

    /// By a shell script that ends with `exec "$0" "$@"`.
    pub(crate) fn by_script(script: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, BINARY]);
        Self::with(shell)
    }

    fn with(mut command: Command) -> Self {
        let directory = Directory::new();
        command.env_clear().current_dir(directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, directory, stdin: Vec::new() }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.command.args(flags);
        self
    }

    pub(crate) fn user(mut self, id: u32) -> Self {
        self.command.uid(id).gid(id);
        self
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self.stdin_from(Stdio::piped())
    }

    pub(crate) fn stdin_from(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// With a stdout that the harness does not read.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// With a stderr that the harness does not read.
    pub(crate) fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.command.stderr(stderr);
        self
    }

    /// With a file in its working directory.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.directory.write(name, content);
        self
    }

    /// With a file in its working directory that only its owner may read.
    pub(crate) fn secret_file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.file(name, content).mode(name, 0o600)
    }

    /// Sets the permissions of a file in its working directory.
    pub(crate) fn mode(self, name: &str, mode: u32) -> Self {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
        self
    }

    /// With a symbolic link in its working directory.
    pub(crate) fn link(self, target: &str, name: &str) -> Self {
        symlink(target, self.path(name)).unwrap();
        self
    }

    /// With a directory in its working directory.
    pub(crate) fn directory(self, name: &str) -> Self {
        fs::create_dir(self.path(name)).unwrap();
        self
    }

    /// The path of `name` in its working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.file(name)
    }

    /// Starts it, and waits until its log says that it listens.
    pub(crate) fn serve(self) -> Program {
        let mut program = self.spawn();
        let line = program.wait_for("listening");
        let address = line.split("http://").nth(1).unwrap_or_else(|| panic!("no address: {line}"));
        program.listens_at = Some(address.split(['"', ' ']).next().unwrap().parse().unwrap());
        program
    }

    /// Starts it at `address`, and waits until it accepts connections, whatever its log says and wherever that goes.
    pub(crate) fn serve_at(self, address: SocketAddr) -> Program {
        let start = self.env("SERVER_BIND", address.ip().to_string()).env("SERVER_PORT", address.port().to_string());
        let mut program = start.spawn();
        program.listens_at = Some(address);
        eventually_blocking("it listens", || {
            assert_eq!(program.child.try_wait().unwrap(), None, "it does not start");
            TcpStream::connect(address).is_ok()
        });
        program
    }

    /// Starts it, and waits for a line of the log that contains `text`.
    pub(crate) fn until(self, text: &str) -> Program {
        let mut program = self.spawn();
        program.wait_for(text);
        program
    }

    /// Starts it, and waits for its end.
    pub(crate) fn run(self) -> Ended {
        self.spawn().ended()
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn spawn(mut self) -> Program {
        let mut child = self.command.spawn().unwrap();
        if let Some(mut stdin) = child.stdin.take() {
            // Fails if the program does not read it.
            thread::spawn(move || stdin.write_all(&self.stdin));
        }
        let (sender, lines) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || BufReader::new(stderr).lines().try_for_each(|line| sender.send(line.unwrap())));
        }
        let stdout = child.stdout.take().map(BufReader::new);
        Program { child, listens_at: None, stdout, lines, log: Vec::new(), directory: self.directory }
    }
}

/// The program, running.
pub(crate) struct Program {
    child: Child,
    listens_at: Option<SocketAddr>,
    stdout: Option<BufReader<ChildStdout>>,
    lines: Receiver<String>,
    log: Vec<String>,
    directory: Directory,
}

impl Program {
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

    /// The address that it says it listens at.
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

    /// Ends it as a power cut does, except that the system keeps what it holds.
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

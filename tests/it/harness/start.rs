//! How the real binary is started: in a directory of its own, with nothing in its environment except what the test puts there.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::directory::Directory;
use super::ended::Ended;
use super::program::Program;
use super::wait::eventually_blocking;
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
    keeps_policy_warning: bool,
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

    /// As [`command`](Self::command), with the keys of the recordings.
    pub(crate) fn command_with_keys<A: AsRef<str>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::command(arguments).env("LIVEKIT_KEYS", key_lines())
    }

    /// A server that a shell script starts, which ends with `exec "$0" "$@"`.
    pub(crate) fn by_script(script: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, BINARY]);
        Self::with(shell)
    }

    fn with(mut command: Command) -> Self {
        let directory = Directory::new();
        command.env_clear().current_dir(directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, directory, stdin: Vec::new(), keeps_policy_warning: false }
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

    /// Keeps the warning about a missing policy in the log. Otherwise it is left out, because almost every test starts without one.
    pub(crate) fn keeping_policy_warning(self) -> Self {
        Self { keeps_policy_warning: true, ..self }
    }

    /// Starts it, and waits until its log says that it listens.
    pub(crate) fn serve(self) -> Program {
        let mut program = self.spawn();
        program.wait_until_it_listens();
        program
    }

    /// Starts it at `address`, and waits until it accepts connections, whatever its log says and wherever that goes.
    pub(crate) fn serve_at(self, address: SocketAddr) -> Program {
        let start = self.env("SERVER_BIND", address.ip().to_string()).env("SERVER_PORT", address.port().to_string());
        let mut program = start.spawn();
        program.listens_at = Some(address);
        eventually_blocking("it listens", || {
            assert!(!program.has_ended(), "it does not start");
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
        let child = self.command.spawn().unwrap();
        Program::new(child, self.stdin, self.directory, self.keeps_policy_warning)
    }
}

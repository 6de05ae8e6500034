//! Owns one run of the program: arguments, environment, stdin and files in; status, stdout and stderr out, at its end or line by
//! line.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fixtures::key_lines;

/// The present, for tokens that the program mints.
pub(super) fn present() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What a command says first that has no key of its own.
const FALLBACK: &str = "roomkey: no key is set";

/// After which a test fails instead of waiting for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program, before it runs.
pub(super) struct Roomkey {
    command: Command,
    directory: PathBuf,
    stdin: Vec<u8>,
}

/// The program, after it ran.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Roomkey {
    /// Without any settings: with LiveKit's development key.
    pub(super) fn new<A: AsRef<str>>(arguments: impl IntoIterator<Item = A>) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("cli-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomkey"));
        command.args(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        command.env_clear().current_dir(&directory).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, directory, stdin: Vec::new() }
    }

    /// With both keys of the recordings, the server's first.
    pub(super) fn with_keys<A: AsRef<str>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::new(arguments).env("LIVEKIT_KEYS", &key_lines())
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(super) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// With a file in its working directory.
    pub(super) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.directory.join(name), content).unwrap();
        self
    }

    /// With another stdout than a pipe that is read.
    pub(super) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// With another stderr than a pipe that is read.
    pub(super) fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.command.stderr(stderr);
        self
    }

    pub(super) fn run(mut self) -> Ended {
        let mut child = self.command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let bytes = std::mem::take(&mut self.stdin);
        let writer = thread::spawn(move || {
            let _ = stdin.write_all(&bytes); // a program that does not read it closes it
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let _ = fs::remove_dir_all(&self.directory);
        Ended {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts it, without anything in its stdin.
    pub(super) fn start(mut self) -> Running {
        let mut child = self.command.stdin(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, stderr) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Running { child, stdout: Some(stdout), stderr, directory: self.directory }
    }
}

/// The program, running. It ends when this does.
pub(super) struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Receiver<String>,
    directory: PathBuf,
}

impl Running {
    /// The next line of its stdout, for which it is given all the time that it takes.
    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        assert_eq!(line.pop(), Some('\n'), "its stdout ends with {line:?}");
        line
    }

    /// Waits for a line of its stderr that has `part` in it.
    pub(super) fn wait_for(&self, part: &str) -> String {
        loop {
            let line = self.stderr.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("its stderr says no {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Reads no more of its stdout.
    pub(super) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, without reading any more; its status.
    pub(super) fn wait(&mut self) -> i32 {
        self.child.wait().unwrap().code().expect("a status")
    }

    /// Waits for its end.
    pub(super) fn ended(mut self) -> Ended {
        let mut stdout = String::new();
        if let Some(mut pipe) = self.stdout.take() {
            pipe.read_to_string(&mut stdout).unwrap();
        }
        let status = self.wait();
        let stderr = self.stderr.iter().map(|line| line + "\n").collect();
        Ended { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Ended {
    /// The result of what is done.
    #[track_caller]
    pub(super) fn done(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        self.stdout
    }

    #[track_caller]
    pub(super) fn json(self) -> Value {
        serde_json::from_str(&self.done()).unwrap()
    }

    /// The sentence of a no, which stands on stderr alone.
    #[track_caller]
    pub(super) fn refused(self) -> String {
        self.sentence(1)
    }

    /// The sentence that answers wrong use.
    #[track_caller]
    pub(super) fn wrong(self) -> String {
        self.sentence(2)
    }

    #[track_caller]
    fn sentence(self, status: i32) -> String {
        let sentences: Vec<_> = self.stderr.lines().filter(|line| !line.starts_with(FALLBACK)).collect();
        assert_eq!((self.status, &*self.stdout, sentences.len()), (status, "", 1), "{self:?}");
        assert!(self.stderr.starts_with("roomkey: "), "{self:?}");
        sentences.concat()
    }
}

#[track_caller]
pub(super) fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
}

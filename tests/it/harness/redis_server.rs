//! A real `redis-server` on a free port, killed when dropped.

use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use roomkey::clock::Clock;
use roomkey::inbox::{Inbox, RedisUrl, Retention};
use rustix::process::{Pid, Signal, kill_process};

use super::directory::Directory;
use super::outside::is_installed;
use super::program::free_address;
use super::wait::eventually_blocking;
use crate::inbox::support::Backend;

/// Settings with which an acknowledged event survives the end of the server.
pub(crate) const SAFE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A server, or the port and the directory for one.
pub(crate) struct RedisServer {
    port: u16,
    directory: Directory,
    settings: Vec<String>,
    process: Mutex<Option<Child>>,
}

impl RedisServer {
    /// A running server that keeps what it acknowledges; `None` if `redis-server` is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&SAFE)
    }

    pub(crate) fn start_with(settings: &[&str]) -> Option<Self> {
        let server = Self::absent(settings)?;
        server.run();
        Some(server)
    }

    /// A free port where a server may run later.
    pub(crate) fn absent(settings: &[&str]) -> Option<Self> {
        if !is_installed("redis-server", "--version") {
            return None;
        }
        let port = free_address().port();
        let settings = settings.iter().map(|&each| each.to_owned()).collect();
        Some(Self { port, directory: Directory::new(), settings, process: Mutex::new(None) })
    }

    /// Two nodes of a cluster: one that has no keys, and one that has all.
    pub(crate) fn cluster() -> Option<(Self, Self)> {
        let node = || {
            let bus = free_address().port().to_string();
            Self::start_with(&[&SAFE[..], &["--cluster-enabled", "yes", "--cluster-port", &bus]].concat())
                .map(|server| (server, bus))
        };
        let ((one, bus), (owner, _)) = (node()?, node()?);
        owner.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        owner.command(&["CLUSTER", "MEET", "127.0.0.1", &one.port.to_string(), &bus]);
        let ask = |server: &Self| server.try_command(&["EXISTS", "{roomkey}:state"]);
        let is_moved = || ask(&one).is_err_and(|error| error.redirect_node().is_some());
        eventually_blocking("the nodes meet", || is_moved() && ask(&owner).is_ok());
        Some((one, owner))
    }

    /// Runs the server, on the same port over the same directory each time.
    pub(crate) fn run(&self) {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--loglevel", "warning", "--logfile", "redis.log"])
            .args(["--port", &self.port.to_string(), "--dir", &self.directory.path().display().to_string()])
            .args(&self.settings)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        *self.process.lock().unwrap() = Some(child);
        eventually_blocking("redis-server answers", || self.try_command(&["PING"]).is_ok());
    }

    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.lock().unwrap();
        kill_process(Pid::from_child(process.as_ref().unwrap()), signal).unwrap();
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The URL of a user with these ACL rules alone.
    pub(crate) fn url_of_user(&self, rules: &[String]) -> String {
        let user = ["ACL", "SETUSER", "roomkey", "reset", "on", ">secret"].into_iter().chain(rules.iter().map(String::as_str));
        self.command(&user.collect::<Vec<_>>());
        format!("redis://roomkey:secret@127.0.0.1:{}", self.port)
    }

    /// The answer to a command.
    pub(crate) fn command(&self, command: &[&str]) -> redis::Value {
        self.try_command(command).unwrap()
    }

    /// Has the lease of a relay's target expire now, which takes 15 s otherwise.
    pub(crate) fn expire_lease(&self, target: &str) {
        self.command(&["HSET", "{roomkey}:targets", &format!("{target}:until"), "1"]);
    }

    pub(crate) fn number(&self, command: &[&str]) -> i64 {
        redis::from_redis_value(self.command(command)).unwrap()
    }

    /// The value of `field` in the section `replication` of its `INFO`; empty if it is not there, or without an answer: a sentinel
    /// ends the connections of a server whose role it changes.
    pub(crate) fn info(&self, field: &str) -> String {
        let Ok(info) = self.try_command(&["INFO", "replication"]) else { return String::new() };
        let info: String = redis::from_redis_value(info).unwrap();
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_default().to_owned()
    }

    fn try_command(&self, command: &[&str]) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
        let (name, arguments) = command.split_first().unwrap();
        redis::cmd(name).arg(arguments).query(&mut connection)
    }

    pub(crate) fn inbox_with(&self, retention: Retention, clock: Clock) -> Inbox {
        let url: RedisUrl = self.url().parse().unwrap();
        Inbox::redis(url, retention, clock).unwrap()
    }

    pub(crate) fn inbox(&self) -> Inbox {
        self.inbox_with(Retention::default(), Clock::system())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Backend for RedisServer {
    fn open(&self, retention: Retention, clock: Clock) -> Inbox {
        self.inbox_with(retention, clock)
    }
}

//! Real sentinels, which watch a primary and promote a replica once the primary is gone. Killed when dropped.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::directory::Directory;
use super::program::free_address;
use super::redis_server::RedisServer;
use super::wait::eventually_blocking;

/// The name under which they watch the primary.
pub(crate) const NAME: &str = "mymaster";

pub(crate) struct Sentinels {
    ports: Vec<u16>,
    children: Vec<Child>,
    _directory: Directory,
}

impl Sentinels {
    /// `count` sentinels that watch the server at `primary`, with more lines of configuration.
    pub(crate) fn watch(primary: u16, count: u16, more: &str) -> Self {
        let directory = Directory::new();
        let quorum = count / 2 + 1;
        let ports: Vec<_> = (0..count).map(|_| free_address().port()).collect();
        let start = |port: &u16| {
            let more = more.replace("PORT", &port.to_string());
            let configuration = format!(
                "port {port}\nbind 127.0.0.1\nlogfile {port}.log\n{more}\nsentinel monitor {NAME} 127.0.0.1 {primary} {quorum}\n\
                sentinel down-after-milliseconds {NAME} 2000\nsentinel failover-timeout {NAME} 6000\n"
            );
            directory.write(&port.to_string(), configuration);
            let mut command = Command::new("redis-server");
            command.arg(port.to_string()).arg("--sentinel").current_dir(directory.path()).stdout(Stdio::null());
            command.spawn().unwrap()
        };
        let children = ports.iter().map(start).collect();
        eventually_blocking("they listen", || ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()));
        Self { ports, children, _directory: directory }
    }

    /// Waits until all know each other and `replicas`.
    pub(crate) fn meet(&self, replicas: usize) {
        let count = |port: &u16, what: &str| match self.ask(*port, &[what, NAME]) {
            redis::Value::Array(found) => found.len(),
            other => panic!("{other:?}"),
        };
        let others = self.ports.len() - 1;
        let knows_all = |port| count(port, "SENTINELS") == others && count(port, "REPLICAS") == replicas;
        eventually_blocking("they know each other and the replicas", || self.ports.iter().all(knows_all));
    }

    /// The answer of the sentinel at `port` to a command.
    fn ask(&self, port: u16, command: &[&str]) -> redis::Value {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(5)).unwrap();
        redis::cmd("SENTINEL").arg(command).query(&mut connection).unwrap()
    }

    /// Has each sentinel carry out a command.
    pub(crate) fn command(&self, command: &[&str]) {
        for port in &self.ports {
            self.ask(*port, command);
        }
    }

    /// Which of `servers` the first one names as the primary.
    pub(crate) fn primary<'a>(&self, servers: &'a [RedisServer]) -> &'a RedisServer {
        let named = self.ask(self.ports[0], &["GET-MASTER-ADDR-BY-NAME", NAME]);
        let (_, port): (String, u16) = redis::from_redis_value(named).unwrap();
        servers.iter().find(|server| server.port() == port).unwrap()
    }

    /// The URL of the primary, with what comes before the hosts and after the name.
    pub(crate) fn url(&self, scheme_and_login: &str, query: &str) -> String {
        let hosts: Vec<_> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("{scheme_and_login}{}/{NAME}{query}", hosts.join(","))
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

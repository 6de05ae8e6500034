//! A server under test, on the first core, and the load that `wrk` puts on it from the second one. Does not know what is sent.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Connections that send one request after another.
pub const CONNECTIONS: usize = 64;

pub struct Server {
    child: Child,
    port: String,
}

/// What a server did in a short time.
pub struct Round {
    pub per_second: f64,
    pub cpu_micros: f64,
    pub p50_micros: f64,
    pub p99_micros: f64,
}

/// A command that runs on the first core.
pub fn on_first_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

impl Server {
    /// Starts `command`, whose log goes to the file `name` in `scratch`, and waits until it listens.
    pub fn start(mut command: Command, name: &str, scratch: &Path) -> crate::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        command.env("SERVER_PORT", &port).env("SERVER_BIND", "127.0.0.1").current_dir(scratch);
        let log = fs::File::create(scratch.join(name).with_extension("log"))?;
        let server = Self { child: command.stdin(Stdio::null()).stderr(log).spawn()?, port };
        for _ in 0..200 {
            if TcpStream::connect(server.address()).is_ok() {
                return Ok(server);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("the server does not start: {name}").into())
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn round(&self, script: &Path, connections: usize, seconds: u32) -> crate::Result<Round> {
        let before = self.cpu_ticks()?;
        let (requests, mut round) = self.load(script, connections, seconds)?;
        let ticks = self.cpu_ticks()? - before;
        round.cpu_micros = ticks as f64 * 10_000.0 / requests; // USER_HZ is 100
        Ok(round)
    }

    pub fn load(&self, script: &Path, connections: usize, seconds: u32) -> crate::Result<(f64, Round)> {
        let mut wrk = Command::new("taskset")
            .args(["-c", "1", "wrk", "-t1", "--latency"])
            .arg(format!("-c{connections}"))
            .arg(format!("-d{seconds}s"))
            .arg("-s")
            .arg(script)
            .arg(format!("http://{}", self.address()))
            .stdout(Stdio::piped())
            .spawn()?;
        let lines: Vec<String> =
            BufReader::new(wrk.stdout.take().ok_or("no output")?).lines().collect::<std::result::Result<_, _>>()?;
        wrk.wait()?;
        if let Some(errors) = lines.iter().find(|line| line.contains("Non-2xx") || line.contains("Socket errors")) {
            return Err(format!("{}: {errors}", script.display()).into());
        }
        let word = |label: &str, at: usize| -> crate::Result<String> {
            let line = lines.iter().find(|line| line.contains(label)).ok_or_else(|| format!("wrk printed no {label}"))?;
            Ok(line.split_whitespace().nth(at).ok_or("a short line")?.to_owned())
        };
        let requests: f64 = word(" requests in ", 0)?.parse()?;
        let per_second = word("Requests/sec:", 1)?.parse()?;
        // Padded, because other lines contain percentages too.
        let (p50_micros, p99_micros) = (micros(&word("  50%  ", 1)?)?, micros(&word("  99%  ", 1)?)?);
        Ok((requests, Round { per_second, cpu_micros: 0.0, p50_micros, p99_micros }))
    }

    /// User and system time so far, in ticks of 10 ms.
    fn cpu_ticks(&self) -> crate::Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(") ").next().ok_or("no stat")?.split(' ').collect();
        Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn micros(text: &str) -> crate::Result<f64> {
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic()).ok_or("no unit")?;
    let (number, unit) = text.split_at(unit);
    let scale = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        _ => 1e6,
    };
    Ok(number.parse::<f64>()? * scale)
}

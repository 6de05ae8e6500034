//! Measures roomkey's `/token` and `/webhook` beside a bare hyper server that does the unavoidable work only: the same request,
//! an answer of the same size, one HMAC of the same length, and for a webhook one SHA-256 of the body. In alternating short
//! rounds, the server on one core and `wrk` on the other, over 64 connections.
//!
//! `cargo run --release --manifest-path benches/edge/Cargo.toml`, with `wrk` and `taskset` installed. `ROUNDS` and `SECONDS` set
//! how many rounds there are and how long one is.

mod bare;

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use roomkey::ApiKey;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const KEY: (&str, &str) = ("devkey", "secret");
const CONNECTIONS: &str = "64";

fn main() -> Result<()> {
    if let Some("bare") = std::env::args().nth(1).as_deref() {
        return bare::serve();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let status = Command::new("cargo").args(["build", "--release", "--locked"]).current_dir(&root).status()?;
    if !status.success() {
        return Err("roomkey does not build".into());
    }
    let scratch = root.join("target/bench-edge");
    fs::create_dir_all(&scratch)?;

    let rounds = setting("ROUNDS", 30);
    let seconds = setting("SECONDS", 1);
    let body = fs::read(root.join("fixtures/deliveries/023-track_unpublished.body"))?;
    let doors = [token_load(&scratch)?, webhook_load(&scratch, &body)?];

    println!("{rounds} rounds of {seconds} s each, {CONNECTIONS} connections, server and load on a core each; medians");
    println!("{}", cpu_model());
    for (door, load) in ["/token", "/webhook"].into_iter().zip(doors) {
        // All are there from the start, and rest while it is another's turn.
        let servers = [None, Some("warn"), Some("info")].map(|level| Server::start(&root, level));
        let servers = servers.into_iter().collect::<Result<Vec<_>>>()?;
        for server in &servers {
            server.load(&load, 1)?; // warm
        }
        let mut rows = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (row, server) in rows.iter_mut().zip(&servers) {
                row.push(server.round(&load, seconds)?);
            }
        }
        println!("\n{door:<22}{:>11}{:>8}{:>14}{:>10}{:>10}", "requests/s", "ratio", "CPU/request", "p50", "p99");
        for (name, row) in ["bare hyper", "roomkey, warn", "roomkey, info"].into_iter().zip(&rows) {
            // The ratio of each round to the bare one beside it: noise that lasts longer than a round strikes both.
            let ratio = median(row.iter().zip(&rows[0]).map(|(round, bare)| round.per_second / bare.per_second));
            println!(
                "{name:<22}{:>11.0}{ratio:>8.3}{:>11.2} µs{:>7.0} µs{:>7.0} µs",
                median(row.iter().map(|round| round.per_second)),
                median(row.iter().map(|round| round.cpu_micros)),
                median(row.iter().map(|round| round.p50_micros)),
                median(row.iter().map(|round| round.p99_micros)),
            );
        }
    }
    Ok(())
}

fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |name: &str| info.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    let extensions = if line("flags").split(' ').any(|flag| flag == "sha_ni") { "with" } else { "without" };
    format!("{}, {extensions} SHA extensions", line("model name").split(": ").nth(1).unwrap_or("unknown CPU"))
}

/// A script that makes `wrk` send what a client of `/token` does.
fn token_load(scratch: &Path) -> Result<PathBuf> {
    let script = r#"wrk.method = "POST"
wrk.path = "/token"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"roomName":"daily-standup","participantName":"alice"}'
"#;
    let path = scratch.join("token.lua");
    fs::write(&path, script)?;
    Ok(path)
}

/// A script that makes `wrk` send a recorded delivery as LiveKit Server does, signed now.
fn webhook_load(scratch: &Path, body: &[u8]) -> Result<PathBuf> {
    let token = bare::webhook_token(&ApiKey::new(KEY.0, KEY.1)?, body)?;
    let body_path = scratch.join("webhook.body");
    fs::write(&body_path, body)?;
    let script = format!(
        r#"wrk.method = "POST"
wrk.path = "/webhook"
wrk.headers["User-Agent"] = "Go-http-client/1.1"
wrk.headers["Content-Type"] = "application/webhook+json"
wrk.headers["Accept-Encoding"] = "gzip"
wrk.headers["Authorization"] = "{token}"
local file = io.open("{}", "rb")
wrk.body = file:read("*a")
file:close()
"#,
        body_path.display()
    );
    let path = scratch.join("webhook.lua");
    fs::write(&path, script)?;
    Ok(path)
}

/// A server under test, on the first core.
struct Server {
    child: Child,
    port: String,
}

struct Round {
    per_second: f64,
    cpu_micros: f64,
    p50_micros: f64,
    p99_micros: f64,
}

impl Server {
    /// roomkey at a log level, or the bare one.
    fn start(root: &Path, level: Option<&str>) -> Result<Self> {
        let program = match level {
            None => std::env::current_exe()?,
            Some(_) => root.join("target/release/roomkey"),
        };
        let log = fs::File::create(root.join("target/bench-edge").join(level.unwrap_or("bare")))?;
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program).current_dir(root.join("target/bench-edge"));
        let port = free_port()?;
        command.env("SERVER_PORT", &port).env("SERVER_BIND", "127.0.0.1").env("ROOMKEY_INBOX", "none").stderr(log);
        match level {
            None => command.arg("bare"),
            Some(level) => command.env("LOG_LEVEL", level),
        };
        let child = command.stdin(Stdio::null()).spawn()?;
        let server = Self { child, port };
        for _ in 0..200 {
            if std::net::TcpStream::connect(format!("127.0.0.1:{}", server.port)).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Err("the server does not start".into())
    }

    fn round(&self, script: &Path, seconds: u32) -> Result<Round> {
        let before = self.cpu_ticks()?;
        let (requests, mut round) = self.load(script, seconds)?;
        let ticks = self.cpu_ticks()? - before;
        round.cpu_micros = ticks as f64 * 10_000.0 / requests; // USER_HZ is 100
        Ok(round)
    }

    fn load(&self, script: &Path, seconds: u32) -> Result<(f64, Round)> {
        let mut wrk = Command::new("taskset")
            .args(["-c", "1", "wrk", "-t1", "-c", CONNECTIONS, "--latency", "-d"])
            .arg(format!("{seconds}s"))
            .arg("-s")
            .arg(script)
            .arg(format!("http://127.0.0.1:{}", self.port))
            .stdout(Stdio::piped())
            .spawn()?;
        let lines: Vec<String> =
            BufReader::new(wrk.stdout.take().ok_or("no output")?).lines().collect::<std::result::Result<_, _>>()?;
        wrk.wait()?;
        if let Some(errors) = lines.iter().find(|line| line.contains("Non-2xx") || line.contains("Socket errors")) {
            return Err(errors.clone().into());
        }
        let word = |label: &str, at: usize| -> Result<String> {
            let line = lines.iter().find(|line| line.contains(label)).ok_or_else(|| format!("wrk printed no {label}"))?;
            Ok(line.split_whitespace().nth(at).ok_or("a short line")?.to_owned())
        };
        let requests: f64 = word(" requests in ", 0)?.parse()?;
        let per_second = word("Requests/sec:", 1)?.parse()?;
        // Padded, for other lines tell percentages too.
        let (p50_micros, p99_micros) = (micros(&word("  50%  ", 1)?)?, micros(&word("  99%  ", 1)?)?);
        Ok((requests, Round { per_second, cpu_micros: 0.0, p50_micros, p99_micros }))
    }

    /// User and system time so far, in ticks of 10 ms.
    fn cpu_ticks(&self) -> Result<u64> {
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

fn free_port() -> Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string())
}

fn micros(text: &str) -> Result<f64> {
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic()).ok_or("no unit")?;
    let (number, unit) = text.split_at(unit);
    let scale = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        _ => 1e6,
    };
    Ok(number.parse::<f64>()? * scale)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

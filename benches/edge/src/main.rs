//! Measures roomkey's `/token` and `/webhook` beside a bare hyper server that does the unavoidable work only: the same request,
//! an answer of the same size, one HMAC of the same length, and for a webhook one SHA-256 of the body. Then `/token` with a policy
//! beside `/token` without one. In alternating short rounds, the server on one core and `wrk` on the other, over 64 connections.
//!
//! `cargo run --release --manifest-path benches/edge/Cargo.toml`, with `wrk` and `taskset` installed. `ROUNDS` and `SECONDS` set
//! how many rounds there are and how long one is. With `-- growth`, it measures instead `/token` with ever more open connections.

mod bare;
mod growth;
mod loads;
mod server;
mod sessions;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use server::{CONNECTIONS, Round, Server, on_first_core};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const KEY: (&str, &str) = ("devkey", "secret");

/// A row of a table: its name, and the load on its server.
type Row<'a> = (&'a str, Server, &'a Path);

fn main() -> Result<()> {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("bare") {
        return bare::serve();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let status = Command::new("cargo").args(["build", "--release", "--locked"]).current_dir(&root).status()?;
    if !status.success() {
        return Err("roomkey does not build".into());
    }
    let bench =
        Bench { scratch: root.join("target/bench-edge"), root, rounds: setting("ROUNDS", 30), seconds: setting("SECONDS", 1) };
    fs::create_dir_all(&bench.scratch)?;

    let Bench { rounds, seconds, .. } = bench;
    println!("{}, server and load on a core each; medians", cpu_model());
    let token = loads::token(&bench.scratch, "token", &[])?;
    if argument.as_deref() == Some("growth") {
        return growth::measure(&bench, &token);
    }
    println!("{rounds} rounds of {seconds} s each, {CONNECTIONS} connections");
    let webhook = loads::webhook(&bench.scratch, &fs::read(bench.root.join("fixtures/deliveries/023-track_unpublished.body"))?)?;
    for (door, load) in [("/token", &token), ("/webhook", &webhook)] {
        bench.compare(
            door,
            &[
                ("bare hyper", bench.bare()?, load),
                ("roomkey, warn", bench.roomkey("warn", "warn", None)?, load),
                ("roomkey, info", bench.roomkey("info", "info", None)?, load),
            ],
        )?;
    }
    let sessions = sessions::all(&bench.root, &bench.scratch)?;
    let loads = sessions.iter().map(|session| loads::token(&bench.scratch, &session.name, &session.bearers));
    let loads = loads.collect::<Result<Vec<_>>>()?;
    let mut rows: Vec<Row<'_>> = vec![("no policy", bench.roomkey("no-policy", "warn", None)?, &token)];
    for (session, load) in sessions.iter().zip(&loads) {
        rows.push((&session.name, bench.roomkey(&session.name, "warn", Some(&session.policy))?, load));
    }
    bench.compare("/token, policy", &rows)
}

/// Where the program is, and how long to measure it.
struct Bench {
    root: PathBuf,
    scratch: PathBuf,
    rounds: u32,
    seconds: u32,
}

impl Bench {
    fn bare(&self) -> Result<Server> {
        let mut command = on_first_core(&std::env::current_exe()?);
        command.arg("bare");
        Server::start(command, "bare", &self.scratch)
    }

    fn roomkey(&self, name: &str, level: &str, policy: Option<&str>) -> Result<Server> {
        let mut command = on_first_core(&self.root.join("target/release/roomkey"));
        command.env("ROOMKEY_INBOX", "none").env("LOG_LEVEL", level).envs(sessions::SECRETS);
        if let Some(policy) = policy {
            let path = self.scratch.join(name).with_extension("toml");
            fs::write(&path, policy)?;
            command.arg("--policy").arg(path);
        }
        Server::start(command, name, &self.scratch)
    }

    /// Measures the servers, and prints a table. The first one is what the others are compared with.
    fn compare(&self, title: &str, rows: &[Row<'_>]) -> Result<()> {
        // All are there from the start, and rest while it is another's turn.
        for (_, server, load) in rows {
            server.load(load, CONNECTIONS, 1)?; // warm
        }
        let mut measured: Vec<Vec<Round>> = rows.iter().map(|_| Vec::new()).collect();
        for _ in 0..self.rounds {
            for ((_, server, load), rounds) in rows.iter().zip(&mut measured) {
                rounds.push(server.round(load, CONNECTIONS, self.seconds)?);
            }
        }
        println!("\n{title:<22}{:>11}{:>8}{:>14}{:>10}{:>10}", "requests/s", "ratio", "CPU/request", "p50", "p99");
        for ((name, ..), rounds) in rows.iter().zip(&measured) {
            // The ratio of each round to the first server's beside it: noise that lasts longer than a round strikes both.
            let ratio = median(rounds.iter().zip(&measured[0]).map(|(round, first)| round.per_second / first.per_second));
            println!(
                "{name:<22}{:>11.0}{ratio:>8.3}{:>11.2} µs{:>7.0} µs{:>7.0} µs",
                median(rounds.iter().map(|round| round.per_second)),
                median(rounds.iter().map(|round| round.cpu_micros)),
                median(rounds.iter().map(|round| round.p50_micros)),
                median(rounds.iter().map(|round| round.p99_micros)),
            );
        }
        Ok(())
    }
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

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

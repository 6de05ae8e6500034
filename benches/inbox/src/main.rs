//! What a durable 200 costs: roomkey's release binary with `--inbox none` and `--inbox sqlite:…` in alternating rounds, under 64
//! connections that send distinct deliveries of 1.3 kB, all signed before the round begins. One command:
//!
//! ```text
//! cargo run --release --manifest-path benches/inbox/Cargo.toml
//! ```
//!
//! Options, each `NAME=VALUE`: `rounds=5`, `deliveries=60000` (a round), `connections=64`, `directory=…` (for the inbox, on
//! the disk to measure), `program=…` (an existing roomkey), `keep=1` (all rounds fill one inbox), `redis=redis://…` (a server to
//! measure too; it keeps the deliveries).
//!
//! `-- growth` measures instead how the cost grows with the stored entries (up to `entries=10000000`, which takes some 5 GB and 10
//! minutes) and with the followers (up to `followers=10000`, which needs that many descriptors). It needs the program `sqlite3`.

mod disk;
mod fill;
mod followers;
mod growth;
mod load;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use load::Round;

/// What is measured, and how.
pub(crate) struct Options {
    rounds: usize,
    deliveries: usize,
    connections: usize,
    directory: PathBuf,
    program: Option<PathBuf>,
    keep: bool,
    redis: Option<String>,
    growth: bool,
    entries: usize,
    followers: usize,
}

impl Options {
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut options = Self {
            rounds: 5,
            deliveries: 60_000,
            connections: 64,
            directory: root.join("target/disk"),
            program: None,
            keep: false,
            redis: None,
            growth: false,
            entries: 10_000_000,
            followers: 10_000,
        };
        for argument in arguments {
            if argument == "growth" {
                options.growth = true;
                continue;
            }
            let (name, value) = argument.split_once('=').ok_or_else(|| format!("{argument:?} is not NAME=VALUE"))?;
            let number = || value.parse::<usize>().map_err(|_| format!("{name} must be a number"));
            match name {
                "rounds" => options.rounds = number()?.max(1),
                "deliveries" => options.deliveries = number()?.max(1),
                "connections" => options.connections = number()?.max(1),
                "entries" => options.entries = number()?,
                "followers" => options.followers = number()?,
                "directory" => options.directory = value.into(),
                "program" => options.program = Some(value.into()),
                "redis" => options.redis = Some(value.to_owned()),
                "keep" => options.keep = number()? != 0,
                _ => return Err(format!("{name:?} is not an option")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    match Options::read(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let program = match &options.program {
        Some(program) => program.clone(),
        None => server::build()?,
    };
    std::fs::create_dir_all(&options.directory).map_err(|error| format!("{}: {error}", options.directory.display()))?;
    let syncs = disk::syncs(&options.directory).map_err(|error| format!("cannot measure the disk: {error}"))?;
    println!("bare fdatasync of 128 KiB here: p50 {}, p99 {}", millis(syncs.p50), millis(syncs.p99));
    println!(
        "{} connections, {} deliveries a round, generator and server on the same cores\n",
        options.connections, options.deliveries
    );

    let file = options.directory.join("bench.db");
    if options.growth {
        return growth::run(options, &program, &file);
    }
    let place = format!("sqlite:{}", file.display());
    let (mut without, mut with, mut shared) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let redis = options.redis.as_deref().map(|url| (url, &mut shared));
        for (inbox, rounds) in [("none", &mut without), (place.as_str(), &mut with)].into_iter().chain(redis) {
            if !options.keep {
                disk::remove(&file);
            }
            let server = server::start(&program, inbox)?;
            let run = round * 2 + usize::from(inbox != "none");
            let measured = load::run(server.address(), run, options.deliveries, options.connections)?;
            let (name, processor) = (inbox.split(':').next().unwrap_or_default(), server.processor_time());
            println!(
                "{name:>6}: {:>6.0} requests/s, p50 {}, p99 {}, {:.1} µs of the server's processor time each",
                measured.rate,
                millis(measured.p50),
                millis(measured.p99),
                processor.as_secs_f64() * 1e6 / options.deliveries as f64,
            );
            rounds.push(measured);
        }
    }
    disk::remove(&file);
    let (without, with) = (median(without), median(with));
    println!("\nmedians: none {:.0}/s, sqlite {:.0}/s: {:.2} of it", without.rate, with.rate, with.rate / without.rate);
    println!("sqlite: p50 {}, p99 {}", millis(with.p50), millis(with.p99));
    if !shared.is_empty() {
        let shared = median(shared);
        println!("redis: {:.0}/s, p50 {}, p99 {}", shared.rate, millis(shared.p50), millis(shared.p99));
    }
    println!("goals: sqlite at least 10000/s and 0.40 of none, p99 at most 25 ms");
    Ok(())
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// The round with the median rate.
fn median(mut rounds: Vec<Round>) -> Round {
    rounds.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    rounds.swap_remove(rounds.len() / 2)
}

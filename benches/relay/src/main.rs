//! How fast the relay is, with roomkey's release binary, a SQLite inbox and a receiver on the same machine. One command:
//!
//! ```text
//! cargo run --release --manifest-path benches/relay/Cargo.toml
//! ```
//!
//! It measures, each in rounds: how fast waiting events drain to one target, beside bare hyper clients that post to the same receiver;
//! how long after a delivery an idle target has its event, also with a dead and a hanging target beside it; what `/webhook` is left with
//! while events are relayed; and the memory of 100 targets, of which 50 are down.
//!
//! Options, each `NAME=VALUE`: `rounds=5`, `events=50000` (a round), `program=…` (an existing roomkey), `directory=…` (for the inbox).

mod bare;
mod delay;
#[path = "../../inbox/src/load.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod load;
mod receiver;
#[path = "../../inbox/src/server.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod server;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use receiver::Receiver;
use server::Server;

/// Requests in flight to a target, and connections of the bare clients. There are as many rooms.
const CONCURRENCY: usize = 64;
/// Bytes of a body.
const BODY_BYTES: usize = 1300;

struct Bench {
    rounds: usize,
    events: usize,
    program: PathBuf,
    directory: PathBuf,
}

fn main() -> ExitCode {
    match Bench::read(std::env::args().skip(1)).and_then(|bench| bench.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

impl Bench {
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/disk");
        let mut bench = Self { rounds: 5, events: 50_000, program: PathBuf::new(), directory };
        for argument in arguments {
            let (name, value) = argument.split_once('=').ok_or_else(|| format!("{argument:?} is not NAME=VALUE"))?;
            let number = || value.parse::<usize>().map_err(|_| format!("{name} must be a number"));
            match name {
                "rounds" => bench.rounds = number()?.max(1),
                "events" => bench.events = number()?.max(CONCURRENCY),
                "program" => bench.program = value.into(),
                "directory" => bench.directory = value.into(),
                _ => return Err(format!("{name:?} is not an option")),
            }
        }
        bench.events -= bench.events % CONCURRENCY;
        if bench.program.as_os_str().is_empty() {
            bench.program = server::build()?;
        }
        fs::create_dir_all(&bench.directory).map_err(|error| format!("{}: {error}", bench.directory.display()))?;
        Ok(bench)
    }

    fn run(&self) -> Result<(), String> {
        let receiver = Receiver::start();
        println!("{} rounds, {} events of {BODY_BYTES} bytes a round, all on the same cores; medians", self.rounds, self.events);
        self.drain(&receiver)?;
        self.delay(&receiver)?;
        self.delay_beside(&receiver)?;
        self.webhook(&receiver)?;
        self.memory(&receiver)
    }

    /// Events that wait in the inbox, and are sent as fast as the target takes them.
    fn drain(&self, receiver: &Receiver) -> Result<(), String> {
        let (mut relayed, mut posted) = (Vec::new(), Vec::new());
        let file = self.targets("drain", &[receiver.address()], &format!("concurrency = {CONCURRENCY}\nfrom = \"oldest\""))?;
        for round in 0..self.rounds {
            self.empty();
            let filled = self.start(&[])?;
            load::run(filled.address(), round, self.events, CONCURRENCY)?;
            filled.stop()?;
            let server = self.start(&["--relay", &file])?;
            let (first, last) = receiver.wait_for(self.events)?;
            let processor = server.processor_time();
            server.stop()?;
            relayed.push((self.events as f64 / (last - first).as_secs_f64(), processor.as_secs_f64() * 1e6 / self.events as f64));
            let begin = Instant::now();
            bare::post(receiver.address(), self.events, BODY_BYTES, CONCURRENCY)?;
            posted.push(self.events as f64 / begin.elapsed().as_secs_f64());
            receiver.rest();
        }
        let ratio = median(relayed.iter().zip(&posted).map(|((relayed, _), posted)| relayed / posted));
        println!(
            "\none target, concurrency {CONCURRENCY}: {:.0} events/s, {ratio:.2} of {:.0} posted by bare hyper clients, {:.0} µs of the \
             server's processor time each",
            median(relayed.iter().map(|(rate, _)| *rate)),
            median(posted.iter().copied()),
            median(relayed.iter().map(|(_, micros)| *micros)),
        );
        Ok(())
    }

    /// What `/webhook` is left with while its events are relayed.
    fn webhook(&self, receiver: &Receiver) -> Result<(), String> {
        let file = self.targets("webhook", &[receiver.address()], "")?;
        let mut ratios = Vec::new();
        for round in 0..self.rounds {
            let mut rates = Vec::new();
            for flags in [&[][..], &["--relay", &file]] {
                self.empty();
                let server = self.start(flags)?;
                sleep(Duration::from_millis(500));
                rates.push(load::run(server.address(), round, self.events, CONCURRENCY)?.rate);
                server.stop()?;
                receiver.rest();
            }
            ratios.push(rates[1] / rates[0]);
        }
        println!("/webhook with a relay to a healthy target: {:.2} of its requests/s without", median(ratios.into_iter()));
        Ok(())
    }

    /// 100 targets, of which 50 are down, and some events for all.
    fn memory(&self, receiver: &Receiver) -> Result<(), String> {
        let file = self.targets("memory", &[[receiver.address(); 50], [nobody()?; 50]].concat(), "")?;
        let mut bytes = Vec::new();
        for flags in [&[][..], &["--relay", &file]] {
            self.empty();
            let server = self.start(flags)?;
            sleep(Duration::from_secs(2));
            load::run(server.address(), 0, 5_000, CONCURRENCY)?;
            sleep(Duration::from_secs(20));
            bytes.push(server.memory() as f64 / f64::from(1 << 20));
            server.stop()?;
        }
        receiver.rest();
        println!("100 targets, 50 of them down: {:.1} MiB more than {:.1} MiB", bytes[1] - bytes[0], bytes[0]);
        Ok(())
    }

    fn start(&self, flags: &[&str]) -> Result<Server, String> {
        server::start_with(&self.program, &format!("sqlite:{}", self.inbox().display()), flags)
    }

    fn inbox(&self) -> PathBuf {
        self.directory.join("relay.db")
    }

    fn empty(&self) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", self.inbox().display())); // perhaps there is none
        }
    }

    /// A file of targets at these addresses, with these lines beside what each needs.
    fn targets(&self, name: &str, addresses: &[SocketAddr], lines: &str) -> Result<String, String> {
        let secret = self.directory.join("relay.secret");
        write(&secret, "the-secret-of-the-relay-for-the-bench")?;
        let target = |(number, address): (usize, &SocketAddr)| {
            format!(
                "[[target]]\nname = \"{name}-{number}\"\nurl = \"http://{address}/livekit\"\nkey = \"APIrelay\"\nsecret_file = {:?}\n\
                 {lines}\n",
                secret.display().to_string()
            )
        };
        let file = self.directory.join(name).with_extension("toml");
        write(&file, &addresses.iter().enumerate().map(target).collect::<String>())?;
        Ok(file.display().to_string())
    }
}

/// An address where nobody listens.
fn nobody() -> Result<SocketAddr, String> {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(|error| error.to_string())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

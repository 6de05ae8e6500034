//! Compares pieces of work: they take short turns, round after round, so that whatever else the machine does slows all of them alike.
//! Does not know what they do.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How often each piece of work has its turn, and for how long.
const ROUNDS: usize = 1_000;
const TURN: Duration = Duration::from_micros(100);

/// Does some work as often as asked, and returns how long that took.
pub(crate) type Work = Box<dyn FnMut(u64) -> Duration>;

/// `once`, as a piece of work.
pub(crate) fn work<T>(mut once: impl FnMut() -> T + 'static) -> Work {
    Box::new(move |times| {
        let start = Instant::now();
        for _ in 0..times {
            black_box(once());
        }
        start.elapsed()
    })
}

/// The nanoseconds that each of `works` takes in its fastest turn, because whatever else the machine does only adds to them.
pub(crate) fn compare<const N: usize>(mut works: [Work; N]) -> [f64; N] {
    let turns = works.each_mut().map(|work| {
        let probe = 1_000;
        let once = work(probe).min(work(probe)).as_secs_f64() / probe as f64;
        (TURN.as_secs_f64() / once).ceil() as u64
    });
    let mut fastest = [f64::INFINITY; N];
    for _ in 0..ROUNDS {
        for ((work, turn), fastest) in works.iter_mut().zip(turns).zip(&mut fastest) {
            *fastest = fastest.min(work(turn).as_secs_f64() * 1e9 / turn as f64);
        }
    }
    fastest
}

/// The processor, and whether SHA-256 runs on instructions of its own here.
pub(crate) fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown CPU", |(_, name)| name);
    #[cfg(target_arch = "x86_64")]
    let has_sha = std::arch::is_x86_feature_detected!("sha") && std::arch::is_x86_feature_detected!("sse4.1");
    #[cfg(target_arch = "aarch64")]
    let has_sha = std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has_sha = false;
    let sha = match has_sha {
        _ if option_env!("RUSTFLAGS").is_some_and(|flags| flags.contains("sha2_backend")) => "SHA-256 in software (forced)",
        true => "SHA extensions",
        false => "SHA-256 in software",
    };
    format!("{model}, {sha}")
}

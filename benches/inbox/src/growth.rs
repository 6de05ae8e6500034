//! Measures how the cost grows with the entries that are stored, and with the followers of an event. Does not know how the inbox is
//! filled.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::fill::{SMALL_ROOM, fill, unindexed};
use crate::{Options, disk, followers, load, millis, server};

/// The index follows the entries with steps of so many.
const INDEX_STEP: usize = 2048;
/// How long the index of 10 million entries may take.
const PATIENCE: Duration = Duration::from_secs(900);

pub(crate) fn run(options: &Options, program: &Path, file: &Path) -> Result<(), String> {
    let place = format!("sqlite:{}", file.display());
    println!("{} deliveries over {} connections to each inbox\n", options.deliveries, options.connections);
    for (run, entries) in [0, 1_000_000, 10_000_000].into_iter().filter(|entries| *entries <= options.entries).enumerate() {
        disk::remove(file);
        let first = server::start(program, &place)?;
        load::run(first.address(), run, 1, 1)?;
        first.stop()?;
        fill(file, entries)?;

        let begin = Instant::now();
        let server = server::start(program, &place)?;
        get(server.address(), "/healthz", None)?;
        let started = begin.elapsed();
        sleep(Duration::from_secs(1));
        println!("{entries} entries: starts in {}, {:.1} MB resident", millis(started), server.memory() as f64 / 1e6);
        println!("  a page of a small room, before it is indexed: {}", millis(room(server.address())?));
        let begin = Instant::now();
        while unindexed(file)? >= INDEX_STEP {
            if begin.elapsed() > PATIENCE {
                return Err("the index is not complete".to_owned());
            }
            sleep(Duration::from_millis(100));
        }
        println!("  indexed after {:.1} s, then: {}", begin.elapsed().as_secs_f64(), millis(room(server.address())?));
        let measured = load::run(server.address(), run, options.deliveries, options.connections)?;
        println!("  {:.0} deliveries/s, p50 {}, p99 {}", measured.rate, millis(measured.p50), millis(measured.p99));
        println!("  a page of a small room, after them: {}", millis(room(server.address())?));
        server.stop()?;
    }
    disk::remove(file);

    let server = server::start(program, &place)?;
    let mut count = 1;
    while count <= options.followers {
        let (last, answered) = followers::measure(server.address(), count, count)?;
        println!(
            "{count} followers: the last one has an event after {}, its sender the answer after {}",
            millis(last),
            millis(answered)
        );
        count *= 10;
    }
    drop(server);
    disk::remove(file);
    Ok(())
}

/// The time of a page of the small room's events: the median of 5.
fn room(address: SocketAddr) -> Result<Duration, String> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let begin = Instant::now();
        get(address, &format!("/events?room={SMALL_ROOM}"), Some(load::reader_token()))?;
        times.push(begin.elapsed());
    }
    times.sort();
    Ok(times[2])
}

fn get(address: SocketAddr, path: &str, token: Option<String>) -> Result<(), String> {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let mut answer = Vec::new();
    let got = TcpStream::connect(address).and_then(|mut stream| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        stream.read_to_end(&mut answer)
    });
    match got {
        Ok(_) if answer.starts_with(b"HTTP/1.1 200") => Ok(()),
        Ok(_) => Err(format!("{path}: {}", String::from_utf8_lossy(&answer))),
        Err(error) => Err(format!("{path}: {error}")),
    }
}

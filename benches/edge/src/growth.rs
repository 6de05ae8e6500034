//! How the cost of `/token` grows with the number of open connections, most of which are idle. Does not know how the load is made.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::server::{CONNECTIONS, Server};
use crate::{Bench, median};

/// Open connections. A server with its default limits closes an idle one after 75 s, so a row must not take longer.
const OPEN: [usize; 5] = [1, 10, 100, 1_000, 10_000];
const MOST_ROUNDS: u32 = 10;

/// Measures and prints a row for each number of connections.
pub fn measure(bench: &Bench, load: &Path) -> crate::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let server = bench.roomkey("growth", "warn", None)?;
    println!("\n{:<20}{:>8}{:>12}{:>14}{:>11}{:>11}", "/token, connections", "busy", "requests/s", "CPU/request", "p50", "p99");
    for open in OPEN {
        let busy = open.min(CONNECTIONS);
        let idle = (busy..open).map(|_| idle(&server)).collect::<crate::Result<Vec<_>>>()?;
        server.load(load, busy, 1)?; // warm
        let rounds = (0..bench.rounds.min(MOST_ROUNDS)).map(|_| server.round(load, busy, bench.seconds));
        let rounds = rounds.collect::<crate::Result<Vec<_>>>()?;
        drop(idle);
        println!(
            "{open:<20}{busy:>8}{:>12.0}{:>11.2} µs{:>8.0} µs{:>8.0} µs",
            median(rounds.iter().map(|round| round.per_second)),
            median(rounds.iter().map(|round| round.cpu_micros)),
            median(rounds.iter().map(|round| round.p50_micros)),
            median(rounds.iter().map(|round| round.p99_micros)),
        );
    }
    Ok(())
}

/// A connection that has been used once.
fn idle(server: &Server) -> crate::Result<TcpStream> {
    let mut connection = TcpStream::connect(server.address())?;
    connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let read = connection.read(&mut [0; 1024])?;
    if read == 0 { Err("the server refuses a connection".into()) } else { Ok(connection) }
}

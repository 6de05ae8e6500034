//! How long after a delivery an idle target has its event, alone and beside a dead and a hanging target.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::receiver::Receiver;
use crate::{Bench, load, median, nobody};

/// Events that are sent one by one.
const EVENTS: usize = 320;
/// They are in so many rooms in turn, so that a target that hangs has so many requests in flight.
const ROOMS: usize = 16;

/// Of each event, the milliseconds until it arrives.
struct Delays {
    /// Since its delivery was sent.
    from_sending: Vec<f64>,
    /// Since its delivery was answered.
    from_commit: Vec<f64>,
}

impl Bench {
    /// An idle target alone.
    pub(crate) fn delay(&self, receiver: &Receiver) -> Result<(), String> {
        let file = self.targets("delay", &[receiver.address()], "")?;
        let Delays { from_sending, from_commit } = self.send_singly(usize::MAX, &file, receiver)?;
        for (name, millis) in [("its delivery is sent", from_sending), ("its delivery is answered", from_commit)] {
            println!("an idle target has an event after {name}: p50 {:.2} ms, p99 {:.2} ms", at(50, &millis), at(99, &millis));
        }
        Ok(())
    }

    /// An idle target with a dead and a hanging one beside it, against the same one alone.
    pub(crate) fn delay_beside(&self, receiver: &Receiver) -> Result<(), String> {
        const TIMEOUT: &str = "timeout = \"1s\"";
        let hanging = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?; // it never accepts
        let hangs_at = hanging.local_addr().map_err(|error| error.to_string())?;
        let alone = self.targets("alone", &[receiver.address()], TIMEOUT)?;
        let beside = self.targets("beside", &[receiver.address(), nobody()?, hangs_at], TIMEOUT)?;
        let mut p99s = Vec::new();
        for round in 0..self.rounds {
            let p99 = |file: &str| Ok::<_, String>(at(99, &self.send_singly(round, file, receiver)?.from_sending));
            // Each comes first in turn.
            p99s.push(if round % 2 == 0 {
                let alone = p99(&alone)?;
                (alone, p99(&beside)?)
            } else {
                let beside = p99(&beside)?;
                (p99(&alone)?, beside)
            });
        }
        println!(
            "with a dead and a hanging target beside it, the p99 since its delivery is sent is {:.2} of that without: {:.2} and {:.2} ms",
            median(p99s.iter().map(|(alone, beside)| beside / alone)),
            median(p99s.iter().map(|(_, beside)| *beside)),
            median(p99s.iter().map(|(alone, _)| *alone)),
        );
        Ok(())
    }

    /// Delivers events one by one to a server with the targets in `file`, of which the first is at `receiver`.
    fn send_singly(&self, run: usize, file: &str, receiver: &Receiver) -> Result<Delays, String> {
        self.empty();
        let server = self.start(&["--relay", file])?;
        sleep(Duration::from_secs(1)); // the targets begin
        let mut stream = TcpStream::connect(server.address()).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let mut delays = Delays { from_sending: Vec::new(), from_commit: Vec::new() };
        let rooms = load::sign(run, ROOMS, EVENTS / ROOMS);
        for number in 0..EVENTS {
            let begin = Instant::now();
            stream.write_all(&rooms[number % ROOMS][number / ROOMS]).map_err(|error| error.to_string())?;
            let mut answer = [0; 1024];
            let read = stream.read(&mut answer).map_err(|error| error.to_string())?;
            let committed = Instant::now();
            if !answer[..read].starts_with(b"HTTP/1.1 200") {
                return Err(String::from_utf8_lossy(&answer[..read]).into_owned());
            }
            let arrived = receiver.next()?;
            delays.from_sending.push((arrived - begin).as_secs_f64() * 1e3);
            delays.from_commit.push(arrived.saturating_duration_since(committed).as_secs_f64() * 1e3);
            sleep(Duration::from_millis(10)); // idle again
        }
        server.stop()?;
        Ok(delays)
    }
}

/// The value below which so many percent of all are.
fn at(percent: usize, millis: &[f64]) -> f64 {
    let mut millis = millis.to_vec();
    millis.sort_by(f64::total_cmp);
    millis[(millis.len() - 1) * percent / 100]
}

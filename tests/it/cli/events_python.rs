//! Runs the guide's loop in Python, unchanged.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::events::{deliver, event, url};
use super::events_follow::Place;
use super::send_retry::Scripted;
use crate::fixtures::SERVER_KEY;
use crate::guide;

/// The loop, running.
struct Loop {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Loop {
    /// Starts the loop with `url` instead of the guide's server. Without Python it says so and returns `None`.
    fn start(url: &str) -> Option<Self> {
        if Command::new("python3").arg("--version").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "CI needs python3");
            eprintln!("SKIPPED: there is no python3");
            return None;
        }
        let code = guide::block("src/guide/inbox.md", "python", "urllib").replace("http://localhost:6080", url);
        let program = Path::new(env!("CARGO_BIN_EXE_roomkey")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("python3");
        command.args(["-u", "-c", &code]).env("PATH", path).stdout(Stdio::piped());
        command.envs([("LIVEKIT_API_KEY", SERVER_KEY.0), ("LIVEKIT_API_SECRET", SERVER_KEY.1)]);
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, stdout })
    }

    /// The next line that it prints, without the time that it begins with.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert_eq!(line.pop(), Some('\n'), "it ended");
        if line.starts_with("20") { line.split_once(' ').unwrap().1.to_owned() } else { line }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const GAP: &str = "events were deleted before they were read, going on from the oldest";

#[test]
fn it_continues_after_restarts() {
    let place = Place::new();
    let mut server = place.serve();
    let Some(mut reading) = Loop::start(&url(&server)) else { return };
    let mut count = 0;
    let mut deliver_one = |server: &crate::harness::program::Program| {
        let name = format!("event_{count}");
        count += 1;
        deliver(&mut server.connect(), event(&name, &name, "daily"));
        name
    };
    for round in 0..4 {
        let name = deliver_one(&server);
        assert_eq!(reading.line(), name);
        match round {
            0 => drop(server.stop()),
            _ => drop(server), // killed while a page waits
        }
        // Long enough that it is refused at least once.
        std::thread::sleep(std::time::Duration::from_millis(1500));
        if round == 2 {
            place.forget();
        }
        server = place.serve();
        if round == 2 {
            assert_eq!(reading.line(), GAP);
        }
    }
    let names = [deliver_one(&server), deliver_one(&server)];
    assert_eq!([reading.line(), reading.line()], names, "each once and in order");
}

#[test]
fn it_continues_after_every_temporary_error() {
    let answer = |status: &str, more: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nConnection: close\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let page = |id: u64| {
        let entry = format!(r#"{{"cursor":"{id:016x}","receivedAt":"2026","event":{{"event":"event_{id}"}}}}"#);
        answer("200 OK", "", &format!(r#"{{"events":[{entry}],"next":"{id:016x}"}}"#))
    };
    let script = [
        page(1),
        answer("502 Bad Gateway", "", "<html>"),
        answer("503 Service Unavailable", "Retry-After: 0\r\n", "{}"),
        answer("504 Gateway Timeout", "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n", ""),
        page(2).replacen("\"next\"", "", 1), // cut off
        String::new(),
        "no HTTP".to_owned(),
        answer("200 OK", "", "<html>back soon</html>"),
        page(3),
        answer("410 Gone", "", r#"{"errorMessage":"what is left begins after 0000000000000005"}"#),
        page(6),
        page(7),
    ];
    let server = Scripted::answering(&script.each_ref().map(String::as_str));
    let Some(mut reading) = Loop::start(server.url().trim_end_matches("/webhook")) else { return };
    let lines: Vec<_> = (0..5).map(|_| reading.line()).collect();
    assert_eq!(lines, ["event_1", "event_3", GAP, "event_6", "event_7"]);
    let asked = server.requests();
    let after = |id: u64| format!("/events?wait=30&after={id:016x}");
    let first = || "/events?wait=30".to_owned();
    let mut expected = vec![first()];
    expected.extend((0..8).map(|_| after(1)));
    expected.extend([after(3), first(), after(6)]);
    assert_eq!(asked.iter().map(|each| each.head.split(' ').nth(1).unwrap()).collect::<Vec<_>>(), expected);
}

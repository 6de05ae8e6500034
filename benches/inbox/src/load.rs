//! Sends the load: distinct deliveries, signed before the clock starts, over several connections that each wait for the answer. Does not
//! know the inbox.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roomkey::{AccessToken, ApiKey, UnixTime, VideoGrants};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

pub(crate) const KEY: &str = "APIbench";
pub(crate) const SECRET: &str = "a-secret-for-the-bench-of-at-least-32-bytes";
/// A recorded delivery. Its id is replaced, and the name of its room by that of the connection.
const RECORDED: &str = include_str!("../../../fixtures/deliveries/023-track_unpublished.body");
/// Bytes of a delivery's body.
const BODY_BYTES: usize = 1300;

/// A token that may read all events.
pub(crate) fn reader_token() -> String {
    let key = ApiKey::new(KEY, SECRET).expect("the secret is long enough");
    let grants = VideoGrants { room_list: true, ..VideoGrants::default() };
    AccessToken::new()
        .with_grants(grants)
        .with_ttl(Duration::from_secs(3600))
        .to_jwt(&key, UnixTime::now())
        .expect("it can be signed")
}

/// The result of a round.
pub(crate) struct Round {
    /// Deliveries a second.
    pub(crate) rate: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Sends `deliveries` over `connections` to `address`; `run` makes their ids differ from those of other runs.
pub(crate) fn run(address: SocketAddr, run: usize, deliveries: usize, connections: usize) -> Result<Round, String> {
    let each = deliveries.div_ceil(connections);
    let requests: Vec<Vec<Vec<u8>>> = sign(run, connections, each);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(|error| error.to_string())?;
    let latencies = Rc::new(RefCell::new(Vec::with_capacity(each * connections)));
    let took = LocalSet::new().block_on(&runtime, async {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let begin = Instant::now();
        let senders: Vec<_> = streams
            .into_iter()
            .zip(requests)
            .map(|(stream, requests)| tokio::task::spawn_local(send(stream, requests, Rc::clone(&latencies))))
            .collect();
        for sender in senders {
            sender.await.map_err(std::io::Error::other)??;
        }
        std::io::Result::Ok(begin.elapsed())
    });
    let took = took.map_err(|error| format!("a connection failed: {error}"))?;
    let mut latencies = latencies.take();
    latencies.sort();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    Ok(Round { rate: latencies.len() as f64 / took.as_secs_f64(), p50: at(50), p99: at(99) })
}

/// Deliveries for each connection, as requests.
pub(crate) fn sign(run: usize, connections: usize, each: usize) -> Vec<Vec<Vec<u8>>> {
    let key = ApiKey::new(KEY, SECRET).expect("the secret is long enough");
    let now = UnixTime::now();
    let (before, after) = RECORDED.split_once(r#""id":"EV_"#).expect("the recorded delivery has an id");
    let (_, after) = after.split_once('"').expect("the id has an end");
    let start = now.as_millis();
    let request = |connection: usize, number: usize| {
        // Ids look random, as LiveKit's do, so that an index cannot use their order.
        let id = Sha256::digest(format!("{start} {run} {connection} {number}"));
        let id: String = id.iter().take(7).map(|byte| format!("{byte:02x}")).collect();
        let body = format!(r#"{before}"id":"EV_{id}"{after}"#);
        let mut body = body.replace(r#""name":"daily-standup""#, &format!(r#""name":"room {connection}""#));
        let brace = body.rfind('}').expect("the body is an object");
        body.insert_str(brace, &" ".repeat(BODY_BYTES.saturating_sub(body.len())));
        let token = AccessToken::new().with_sha256(STANDARD.encode(Sha256::digest(&body))).with_ttl(Duration::from_secs(300));
        let token = token.to_jwt(&key, now).expect("a webhook's token can be signed");
        let length = body.len();
        format!(
            "POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {length}\r\n\
             Authorization: {token}\r\nContent-Type: application/webhook+json\r\nAccept-Encoding: gzip\r\n\r\n{body}"
        )
        .into_bytes()
    };
    (0..connections).map(|connection| (0..each).map(|number| request(connection, number)).collect()).collect()
}

async fn send(mut stream: TcpStream, requests: Vec<Vec<u8>>, latencies: Rc<RefCell<Vec<Duration>>>) -> std::io::Result<()> {
    let mut answer = [0; 1024];
    for request in requests {
        let begin = Instant::now();
        stream.write_all(&request).await?;
        let mut filled = 0;
        while !answer[..filled].ends_with(b"\r\n\r\n") {
            match stream.read(&mut answer[filled..]).await? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        latencies.borrow_mut().push(begin.elapsed());
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(std::io::Error::other(String::from_utf8_lossy(&answer[..filled]).into_owned()));
        }
    }
    Ok(())
}

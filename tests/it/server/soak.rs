//! The soak test: for a while, thousands of connections that are silent or slow, of every kind that has a bound, and valid requests
//! between them, each of which must get its 200. `cargo test --release --test it soak -- --ignored`; `SOAK_SECONDS`
//! says for how long.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::fixtures::SERVER_KEY;
use crate::harness::client::{get, post, post_head};
use crate::harness::program::{Program, Start};
use crate::harness::sender::authorization_at;

const SILENT: usize = 2000;
const SLOW_OF_A_KIND: usize = 100;
const GOOD: usize = 16;
const BODY: &str = r#"{"roomName":"r","participantName":"a"}"#;

/// How a slow connection is slow.
#[derive(Clone, Copy, Debug)]
enum Kind {
    HeadStalls,
    HeadDrips,
    BodyStalls,
    BodyDrips,
    WebhookDrips,
    ReadsNothing,
    ReadsAByteASecond,
}

const KINDS: [Kind; 7] = [
    Kind::HeadStalls,
    Kind::HeadDrips,
    Kind::BodyStalls,
    Kind::BodyDrips,
    Kind::WebhookDrips,
    Kind::ReadsNothing,
    Kind::ReadsAByteASecond,
];

impl Kind {
    /// What is sent at once.
    fn opening(self) -> Vec<u8> {
        match self {
            Self::HeadStalls | Self::HeadDrips => b"POST /token HTTP/1.1\r\nHost: x\r\nX: ".to_vec(),
            Self::BodyStalls | Self::BodyDrips => post_head("/token", &[], 60_000),
            Self::WebhookDrips => {
                let token = authorization_at(roomkey::UnixTime::now(), SERVER_KEY, "");
                post_head("/webhook", &[("Authorization", &token)], 1_000_000)
            }
            Self::ReadsNothing | Self::ReadsAByteASecond => get("/healthz").repeat(20_000),
        }
    }

    /// One connection, until the server ends it.
    async fn live(self, address: SocketAddr) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address).await?;
        let (mut reader, mut writer) = stream.split();
        let write = async {
            writer.write_all(&self.opening()).await?;
            if !matches!(self, Self::HeadDrips | Self::BodyDrips | Self::WebhookDrips) {
                pending::<()>().await;
            }
            loop {
                sleep(Duration::from_secs(1)).await;
                writer.write_all(b" ").await?;
            }
        };
        let read = async {
            let mut byte = [0];
            match self {
                Self::ReadsNothing => sleep(Duration::from_secs(30)).await,
                Self::ReadsAByteASecond => {
                    for _ in 0..30 {
                        reader.read_exact(&mut byte).await?;
                        sleep(Duration::from_secs(1)).await;
                    }
                }
                _ => while reader.read(&mut byte).await? > 0 {},
            }
            Ok(())
        };
        tokio::select! { written = write => written, read = read => read }
    }
}

async fn good(address: SocketAddr, until: Instant, answered: Arc<AtomicUsize>) {
    let request = post("/token", &[], BODY);
    while Instant::now() < until {
        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..10 {
            stream.write_all(&request).await.unwrap();
            let mut answer = [0; 2048];
            let length = timeout(Duration::from_secs(5), stream.read(&mut answer)).await.expect("no answer").unwrap();
            let answer = String::from_utf8_lossy(&answer[..length]);
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
            answered.fetch_add(1, Relaxed);
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[test]
#[ignore = "takes 80 s and some 3,000 descriptors; .ci/run runs it"]
fn soak() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit }).unwrap();
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(80);
    let program: Program = Start::new()
        .env("LIVEKIT_API_KEY", SERVER_KEY.0)
        .env("LIVEKIT_API_SECRET", SERVER_KEY.1)
        .flags(&["--server-bind", "127.0.0.1"])
        .serve();
    let address = program.address();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut silent = Vec::new();
        for _ in 0..SILENT {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let lives = Arc::new(AtomicUsize::new(0));
        for kind in KINDS.into_iter().cycle().take(KINDS.len() * SLOW_OF_A_KIND) {
            let lives = Arc::clone(&lives);
            tokio::spawn(async move {
                loop {
                    let _ = kind.live(address).await; // another connection follows, however this one ended
                    lives.fetch_add(1, Relaxed);
                }
            });
        }
        let answered = Arc::new(AtomicUsize::new(0));
        let good: Vec<_> = (0..GOOD).map(|_| tokio::spawn(good(address, until, Arc::clone(&answered)))).collect();
        for client in good {
            client.await.unwrap();
        }
        eprintln!("{} good requests, all 200; {} slow connections ended", answered.load(Relaxed), lives.load(Relaxed));
        assert!(seconds < 30 || lives.load(Relaxed) >= KINDS.len() * SLOW_OF_A_KIND, "the slow ones were not cut");
    });
    // All have ended, and nothing of them is left.
    assert_eq!(program.ask(get("/healthz")).status, 200);
}

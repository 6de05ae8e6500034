//! Connects many followers, and measures how long after a delivery the last one has its event. Does not know the inbox.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::load;

/// The time from a delivery until `count` followers have its event, and until the sender has its answer.
pub(crate) fn measure(address: SocketAddr, run: usize, count: usize) -> Result<(Duration, Duration), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(|error| error.to_string())?;
    let measured = LocalSet::new().block_on(&runtime, async {
        let mut followers = JoinSet::new();
        for _ in 0..count {
            let stream = follow(address).await?;
            followers.spawn_local(event(stream));
        }
        let mut sender = TcpStream::connect(address).await?;
        let request = load::sign(run, 1, 1).remove(0).remove(0);
        let begin = Instant::now();
        sender.write_all(&request).await?;
        let mut answer = [0; 1024];
        let read = sender.read(&mut answer).await?;
        let answered = begin.elapsed();
        if !answer[..read].starts_with(b"HTTP/1.1 200") {
            return Err(std::io::Error::other(String::from_utf8_lossy(&answer[..read]).into_owned()));
        }
        while let Some(follower) = followers.join_next().await {
            follower.map_err(std::io::Error::other)??;
        }
        std::io::Result::Ok((begin.elapsed(), answered))
    });
    measured.map_err(|error| format!("{count} followers: {error}"))
}

/// A stream that begins at the end of the inbox. The server has answered.
async fn follow(address: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let token = load::reader_token();
    let request = format!(
        "GET /events?after=latest HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 2048];
    let read = stream.read(&mut answer).await?;
    if !answer[..read].starts_with(b"HTTP/1.1 200") {
        return Err(std::io::Error::other(String::from_utf8_lossy(&answer[..read]).into_owned()));
    }
    Ok(stream)
}

/// Reads until an event's data is complete.
async fn event(mut stream: TcpStream) -> std::io::Result<()> {
    let mut answer = Vec::with_capacity(4096);
    let has_event = |answer: &[u8]| {
        let data = answer.windows(5).position(|piece| piece == b"data:");
        data.is_some_and(|data| answer[data..].windows(2).any(|piece| piece == b"\n\n"))
    };
    while !has_event(&answer) {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

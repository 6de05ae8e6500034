//! The measure: bare hyper clients that post the same number of bodies to the same receiver, over as many connections. Does not know
//! the relay.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Posts `count` bodies of `bytes` over `connections`.
pub(crate) fn post(address: SocketAddr, count: usize, bytes: usize, connections: usize) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(|error| error.to_string())?;
    runtime.block_on(async move {
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            clients.spawn(client(address, count / connections, Bytes::from(vec![b' '; bytes])));
        }
        while let Some(ended) = clients.join_next().await {
            ended.map_err(|error| error.to_string())??;
        }
        Ok(())
    })
}

async fn client(address: SocketAddr, count: usize, body: Bytes) -> Result<(), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    for _ in 0..count {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/livekit")
            .header("host", "127.0.0.1")
            .header("content-type", "application/webhook+json")
            .body(Full::new(body.clone()))
            .map_err(|error| error.to_string())?;
        sender.ready().await.map_err(|error| error.to_string())?;
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        answer.into_body().collect().await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

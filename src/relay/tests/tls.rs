//! Sending over TLS: who is trusted, and that its connections are kept too.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::sending::{NOW, attempt, lease, settings};
use crate::client::Trust;
use crate::relay::failure::{Failure, FailureKind};
use crate::relay::sender::{Outcome, Sender};
use crate::relay::settings::TargetSettings;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name)).unwrap()
}

/// An endpoint with the certificate of `localhost`, which answers each request with 200. Returns its port, and counts its connections.
async fn endpoint(connections: Arc<AtomicUsize>) -> u16 {
    let certificate = CertificateDer::from_pem_slice(&fixture("localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&fixture("localhost.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, connections) = (acceptor.clone(), Arc::clone(&connections));
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                connections.fetch_add(1, Relaxed);
                let mut received = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    received.push(byte);
                    if received.ends_with(b"\r\n\r\n{}") {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                        stream.flush().await.unwrap();
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_target_must_prove_itself() {
    let connections = Arc::new(AtomicUsize::new(0));
    let port = endpoint(Arc::clone(&connections)).await;
    let trusting = |host: &str, authority: Option<&str>| {
        let settings = settings(&format!("https://{host}:{port}/livekit"));
        let trust = authority.map(|name| Trust::only(&fixture(name)).unwrap()).unwrap_or_default();
        Sender::new(&TargetSettings { endpoint: settings.endpoint.clone().trusting(&trust), ..settings })
    };
    let sender = trusting("localhost", Some("authority.pem"));
    for _ in 0..3 {
        assert_eq!(sender.send(&attempt("EV_1", "{}"), NOW, &lease(Duration::ZERO)).await, Outcome::Delivered);
    }
    assert_eq!(connections.load(Relaxed), 1);
    for (host, authority) in [("localhost", None), ("127.0.0.2", Some("authority.pem")), ("localhost", Some("version-1.pem"))] {
        let outcome = trusting(host, authority).send(&attempt("EV_1", "{}"), NOW, &lease(Duration::ZERO)).await;
        let is_right = matches!(outcome, Outcome::Failed(Failure { kind: FailureKind::Connect, status: None, .. }));
        assert!(is_right, "{host} {authority:?}: {outcome:?}");
    }
}

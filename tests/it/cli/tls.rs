//! Owns the tests of the commands that reach a server through a proxy that ends TLS, as most are reached.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::events::server;
use super::program::{Roomkey, assert_says};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name)
}

/// Forwards what comes in TLS to `server`, until `runtime` ends.
fn proxy(runtime: &Runtime, server: SocketAddr) -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(fixture("localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("localhost.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut behind = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await; // until either closes
            }
        }
    });
    address
}

#[test]
fn commands_reach_a_server_behind_tls_and_check_who_it_is() {
    let runtime = Runtime::new().unwrap();
    let server = server().serve();
    let port = proxy(&runtime, server.address()).port();
    let run = |host: &str, authority: &str, arguments: &[&str]| {
        let roomkey =
            Roomkey::with_keys(arguments.iter().map(|argument| argument.replace("URL", &format!("https://{host}:{port}"))));
        roomkey.env("SSL_CERT_FILE", fixture(authority).to_str().unwrap()).run()
    };

    let send = ["webhook", "send", "--url", "URL/webhook", "--event", "room_started", "--room", "behind TLS"];
    assert_says(&run("localhost", "authority.pem", &send).done(), &["200 OK"]);
    let events = ["events", "--url", "URL"];
    assert_says(&run("localhost", "authority.pem", &events).done(), &["room_started", "behind TLS"]);

    for (host, authority) in [("localhost", "localhost.pem"), ("127.0.0.1", "authority.pem")] {
        let ended = run(host, authority, &events);
        assert_eq!((ended.status, &*ended.stdout), (1, ""), "{host} by {authority}");
        assert_says(&ended.stderr, &["no connection", "certificate"]);
    }
    let ended = run("localhost", "no such file", &events);
    assert_eq!(ended.status, 1);
    assert_says(&ended.stderr, &["SSL_CERT_FILE"]);
}

//! Tests of the commands that reach a server through a proxy that terminates TLS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::assert_says;
use super::events::server;
use crate::harness::program::Start;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name)
}

/// Accepts TLS and forwards what is in it to `server`, until `runtime` ends.
fn proxy(runtime: &Runtime, server: SocketAddr, certificate: &str) -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(fixture(certificate)).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("localhost.key")).unwrap();
    // A server that checks its own certificate would refuse some of these.
    let certified = CertifiedKey::new(vec![certificate], ring::sign::any_supported_type(&key).unwrap());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
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
fn commands_reach_a_server_behind_tls_and_check_its_certificate() {
    let runtime = Runtime::new().unwrap();
    let server = server().serve();
    let port = proxy(&runtime, server.address(), "localhost.pem").port();
    let run = |host: &str, authority: &str, arguments: &[&str]| {
        let roomkey =
            Start::command_with_keys(arguments.iter().map(|argument| argument.replace("URL", &format!("https://{host}:{port}"))));
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

#[test]
fn a_file_of_authorities_is_trusted() {
    let runtime = Runtime::new().unwrap();
    let server = server().serve();
    let port = proxy(&runtime, server.address(), "localhost.pem").port();
    let pem = |name: &str| std::fs::read_to_string(fixture(name)).unwrap();
    // Several, with other text between them, as distributions write them.
    let bundle = format!("# expired\n{}\r\n# ours\n{}", pem("expired.pem"), pem("authority.pem"));
    let (send, events) = (format!("https://localhost:{port}/webhook"), format!("https://localhost:{port}"));
    for (arguments, part) in [
        (&["webhook", "send", "--url", &send, "--event", "room_started"][..], "200 OK"),
        (&["events", "--url", &events], "room_started"),
    ] {
        let run = |content: &[u8]| {
            Start::command_with_keys(arguments.iter().copied().chain(["--ca-file", "ca.pem"])).file("ca.pem", content).run()
        };
        assert_says(&run(bundle.as_bytes()).done(), &[part]);
        let ended = run(pem("expired.pem").as_bytes());
        assert_eq!(ended.status, 1);
        assert_says(&(ended.stdout + &ended.stderr), &["no authority that is trusted here", "--ca-file", "UnknownIssuer"]);
        for content in
            [&b""[..], b"-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n", pem("localhost.key").as_bytes()]
        {
            assert_says(&run(content).wrong(), &["--ca-file", "ca.pem", "certificate"]);
        }
        let missing = Start::command_with_keys(arguments.iter().copied().chain(["--ca-file", "nowhere.pem"])).run().wrong();
        assert_says(&missing, &["nowhere.pem"]);
    }
}

#[test]
fn a_certificate_that_is_refused_is_explained() {
    let runtime = Runtime::new().unwrap();
    let server = server().serve();
    let plain = server.address().port();
    for (certificate, host, parts) in [
        ("as-authority.pem", "localhost", &["CA:FALSE", "CaUsedAsEndEntity"][..]),
        ("expired.pem", "localhost", &["has expired", "clock"]),
        ("version-1.pem", "localhost", &["version 3", "subjectAltName"]),
        ("for-clients.pem", "localhost", &["serverAuth", "extendedKeyUsage"]),
        ("localhost.pem", "127.0.0.1", &["another name", "subjectAltName"]),
        ("plain", "127.0.0.1", &["does not speak TLS", "http://"]),
    ] {
        let is_plain = certificate == "plain";
        let port = if is_plain { plain } else { proxy(&runtime, server.address(), certificate).port() };
        let authority = fixture(match certificate {
            "localhost.pem" | "plain" => "authority.pem",
            itself => itself,
        });
        let url = format!("https://{host}:{port}");
        let ended = Start::command_with_keys(["events", "--url", &url, "--ca-file", authority.to_str().unwrap()]).run();
        let sentence = ended.refused();
        assert_says(&sentence, parts);
        assert_says(&sentence, &["no connection: "]);
    }
}

//! An HTTP server that answers as a test wants, and counts. Does not know what is asked.

use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use super::fixture;

/// An answer to a request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// These bytes, and the connection's end.
    Raw(String),
    /// None, as long as the connection lasts.
    Hang,
    /// These bytes once the value is `true`.
    After(watch::Receiver<bool>, String),
}

/// An answer with `status`, further headers and `body`.
pub(super) fn reply(status: &str, headers: &str, body: &str) -> Reply {
    Reply::Raw(raw(status, headers, body))
}

pub(super) fn raw(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// A server on port 0, until it is dropped.
pub(super) struct FakeServer {
    scheme: &'static str,
    port: u16,
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    answer: Mutex<Answer>,
    /// The heads of all requests.
    requests: watch::Sender<Vec<String>>,
}

type Answer = Box<dyn Fn(&str) -> Reply + Send>;

impl FakeServer {
    pub(super) async fn start(answer: impl Fn(&str) -> Reply + Send + 'static) -> Self {
        Self::listen("http", None, answer).await
    }

    /// A server with the certificate of `fixtures/tls`, which is for `localhost`.
    pub(super) async fn start_tls(answer: impl Fn(&str) -> Reply + Send + 'static) -> Self {
        let certificate = CertificateDer::from_pem_slice(&fixture("tls/localhost.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&fixture("tls/localhost.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::listen("https", Some(TlsAcceptor::from(Arc::new(config))), answer).await
    }

    async fn listen(scheme: &'static str, tls: Option<TlsAcceptor>, answer: impl Fn(&str) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { answer: Mutex::new(Box::new(answer)), requests: watch::Sender::new(Vec::new()) });
        let server = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, tls) = (Arc::clone(&server), tls.clone());
                tokio::spawn(async move {
                    let Some(tls) = tls else { return server.serve(stream).await };
                    if let Ok(stream) = tls.accept(stream).await {
                        server.serve(stream).await; // otherwise the client does not trust the certificate
                    }
                });
            }
        });
        Self { scheme, port, shared, task: task.abort_handle() }
    }

    pub(super) fn url(&self, path: &str) -> String {
        self.url_at("127.0.0.1", path)
    }

    pub(super) fn url_at(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.scheme, self.port)
    }

    /// Answers differently from now on.
    pub(super) fn answer(&self, answer: impl Fn(&str) -> Reply + Send + 'static) {
        *self.shared.answer.lock().unwrap() = Box::new(answer);
    }

    /// The heads of all requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.requests.borrow().clone()
    }

    /// Waits until there were `count` requests.
    pub(super) async fn has_requests(&self, count: usize) {
        self.shared.requests.subscribe().wait_for(|requests| requests.len() >= count).await.unwrap();
    }
}

impl Shared {
    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let reply = (self.answer.lock().unwrap())(&head);
        self.requests.send_modify(|requests| requests.push(head));
        let text = match reply {
            Reply::Raw(text) => text,
            Reply::Hang => std::future::pending().await,
            Reply::After(mut gate, text) => {
                gate.wait_for(|open| *open).await.unwrap();
                text
            }
        };
        let _ = stream.write_all(text.as_bytes()).await; // the client may be gone
        let _ = stream.shutdown().await;
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

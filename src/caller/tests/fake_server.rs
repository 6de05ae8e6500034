//! An HTTP server that answers as a test wants, and counts. Does not know what is asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

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

type Answers = Arc<Mutex<Box<dyn Fn(&str) -> Reply + Send>>>;

/// A server on port 0, until it is dropped.
pub(super) struct FakeServer {
    port: u16,
    answers: Answers,
    /// The heads of all requests.
    requests: watch::Sender<Vec<String>>,
    task: AbortHandle,
}

impl FakeServer {
    pub(super) async fn start(answer: impl Fn(&str) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Answers = Arc::new(Mutex::new(Box::new(answer)));
        let requests = watch::Sender::new(Vec::new());
        let (shared, seen) = (Arc::clone(&answers), requests.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answers, seen) = (Arc::clone(&shared), seen.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let reply = (answers.lock().unwrap())(&head);
                    seen.send_modify(|seen| seen.push(head));
                    let text = match reply {
                        Reply::Raw(text) => text,
                        Reply::Hang => std::future::pending().await,
                        Reply::After(mut gate, text) => {
                            gate.wait_for(|open| *open).await.unwrap();
                            text
                        }
                    };
                    let _ = stream.write_all(text.as_bytes()).await; // the client may be gone
                });
            }
        });
        Self { port, answers, requests, task: task.abort_handle() }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Answers differently from now on.
    pub(super) fn answer(&self, answer: impl Fn(&str) -> Reply + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answer);
    }

    /// The heads of all requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.borrow().clone()
    }

    /// Waits until there were `count` requests.
    pub(super) async fn has_requests(&self, count: usize) {
        self.requests.subscribe().wait_for(|requests| requests.len() >= count).await.unwrap();
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

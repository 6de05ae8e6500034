//! An application's own HTTP endpoint, which records each request and answers by a script. Does not know what is sent to it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a request may take to arrive. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The request line and the headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
    /// Which connection it came over, from 0.
    pub(crate) connection: usize,
}

impl Received {
    /// The value of the header `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.find(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// An answer without a body.
    Status(u16),
    /// An answer with further headers, such as `Retry-After: 5`, and a body.
    With(u16, &'static str, &'static str),
    /// These bytes; the connection stays open.
    Raw(Vec<u8>),
    /// These bytes, one at a time with this time between them.
    Slow(&'static [u8], Duration),
    /// A 200 whose body never ends.
    Endless,
    /// These bytes, and the connection's end.
    Close(&'static str),
    /// The answer, and the connection's end before the next request, although nothing announced it.
    StatusThenClose(u16),
    /// The connection is reset.
    Reset,
    /// No answer, as long as the connection lasts.
    Hang,
}

/// An endpoint on port 0, until it is dropped.
pub(crate) struct Receiver {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    answer: Mutex<Answer>,
    /// Whether the requests are not recorded.
    forgets: AtomicBool,
    received: watch::Sender<Vec<Received>>,
}

type Answer = Box<dyn FnMut(&Received) -> Reply + Send>;

impl Receiver {
    pub(crate) async fn start(answer: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").await.unwrap(), answer)
    }

    /// An endpoint that answers each request with 200.
    pub(crate) async fn accepting() -> Self {
        Self::start(|_| Reply::Status(200)).await
    }

    pub(crate) fn listen(listener: TcpListener, answer: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        let port = listener.local_addr().unwrap().port();
        let (answer, forgets): (Answer, _) = (Box::new(answer), AtomicBool::new(false));
        let shared = Arc::new(Shared { answer: Mutex::new(answer), forgets, received: watch::Sender::new(Vec::new()) });
        let endpoint = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new(); // they end with this task
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let endpoint = Arc::clone(&endpoint);
                connections.spawn(async move { endpoint.serve(stream, connection).await });
            }
        });
        Self { port, shared, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/livekit?site=1", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Answers differently from now on.
    pub(crate) fn answer(&self, answer: impl FnMut(&Received) -> Reply + Send + 'static) {
        *self.shared.answer.lock().unwrap() = Box::new(answer);
    }

    /// Records no requests from now on, because they would take too much memory.
    pub(crate) fn forget(&self) {
        self.shared.forgets.store(true, Relaxed);
    }

    /// All requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.borrow().clone()
    }

    /// Waits until `count` requests have arrived.
    pub(crate) async fn has_received(&self, count: usize) {
        let mut received = self.shared.received.subscribe();
        let arrival = received.wait_for(|received| received.len() >= count);
        assert!(timeout(PATIENCE, arrival).await.is_ok(), "{count} requests did not arrive: {:?}", self.received());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn serve(&self, stream: TcpStream, connection: usize) {
        let mut stream = BufReader::new(stream);
        while let Some((head, body)) = read_request(&mut stream).await {
            let received = Received { head, body, at: Instant::now(), connection };
            let reply = (self.answer.lock().unwrap())(&received);
            if !self.forgets.load(Relaxed) {
                self.received.send_modify(|all| all.push(received));
            }
            if !send(reply, stream.get_mut()).await {
                return;
            }
        }
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

/// Whether the connection takes another request. The other end may be gone, so nothing here must succeed.
async fn send(reply: Reply, stream: &mut TcpStream) -> bool {
    match reply {
        Reply::Status(status) => stream.write_all(answer(status, "", "").as_bytes()).await.is_ok(),
        Reply::With(status, headers, body) => stream.write_all(answer(status, headers, body).as_bytes()).await.is_ok(),
        Reply::Raw(bytes) => stream.write_all(&bytes).await.is_ok(),
        Reply::Slow(bytes, interval) => {
            for byte in bytes {
                if stream.write_all(&[*byte]).await.is_err() {
                    return false;
                }
                tokio::time::sleep(interval).await;
            }
            true
        }
        Reply::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            while stream.write_all(b"5\r\nhello\r\n").await.is_ok() {}
            false
        }
        Reply::Close(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            false
        }
        Reply::StatusThenClose(status) => {
            let _ = stream.write_all(answer(status, "", "").as_bytes()).await;
            false
        }
        Reply::Reset => {
            let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
            false
        }
        Reply::Hang => std::future::pending().await,
    }
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    let headers = if headers.is_empty() { String::new() } else { format!("{headers}\r\n") };
    format!("HTTP/1.1 {status} Answer\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

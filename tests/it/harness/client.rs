//! A client that writes raw bytes, and reads one answer at a time.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::wait::PATIENCE;

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    /// What was received and not read yet.
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap()
    }

    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends `bytes`, unless the server has closed the connection.
    pub(crate) fn send_if_open(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Sends as much of `bytes` as the system takes at once.
    pub(crate) fn send_if_taken(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let _ = self.stream.write_all(bytes.as_ref()); // the server may have stopped reading
    }

    /// Closes the sending side: nothing more will be sent.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection at once, as a client does that crashes.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Sends `request` and reads its answer.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.answer()
    }

    /// Reads one answer, which may be an interim one such as `100 Continue`.
    pub(crate) fn answer(&mut self) -> Answer {
        self.read_answer(true)
    }

    /// The answer to `request`, if the connection is still open.
    pub(crate) fn ask_if_open(&mut self, request: impl AsRef<[u8]>) -> Option<Answer> {
        self.stream.write_all(request.as_ref()).ok()?;
        if self.received.is_empty() && !self.receive() {
            return None;
        }
        Some(self.answer())
    }

    /// Reads the answer to a `HEAD`, which has no body, whatever its headers say.
    pub(crate) fn answer_without_body(&mut self) -> Answer {
        self.read_answer(false)
    }

    /// Reads the head of an answer whose body arrives over time.
    pub(crate) fn head(&mut self) -> Answer {
        let head_length = loop {
            if let Some(end) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.receive(), "closed without an answer, after {:?}", String::from_utf8_lossy(&self.received));
        };
        let head: Vec<u8> = self.received.drain(..head_length).collect();
        Answer::parse(String::from_utf8(head).unwrap())
    }

    fn read_answer(&mut self, with_body: bool) -> Answer {
        let mut answer = self.head();
        let length = match answer.header("content-length") {
            Some(length) if with_body => length.parse().unwrap(),
            _ => 0,
        };
        assert_eq!(answer.header("transfer-encoding"), None, "no answer here is chunked");
        while self.received.len() < length {
            assert!(self.receive(), "closed within an answer's body");
        }
        answer.body = self.received.drain(..length).collect();
        answer
    }

    /// Waits for more bytes. Returns `false` if the connection is closed.
    fn receive(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let read = loop {
            match self.stream.read(&mut bytes) {
                // The system does not restart a read with a timeout (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(0) => false,
            Ok(length) => {
                self.received.extend_from_slice(&bytes[..length]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("neither bytes nor an end: {error}"),
        }
    }

    /// Waits for the end of the connection.
    pub(crate) fn assert_closed(&mut self) {
        let more = self.receive();
        assert!(!more && self.received.is_empty(), "more came: {:?}", String::from_utf8_lossy(&self.received));
    }

    /// Sends another request on the same connection.
    pub(crate) fn assert_usable(&mut self) {
        assert_eq!(self.ask(get("/healthz")).status, 200, "the connection is of no more use");
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The whole head, unchanged.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(head: String) -> Self {
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        Self { status: status.unwrap_or_else(|| panic!("no status line: {head:?}")), head, body: Vec::new() }
    }

    /// All values of the header `name`.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let fields = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// The one value of the header `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers(name);
        assert!(values.len() < 2, "{name} is there twice: {}", self.head);
        values.first().copied()
    }

    /// The names of all headers, in their order.
    pub(crate) fn header_names(&self) -> Vec<&str> {
        self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        self.assert_private();
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The message of an error, which is one flat object with CORS headers.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        self.error_in(&["errorMessage"])
    }

    /// As [`error`](Self::error), for an error that has its message in each of these `names`.
    #[track_caller]
    pub(crate) fn error_in(&self, names: &[&str]) -> String {
        assert!(self.status >= 400, "no error: {self:?}");
        let cors = self.header("access-control-allow-origin").or(self.header("vary"));
        assert!(cors.is_some(), "an error without CORS: {self:?}");
        let Value::Object(members) = self.json() else { panic!("no object: {self:?}") };
        assert!(members.keys().eq(names.iter()), "not flat: {self:?}");
        assert!(members.values().all(|value| *value == members["errorMessage"]), "not the same: {self:?}");
        let message = members["errorMessage"].as_str().unwrap_or_else(|| panic!("no text: {self:?}"));
        assert!(!message.is_empty());
        message.to_owned()
    }

    /// Checks that no cache may keep it, and that no browser guesses its type.
    #[track_caller]
    pub(crate) fn assert_private(&self) {
        let headers = (self.header("cache-control"), self.header("x-content-type-options"));
        assert_eq!(headers, (Some("no-store"), Some("nosniff")), "{self:?}");
    }

    /// Checks the status and, for an error, its message.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, message: &str) {
        assert_eq!((self.status, self.error().as_str()), (status, message));
    }
}

pub(crate) fn get(path: &str) -> Vec<u8> {
    request("GET", path, &[], b"")
}

/// A POST with a `Content-Length`.
pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut request = post_head(path, headers, body.as_ref().len());
    request.extend_from_slice(body.as_ref());
    request
}

/// The head of a POST of `length` bytes.
pub(crate) fn post_head(path: &str, headers: &[(&str, &str)], length: usize) -> Vec<u8> {
    let length = length.to_string();
    let length = ("Content-Length", length.as_str());
    request("POST", path, &[headers, &[length]].concat(), b"")
}

/// The head of a POST in chunks.
pub(crate) fn chunked_head(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    request("POST", path, &[headers, &[("Transfer-Encoding", "chunked")]].concat(), b"")
}

/// One chunk; an empty one is the last.
pub(crate) fn chunk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.as_ref().len()).as_bytes(), bytes.as_ref(), b"\r\n"].concat()
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

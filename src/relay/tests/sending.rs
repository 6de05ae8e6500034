//! What an attempt makes of all that an endpoint can answer.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::receiver::{Receiver, Reply};
use crate::client::Target;
use crate::clock::UnixTime;
use crate::inbox::Entry;
use crate::livekit::key::ApiKey;
use crate::relay::failure::{Failure, FailureKind};
use crate::relay::lease::{Lease, Moment};
use crate::relay::sender::request::Attempt;
use crate::relay::sender::{Outcome, Sender};
use crate::relay::settings::{TargetOptions, TargetSettings, Wanted};

pub(super) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

pub(super) fn settings(url: &str) -> TargetSettings {
    TargetSettings {
        name: "app".into(),
        endpoint: Target::parse(url).unwrap(),
        key: ApiKey::new("APIrelay", "a-relay-secret-of-at-least-32-bytes").unwrap(),
        standard_webhooks_key: None,
        options: TargetOptions {
            wanted: Wanted::default(),
            is_ordered: true,
            timeout: Duration::from_secs(30),
            concurrency: 2,
            hold: Duration::from_secs(900),
            give_up_after: Duration::from_secs(86400),
            redacts: false,
            from_oldest: true,
        },
    }
}

/// The same, with 200 ms for an attempt.
fn impatient(url: &str) -> TargetSettings {
    let mut settings = settings(url);
    settings.options.timeout = Duration::from_millis(200);
    settings
}

pub(super) fn attempt(id: &str, body: &'static str) -> Attempt {
    let entry = Entry {
        cursor: "0001a2b3c4d50000".parse().unwrap(),
        id: id.to_owned(),
        event: "room_started".to_owned(),
        room: "daily".to_owned(),
        received: UnixTime::from_millis(1_800_000_000_123),
        key: "devkey".to_owned(),
        body: body.into(),
    };
    Attempt { entry, attempt: 1, is_late: false, is_replay: false }
}

/// A lease that was renewed this long ago.
pub(super) fn lease(age: Duration) -> Lease {
    Lease::new(1, Moment::ago(age))
}

async fn send(sender: &Sender) -> Outcome {
    sender.send(&attempt("EV_1", "{}"), NOW, &lease(Duration::ZERO)).await
}

/// What an attempt makes of `reply`.
async fn outcome(reply: Reply) -> Outcome {
    let receiver = Receiver::start(move |_| reply.clone()).await;
    send(&Sender::new(&settings(&receiver.url()))).await
}

/// The same, in 200 ms.
async fn outcome_in_a_moment(reply: Reply) -> Outcome {
    let receiver = Receiver::start(move |_| reply.clone()).await;
    send(&Sender::new(&impatient(&receiver.url()))).await
}

fn kind(outcome: &Outcome) -> (Option<FailureKind>, Option<u16>) {
    match outcome {
        Outcome::Failed(Failure { kind, status, .. }) => (Some(*kind), *status),
        Outcome::Delivered | Outcome::Gone | Outcome::Unsent => (None, None),
    }
}

fn wait(outcome: Outcome) -> Option<u64> {
    match outcome {
        Outcome::Failed(Failure { retry_after, .. }) => retry_after.map(|wait| wait.as_secs()),
        Outcome::Delivered | Outcome::Gone | Outcome::Unsent => None,
    }
}

#[tokio::test]
async fn only_the_status_decides() {
    for status in [200, 201, 202, 204, 226, 299] {
        assert_eq!(outcome(Reply::Status(status)).await, Outcome::Delivered, "{status}");
    }
    assert_eq!(outcome(Reply::Status(410)).await, Outcome::Gone);
    for status in [429, 503] {
        assert_eq!(kind(&outcome(Reply::Status(status)).await), (Some(FailureKind::Busy), Some(status)));
    }
    for status in [300, 304, 400, 401, 404, 422, 500, 501, 504, 599] {
        assert_eq!(kind(&outcome(Reply::Status(status)).await), (Some(FailureKind::Answer), Some(status)));
    }
}

#[tokio::test]
async fn nothing_is_sent_once_the_lease_is_not_certain() {
    let receiver = Receiver::accepting().await;
    let sender = Sender::new(&settings(&receiver.url()));
    // Over a new connection, then over one that was kept.
    for sent in 0..2 {
        let outcome = sender.send(&attempt("EV_1", "{}"), NOW, &lease(Duration::from_secs(10))).await;
        assert_eq!((outcome, receiver.received().len()), (Outcome::Unsent, sent));
        assert_eq!(send(&sender).await, Outcome::Delivered);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let receiver = Receiver::start(|_| Reply::With(307, "location: /elsewhere", "")).await;
    let outcome = send(&Sender::new(&settings(&receiver.url()))).await;
    assert_eq!(kind(&outcome), (Some(FailureKind::Answer), Some(307)));
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn retry_after_is_at_most_an_hour() {
    for (header, seconds) in [
        ("retry-after: 5", Some(5)),
        ("retry-after: 0", Some(0)),
        ("retry-after: 3601", Some(3600)),
        ("retry-after: 99999999999999999999999", Some(3600)),
        ("retry-after: Fri, 15 Jan 2027 08:01:00 GMT", Some(60)),
        ("retry-after: Fri, 15 Jan 2021 08:01:00 GMT", Some(0)),
        ("retry-after: soon", None),
        ("retry-after: -1", None),
        ("x: y", None),
    ] {
        assert_eq!(wait(outcome(Reply::With(503, header, "")).await), seconds, "{header}");
    }
    assert_eq!(wait(outcome(Reply::With(400, "retry-after: 5", "")).await), Some(5));
}

#[tokio::test]
async fn what_is_no_answer_is_a_failed_exchange() {
    let huge = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(17 * 1024));
    for reply in
        [Reply::Reset, Reply::Close(""), Reply::Close("HTTP/1.1 200"), Reply::Close("SSH-2.0-x\r\n\r\n"), Reply::Raw(huge.into())]
    {
        assert_eq!(kind(&outcome(reply.clone()).await), (Some(FailureKind::Exchange), None), "{reply:?}");
    }
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(15 * 1024));
    assert_eq!(outcome(Reply::Raw(large.into())).await, Outcome::Delivered);
}

#[tokio::test]
async fn an_answer_that_is_late_is_a_failed_exchange() {
    const SLOW: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    for reply in
        [Reply::Hang, Reply::Slow(SLOW, Duration::from_millis(20)), Reply::Raw(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())]
    {
        assert_eq!(kind(&outcome_in_a_moment(reply.clone()).await), (Some(FailureKind::Exchange), None), "{reply:?}");
    }
}

#[tokio::test]
async fn the_end_of_the_body_does_not_matter() {
    const SLOW: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    for reply in [Reply::Endless, Reply::Close("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"), Reply::Raw(SLOW.into())] {
        let receiver = Receiver::start(move |_| reply.clone()).await;
        let sender = Sender::new(&settings(&receiver.url()));
        assert_eq!(send(&sender).await, Outcome::Delivered);
        assert_eq!(send(&sender).await, Outcome::Delivered);
        assert_eq!(receiver.received()[1].connection, 1, "the connection is not used again");
    }
}

#[tokio::test]
async fn connections_are_kept() {
    let receiver = Receiver::start(|_| Reply::With(200, "x: y", "thank you")).await;
    let sender = Sender::new(&settings(&receiver.url()));
    for _ in 0..3 {
        assert_eq!(send(&sender).await, Outcome::Delivered);
    }
    receiver.answer(|_| Reply::With(500, "x: y", "no, thank you"));
    send(&sender).await;
    send(&sender).await;
    assert!(receiver.received().iter().all(|request| request.connection == 0));
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_no_failure() {
    let receiver = Receiver::start(|_| Reply::StatusThenClose(200)).await;
    let sender = Sender::new(&settings(&receiver.url()));
    for _ in 0..20 {
        assert_eq!(send(&sender).await, Outcome::Delivered);
    }
    // It is closed as soon as the next request arrives.
    receiver.answer(|_| Reply::Status(200));
    assert_eq!(send(&sender).await, Outcome::Delivered);
    for fault in [Reply::Reset, Reply::Close("")] {
        let mut is_first = true;
        receiver.answer(move |_| if std::mem::take(&mut is_first) { fault.clone() } else { Reply::Status(200) });
        assert_eq!(send(&sender).await, Outcome::Delivered, "it was sent once more");
    }
    receiver.answer(|_| Reply::Reset);
    let before = receiver.received().len();
    assert_eq!(kind(&send(&sender).await).0, Some(FailureKind::Exchange));
    assert_eq!(receiver.received().len() - before, 2, "once more, and not for ever");
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_asked_for_again() {
    let receiver = Receiver::accepting().await;
    let sender = Sender::new(&settings(&receiver.url()));
    assert_eq!(send(&sender).await, Outcome::Delivered);
    receiver.answer(|_| Reply::Close("HTTP/1.1 2"));
    assert_eq!(kind(&send(&sender).await).0, Some(FailureKind::Exchange));
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hanging = impatient(&format!("http://127.0.0.1:{port}/"));
    assert_eq!(kind(&send(&Sender::new(&hanging)).await).0, Some(FailureKind::Exchange), "the system accepts it");
    drop(listener);
    for url in [format!("http://127.0.0.1:{port}/"), "http://name.invalid/".to_owned()] {
        assert_eq!(kind(&send(&Sender::new(&settings(&url))).await), (Some(FailureKind::Connect), None), "{url}");
    }
}

#[tokio::test]
async fn without_tls_there_is_no_connection() {
    let hello = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", hello.local_addr().unwrap());
    let patient = settings(&url);
    let impatient = impatient(&url);
    assert_eq!(kind(&send(&Sender::new(&impatient)).await), (Some(FailureKind::Connect), None), "nothing answers the handshake");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = hello.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let Outcome::Failed(Failure { kind, error, .. }) = send(&Sender::new(&patient)).await else { panic!("no TLS") };
    assert_eq!(kind, FailureKind::Connect);
    assert!(error.contains("does not speak TLS"), "{error}");
}

/// `localhost` may be two addresses, of which only one is listened on.
#[tokio::test]
async fn a_name_may_have_several_addresses() {
    let receiver = Receiver::accepting().await;
    assert_eq!(send(&Sender::new(&settings(&format!("http://localhost:{}/", receiver.port())))).await, Outcome::Delivered);
}

#[tokio::test]
async fn no_more_connections_are_kept_than_may_be_used() {
    let receiver = Receiver::accepting().await;
    let sender = std::sync::Arc::new(Sender::new(&settings(&receiver.url())));
    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let sender = std::sync::Arc::clone(&sender);
        attempts.spawn(async move { send(&sender).await });
    }
    assert!(attempts.join_all().await.iter().all(|outcome| *outcome == Outcome::Delivered));
    let before = receiver.received().iter().map(|request| request.connection).max();
    for _ in 0..8 {
        assert_eq!(send(&sender).await, Outcome::Delivered);
    }
    assert_eq!(receiver.received().iter().map(|request| request.connection).max(), before);
}

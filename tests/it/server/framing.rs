//! Tests of framing (RFC 9112): what ends a request, and what must not. Each payload is sent unchanged on a socket of its own, and
//! everything that comes back until the server closes the connection or falls silent is checked.

use crate::harness::client::{Client, get};
use crate::harness::edge::Server;

const BODY: &str = r#"{"roomName":"r","participantName":"a"}"#;
const CHUNKS: &str = "26\r\n{\"roomName\":\"r\",\"participantName\":\"a\"}\r\n0\r\n\r\n";

/// A POST with these header lines and this body.
fn post(lines: &str, body: &str) -> String {
    format!("POST /token HTTP/1.1\r\nHost: x\r\n{lines}\r\n{body}")
}

/// A POST with these chunks, as they are sent.
fn chunked(chunks: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", chunks)
}

/// A valid POST with one more header line.
fn with(line: &str) -> String {
    post(&format!("Content-Length: 38\r\n{line}\r\n"), BODY)
}

/// A valid POST with another first line.
fn first_line(line: &str) -> String {
    format!("{line}\r\nHost: x\r\nContent-Length: 38\r\n\r\n{BODY}")
}

/// A valid POST with these header lines instead of `Host`.
fn hosts(lines: &str) -> String {
    format!("POST /token HTTP/1.1\r\n{lines}Content-Length: 38\r\n\r\n{BODY}")
}

#[track_caller]
fn assert_answers(server: &Server, payload: &str, statuses: &[u16], then_closed: bool) {
    let mut client: Client = server.connect();
    client.send(payload);
    for (at, status) in statuses.iter().enumerate() {
        assert_eq!(client.answer().status, *status, "answer {at} to {payload:?}");
    }
    if then_closed {
        client.assert_closed();
    } else {
        client.assert_usable();
    }
}

#[test]
fn what_is_framed_well_is_answered() {
    let server = Server::start();
    let good = with("X: y");
    for (payload, statuses) in [
        (good.clone(), &[200][..]),
        (good.repeat(3), &[200, 200, 200]),
        (chunked(CHUNKS), &[200]),
        (chunked(CHUNKS).repeat(2), &[200, 200]),
        (chunked(CHUNKS) + &good, &[200, 200]),
        (chunked("26;name=value\r\n{\"roomName\":\"r\",\"participantName\":\"a\"}\r\n0\r\n\r\n"), &[200]),
        (chunked("1\r\n{\r\n25\r\n\"roomName\":\"r\",\"participantName\":\"a\"}\r\n000\r\n\r\n"), &[200]),
        (chunked("26\r\n{\"roomName\":\"r\",\"participantName\":\"a\"}\r\n0\r\nTrailer: x\r\n\r\n"), &[200]),
        (post("Transfer-Encoding: Chunked\r\n", CHUNKS), &[200]),
        (post("Content-Length: 38\r\nContent-Length: 38\r\n", BODY), &[200]),
        (with("Expect: 100-continue"), &[100, 200]),
        (format!("\r\n\r\n{good}"), &[200]),
        (first_line("POST http://x/token HTTP/1.1"), &[200]),
        (first_line("POST https://x:443/token?a=b HTTP/1.1"), &[200]),
        (first_line("POST //token HTTP/1.1"), &[200]),
        (first_line("POST /nowhere HTTP/1.1") + &good, &[404, 200]),
        (first_line("PUT /token HTTP/1.1") + &good, &[405, 200]),
        (hosts("Host:\r\n"), &[200]),
        (hosts("Host: [::1]:6080\r\n"), &[200]),
        (format!("{}{good}", String::from_utf8(get("/healthz")).unwrap()), &[200, 200]),
        (post("Content-Length: 0\r\n", "") + &good, &[400, 200]),
    ] {
        assert_answers(&server, &payload, statuses, false);
    }
}

/// One answer, even if what follows looks like another request.
#[test]
fn what_is_not_framed_well_is_refused_once_and_closed() {
    let server = Server::start();
    let smuggled = with("X: smuggled");
    let heads = [
        // Lengths.
        post("Content-Length: 38\r\nContent-Length: 5\r\n", BODY),
        post("Content-Length: 38, 38\r\n", BODY),
        post("Content-Length: 38, 5\r\n", BODY),
        post("Content-Length: +38\r\n", BODY),
        post("Content-Length: -1\r\n", BODY),
        post("Content-Length: 0x26\r\n", BODY),
        post("Content-Length: 3 8\r\n", BODY),
        post("Content-Length: 38a\r\n", BODY),
        post("Content-Length: 38.0\r\n", BODY),
        post("Content-Length:\r\n", BODY),
        post("Content-Length: 99999999999999999999999\r\n", BODY),
        // Codings.
        post("Transfer-Encoding: gzip\r\n", CHUNKS),
        post("Transfer-Encoding: identity\r\n", CHUNKS),
        post("Transfer-Encoding: xchunked\r\n", CHUNKS),
        post("Transfer-Encoding: gzip, chunked\r\n", CHUNKS),
        post("Transfer-Encoding: chunked, gzip\r\n", CHUNKS),
        post("Transfer-Encoding: chunked, chunked\r\n", CHUNKS),
        post("Transfer-Encoding: , chunked\r\n", CHUNKS),
        post("Transfer-Encoding: \"chunked\"\r\n", CHUNKS),
        post("Transfer-Encoding: chunked;a=b\r\n", CHUNKS),
        post("Transfer-Encoding: \u{b}chunked\r\n", CHUNKS),
        post("Transfer-Encoding:\r\n", CHUNKS),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
        post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
        chunked(CHUNKS).replace("HTTP/1.1", "HTTP/1.0"),
        // Chunks.
        chunked("zz\r\nabc\r\n0\r\n\r\n"),
        chunked("-3\r\nabc\r\n0\r\n\r\n"),
        chunked("+3\r\nabc\r\n0\r\n\r\n"),
        chunked("0x3\r\nabc\r\n0\r\n\r\n"),
        chunked("\r\nabc\r\n0\r\n\r\n"),
        chunked(";a=b\r\nabc\r\n0\r\n\r\n"),
        chunked("FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n"),
        chunked("2\r\nabc\r\n0\r\n\r\n"),
        chunked("4\r\nabc\r\n0\r\n\r\n"),
        chunked("3\nabc\n0\n\n"),
        chunked("3;a\nb\r\nabc\r\n0\r\n\r\n"),
        // Header lines.
        post("Content-Length : 38\r\n", BODY),
        with("Transfer-Encoding : chunked"),
        with("X : y"),
        with("X\t: y"),
        with("X: a\rb"),
        with("X: a\0b"),
        with("X\0: a"),
        with(": nameless"),
        with("colonless"),
        with("X: folded\r\n over lines"),
        with(" leading: blank"),
        // Hosts.
        hosts(""),
        hosts("Host: x\r\nHost: x\r\n"),
        hosts("Host: x\r\nHost: y\r\n"),
        hosts("Host: a b\r\n"),
        hosts("Host: user@x\r\n"),
        hosts("Host: x/y\r\n"),
        // First lines.
        first_line("POST token HTTP/1.1"),
        first_line("POST x:80 HTTP/1.1"),
        first_line("POST * HTTP/1.1"),
        first_line("OPTIONS * HTTP/1.1"),
        first_line("CONNECT x:80 HTTP/1.1"),
        first_line("POST /to ken HTTP/1.1"),
        first_line("POST  /token HTTP/1.1"),
        first_line("POST\t/token HTTP/1.1"),
        first_line("P@ST /token HTTP/1.1"),
        first_line("POST /token http/1.1"),
        first_line("POST /token HTTP/1.2"),
        first_line("POST /token HTTP/2.0"),
        first_line("POST /token"),
    ];
    for head in heads {
        assert_answers(&server, &(head + &smuggled), &[400], true);
    }
}

/// RFC 9112, section 6.1. hyper would drop the length and answer 200.
#[test]
fn a_length_and_a_coding_together_are_refused() {
    let server = Server::start();
    let smuggled = with("X: smuggled");
    let (length, coding) = ("Content-Length: 38\r\n", "Transfer-Encoding: chunked\r\n");
    let long = format!("Content-Length:{}38\r\n", " ".repeat(1000));
    for lines in [
        format!("{length}{coding}"),
        format!("{coding}{length}"),
        format!("{coding}X: y\r\n{length}"),
        format!("{coding}{length}{length}"),
        format!("{length}{coding}{length}"),
        format!("{coding}{coding}{length}"),
        format!("{coding}{long}"),
        format!("{long}{coding}"),
        format!("{coding}{length}").to_lowercase(),
        format!("{length}{coding}").to_uppercase(),
        format!("{coding}cONTENT-lENGTH:\t38\r\n"),
        format!("{coding}Content-Length: 0\r\n"),
        format!("{coding}Content-Length: x\r\n"),
        format!("{coding}Content-Length:\r\n"),
        "Transfer-Encoding: chunked\nContent-Length: 38\n".to_owned(),
        "Transfer-Encoding: identity\r\nContent-Length: 38\r\n".to_owned(),
    ] {
        for body in [CHUNKS, BODY] {
            let request = post(&lines, body) + &smuggled;
            assert_answers(&server, &request, &[400], true);
            // After valid requests of each kind on the same connection, at once and one after the other.
            for good in [with("X: y"), chunked(CHUNKS)] {
                assert_answers(&server, &format!("{good}{good}{request}"), &[200, 200, 400], true);
                let mut client = server.connect();
                for _ in 0..5 {
                    assert_eq!(client.ask(&good).status, 200);
                }
                let answer = client.ask(&request);
                answer.assert_error(400, "a request must not have both Content-Length and Transfer-Encoding");
                assert_eq!(answer.header("connection"), Some("close"));
                client.assert_closed();
            }
        }
        // Byte by byte.
        let mut client = server.connect();
        for byte in post(&lines, "").bytes() {
            client.send_if_open([byte]);
        }
        assert_eq!(client.answer().status, 400, "{lines:?}");
        client.assert_closed();
    }
}

/// Text that looks like the two headers, but is in a body or in another request.
#[test]
fn a_length_and_a_coding_in_different_places_are_answered() {
    let server = Server::start();
    let lines = "\r\n\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n";
    let in_a_chunk = chunked(&format!("{:x};Content-Length: 9\r\n{lines}\r\n0\r\nContent-Length: 5\r\n\r\n", lines.len()));
    let in_a_body = post(&format!("Content-Length: {}\r\n", lines.len()), lines);
    let good = with("X: y");
    assert_answers(&server, &format!("{in_a_chunk}{good}{in_a_body}{in_a_chunk}{good}"), &[400, 200, 400, 400, 200], false);
    assert_answers(&server, &with("X-Transfer-Encoding: chunked"), &[200], false);
    assert_answers(&server, &post("Transfer-Encoding: chunked\r\nX-Content-Length: 38\r\n", CHUNKS), &[200], false);
}

/// hyper itself would send a bare status line.
#[test]
fn a_head_that_is_not_http_is_told_so_like_any_other_error() {
    let server = Server::start();
    for (head, status) in
        [(with("colonless"), 400), (first_line("POST /token HTTP/2.0"), 400), (with(&format!("X: {}", "x".repeat(100_000))), 431)]
    {
        for before in [0, 2] {
            let mut client = server.connect();
            client.send(with("X: y").repeat(before) + &head);
            for _ in 0..before {
                assert_eq!(client.answer().status, 200);
            }
            let answer = client.answer();
            assert_eq!(answer.status, status);
            answer.error();
            client.assert_closed();
        }
    }
}

/// After an early answer, an unread body is discarded if it is small and has arrived. Otherwise the connection ends.
#[test]
fn an_unread_body_is_never_taken_for_a_request() {
    let server = Server::start();
    let smuggled = with("X: smuggled");
    for path in ["/nowhere", "/webhook", "/healthz"] {
        let small = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len());
        let mut client = server.connect();
        assert!(client.ask(small).status >= 400, "{path}");
        client.assert_usable();

        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
        let mut client = server.connect();
        client.send(head);
        let answer = client.answer();
        assert!(answer.status >= 400, "{path}");
        assert_eq!(answer.header("connection"), Some("close"), "{path}");
        client.send(smuggled.repeat(3));
        client.assert_closed();
    }
}

#[test]
fn a_client_that_waits_for_100_is_refused_without_it() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("POST /nowhere HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 38\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("connection"), Some("close"));
    client.assert_closed();
}

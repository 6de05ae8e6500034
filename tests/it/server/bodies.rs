//! Tests of bodies: how large they may be, in which pieces they come, and when they are read at all.

use crate::fixtures::first_recorded;
use crate::harness::client::{Answer, Client, chunk, chunked_head, get, post, post_head};
use crate::harness::edge::{Server, Setup};
use crate::harness::program::Start;
use crate::harness::sender::{authorization, request_of};

const TOKEN_LIMIT: usize = 65_536;
const WEBHOOK_LIMIT: usize = 8 * 1024 * 1024;

/// A request for a token, padded with spaces to `length` bytes. To a webhook it is an event without a name.
fn padded(length: usize) -> Vec<u8> {
    let mut body = br#"{"roomName":"daily","participantName":"alice"}"#.to_vec();
    body.resize(length, b' ');
    body
}

#[track_caller]
fn assert_too_large(answer: &Answer) {
    assert_eq!(answer.status, 413);
    answer.error();
}

/// Sends `body` in chunks, without a last one.
fn send_chunks(client: &mut Client, body: &[u8]) {
    for part in body.chunks(10_000) {
        client.send(chunk(part));
    }
}

#[test]
fn a_request_for_a_token_of_65536_bytes_passes() {
    let server = Server::start();
    let body = padded(TOKEN_LIMIT);
    let mut client = server.connect();
    assert_eq!(client.ask(post("/token", &[], &body)).status, 200);
    client.send(chunked_head("/token", &[]));
    send_chunks(&mut client, &body);
    assert_eq!(client.ask(chunk("")).status, 200, "in chunks");
    client.assert_usable();
}

#[test]
fn a_request_for_a_token_that_is_announced_as_too_large_is_refused_unread() {
    let server = Server::start();
    for length in ["65537", "9999999999", "18446744073709551613"] {
        let mut client = server.connect();
        client.send(format!("POST /token HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"));
        assert_too_large(&client.answer());
        client.assert_closed();
    }
}

#[test]
fn a_request_for_a_token_that_grows_too_large_is_refused_before_its_end() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(chunked_head("/token", &[]));
    send_chunks(&mut client, &padded(TOKEN_LIMIT + 1));
    assert_too_large(&client.answer());
    client.assert_closed();
}

#[test]
fn a_too_large_request_that_expects_to_continue_is_not_told_to() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(post_head("/token", &[("Expect", "100-continue")], TOKEN_LIMIT + 1));
    assert_too_large(&client.answer());

    let authorization = authorization("");
    let mut client = server.connect();
    let headers = [("Authorization", authorization.as_str()), ("Expect", "100-continue")];
    client.send(post_head("/webhook", &headers, WEBHOOK_LIMIT + 1));
    assert_too_large(&client.answer());
}

#[test]
fn a_webhook_of_8_mib_passes() {
    let server = Server::start();
    let body = vec![b' '; WEBHOOK_LIMIT];
    let authorization = authorization(&body);
    let mut client = server.connect();
    assert_eq!(client.ask(post("/webhook", &[("Authorization", &authorization)], &body)).status, 200);
    client.assert_usable();
}

#[test]
fn a_webhook_that_is_announced_as_too_large_is_refused_unread() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(post_head("/webhook", &[("Authorization", &authorization(""))], WEBHOOK_LIMIT + 1));
    assert_too_large(&client.answer());
    client.assert_closed();
}

#[test]
fn a_webhook_that_grows_too_large_is_refused_before_its_end() {
    let server = Server::start();
    let body = vec![b' '; WEBHOOK_LIMIT + 1];
    let mut client = server.connect();
    client.send(chunked_head("/webhook", &[("Authorization", &authorization(""))]));
    client.send(chunk(&body));
    assert_too_large(&client.answer());
    client.assert_closed();
}

#[test]
fn a_bad_token_is_refused_before_its_bodys_size() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(post_head("/webhook", &[("Authorization", "a.b.c")], WEBHOOK_LIMIT + 1));
    assert_eq!(client.answer().status, 401);
    let mut client = server.connect();
    client.send(post_head("/webhook", &[], WEBHOOK_LIMIT + 1));
    assert_eq!(client.answer().status, 400);
}

#[test]
fn a_bad_token_is_answered_without_its_body() {
    let server = Server::start();
    let delivery = first_recorded();
    let cases = [("a.b.c", 401), ("no token", 400), (delivery.authorization.as_str(), 401)];
    server.set_time(delivery.until + 61);
    for (authorization, status) in cases {
        for expect in [&[("Expect", "100-continue")][..], &[]] {
            let mut client = server.connect();
            let headers = [&[("Authorization", authorization)], expect].concat();
            client.send(post_head("/webhook", &headers, delivery.body.len()));
            assert_eq!(client.answer().status, status, "{authorization} {expect:?}");
        }
    }
}

#[test]
fn a_missing_token_is_answered_without_its_body() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(post_head("/webhook", &[("Expect", "100-continue")], 10));
    assert_eq!(client.answer().status, 400);
}

#[test]
fn a_good_token_that_expects_to_continue_is_told_to() {
    let server = Server::start();
    let delivery = first_recorded();
    for expectation in ["100-continue", "100-Continue"] {
        let mut client = server.connect();
        let headers = [("Authorization", delivery.authorization.as_str()), ("Expect", expectation)];
        client.send(post_head("/webhook", &headers, delivery.body.len()));
        assert_eq!(client.answer().status, 100);
        let answer = client.ask(&delivery.body);
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("0")));
        client.assert_usable();
    }
}

#[test]
fn a_request_for_a_token_that_expects_to_continue_is_told_to() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(post_head("/token", &[("Expect", "100-continue")], 50));
    assert_eq!(client.answer().status, 100);
    assert_eq!(client.ask(padded(50)).status, 200);
    client.assert_usable();
}

#[test]
fn a_body_that_was_not_read_is_taken_for_a_request() {
    let server = Server::start();
    let hidden = get("/nowhere");
    let text = [("Content-Type", "text/plain")];
    let bad = [("Authorization", "a.b.c")];
    for (status, path, headers) in
        [(401, "/webhook", &bad), (400, "/livekit/webhook", &text), (415, "/token", &text), (405, "/healthz", &text)]
    {
        // Everything at once, the body after the answer, and a body that comes after the next request.
        for (at_once, later) in [(hidden.as_slice(), &b""[..]), (b"", &hidden), (&hidden[..3], &hidden[3..])] {
            let mut client = server.connect();
            let head = post_head(path, headers, hidden.len());
            assert_eq!(client.ask([&head, at_once].concat()).status, status);
            let next = client.ask_if_open([later, &get("/healthz")].concat());
            assert!(next.is_none_or(|next| next.status == 200), "{status}: what was hidden in the body is answered");
        }
    }
    let mut client = server.connect();
    assert_eq!(client.ask([chunked_head("/webhook", &bad), chunk("x")].concat()).status, 401);
    let next = client.ask_if_open([chunk(""), get("/healthz")].concat());
    assert!(next.is_none_or(|next| next.status == 200), "a chunk is taken for a request");
}

#[test]
fn a_delivery_in_chunks_or_byte_by_byte() {
    let server = Server::start();
    let delivery = first_recorded();
    let mut client = server.connect();
    client.send(chunked_head("/webhook", &[("Authorization", &delivery.authorization)]));
    for part in delivery.body.chunks(7) {
        client.send(chunk(part));
    }
    assert_eq!(client.ask(chunk("")).status, 200);
    for byte in request_of(&delivery) {
        client.send([byte]);
    }
    assert_eq!(client.answer().status, 200);
    client.assert_usable();
}

#[test]
fn a_large_delivery_in_chunks() {
    let server = Server::start();
    let mut client = server.connect();
    for length in [65_537, 300_000, WEBHOOK_LIMIT] {
        let body = padded(length);
        client.send(chunked_head("/webhook", &[("Authorization", &authorization(&body))]));
        send_chunks(&mut client, &body);
        assert_eq!(client.ask(chunk("")).status, 200, "{length} bytes");
    }
    client.assert_usable();
}

#[test]
fn a_body_that_ends_before_its_end() {
    let server = Server::start();
    let delivery = first_recorded();
    let request = request_of(&delivery);
    let mut client = server.connect();
    client.send(&request[..request.len() - 1]);
    client.finish();
    let answer = client.answer();
    assert_eq!(answer.status, 400);
    answer.error();

    let mut client = server.connect();
    client.send(chunked_head("/token", &[]));
    client.send("not a length\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 400);
    answer.error();
}

#[test]
fn a_refused_body_is_not_kept() {
    // If a refused body were kept, there would be no room for the second.
    let server = Setup::limited(|limits| limits.held_body_bytes = 3000).start();
    let wrong = authorization("another body");
    for _ in 0..20 {
        assert_eq!(server.ask(post("/webhook", &[("Authorization", &wrong)], [b'x'; 2000])).status, 401);
        assert_eq!(server.ask(post("/token", &[], [b'x'; 2000])).status, 400);
    }
    assert_eq!(server.ask(request_of(&first_recorded())).status, 200);
}

#[test]
fn more_bodies_than_there_is_room_for() {
    let server = Setup::limited(|limits| limits.held_body_bytes = 1000).start();
    let answer = server.ask(post("/token", &[], padded(2000)));
    assert_eq!(answer.status, 503);
    answer.error();
    assert!(answer.header("retry-after").is_some());
    assert_eq!(server.ask(post("/token", &[], padded(1000))).status, 200);
}

#[test]
fn what_strangers_hold_leaves_webhooks_their_room() {
    let server = Setup::limited(|limits| limits.held_body_bytes = 3000).start();
    let mut holding = server.connect();
    holding.send(post_head("/connection-details", &[], 5000));
    holding.send([b' '; 2900]);
    // Until all of it has arrived, there is room for other requests.
    while server.ask(post("/token", &[], padded(1000))).status == 200 {}
    let delivery = request_of(&first_recorded());
    for _ in 0..3 {
        assert_eq!(server.ask(&delivery).status, 200);
    }
    assert_eq!(server.ask(post("/token", &[], padded(1000))).header("retry-after"), Some("1"));
}

#[test]
fn what_webhooks_hold_leaves_tokens_their_room() {
    let server = Setup::limited(|limits| limits.held_body_bytes = 3000).start();
    let body = vec![b' '; 2900];
    let mut holding = server.connect();
    holding.send(post_head("/webhook", &[("Authorization", &authorization(&body))], body.len()));
    holding.send(&body[..body.len() - 1]);
    let refused = loop {
        let answer = server.ask(request_of(&first_recorded()));
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(server.ask(post("/token", &[], padded(2000))).status, 200);
    assert_eq!(holding.ask(&body[body.len() - 1..]).status, 200);
}

#[test]
fn livekit_is_told_to_come_back_in_5_s() {
    let server = Setup::limited(|limits| limits.held_body_bytes = 10).start();
    let delivery = first_recorded();
    for path in ["/webhook", "/livekit/webhook", "//webhook"] {
        let answer = server.ask(post(path, &[("Authorization", &delivery.authorization)], &delivery.body));
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{path}");
    }
    for path in ["/token", "/connection-details", "/api/v2/sandbox/connection-details"] {
        let answer = server.ask(post(path, &[], padded(100)));
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{path}");
    }
}

/// A request that gets a token of over `length` bytes.
fn for_a_large_token(length: usize) -> Vec<u8> {
    post("/connection-details", &[], format!(r#"{{"participant_metadata":"{}"}}"#, "m".repeat(length)))
}

#[test]
fn an_answer_that_finds_no_room_is_not_made() {
    let server = Setup::limited(|limits| limits.held_body_bytes = 100_000).start();
    assert_eq!(server.ask(for_a_large_token(30_000)).status, 200);
    // There is room for the body, but not for the answer too.
    let answer = server.ask(for_a_large_token(60_000));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    answer.error_in(&["error", "errorMessage"]);
    assert_eq!(server.ask(request_of(&first_recorded())).status, 200);
}

#[test]
fn answers_that_wait_for_their_reader_are_held_within_the_budget() {
    let server = Setup::limited(|limits| {
        limits.held_body_bytes = 8 << 20;
        limits.write = std::time::Duration::from_secs(60);
    });
    let server = server.start();
    let request = for_a_large_token(400 << 10);
    // What does not fit into the system's buffers is held by the server, until there is no more room.
    let mut unread: Vec<Client> = Vec::new();
    let mut pipelined = 0;
    let refused = loop {
        let mut client = server.connect();
        for _ in 0..12 {
            client.send_if_taken(&request);
        }
        unread.push(client);
        pipelined += 1;
        assert!(pipelined < 200, "no answer is held");
        let answer = server.ask(&request);
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(server.ask(request_of(&first_recorded())).status, 200, "webhooks are not concerned");
    // A client that reads gets the whole answer.
    assert_eq!(unread[0].answer().status, 200);
    drop(unread);
    while server.ask(&request).status != 200 {}
}

#[test]
fn memory_goes_back_after_a_burst() {
    let program = Start::new().env("TRUSTED_PROXIES", "127.0.0.1").serve();
    let body =
        format!(r#"{{"participant_metadata":"{}","room_config":{{"metadata":"{}"}}}}"#, "m".repeat(500_000), "r".repeat(500_000));
    // From several addresses, because one may not hold as much.
    let request = |number: usize| post("/connection-details", &[("X-Forwarded-For", &format!("198.51.100.{number}"))], &body);
    assert_eq!(program.ask(request(0)).status, 200);
    let before = program.resident_bytes();
    let mut clients: Vec<Client> = (0..20).map(|_| program.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let request = request(number);
        client.send(&request[..request.len() - 1]);
    }
    // Each connection waits for one byte. If the last byte but one was read, so were the others.
    while program.resident_bytes() < before + (15 << 20) {
        program.connect().assert_usable();
    }
    for client in &mut clients {
        client.send(&body[body.len() - 1..]);
    }
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    drop(clients);
    // What is left is the memory to mint one token in each thread, not what the burst held.
    let left = || program.resident_bytes().saturating_sub(before);
    for _ in 0..200 {
        if left() < 10 << 20 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{} bytes are left", left());
}

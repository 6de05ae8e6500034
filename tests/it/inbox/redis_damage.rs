//! A Redis that other programs have changed: foreign and damaged entries, damaged counts, keys of other programs, and a newer roomkey.

use std::sync::Arc;
use std::time::Duration;

use roomkey::inbox::{AppendError, Appended, Arrival, Filter, Inbox, Retention, StoreError};
use roomkey::{AccessToken, ApiKey, UnixTime, VideoGrants};

use super::sender::{failed_start, fetch, serve, start};
use super::support::{ALL, KEYS, SECRET, append, arrival, delivery_of, event, everything, read_all};
use crate::harness::clock::TestClock;
use crate::harness::ended::Ended;
use crate::harness::program::Program;
use crate::harness::redis_server::{RedisServer, SAFE};
use crate::harness::wait::{eventually, eventually_blocking};

const ENTRIES: &str = "{roomkey}:entries";
const INDEX: &str = "{roomkey}:index";
const STATE: &str = "{roomkey}:state";

async fn put(inbox: &Inbox, id: &str) -> Appended {
    append(inbox, event(id, "room_started", "daily")).await
}

async fn ids(inbox: &Inbox) -> Vec<String> {
    everything(inbox).await.into_iter().map(|entry| entry.id).collect()
}

/// The fields of the newest entry, by turns.
fn newest(server: &RedisServer) -> Vec<Vec<u8>> {
    let newest = server.command(&["XREVRANGE", ENTRIES, "+", "-", "COUNT", "1"]);
    let mut newest: Vec<(String, Vec<Vec<u8>>)> = redis::from_redis_value(newest).unwrap();
    newest.remove(0).1
}

/// Entries that roomkey did not write.
const FOREIGN: [&[&str]; 8] = [
    &["hello", "world"],
    &["", ""],
    &["body", "{}"],
    &["fingerprint", "f", "received", "1", "key", "k", "id", "i", "event", "room_started", "room", "daily"],
    &["fingerprint", "f", "received", "soon", "key", "k", "id", "i", "event", "room_started", "room", "daily", "body", "{}"],
    &["fingerprint", "f", "received", "-1", "key", "k", "id", "i", "event", "room_started", "room", "daily", "body", "{}"],
    &["fingerprint", "f", "received", "99999999999999999999", "key", "k", "id", "i", "event", "e", "room", "r", "body", "{}"],
    &["received", "1", "key", "k", "id", "i", "event", "room_started", "room", "daily", "body", "{}", "unknown", "1"],
];

fn add(server: &RedisServer, id: &str, fields: &[&str]) {
    server.command(&[&["XADD", ENTRIES, id], fields].concat());
}

/// Text that is not UTF-8, in a field that is read.
fn add_not_text(server: &RedisServer) {
    let script = "return redis.call('XADD', KEYS[1], '*', 'fingerprint', 'f', 'received', '1', 'key', 'k', 'id', 'i', \
        'event', 'room_started', 'room', '\\255\\254', 'body', '{}')";
    server.command(&["EVAL", script, "1", ENTRIES]);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_other_programs_are_skipped() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    let mut written = Vec::new();
    let mut follower = inbox.follow(None, Filter::default());
    for (number, fields) in FOREIGN.into_iter().enumerate() {
        add(&server, "*", fields);
        let id = format!("EV_{number}");
        assert_eq!(put(&inbox, &id).await, Appended::Committed);
        assert_eq!(follower.next(ALL).await.unwrap().entries[0].id, id);
        written.push(id);
    }
    add_not_text(&server);
    for _ in 0..3 {
        assert_eq!(ids(&inbox).await, written);
    }
    let daily = Filter { room: Some("daily".to_owned()), events: vec!["room_started".to_owned()] };
    assert_eq!(read_all(&inbox, daily).await.unwrap().len(), written.len());
    let nothing = Filter { room: Some("\u{fffd}".to_owned()), events: Vec::new() };
    assert_eq!(read_all(&inbox, nothing).await.unwrap().len(), 0);
    assert!(inbox.is_ready().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_without_a_cursor_stop_nothing() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    put(&inbox, "EV_1").await;
    let millis = UnixTime::now().as_millis() + 60_000;
    for count in 0..5 {
        // More than a cursor counts within a millisecond, and large enough to end a read.
        add(&server, &format!("{millis}-{}", 2_000_000_000 + count), &["large", &"x".repeat(3 << 20)]);
    }
    put(&inbox, "EV_2").await;
    assert_eq!(ids(&inbox).await, ["EV_1", "EV_2"]);
    // After all ids that a cursor can have.
    for id in ["8796093022208-0", "99999999999999-1", "18446744073709551615-18446744073709551615"] {
        add(&server, id, &["hello", "world"]);
        assert_eq!(ids(&inbox).await, ["EV_1", "EV_2"]);
    }
    assert_eq!(put(&inbox, "EV_3").await, Appended::Committed);
    add(&server, "99999999999999-1", &["hello", "world"]);
    server.command(&["XDEL", ENTRIES, "99999999999999-1"]);
    assert_eq!(put(&inbox, "EV_4").await, Appended::Committed);
    assert_eq!(put(&inbox, "EV_3").await, Appended::Duplicate);
    assert_eq!(ids(&inbox).await, ["EV_1", "EV_2", "EV_3", "EV_4"]);
    let next = inbox.read(None, &Arc::default(), ALL).await.unwrap().next;
    assert!(inbox.read(Some(next), &Arc::default(), ALL).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_at_the_end_of_time_stops_nothing() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    for (number, millis) in [u64::MAX, 0, u64::MAX].into_iter().enumerate() {
        let body = event(&format!("EV_{number}"), "room_started", "daily");
        let delivery = delivery_of(KEYS[0], body);
        let appended = inbox.append(Arrival::new(delivery, UnixTime::from_millis(millis))).await;
        assert_eq!(appended, Ok(Appended::Committed));
    }
    assert_eq!(ids(&inbox).await, ["EV_0", "EV_1", "EV_2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_with_more_fields_is_read_wherever_they_stand() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    put(&inbox, "EV_1").await;
    assert_eq!(newest(&server).len(), 16);
    // The fingerprint need not be text, and so is copied by the server.
    let script = "local fields = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][2] \
        local copy = {} \
        for at = #fields - 1, 1, -2 do copy[#copy + 1] = 'x' .. at copy[#copy + 1] = '1' \
          copy[#copy + 1] = fields[at] copy[#copy + 1] = fields[at + 1] end \
        copy[#copy + 1] = 'last' copy[#copy + 1] = '1' \
        redis.call('DEL', KEYS[1]) \
        local id = redis.call('XADD', KEYS[1], '*', unpack(copy)) \
        return redis.call('HSET', KEYS[2], redis.call('HKEYS', KEYS[2])[1], id)";
    server.command(&["EVAL", script, "2", ENTRIES, INDEX]);
    assert_eq!(newest(&server).len(), 34);
    let entries = everything(&inbox).await;
    assert_eq!((&*entries[0].id, &entries[0].body[..]), ("EV_1", event("EV_1", "room_started", "daily").as_bytes()));
    assert_eq!(put(&inbox, "EV_1").await, Appended::Duplicate);
    assert_eq!(append(&inbox, event("EV_1", "room_started", "other")).await, Appended::Conflict);
    assert_eq!(ids(&inbox).await, ["EV_1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_other_programs_are_deleted_by_age_and_size() {
    let Some(server) = RedisServer::start() else { return };
    let test_clock = TestClock::at(UnixTime::now());
    let minute = Duration::from_secs(60);
    let inbox = server.inbox_with(Retention { age: 20 * minute, bytes: 64 << 10 }, test_clock.clock());
    // Otherwise what others add could be the newest entry when the inbox looks which time it is, and the clock would seem to leap.
    put(&inbox, "EV_first").await;
    eventually("it has looked for old entries", async || server.number(&["HEXISTS", STATE, "oldest"]) == 1).await;
    for fields in FOREIGN {
        add(&server, "*", fields);
    }
    add_not_text(&server);
    let count = || server.number(&["XLEN", ENTRIES]);
    for number in 0..100 {
        append(&inbox, event(&number.to_string(), &"x".repeat(2000), "daily")).await;
    }
    eventually("by size", async || (10..64).contains(&count())).await;
    for number in 0..100 {
        add(&server, "*", &["hello", "world"]);
        add(&server, "*", FOREIGN[number % FOREIGN.len()]);
    }
    add(&server, "99999999999999-1", &["hello", "world"]);
    put(&inbox, "EV_last").await;
    test_clock.advance(50 * minute);
    eventually("by age", async || count() == 0 && server.number(&["HLEN", INDEX]) == 0).await;
    put(&inbox, "EV_next").await;
    assert_eq!(ids(&inbox).await, ["EV_next"]);
    assert!(inbox.is_ready().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_dated_in_the_future_do_not_keep_others() {
    let Some(server) = RedisServer::start() else { return };
    let now = UnixTime::now();
    let test_clock = TestClock::at(now);
    let age = Duration::from_secs(40 * 60);
    let inbox = server.inbox_with(Retention { age, ..Retention::default() }, test_clock.clock());
    let put_at = async |id: String, received: UnixTime| {
        let delivery = delivery_of(KEYS[0], event(&id, "x", "y"));
        inbox.append(Arrival::new(delivery, received)).await.unwrap()
    };
    let next_year = UnixTime::from_secs(now.as_secs() + 365 * 24 * 3600);
    for number in 0..300 {
        put_at(format!("future {number}"), next_year).await;
    }
    for number in 0..300 {
        put_at(format!("now {number}"), test_clock.now()).await;
    }
    eventually("they were seen", async || server.number(&["HEXISTS", STATE, "ahead"]) == 1).await;
    test_clock.advance(age / 2);
    put_at("later".to_owned(), test_clock.now()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(ids(&inbox).await.len(), 601, "they came twenty minutes ago");
    test_clock.advance(age * 3 / 4);
    eventually("they go", async || server.number(&["XLEN", ENTRIES]) == 1).await;
    assert_eq!(ids(&inbox).await, ["later"]);
    assert_eq!(server.number(&["HLEN", INDEX]), 1);
    assert_eq!(server.number(&["HEXISTS", STATE, "ahead"]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_and_index_are_repaired() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    for number in 0..10 {
        append(&inbox, event(&number.to_string(), &"x".repeat(2000), "daily")).await;
    }
    let before = server.number(&["HGET", STATE, "bytes"]);
    for (field, value) in [
        ("bytes", "many"),
        ("bytes", "-5"),
        ("bytes", "1e3"),
        ("bytes", ""),
        ("deleted", "nothing"),
        ("deleted", "1-"),
        ("deleted", "99999999999999-1"),
        ("deleted", ""),
        ("ahead", "soon"),
        ("other", "field"),
    ] {
        server.command(&["HSET", STATE, field, value]);
        assert_eq!(ids(&inbox).await.len(), 10, "{field} = {value}");
        assert_eq!(append(&inbox, event("0", &"x".repeat(2000), "daily")).await, Appended::Duplicate, "{field} = {value}");
        assert_eq!(append(&inbox, event(value, &"x".repeat(2000), field)).await, Appended::Committed, "{field} = {value}");
        let bytes = server.number(&["HGET", STATE, "bytes"]);
        assert!((before..10 * before).contains(&bytes), "{field} = {value}: {before}, then {bytes}");
        server.command(&["XTRIM", ENTRIES, "MAXLEN", "10"]);
        server.command(&["DEL", STATE]);
        inbox.append(arrival(event("0", &"x".repeat(2000), "daily"))).await.unwrap();
        server.command(&["DEL", ENTRIES, INDEX, STATE]);
        for number in 0..10 {
            append(&inbox, event(&number.to_string(), &"x".repeat(2000), "daily")).await;
        }
    }
    // The index is wrong: an event that it lacks is stored again, and no event is mistaken for another.
    let script = |value: &str| {
        format!("for _, key in ipairs(redis.call('HKEYS', KEYS[1])) do redis.call('HSET', KEYS[1], key, {value}) end")
    };
    let oldest = "redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1][1]";
    for value in ["'1-1'", "'garbage'", "''", "'18446744073709551616-0'", oldest, "redis.call('XADD', KEYS[2], '*', 'a', 'b')"] {
        server.command(&["EVAL", &script(value), "2", INDEX, ENTRIES]);
        let new = append(&inbox, event("5", &"x".repeat(2000), "daily")).await;
        assert_eq!(new, Appended::Committed, "{value}");
        assert_eq!(append(&inbox, event("5", &"x".repeat(2000), "daily")).await, Appended::Duplicate, "{value}");
    }
    assert!(inbox.is_ready().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_program_is_reported() {
    let Some(server) = RedisServer::start() else { return };
    for key in [ENTRIES, INDEX, STATE] {
        server.command(&["FLUSHALL"]);
        let inbox = server.inbox();
        eventually("it works", async || inbox.is_ready().is_ok()).await;
        server.command(&["DEL", key]);
        server.command(&["SET", key, "something else"]);
        eventually("readiness says so", async || {
            inbox.is_ready().is_err_and(|error| {
                assert!(!error.is_final());
                matches!(&*error, StoreError::Foreign(_)) && error.to_string().contains("another program")
            })
        })
        .await;
        let refused = inbox.append(arrival(event("EV_1", "room_started", "daily"))).await;
        assert_eq!(refused, Err(AppendError::Unavailable), "{key}");
        server.command(&["DEL", key]);
        eventually("it works again", async || inbox.is_ready().is_ok()).await;
        assert_eq!(put(&inbox, "EV_1").await, Appended::Committed);
        assert_eq!(ids(&inbox).await, ["EV_1"]);
    }
}

#[test]
fn entries_of_other_programs_are_warned_of_without_a_flood() {
    let Some(server) = RedisServer::start() else { return };
    let program = serve(&server.url());
    let address = program.address();
    eventually_blocking("it is ready", || fetch(address, "/readyz").0 == 200);
    let grants = VideoGrants { room_list: true, ..VideoGrants::default() };
    let key = ApiKey::new(KEYS[0], SECRET).unwrap();
    let token = AccessToken::new().with_grants(grants).to_jwt(&key, UnixTime::now()).unwrap();
    for _ in 0..5 {
        for fields in FOREIGN {
            add(&server, "*", fields);
        }
        add_not_text(&server);
        let (status, page) = fetch(address, &format!("/events?access_token={token}"));
        assert_eq!(status, 200, "{page}");
    }
    let lines = program.kill_and_read_log();
    let warned: Vec<_> = lines.iter().filter(|line| line.contains("did not write")).collect();
    assert_eq!(warned.len(), 1, "{lines:#?}");
    assert!(warned[0].contains("WARN"), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_written_with_the_inbox_and_where_it_is_missing() {
    let Some(server) = RedisServer::start() else { return };
    let schema = || server.number(&["HGET", STATE, "schema"]);
    let inbox = server.inbox();
    eventually("it begins", async || inbox.is_ready().is_ok()).await;
    assert_eq!(schema(), 1);
    put(&inbox, "EV_1").await;
    server.command(&["HDEL", STATE, "schema"]);
    put(&inbox, "EV_2").await;
    assert_eq!(schema(), 1);
    assert_eq!(ids(&inbox).await, ["EV_1", "EV_2"]);
}

#[test]
fn the_schema_of_a_newer_roomkey_ends_the_start_with_one_sentence() {
    let Some(server) = RedisServer::start() else { return };
    for schema in ["2", "1000", "", "one"] {
        server.command(&["HSET", STATE, "schema", schema]);
        let (status, said) = failed_start(start(&server.url()));
        assert_eq!(status, Some(2), "{said}");
        assert!(said.starts_with("roomkey: ") && said.contains("newer roomkey"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert_eq!(server.number(&["HLEN", STATE]), 1, "nothing was written");
}

/// That the program ends by itself, and says why.
fn assert_ends(program: Program) {
    let Ended { status, stderr: said, .. } = program.ended();
    assert_eq!(status, 2, "{said}");
    assert!(said.lines().last().unwrap().contains("newer roomkey"), "{said}");
}

#[test]
fn a_newer_roomkey_that_is_met_later_ends_the_process() {
    let Some(server) = RedisServer::absent(&SAFE) else { return };
    let start = || {
        let program = serve(&server.url());
        let address = program.address();
        (program, address)
    };
    // Before the server was there.
    let (program, address) = start();
    assert_eq!(fetch(address, "/readyz").0, 503);
    server.run();
    server.command(&["HSET", STATE, "schema", "2"]);
    // The server may have been found before it was told its schema: then it is noticed while it runs.
    assert_ends(program);
    // While it runs.
    server.command(&["FLUSHALL"]);
    let (program, address) = start();
    eventually_blocking("it is ready", || fetch(address, "/readyz").0 == 200);
    server.command(&["HSET", STATE, "schema", "2"]);
    assert_ends(program);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_into_the_schema_of_a_newer_roomkey() {
    let Some(server) = RedisServer::start() else { return };
    let inbox = server.inbox();
    put(&inbox, "EV_1").await;
    server.command(&["HSET", STATE, "schema", "2"]);
    let refused = inbox.append(arrival(event("EV_2", "room_started", "daily"))).await;
    assert_eq!(refused, Err(AppendError::Unavailable));
    assert!(inbox.read(None, &Arc::default(), ALL).await.is_err());
    let lost = tokio::time::timeout(Duration::from_secs(10), inbox.lost()).await.unwrap();
    assert!(lost.is_final() && inbox.is_ready().is_err_and(|error| error.is_final()));
    assert_eq!(server.number(&["XLEN", ENTRIES]), 1);
    assert_eq!(server.number(&["HGET", STATE, "schema"]), 2);
}

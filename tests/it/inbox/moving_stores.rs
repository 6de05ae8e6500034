//! An inbox moves to another backend with its cursors: nothing is lost or added, and every reader continues where it was.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Write, pipe};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use roomkey::UnixTime;
use roomkey::clock::Clock;
use roomkey::inbox::{Appended, Arrival, Cursor, Entry, Filter, Inbox, ReadError, Retention};
use rusqlite::{Connection, OpenFlags};

use super::sender::{Sender, fetch, place};
use super::support::{ALL, KEYS, SECRET, append, append_all, delivery_of, event, everything, open_sqlite};
use crate::harness::clock::TestClock;
use crate::harness::directory::Directory;
use crate::harness::ended::Ended;
use crate::harness::program::{Program, Start};
use crate::harness::redis_server::RedisServer;
use crate::harness::wait::eventually_blocking;

/// Runs `inbox` with these words over the inbox at `place`.
fn run(place: &str, words: &[&str]) -> Start {
    Start::command([&["inbox"], words].concat()).env("ROOMKEY_INBOX", place)
}

/// An export of everything in `place`, as a text.
fn exported(place: &str) -> String {
    run(place, &["export"]).run().done()
}

fn import(place: &str, export: &str) -> Ended {
    run(place, &["import"]).stdin(export).run()
}

fn open(file: &Path) -> Inbox {
    open_sqlite(file, Retention::default(), Clock::system())
}

/// A server whose inbox is open.
fn serve(place: &str) -> Program {
    let server = super::sender::serve(place);
    eventually_blocking("it is ready", || fetch(server.address(), "/readyz").0 == 200);
    server
}

/// The number of entries in `file`, which a program may be creating.
fn stored(file: &Path) -> i64 {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let count = |connection: Connection| connection.query_row("SELECT count(*) FROM entry", [], |row| row.get(0));
    connection.and_then(count).unwrap_or(0)
}

/// What `act` returns on the inbox in `file`, which is closed afterwards so that a program can use it.
async fn with<T>(file: &Path, act: impl AsyncFnOnce(&Inbox) -> T) -> T {
    let inbox = open(file);
    let result = act(&inbox).await;
    inbox.close().await;
    result
}

/// The cursors and bodies that `events` prints for a reader that continues after `after`.
fn followed(server: &Program, after: Cursor) -> Vec<(String, String)> {
    let url = format!("http://{}", server.address());
    let events = Start::command(["events", "--json", "--url", &url, "--after", &after.to_string()]);
    let lines = events.env("LIVEKIT_API_KEY", KEYS[0]).env("LIVEKIT_API_SECRET", SECRET).run().done();
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["cursor"].as_str().unwrap().to_owned(), line["event"]["id"].as_str().unwrap_or_default().to_owned())
    };
    lines.lines().map(line).collect()
}

fn cursors_and_ids(entries: &[Entry]) -> Vec<(String, String)> {
    entries.iter().map(|entry| (entry.cursor.to_string(), entry.id.clone())).collect()
}

/// Where `inbox` begins: a reader before it is told.
async fn begin(inbox: &Inbox) -> Cursor {
    let before = "0000000000000001".parse().unwrap();
    let Err(ReadError::Gone { oldest }) = inbox.read(Some(before), &Arc::new(Filter::default()), ALL).await else {
        panic!("a reader from before the beginning is not told");
    };
    oldest
}

/// Fills the inbox in `file` with bodies of all kinds, some of which were deleted.
async fn fill(file: &Path) {
    let clock = TestClock::at(UnixTime::now());
    let inbox = open_sqlite(file, Retention { age: Duration::from_secs(3000), ..Retention::default() }, clock.clock());
    let old = clock.now().saturating_sub(Duration::from_secs(2900));
    for id in ["old 1", "old 2"] {
        inbox.append(Arrival::new(delivery_of(KEYS[0], event(id, "x", "y")), old)).await.unwrap();
    }
    append_all(&inbox, (0..2500).map(|number| event(&number.to_string(), "room_started", &format!("room {}", number % 7)))).await;
    let bodies: [&[u8]; 7] = [
        b"",
        b"no JSON",
        b"\xff\x00\xfe not text \r\n",
        b"{\"event\":\"no id\"}",
        "{\"id\":\"\u{202e}\\u0000\u{1f600}\\n\",\"event\":\"\u{7f}\"}".as_bytes(),
        b" {\"id\" : \"EV\",\r\n\"a\":1.50E+3}\n",
        &[b'\\'; 100_000],
    ];
    for body in bodies {
        assert_eq!(append(&inbox, body).await, Appended::Committed);
    }
    let later = Arrival::new(delivery_of(KEYS[1], event("of another key", "x", "y")), clock.now());
    inbox.append(later).await.unwrap();
    clock.advance(Duration::from_secs(200));
    crate::harness::wait::eventually("the old ones go", async || everything(&inbox).await.len() == 2508).await;
    inbox.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_continue_after_a_move_to_redis_and_back() {
    let Some(redis) = RedisServer::start() else { return };
    let scratch = Directory::new();
    let [source, back] = ["source.db", "back.db"].map(|name| scratch.file(name));
    fill(&source).await;
    let (before, began) = with(&source, async |inbox| (everything(inbox).await, begin(inbox).await)).await;
    let held = before[1234].cursor;

    let export = scratch.file("events.jsonl");
    run(&place(&source), &["export", "-o", export.to_str().unwrap()]).run().done();
    let imported = run(&redis.url(), &["import", export.to_str().unwrap()]).run().done();
    assert!(imported.starts_with("imported 2508 events, 0 were there already, complete up to "), "{imported}");
    {
        let inbox = redis.inbox();
        assert!(everything(&inbox).await == before, "to the byte");
        assert_eq!(begin(&inbox).await, began);
    }
    let server = serve(&redis.url());
    assert_eq!(followed(&server, held), cursors_and_ids(&before[1235..]));
    let mut sender = Sender::connect(&server);
    for body in [event("77", "room_started", "room 0"), event("new", "x", "y")] {
        assert!(sender.send(&body).unwrap().is_committed());
    }
    let last = before.last().unwrap().cursor;
    let new = followed(&server, last);
    assert_eq!(new.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>(), ["new"], "the other was there before");
    drop(server);

    assert!(import(&place(&back), &exported(&redis.url())).done().starts_with("imported 2509 events, 0 "));
    let after = everything(&redis.inbox()).await;
    with(&back, async |inbox| {
        assert!(everything(inbox).await == after);
        assert_eq!(begin(inbox).await, began);
        let of_room = Filter { room: Some("room 3".to_owned()), events: Vec::new() };
        let found = super::support::read_all(inbox, of_room).await.unwrap();
        assert!(found == after.iter().filter(|entry| entry.room == "room 3").cloned().collect::<Vec<_>>());
    })
    .await;
    let server = serve(&place(&back));
    assert_eq!(followed(&server, held), cursors_and_ids(&after[1235..]));
    assert!(Sender::connect(&server).send(&event("newer", "x", "y")).unwrap().is_committed());
    assert_eq!(followed(&server, new[0].0.parse().unwrap()).len(), 1);
    assert_eq!(exported(&place(&back)).lines().count(), 2510 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_readers_were_told_at_the_end_stays_earlier_than_new_events() {
    let scratch = Directory::new();
    let (source, target) = (scratch.file("source.db"), scratch.file("target.db"));
    let told = with(&source, async |inbox| {
        append(inbox, event("1", "x", "y")).await;
        inbox.latest().await.unwrap()
    })
    .await;
    let export = exported(&place(&source));
    assert_eq!(export.lines().last().unwrap(), format!(r#"{{"end":"{told}"}}"#), "later than the only event");
    let mut places = vec![place(&target)];
    let redis = RedisServer::start();
    places.extend(redis.as_ref().map(RedisServer::url));
    for place in &places {
        import(place, &export).done();
    }
    // On another machine, whose clock is behind.
    let behind = TestClock::at(UnixTime::now().saturating_sub(Duration::from_secs(7200)));
    let mut inboxes = vec![open_sqlite(&target, Retention::default(), behind.clock())];
    inboxes.extend(redis.as_ref().map(|redis| redis.inbox_with(Retention::default(), behind.clock())));
    for inbox in inboxes {
        let late = Arrival::new(delivery_of(KEYS[0], event("2", "x", "y")), behind.now());
        assert_eq!(inbox.append(late).await, Ok(Appended::Committed));
        assert!(everything(&inbox).await[1].cursor > told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_killed_is_completed_by_the_next() {
    let scratch = Directory::new();
    let (source, target) = (scratch.file("source.db"), scratch.file("target.db"));
    let all = with(&source, async |inbox| {
        append_all(inbox, (0..5000).map(|number| event(&number.to_string(), "x", "y"))).await;
        everything(inbox).await
    })
    .await;
    let export = exported(&place(&source));
    let redis = RedisServer::start();
    let kill = |place: &str, count: &dyn Fn() -> i64| {
        let mut before = 0;
        for lines in [1500, 3500] {
            let (reader, mut writer) = pipe().unwrap();
            let mut importing = run(place, &["import"]).stdin_from(reader).spawn();
            for line in export.split_inclusive('\n').take(lines) {
                writer.write_all(line.as_bytes()).unwrap();
            }
            eventually_blocking("some are imported", || count() > before);
            importing.kill();
            before = count();
            assert!((1..5000).contains(&before), "{before}");
        }
        let summary = import(place, &export).done();
        let expected = format!("imported {} events, {before} were there already, ", 5000 - before);
        assert!(summary.starts_with(&expected), "{summary}");
        assert!(import(place, &export).done().starts_with("imported 0 events, 5000 were there already, "));
    };
    kill(&place(&target), &|| stored(&target));
    with(&target, async |inbox| assert!(everything(inbox).await == all)).await;
    if let Some(redis) = &redis {
        kill(&redis.url(), &|| redis.number(&["XLEN", "{roomkey}:entries"]));
        assert!(everything(&redis.inbox()).await == all);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_is_exported_in_parts_while_a_server_uses_it() {
    let scratch = Directory::new();
    let (source, target) = (scratch.file("source.db"), scratch.file("target.db"));
    let server = serve(&place(&source));
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..4)
        .map(|room| {
            let (stop, mut sender) = (Arc::clone(&stop), Sender::connect(&server));
            thread::spawn(move || {
                let mut count = 0;
                while !stop.load(Relaxed) {
                    let body = event(&format!("{room} {count}"), "x", &room.to_string());
                    assert!(sender.send(&body).unwrap().is_committed());
                    count += 1;
                }
                count
            })
        })
        .collect();
    // Each part continues where the last one ended.
    let mut after: Option<String> = None;
    for part in 0..4 {
        let mut words = vec!["export"];
        words.extend(after.iter().flat_map(|after| ["--after", after]));
        let export = run(&place(&source), &words).run().done();
        assert!(part == 0 || export.lines().count() > 2, "nothing was sent meanwhile");
        import(&place(&target), &export).done();
        let end: serde_json::Value = serde_json::from_str(export.lines().last().unwrap()).unwrap();
        after = Some(end["end"].as_str().unwrap().to_owned());
        let sent = || stored(&source) > stored(&target) + 50;
        eventually_blocking("more are sent", sent);
    }
    stop.store(true, Relaxed);
    let sent: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
    server.stop();
    import(&place(&target), &run(&place(&source), &["export", "--after", &after.unwrap()]).run().done()).done();
    let all = with(&source, async |inbox| everything(inbox).await).await;
    assert_eq!(all.iter().map(|entry| &entry.id).collect::<BTreeSet<_>>().len(), sent);
    with(&target, async |inbox| assert!(everything(inbox).await == all)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_first_version_is_exported_unchanged() {
    let scratch = Directory::new();
    let (source, target) = (scratch.file("source.db"), scratch.file("target.db"));
    super::rooms::old_file(&source, 3000);
    let before = fs::read(&source).unwrap();
    let export = exported(&place(&source));
    assert!(fs::read(&source).unwrap() == before);
    // The fingerprints of this file are random.
    assert!(import(&place(&target), &export).done().starts_with("imported 3000 events, "));
    let all = with(&source, async |inbox| everything(inbox).await).await;
    with(&target, async |inbox| assert!(everything(inbox).await == all)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_line_stops_an_import_before_its_batch() {
    let scratch = Directory::new();
    let source = scratch.file("source.db");
    with(&source, async |inbox| {
        append(inbox, event("1", "x", "y")).await;
        append(inbox, b"\xff").await;
    })
    .await;
    let export = exported(&place(&source));
    let lines: Vec<&str> = export.lines().collect();
    let [begin, first, second, end] = lines[..] else { panic!("{export}") };
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let without = |member: &str| first.replace(&format!("\"{member}\""), "\"other\"");
    for (number, text, why) in [
        (1, String::new(), "line 1 is missing or cut, so the export is incomplete"),
        (1, "notes\n".to_owned(), "line 1 is not the first line of an export"),
        (1, joined(&[first, second, end]), "line 1 is not the first line of an export"),
        (1, joined(&[&begin.replace(":1,", ":2,"), first]), "line 1 says that a newer roomkey made this export"),
        (1, joined(&[&begin.replace("after\":\"", "after\":\"x"), first]), "line 1 has no \"after\", or it is wrong"),
        (2, joined(&[begin, first, "notes", end]), "line 3 is not a JSON object"),
        (2, joined(&[begin, first, second]), "line 4 is missing or cut, so the export is incomplete"),
        (2, joined(&[begin, first]) + &second[..40], "line 3 is missing or cut, so the export is incomplete"),
        (2, joined(&[begin, first, first, end]), "line 3 is not after the line before it"),
        (2, joined(&[begin, second, first, end]), "line 3 is not after the line before it"),
        (2, joined(&[begin, first, second, end, end]), "line 5 comes after the end of the export"),
        (2, joined(&[begin, first, second, &end.replace("end\":\"1", "end\":\"0")]), "line 4 is not after the line before it"),
        (2, joined(&[begin, &without("cursor"), end]), "line 2 has no \"cursor\", or it is wrong"),
        (2, joined(&[begin, &without("received"), end]), "line 2 has no \"received\", or it is wrong"),
        (2, joined(&[begin, &without("id"), end]), "line 2 has no \"id\", or it is wrong"),
        (2, joined(&[begin, &without("key"), end]), "line 2 has no \"key\", or it is wrong"),
        (2, joined(&[begin, &without("body"), end]), "line 2 has no \"body\", or it is wrong"),
        (2, joined(&[begin, first, &second.replace("/w==", "/w"), end]), "line 3 has no \"bodyBase64\", or it is wrong"),
    ] {
        let target = scratch.file("target.db");
        let said = import(&place(&target), &text).refused();
        assert_eq!(said, format!("roomkey: stdin: {why}; 0 events imported before that"), "{text}");
        assert_eq!(target.exists(), number > 1, "nothing is created for what is no export: {text}");
        if number > 1 {
            assert_eq!(stored(&target), 0, "{text}");
            fs::remove_file(&target).unwrap();
        }
    }
    // A later batch leaves the earlier ones.
    let many = (0..1500).map(|number| first.replace("\"EV\"", "").replace("\"id\":\"1\"", &format!("\"id\":\"{number}\"")));
    let many = many.zip(0x7000_0000_0000_0000_u64..);
    let many: String = many.map(|(line, cursor)| line.replace(&first[11..27], &format!("{cursor:016x}")) + "\n").collect();
    let target = scratch.file("target.db");
    let said = import(&place(&target), &format!("{begin}\n{many}notes\n")).refused();
    assert!(said.ends_with("line 1502 is not a JSON object; 1024 events imported before that"), "{said}");
    assert_eq!(stored(&target), 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_would_come_too_late_for_readers_are_refused() {
    let scratch = Directory::new();
    let [source, used] = ["source.db", "used.db"].map(|name| scratch.file(name));
    with(&source, async |inbox| append(inbox, event("1", "x", "y")).await).await;
    let export = exported(&place(&source));
    let redis = RedisServer::start();
    let mut places = vec![place(&used)];
    places.extend(redis.as_ref().map(RedisServer::url));
    for place in &places {
        // A server has used it, and may have told its readers where it ends.
        let server = serve(place);
        assert!(Sender::connect(&server).send(&event("2", "x", "y")).unwrap().is_committed());
        server.stop();
        let said = import(place, &export).refused();
        assert!(said.contains("import into a new inbox, before a server uses it; 0 events imported"), "{said}");
        assert_eq!(exported(place).lines().count(), 3);
        // What is there already is no mistake.
        assert!(import(place, &exported(place)).done().starts_with("imported 0 events, 1 were there already, "));
    }
    // Events between two exports are missing.
    let later = export.replace("\"after\":\"1", "\"after\":\"3").replace("\"cursor\":\"1", "\"cursor\":\"4");
    let later = later.replace("\"end\":\"1", "\"end\":\"5");
    let said = import(&places[0], &later).refused();
    assert!(said.contains("but the inbox ends at ") && said.contains("import the earlier export first"), "{said}");
    // Another body for the same event.
    let fresh = place(&scratch.file("fresh.db"));
    import(&fresh, &export).done();
    let said = import(&fresh, &export.replace("RM_x", "RM_other")).done();
    assert!(said.contains(", 1 were there with another body, which stays, "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_moved_is_refused() {
    let scratch = Directory::new();
    let file = scratch.file("source.db");
    let server = serve(&place(&file));
    let export = exported(&place(&file));
    let said = import(&place(&file), &export).wrong();
    assert!(said.contains("another roomkey uses the inbox") && said.contains("stop it first"), "{said}");
    drop(server);
    let beyond = run(&place(&file), &["export", "--after", "7000000000000000"]).run().refused();
    assert!(beyond.contains("which is before 7000000000000000"), "{beyond}");
    let gone = run(&place(&file), &["export", "--after", "0000000000000001"]).run().refused();
    assert!(gone.contains("are deleted: what is left begins after "), "{gone}");
    for (place, why) in [
        ("none", "keeps nothing"),
        ("sqlite:/nowhere/inbox.db", "No such file"),
        ("sqlite:/dev/null", "not a regular file"),
        ("file:x", "ROOMKEY_INBOX is"),
    ] {
        let said = run(place, &["export"]).run().wrong();
        assert!(said.contains(why), "{said}");
    }
    let absent = "redis://:hushhush@127.0.0.1:1";
    for said in [run(absent, &["export"]).run().refused(), import(absent, &export).refused()] {
        assert!(said.contains("Connection refused") && !said.contains("hushhush"), "{said}");
    }
    assert!(run("none", &["import", "nowhere.jsonl"]).run().wrong().contains("cannot read nowhere.jsonl"));
    let unwritable = run(&place(&file), &["export", "-o", "/nowhere/x"]).run().wrong();
    assert!(unwritable.contains("cannot write /nowhere/x"), "{unwritable}");
}

//! Tests of roomkeys that are killed again and again under load, with a target that counts: nothing is lost, and what is sent twice was
//! in flight, or taken just before the kill.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::arrivals::Arrivals;
use super::site::{Site, deliver, has_taken_everything, kill, room};
use crate::harness::client::Client;
use crate::harness::program::Program;
use crate::harness::receiver::Reply;
use crate::harness::redis_server::RedisServer;
use crate::harness::wait::eventually;

/// Everything up to a cursor was committed as taken, except for what is owed.
struct Committed {
    cursor: i64,
    owed: BTreeSet<i64>,
}

impl Committed {
    /// What is in the file of an inbox, which stays as the kill has left it.
    fn in_file(file: &Path) -> Self {
        let inbox = Connection::open(file).unwrap();
        inbox.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        let cursor: Option<Option<i64>> = inbox.query_row("SELECT max(cursor) FROM target", [], |row| row.get(0)).ok();
        let mut owed = inbox.prepare("SELECT cursor FROM owed").unwrap();
        let owed = owed.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        Self { cursor: cursor.flatten().unwrap_or(0), owed }
    }

    fn in_redis(server: &RedisServer) -> Self {
        let number = |text: &str| i64::from_str_radix(text, 16).unwrap();
        let cursor = server.command(&["HGET", "{roomkey}:targets", "app:cursor"]);
        let cursor: Option<String> = redis::from_redis_value(cursor).unwrap();
        let owed: Vec<String> = redis::from_redis_value(server.command(&["HKEYS", "{roomkey}:owed"])).unwrap();
        let owed = owed.iter().map(|field| number(field.strip_prefix("app:").unwrap())).collect();
        Self { cursor: cursor.as_deref().map_or(0, number), owed }
    }

    fn contains(&self, cursor: i64) -> bool {
        cursor <= self.cursor && !self.owed.contains(&cursor)
    }
}

/// Sends events of one room until roomkey is gone, and returns those that it took.
fn send_until_killed(program: &Program, run: usize, room: usize) -> thread::JoinHandle<Vec<String>> {
    let (address, name) = (program.listens_at(), format!("room-{room}"));
    thread::spawn(move || {
        let Ok(mut client) = Client::try_connect(address) else { return Vec::new() };
        let ids = (0..).map(|count| format!("EV_{run}_{room}_{count}"));
        ids.take_while(|id| deliver(&mut client, id, &name) == Some(200)).collect()
    })
}

/// Kills roomkey so many times. A commit is made ten times a second; the bound leaves room for slow machines, because what is exact is
/// that nothing is sent again that was committed.
async fn nothing_is_lost(kills: usize, place: impl FnOnce(Site) -> Site, committed: impl Fn(&Site) -> Committed) {
    const SINCE_COMMIT: Duration = Duration::from_secs(2);
    const SLOW: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (receiver, arrivals) = Arrivals::accepting().await;
    let site = place(Site::new(&receiver, ""));
    // The events of one room are in flight for longer, so the cursor passes them meanwhile.
    let taking = arrivals.clone();
    receiver.answer(move |received| {
        let reply = taking.take(received);
        if room(received) == "room-0" { Reply::Slow(SLOW, Duration::from_millis(1)) } else { reply }
    });
    let (mut acknowledged, mut killed) = (BTreeSet::new(), Vec::new());
    for run in 0..kills {
        let program = site.start();
        let senders: Vec<_> = (0..4).map(|room| send_until_killed(&program, run, room)).collect();
        // At every stage, from the first event on.
        arrivals.reach(arrivals.events() + 1 + run * 7 % 25).await;
        let at = Instant::now();
        kill(program);
        acknowledged.extend(senders.into_iter().flat_map(|sender| sender.join().unwrap()));
        killed.push((at, arrivals.count(), committed(&site)));
    }
    receiver.answer(arrivals.taking());
    let program = site.start();
    eventually("everything arrives", async || arrivals.ids().is_superset(&acknowledged)).await;
    has_taken_everything(&program, "app").await;
    arrivals.assert_order();

    let all = arrivals.all();
    let mut oldest = Duration::ZERO;
    for (run, (_, begin, committed)) in killed.iter().enumerate() {
        let end = killed.get(run + 1).map_or(all.len(), |(_, end, _)| *end);
        for again in &all[*begin..end] {
            assert!(!committed.contains(again.cursor), "{} is sent again, although that was committed", again.id);
            // The kill that followed when it was taken before. Since then it may have waited for others of its room.
            let Some(before) = all[..*begin].iter().rfind(|before| before.cursor == again.cursor) else { continue };
            let kill = killed.iter().map(|(at, ..)| *at).find(|at| *at >= before.at);
            oldest = oldest.max(kill.map_or(Duration::ZERO, |at| at - before.at));
        }
    }
    let (taken, repeated) = (acknowledged.len(), arrivals.repeated());
    eprintln!(
        "{kills} kills: {taken} events acknowledged, all arrived, {repeated} again, taken at most {oldest:?} before a kill"
    );
    assert!(oldest < SINCE_COMMIT, "an event is sent again that was taken {oldest:?} before the kill");
}

async fn nothing_is_lost_in_a_file(kills: usize) {
    nothing_is_lost(kills, |site| site, |site| Committed::in_file(&site.inbox_file())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_roomkey_is_killed_again_and_again() {
    nothing_is_lost_in_a_file(20).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts roomkey 200 times"]
async fn nothing_is_lost_when_roomkey_is_killed_200_times() {
    nothing_is_lost_in_a_file(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_in_redis_when_roomkey_is_killed_again_and_again() {
    let Some(server) = RedisServer::start() else { return };
    let committed = |_: &Site| {
        server.expire_lease("app");
        Committed::in_redis(&server)
    };
    nothing_is_lost(10, |site| site.with_inbox(server.url()), committed).await;
}

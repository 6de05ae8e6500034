//! What a session waits for, each in a task of its own that returns the result: attempts, reads and commits. Does not know what
//! follows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::inbox::target::{Lag, Replay, SteeringRequest, TargetCommit, TargetError};
use crate::inbox::{Cursor, Entry, Follower, Inbox, Page, PageLimit, ReadError};
use crate::relay::dispatcher::{Changes, Start};
use crate::relay::lease::{Lease, Moment};
use crate::relay::sender::request::Attempt;
use crate::relay::sender::{Outcome, Sender};
use crate::relay::thread::done_by;

/// One entry, of any size.
const ONE: PageLimit = PageLimit { entries: 1, bytes: 1 };

/// The result of a task.
#[derive(Debug)]
pub(super) enum Done {
    Sent(Cursor, Outcome, Duration),
    /// Retention has deleted the event.
    Missing(Cursor),
    /// The event cannot be read now.
    Unread(Cursor),
    /// The next page of the inbox.
    Page(Box<Follower>, Result<Page, ReadError>),
    /// The next page of the first replay.
    Replayed(Result<Page, ReadError>),
    /// Read to find another lane.
    Ahead(Result<Page, ReadError>),
    Committed(Changes, Committing, Result<(), TargetError>),
    /// The lease was renewed, for this epoch.
    Renewed(Result<Option<u64>, TargetError>),
    Steering(Result<Vec<SteeringRequest>, ReadError>),
    Lag(Result<Lag, ReadError>),
    /// Everything up to this cursor is deleted, if it is known.
    Oldest(Option<Cursor>),
}

/// What else a commit says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Committing {
    pub(super) epoch: u64,
    /// The requests of people up to this number are done.
    pub(super) steered: u64,
    /// How many events the target took that are committed as such.
    pub(super) taken: usize,
}

/// Makes an attempt. The event is read first, if it is not in memory.
pub(super) async fn attempt(
    start: Start,
    sender: Arc<Sender>,
    (inbox, server): (Inbox, Handle),
    clock: Clock,
    lease: Lease,
) -> Done {
    let Start { cursor, entry, attempt, is_late, is_replay } = start;
    let entry = match entry {
        Some(entry) => *entry,
        None => match done_by(&server, read(inbox, cursor)).await {
            Ok(Some(entry)) => entry,
            Ok(None) | Err(ReadError::Gone { .. }) => return Done::Missing(cursor),
            Err(_) => return Done::Unread(cursor),
        },
    };
    let begin = Instant::now();
    let outcome = sender.send(&Attempt { entry, attempt, is_late, is_replay }, clock.now(), &lease).await;
    Done::Sent(cursor, outcome, begin.elapsed())
}

async fn read(inbox: Inbox, cursor: Cursor) -> Result<Option<Entry>, ReadError> {
    let page = inbox.read(Some(cursor.before()), &Arc::default(), ONE).await?;
    Ok(page.entries.into_iter().find(|entry| entry.cursor == cursor))
}

/// Waits for the next page.
pub(super) async fn follow(mut follower: Box<Follower>, limit: PageLimit) -> Done {
    let page = follower.next_page(limit).await;
    Done::Page(follower, page)
}

pub(super) async fn replay(inbox: Inbox, replay: Replay, limit: PageLimit) -> Done {
    Done::Replayed(inbox.read(Some(replay.after), &Arc::default(), limit).await)
}

pub(super) async fn ahead(inbox: Inbox, after: Cursor, limit: PageLimit) -> Done {
    Done::Ahead(inbox.read(Some(after), &Arc::default(), limit).await)
}

pub(super) async fn commit(inbox: Inbox, target: Arc<str>, changes: Changes, committing: Committing) -> Done {
    let Committing { epoch, steered, .. } = committing;
    let Changes { state, owed, settled } = changes.clone();
    let commit = TargetCommit { target: target.to_string(), epoch, state, owed, settled, steered };
    let result = inbox.commit_target(commit).await;
    Done::Committed(changes, committing, result)
}

pub(super) async fn renew(inbox: Inbox, target: Arc<str>, lease: Lease) -> Done {
    let begin = Moment::now();
    let renewed = inbox.take_lease(&target).await;
    if renewed == Ok(Some(lease.epoch)) {
        lease.renewed(begin); // at once, because the session may have to wait for its turn
    }
    Done::Renewed(renewed)
}

pub(super) async fn steering(inbox: Inbox, target: Arc<str>) -> Done {
    Done::Steering(inbox.steering(&target).await)
}

pub(super) async fn lag(inbox: Inbox, cursor: Cursor) -> Done {
    Done::Lag(inbox.lag(cursor).await)
}

/// Whether the event at `cursor` is deleted already, and what else is.
pub(super) async fn oldest(inbox: Inbox, cursor: Cursor) -> Done {
    match inbox.read(Some(cursor.before()), &Arc::default(), ONE).await {
        Err(ReadError::Gone { oldest }) => Done::Oldest(Some(oldest)),
        _ => Done::Oldest(None),
    }
}

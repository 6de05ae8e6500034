//! Refuses more replays than a target keeps, and to retry or skip events that it does not owe. It looks at the target's last commit, so it
//! lets through what may be in flight. Does not know who asks.

use std::collections::BTreeSet;

use crate::http::edge::Edge;
use crate::http::refusal::Refusal;
use crate::inbox::Cursor;
use crate::inbox::target::{OwedState, TargetState};
use crate::relay::steering::{REPLAYS, Steering};

/// Refuses what `target` cannot do.
pub(super) async fn check(edge: &Edge, target: &str, steering: &Steering) -> Result<(), Refusal> {
    let (cursors, can): (_, fn(OwedState) -> bool) = match steering {
        Steering::Retry { cursors } => (cursors, OwedState::can_retry),
        Steering::Skip { cursors } => (cursors, |_| true),
        Steering::Replay { .. } => return has_room(&state(edge, target).await?),
        Steering::RetryAll(_) | Steering::Pause | Steering::Resume => return Ok(()),
    };
    // Before the rows: the cursor passes an event that is owed only together with its row.
    let state = state(edge, target).await?;
    let newest = edge.inbox.latest().await.ok_or(Refusal::Overloaded)?;
    let owed = edge.inbox.owed_at(target, cursors).await.map_err(Refusal::Read)?;
    let owed: BTreeSet<Cursor> = owed.iter().filter(|event| can(event.state)).map(|event| event.cursor).collect();
    let may_be_sent = |cursor| cursor <= newest && state.as_ref().is_none_or(|state| is_ahead(state, cursor));
    let not_owed: Vec<_> = cursors.iter().copied().filter(|cursor| !owed.contains(cursor) && !may_be_sent(*cursor)).collect();
    if not_owed.is_empty() { Ok(()) } else { Err(Refusal::NotOwed(not_owed)) }
}

async fn state(edge: &Edge, target: &str) -> Result<Option<TargetState>, Refusal> {
    edge.inbox.target(target).await.map_err(Refusal::Read)
}

fn has_room(state: &Option<TargetState>) -> Result<(), Refusal> {
    let is_full = state.as_ref().is_some_and(|state| state.replays.len() >= REPLAYS);
    if is_full { Err(Refusal::TooManyAsked("replays")) } else { Ok(()) }
}

/// Whether the target is yet to come to an event, also for a replay: it may be trying it already.
fn is_ahead(state: &TargetState, cursor: Cursor) -> bool {
    cursor > state.cursor || state.replays.iter().any(|replay| replay.has(cursor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::target::{OwedCounts, Replay};

    #[test]
    fn a_target_is_ahead_of_what_it_passed_and_does_not_replay() {
        let cursor = Cursor::from_number;
        let state = TargetState {
            cursor: cursor(9),
            is_paused: false,
            is_down: false,
            last_error: String::new(),
            owed: OwedCounts::default(),
            replays: vec![Replay { after: cursor(2), until: cursor(3) }, Replay { after: cursor(5), until: cursor(7) }],
        };
        let ahead: Vec<_> = (1..12).filter(|number| is_ahead(&state, cursor(*number))).collect();
        assert_eq!(ahead, [3, 6, 7, 10, 11]);
    }
}

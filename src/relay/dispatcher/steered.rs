//! Does what people ask of a target. Does not know who asks.

use crate::inbox::Cursor;
use crate::inbox::target::{OwedState, Replay};
use crate::relay::dispatcher::Dispatcher;
use crate::relay::dispatcher::events::Row;
use crate::relay::steering::REPLAYS;

impl Dispatcher {
    /// Sends nothing from now on, or goes on.
    pub(crate) fn pause(&mut self, is_paused: bool) {
        self.state.is_paused = is_paused;
    }

    /// Tries an owed event as soon as its lane allows it. One that was dead is late.
    pub(crate) fn retry(&mut self, cursor: Cursor) {
        let Some(row) = self.events.row(cursor).cloned() else { return };
        if self.flights.contains_key(&cursor) || row.state == OwedState::Expired {
            return;
        }
        let state = if row.state == OwedState::Dead { OwedState::Aside } else { row.state };
        if state == OwedState::Aside {
            self.leave(cursor);
        }
        self.events.set_row(cursor, Some(Row { state, next: None, ..row }));
        self.wait_again(cursor);
        if let Some(lane) = self.lane(cursor) {
            self.place(&lane);
        }
    }

    /// Tries all owed events in this state.
    pub(crate) fn retry_all(&mut self, state: OwedState) {
        self.events.owed(|each| each == state).into_iter().for_each(|cursor| self.retry(cursor));
    }

    /// Gives an event up. If it is being sent, its outcome does not matter.
    pub(crate) fn skip(&mut self, cursor: Cursor) {
        self.settle(cursor);
    }

    /// Sends the events after one cursor up to another again. `false` if too many replays wait.
    pub(crate) fn replay(&mut self, replay: Replay) -> bool {
        self.advance(); // what was taken since the last commit belongs to it too
        let replay = Replay { until: replay.until.min(self.state.cursor), ..replay };
        let has_room = self.state.replays.len() < REPLAYS;
        if has_room && replay.after < replay.until {
            self.state.replays.push(replay);
        }
        has_room
    }
}

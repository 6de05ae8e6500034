//! Finds out the time according to the entries. Does not know the clock.

use redis::Connection;

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::redis::keys::{self, ENTRIES, STATE};
use crate::inbox::store::StoreError;
use crate::inbox::trusted_time;

/// The fields of an entry that roomkey wrote, besides `received`.
const OUR_FIELDS: [&str; 6] = ["fingerprint", "key", "id", "event", "room", "body"];

/// See [`Store::known_time`](crate::inbox::store::Store::known_time).
pub(super) fn read(connection: &mut Connection) -> Result<Option<UnixTime>, StoreError> {
    let Some(newest) = received(connection, "+".to_owned())? else { return Ok(None) };
    let earlier = match received(connection, keys::id(Cursor::at(trusted_time::before(newest))))? {
        Some(received) => Some(received),
        // When the newest deleted entry was received; at first, when the inbox began.
        None => {
            let deleted: Option<String> = redis::cmd("HGET").arg(STATE).arg("deleted").query(connection)?;
            deleted.as_deref().and_then(time_of_id)
        }
    };
    Ok(Some(trusted_time::seen(newest, earlier.unwrap_or(newest))))
}

/// When the newest entry up to `id` was received.
fn received(connection: &mut Connection, id: String) -> Result<Option<UnixTime>, StoreError> {
    let newest: Vec<(String, Vec<Vec<u8>>)> =
        redis::cmd("XREVRANGE").arg(ENTRIES).arg(id).arg("-").arg("COUNT").arg(1).query(connection)?;
    Ok(newest.into_iter().next().and_then(|(id, fields)| {
        let field = |name: &str| {
            fields.chunks_exact(2).find_map(|field| match field {
                [each, value] if each == name.as_bytes() => Some(value.as_slice()),
                _ => None,
            })
        };
        let is_ours = OUR_FIELDS.iter().all(|name| field(name).is_some());
        let received = field("received").filter(|_| is_ours).and_then(|value| str::from_utf8(value).ok()?.parse().ok());
        // The fields of another program's entry are not trusted, but its id is part of the order.
        received.map(UnixTime::from_millis).or_else(|| time_of_id(&id))
    }))
}

fn time_of_id(id: &str) -> Option<UnixTime> {
    keys::cursor(id).map(Cursor::time)
}

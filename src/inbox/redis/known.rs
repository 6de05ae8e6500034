//! Owns what the dates of the entries tell of the time.

use redis::Connection;

use crate::clock::UnixTime;
use crate::inbox::age;
use crate::inbox::cursor::Cursor;
use crate::inbox::redis::keys::{self, ENTRIES, STATE};
use crate::inbox::store::StoreError;

/// The fields of an entry that roomkey wrote, beside `received`.
const OUR_FIELDS: [&str; 6] = ["fingerprint", "key", "id", "event", "room", "body"];

/// As [`Store::known_time`](crate::inbox::store::Store::known_time).
pub(super) fn time(connection: &mut Connection) -> Result<Option<UnixTime>, StoreError> {
    let Some(newest) = received(connection, "+".to_owned())? else { return Ok(None) };
    let earlier = match received(connection, keys::id(Cursor::at(age::before(newest))))? {
        Some(received) => Some(received),
        // When the last one was deleted; at first, when the inbox began.
        None => redis::cmd("HGET").arg(STATE).arg("deleted").query::<Option<String>>(connection)?.as_deref().and_then(moment),
    };
    Ok(Some(age::seen(newest, earlier.unwrap_or(newest))))
}

/// When the newest entry was received whose id is at most `id`.
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
        // What another program says of the time is not believed, but its entry has a place in the order.
        received.map(UnixTime::from_millis).or_else(|| moment(&id))
    }))
}

fn moment(id: &str) -> Option<UnixTime> {
    keys::cursor(id).map(Cursor::time)
}

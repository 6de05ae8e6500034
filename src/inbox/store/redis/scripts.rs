//! Defines what is stored in Redis: three keys with one hash tag, so that a cluster keeps them in one slot, the scripts that use them,
//! and how a cursor is written as the id of an entry in a stream. Does not know the connections.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{roomkey}:entries` | stream | the entries; an id is a cursor's milliseconds and count |
//! | `{roomkey}:index` | hash | the id of each entry by its fingerprint (16 bytes) |
//! | `{roomkey}:state` | hash | `schema`: the version of this table; `deleted`: the newest deleted id, at first where the inbox begins; `reached`: new ids are later than this; `bytes`: what is stored; `oldest`: an id, and a time that all entries after it are newer than; `ahead`: since when the oldest entries are known to be dated in the future |

use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};

use crate::inbox::cursor::Cursor;

pub(super) const ENTRIES: &str = "{roomkey}:entries";
const INDEX: &str = "{roomkey}:index";
pub(super) const STATE: &str = "{roomkey}:state";

/// A script after the code that all have in common. The flags say when Redis may run it.
macro_rules! script {
    ($flags:literal, $file:literal) => {
        LazyLock::new(|| Script::new(concat!("#!lua ", $flags, "\n", include_str!("common.lua"), include_str!($file))))
    };
}

pub(super) static ADVANCE: LazyLock<Script> = script!("", "advance.lua");
pub(super) static APPEND: LazyLock<Script> = script!("", "append.lua");
pub(super) static NEWEST: LazyLock<Script> = script!("flags=no-writes", "newest.lua");
pub(super) static PROBE: LazyLock<Script> = script!("", "probe.lua");
pub(super) static PRUNE: LazyLock<Script> = script!("flags=allow-oom", "prune.lua");
pub(super) static READ: LazyLock<Script> = script!("flags=no-writes", "read.lua");

/// `script` with the keys and no arguments yet.
pub(super) fn invocation(script: &'static Script) -> ScriptInvocation<'static> {
    let mut invocation = script.prepare_invoke();
    invocation.key(ENTRIES).key(INDEX).key(STATE);
    invocation
}

/// The id of the entry at `cursor`.
pub(super) fn id(cursor: Cursor) -> String {
    let (millis, count) = cursor.parts();
    format!("{millis}-{count}")
}

/// The cursor of the entry with this id. `None` if no cursor has this id.
pub(super) fn cursor(id: &str) -> Option<Cursor> {
    let (millis, count) = id.split_once('-')?;
    Cursor::from_parts(millis.parse().ok()?, count.parse().ok()?)
}

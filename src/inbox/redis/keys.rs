//! Owns what is stored in Redis and by which commands: three keys under one hash tag (so that a cluster keeps them in one slot),
//! the scripts over them, and a cursor as the id of an entry in a stream.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{roomkey}:entries` | stream | the entries; an id is a cursor's milliseconds and count |
//! | `{roomkey}:index` | hash | an entry's fingerprint (16 bytes) -> its id |
//! | `{roomkey}:state` | hash | `schema`: the version of this table; `deleted`: the newest id that was deleted, at first where the inbox begins; `reached`: what new ids are later than; `bytes`: what is kept; `oldest`: behind which id no entry came before when; `ahead`: since when the oldest entries are known to be dated in the future |

use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};

use crate::inbox::cursor::Cursor;

pub(super) const ENTRIES: &str = "{roomkey}:entries";
const INDEX: &str = "{roomkey}:index";
pub(super) const STATE: &str = "{roomkey}:state";

/// A script, behind what all have in common. The flags say where it may run.
macro_rules! script {
    ($flags:literal, $file:literal) => {
        LazyLock::new(|| Script::new(concat!("#!lua ", $flags, "\n", include_str!("common.lua"), include_str!($file))))
    };
}

static ADVANCE: LazyLock<Script> = script!("", "advance.lua");
static APPEND: LazyLock<Script> = script!("", "append.lua");
static PROBE: LazyLock<Script> = script!("", "probe.lua");
static PRUNE: LazyLock<Script> = script!("flags=allow-oom", "prune.lua");
static READ: LazyLock<Script> = script!("flags=no-writes", "read.lua");

/// `advance.lua`, its arguments to come.
pub(super) fn advance() -> ScriptInvocation<'static> {
    invocation(&ADVANCE)
}

/// `append.lua`, its arguments to come.
pub(super) fn append() -> ScriptInvocation<'static> {
    invocation(&APPEND)
}

/// `probe.lua`, its arguments to come.
pub(super) fn probe() -> ScriptInvocation<'static> {
    invocation(&PROBE)
}

/// `prune.lua`, its arguments to come.
pub(super) fn prune() -> ScriptInvocation<'static> {
    invocation(&PRUNE)
}

/// `read.lua`, its arguments to come.
pub(super) fn read() -> ScriptInvocation<'static> {
    invocation(&READ)
}

fn invocation(script: &'static Script) -> ScriptInvocation<'static> {
    let mut invocation = script.prepare_invoke();
    invocation.key(ENTRIES).key(INDEX).key(STATE);
    invocation
}

/// The id of the entry at `cursor`.
pub(super) fn id(cursor: Cursor) -> String {
    let (millis, count) = cursor.parts();
    format!("{millis}-{count}")
}

/// The cursor of the entry with this id; `None` where it is none of ours.
pub(super) fn cursor(id: &str) -> Option<Cursor> {
    let (millis, count) = id.split_once('-')?;
    Cursor::from_parts(millis.parse().ok()?, count.parse().ok()?)
}

//! Finds the primary that sentinels watch: asks them in turn, connects to the server that one names, and believes it only if that
//! server says that it is a primary. Does not know what the connection is for.

use std::fmt::Display;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use redis::{Client, Connection, ConnectionInfo, RedisResult, Role};
use tracing::{info, warn};

use crate::inbox::store::StoreError;
use crate::inbox::store::redis::url::Sentinels;
use crate::worker::lock;

/// For connecting to a sentinel, and for its answer. The next one may know more, and a delivery waits for 4 s.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two warnings that there is no primary.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// What the sentinels have said.
#[derive(Default)]
pub(super) struct Search {
    found: Mutex<Found>,
    warned_at: Mutex<Option<Instant>>,
}

#[derive(Clone, Default)]
struct Found {
    /// The sentinel that named the primary, which is asked first.
    sentinel: usize,
    /// The address of the primary, `HOST:PORT`; empty before it is known.
    primary: String,
}

impl Search {
    /// A connection to the primary, which `open` makes to an address. Also whether that is another one than before.
    pub(super) fn connect(
        &self,
        sentinels: &Sentinels,
        open: impl Fn(&str) -> RedisResult<Connection>,
    ) -> Result<(Connection, bool), StoreError> {
        let before = lock(&self.found).clone();
        let (mut tried, mut problems) = (Vec::new(), Vec::new());
        for (sentinel, node) in sentinels.nodes.iter().enumerate().cycle().skip(before.sentinel).take(sentinels.nodes.len()) {
            let primary = match ask(node, &sentinels.primary) {
                Ok(Some(primary)) if tried.contains(&primary) => continue,
                Ok(Some(primary)) => primary,
                Ok(None) => {
                    problems.push(problem("sentinel", node.addr(), &"it does not know this name"));
                    continue;
                }
                Err(error) => {
                    problems.push(problem("sentinel", node.addr(), &error));
                    continue;
                }
            };
            match open(&primary).and_then(|mut connection| Ok((role(&mut connection)?, connection))) {
                Ok((Role::Primary { .. }, connection)) => return Ok((connection, self.note(Found { sentinel, primary }))),
                Ok(_) => problems.push(problem("server", &primary, &"it is not a primary")),
                Err(error) => problems.push(problem("server", &primary, &error)),
            }
            tried.push(primary);
        }
        self.warn(&sentinels.primary, &problems.join("; "));
        Err(StoreError::NoPrimary)
    }

    /// Whether a sentinel now names another primary than that of the last connection.
    pub(super) fn has_moved(&self, sentinels: &Sentinels) -> bool {
        let Found { sentinel, primary } = lock(&self.found).clone();
        let named = sentinels.nodes.get(sentinel).and_then(|node| ask(node, &sentinels.primary).ok().flatten());
        named.is_some_and(|named| named != primary)
    }

    /// Notes the primary, and returns whether it is another one.
    fn note(&self, found: Found) -> bool {
        let mut known = lock(&self.found);
        let is_other = !known.primary.is_empty() && known.primary != found.primary;
        if is_other {
            info!(primary = found.primary, before = known.primary, "the inbox follows the sentinels to another primary");
        }
        *known = found;
        is_other
    }

    fn warn(&self, name: &str, problems: &str) {
        let mut warned_at = lock(&self.warned_at);
        if warned_at.is_none_or(|at| at.elapsed() >= WARN_INTERVAL) {
            *warned_at = Some(Instant::now());
            warn!(name, problems, "no sentinel leads to a primary of the Redis: the inbox is looking for one");
        }
    }
}

fn problem(kind: &str, place: &dyn Display, why: &dyn Display) -> String {
    format!("{kind} {place}: {why}")
}

/// The address of the primary that a sentinel watches under `name`, if it knows that name.
fn ask(sentinel: &ConnectionInfo, name: &str) -> RedisResult<Option<String>> {
    let mut connection = Client::open(sentinel.clone())?.get_connection_with_timeout(ASK_TIMEOUT)?;
    connection.set_read_timeout(Some(ASK_TIMEOUT))?;
    connection.set_write_timeout(Some(ASK_TIMEOUT))?;
    let address: Option<(String, u16)> =
        redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name).query(&mut connection)?;
    Ok(address.map(|(host, port)| format!("{host}:{port}")))
}

fn role(connection: &mut Connection) -> RedisResult<Role> {
    redis::cmd("ROLE").query(connection)
}

//! Keeps the connections that readers use, between two reads. Does not know what is read.

use std::sync::Mutex;

use crate::inbox::store::ReadError;
use crate::worker::lock;

/// Idle connections, each with its generation: older ones are not used again.
pub(crate) struct Pool<C>(Mutex<Vec<(u64, C)>>);

impl<C> Default for Pool<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C> Pool<C> {
    /// Keeps a connection for later.
    pub(crate) fn add(&self, generation: u64, connection: C) {
        lock(&self.0).push((generation, connection));
    }

    /// Closes all idle connections.
    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }

    /// Reads on an idle connection of `generation`, or on a new one if there is none or the idle one has broken meanwhile.
    pub(crate) fn read<T>(
        &self,
        generation: u64,
        connect: impl FnOnce() -> Result<C, ReadError>,
        mut read: impl FnMut(&mut C) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut read_on = |mut connection| {
            let result = read(&mut connection);
            if !matches!(result, Err(ReadError::Store(_))) {
                self.add(generation, connection);
            }
            result
        };
        let idle = lock(&self.0).pop().filter(|(of, _)| *of == generation);
        match idle.map(|(_, connection)| read_on(connection)) {
            None | Some(Err(ReadError::Store(_))) => read_on(connect()?),
            Some(result) => result,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;
    use crate::inbox::store::StoreError;

    #[test]
    fn an_idle_connection_is_used_again_unless_it_is_broken_or_old() {
        let pool = Pool::default();
        pool.add(0, "idle");
        let read = |generation, broken: &str| {
            pool.read(
                generation,
                || Ok("new"),
                |connection: &mut &str| match *connection {
                    name if name == broken => Err(ReadError::Store(StoreError::Stalled)),
                    name => Ok(name),
                },
            )
        };
        assert_eq!(read(0, "").unwrap(), "idle");
        assert_eq!(read(0, "idle").unwrap(), "new", "the broken one is replaced");
        assert_eq!(read(0, "").unwrap(), "new", "and the new one is kept");
        pool.clear();
        pool.add(0, "idle");
        assert_eq!(read(1, "").unwrap(), "new", "of another generation");
        assert!(read(1, "new").is_err(), "a new connection that fails is not tried again");
    }
}

//! The one connection on which everything is written. Does not know what is written.

use redis::Connection;

use crate::inbox::cursor::Cursor;
use crate::inbox::store::StoreError;
use crate::inbox::store::redis::{RedisStore, entries};
use crate::worker::lock;

impl RedisStore {
    /// Writes on the one connection for that. If it fails, it is unknown what was written and where the server is, so all
    /// connections are given up. Because an old connection may only have been closed, `write` is tried again on a new one, unless
    /// that has taken all the time.
    pub(super) fn write<T>(&self, mut write: impl FnMut(&mut Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut writer = lock(&self.writer);
        loop {
            let generation = self.server.generation();
            let old = writer.take().filter(|(of, _)| *of == generation);
            let is_new = old.is_none();
            let opened = old.map_or_else(|| self.connect_writer(), |(_, connection)| Ok(connection));
            match opened.and_then(|mut connection| Ok((write(&mut connection)?, connection))) {
                Ok((written, connection)) => {
                    *writer = Some((generation, connection));
                    return Ok(written);
                }
                Err(error) => {
                    self.server.give_up_connections();
                    if is_new || matches!(error, StoreError::Stalled | StoreError::Unreplicated) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// A new connection to write on. What it writes gets later cursors than everything that readers were shown before, because
    /// this may be another server, which has lost the newest entries.
    fn connect_writer(&self) -> Result<Connection, StoreError> {
        let mut connection = self.server.connect_writer()?;
        if let Some(shown) = self.server.replicated() {
            self.advance_on(&mut connection, shown.max(Cursor::at(self.clock.now())))?;
        }
        Ok(connection)
    }

    pub(super) fn advance_on(&self, connection: &mut Connection, to: Cursor) -> Result<Cursor, StoreError> {
        let mut script = entries::invocation(&entries::ADVANCE);
        let newest: String = script.arg(self.begin()).arg(entries::id(to)).invoke(connection)?;
        entries::expect_cursor(&newest)
    }

    /// Whether the writer has a connection. Deleting does not open one; an append or a probe does.
    pub(super) fn is_connected(&self) -> bool {
        lock(&self.writer).as_ref().is_some_and(|(of, _)| *of == self.server.generation())
    }
}

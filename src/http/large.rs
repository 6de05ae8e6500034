//! Memory for large bodies and answers, which returns to the system as soon as it is dropped. An allocator would keep it.

use std::io;

use bytes::Bytes;
use memmap2::MmapMut;

/// Bytes in memory of their own. Only what is written takes memory.
#[derive(Debug)]
pub(crate) struct LargeBytes {
    map: MmapMut,
    length: usize,
}

impl LargeBytes {
    /// Empty, with room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> io::Result<Self> {
        Ok(Self { map: MmapMut::map_anon(capacity)?, length: 0 })
    }

    /// A copy of `bytes`.
    pub(crate) fn copy_of(bytes: &[u8]) -> io::Result<Self> {
        let mut copy = Self::with_capacity(bytes.len())?;
        copy.extend(bytes)?;
        Ok(copy)
    }

    /// Appends `bytes`. Fails if they exceed the capacity.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.length.saturating_add(bytes.len());
        self.map.get_mut(self.length..end).ok_or(io::ErrorKind::StorageFull)?.copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }
}

impl AsRef<[u8]> for LargeBytes {
    fn as_ref(&self) -> &[u8] {
        self.map.get(..self.length).unwrap_or_default()
    }
}

/// `bytes` that keep `kept` until the last part of them is dropped.
pub(crate) fn keeping(bytes: Bytes, kept: impl Send + 'static) -> Bytes {
    Bytes::from_owner(Keeping { bytes, _kept: kept })
}

struct Keeping<T> {
    bytes: Bytes,
    _kept: T,
}

impl<T> AsRef<[u8]> for Keeping<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

//! A payload while it is written: on the stack, because most are short, so that the token is the only thing that is allocated. Does not
//! know what is in it.

use std::fmt;
use std::io;

use crate::json::Buffer;

/// Bytes of a payload that stay on the stack: enough for all claims but metadata, attributes and a room configuration.
const ON_STACK: usize = 384;

/// A payload that is being written.
pub struct Payload {
    stack: [u8; ON_STACK],
    /// Bytes on the stack; `usize::MAX` once everything is on the heap.
    length: usize,
    heap: Vec<u8>,
}

impl Payload {
    pub(super) fn new() -> Self {
        Self { stack: [0; ON_STACK], length: 0, heap: Vec::new() }
    }

    /// Appends `bytes`.
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        match self.stack.get_mut(self.length..end) {
            Some(free) => {
                free.copy_from_slice(bytes);
                self.length = end;
            }
            None => self.extend_heap(bytes),
        }
    }

    #[cold]
    fn extend_heap(&mut self, bytes: &[u8]) {
        if let Some(written) = self.stack.get(..self.length) {
            self.heap.extend_from_slice(written);
            self.length = usize::MAX;
        }
        self.heap.extend_from_slice(bytes);
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.stack.get(..self.length).unwrap_or(&self.heap)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("bytes", &self.as_bytes().len()).finish_non_exhaustive()
    }
}

impl io::Write for Payload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer for Payload {
    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    /// Copies all `bytes`, because a copy of constant size needs no call.
    #[inline]
    fn append_start(&mut self, bytes: &[[u8; 8]; 4], length: usize) {
        match self.stack.get_mut(self.length..).and_then(|free| free.as_chunks_mut().0.first_chunk_mut()) {
            Some(free) => {
                *free = *bytes;
                self.length = self.length.saturating_add(length);
            }
            None => self.extend_heap(bytes.as_flattened().get(..length).unwrap_or_default()),
        }
    }

    fn written(&mut self) -> &mut [u8] {
        self.stack.get_mut(..self.length).unwrap_or(&mut self.heap)
    }
}

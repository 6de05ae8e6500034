//! Finds heads with both `Content-Length` and `Transfer-Encoding` in the bytes of a connection. They may smuggle a request (RFC
//! 9112, section 6.1), and hyper accepts them without the length. Leaves everything else that is malformed to hyper.

use memchr::memchr;

use crate::http::limits::CONNECTION_BUFFER_BYTES;

/// Bytes of a line that are kept when it comes in several reads: of most lines the beginning says all that counts.
const LINE_BYTES: usize = 256;

/// Which part of which request the next byte belongs to.
#[derive(Debug, Default)]
pub(crate) struct Boundaries {
    part: MessagePart,
    /// The beginning of an incomplete line.
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum MessagePart {
    /// Before a request or within its head.
    Head {
        is_empty: bool,
        length: Option<u64>,
        is_chunked: bool,
    },
    /// Within a body, this many bytes before its end.
    Body(u64),
    /// Within a chunk, this many bytes before the next chunk size.
    Chunk(u64),
    ChunkSize,
    Trailers,
    /// After a head that has both headers.
    Ambiguous,
}

impl Default for MessagePart {
    fn default() -> Self {
        Self::Head { is_empty: true, length: None, is_chunked: false }
    }
}

impl Boundaries {
    /// Whether a head had both headers.
    pub(crate) fn is_ambiguous(&self) -> bool {
        matches!(self.part, MessagePart::Ambiguous)
    }

    /// Follows `bytes`, and returns how many of them hyper may see: all, or those before the line that makes a head ambiguous.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            if let MessagePart::Body(left) | MessagePart::Chunk(left) = &mut self.part {
                let taken = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                *left = left.saturating_sub(taken.try_into().unwrap_or(u64::MAX));
                if *left == 0 {
                    self.part =
                        if matches!(self.part, MessagePart::Body(_)) { MessagePart::default() } else { MessagePart::ChunkSize };
                }
                rest = rest.get(taken..).unwrap_or_default();
                continue;
            }
            let end = memchr(b'\n', rest);
            let Some((line, [_, after @ ..])) = end.and_then(|end| rest.split_at_checked(end)) else {
                self.keep(rest);
                break;
            };
            if self.line.is_empty() {
                self.part.pass(line);
            } else {
                self.keep(line);
                self.part.pass(&std::mem::take(&mut self.line));
            }
            if self.is_ambiguous() {
                return bytes.len().saturating_sub(rest.len());
            }
            rest = after;
        }
        bytes.len()
    }

    fn keep(&mut self, part: &[u8]) {
        // A chunk size may begin with any number of zeros, which say nothing.
        let zeros = match self.part {
            MessagePart::ChunkSize if self.line.is_empty() => part.iter().take_while(|byte| **byte == b'0').count(),
            _ => 0,
        };
        let part = part.get(zeros..).unwrap_or_default();
        let most = match (self.part, self.line.first().or(part.first())) {
            // A length may come after many zeros or blanks. hyper refuses a longer head.
            (MessagePart::Head { .. }, Some(first)) if may_count(*first) => CONNECTION_BUFFER_BYTES,
            _ => LINE_BYTES,
        };
        let room = most.saturating_sub(self.line.len());
        self.line.extend_from_slice(part.get(..room).unwrap_or(part));
    }
}

impl MessagePart {
    /// Enters the part after `line`, which comes without its LF.
    fn pass(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self {
            Self::Head { is_empty, .. } if *is_empty => *is_empty = line.is_empty(), // empty lines before a request are skipped
            Self::Head { length, is_chunked, .. } => match line {
                [] if *is_chunked => *self = Self::ChunkSize,
                [] => *self = length.filter(|length| *length > 0).map_or_else(Self::default, Self::Body),
                [first, ..] if may_count(*first) => {
                    if let Some(value) = value(line, b"content-length") {
                        *length = Some(number(value.trim_ascii(), 10));
                    }
                    *is_chunked |= value(line, b"transfer-encoding").is_some();
                    if length.is_some() && *is_chunked {
                        *self = Self::Ambiguous;
                    }
                }
                _ => {}
            },
            Self::ChunkSize => match number(line, 16) {
                0 => *self = Self::Trailers,
                size => *self = Self::Chunk(size.saturating_add(2)), // and a line end
            },
            Self::Trailers if line.is_empty() => *self = Self::default(),
            Self::Trailers | Self::Body(_) | Self::Chunk(_) | Self::Ambiguous => {}
        }
    }
}

/// Whether a header that begins with `first` may be one of the two that count. Most others differ in their first letter.
fn may_count(first: u8) -> bool {
    matches!(first, b'C' | b'c' | b'T' | b't')
}

/// The value in `line`, if it is a header with this `name`.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":")?; // the quicker check comes first
    start.eq_ignore_ascii_case(name).then_some(value)
}

/// The number with which `text` begins.
fn number(text: &[u8], radix: u32) -> u64 {
    let digits = text.iter().map_while(|byte| char::from(*byte).to_digit(radix));
    digits.fold(0, |number: u64, digit| number.saturating_mul(radix.into()).saturating_add(digit.into()))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::Boundaries;

    const PLAIN: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc\r\n";
    const CHUNKED: &str = "\r\nPOST / HTTP/1.1\r\nTransfer-encoding:chunked\r\n\r\n\
        1F;x=y\r\n\r\n\r\nContent-Length: 5\r\n01234567\r\n2\r\n\n\n\r\n0\r\nContent-Length: 7\r\n\r\n";
    const BARE: &str = "GET / HTTP/1.1\nHost: x\n\n";
    /// Heads with both headers, and how much of each hyper may see.
    const BOTH: [(&str, usize); 4] = [
        ("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 36),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nA: b\r\nCONTENT-LENGTH: 5\r\n\r\n", 51),
        ("POST / HTTP/1.1\nTRANSFER-ENCODING:\ncontent-length:\n\n", 35),
        ("\r\n\nPOST / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: identity\r\n\r\n", 39),
    ];

    /// How much of `text`, in pieces of `size` bytes, hyper may see.
    fn seen(text: &str, size: usize) -> usize {
        let (mut boundaries, mut seen) = (Boundaries::default(), 0);
        for piece in text.as_bytes().chunks(size) {
            seen += boundaries.follow(piece);
            if boundaries.is_ambiguous() {
                return seen;
            }
        }
        assert_eq!(seen, text.len());
        seen
    }

    #[test]
    fn clear_requests_pass_and_an_ambiguous_head_stops_there() {
        let good = [PLAIN, CHUNKED, BARE].concat();
        for size in 1..=good.len() {
            assert_eq!(seen(&good.repeat(2), size), good.len() * 2, "{size}");
        }
        for (both, until) in BOTH {
            assert_eq!(seen(&format!("{good}{both}{good}"), 10_000), good.len() + until, "{both:?}");
            // A line that comes in pieces may be seen up to its last piece.
            for size in 1..both.len() {
                assert!(seen(&format!("{good}{both}{good}"), size) < good.len() + both.len() - 1, "{both:?} {size}");
            }
        }
    }

    #[test]
    fn numbers_with_many_zeros_are_read_to_their_end() {
        let zeros = "0".repeat(300);
        let length = format!("POST / HTTP/1.1\r\nContent-Length: {zeros}5\r\n\r\nabc\r\n");
        let chunk = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{zeros}5\r\nabc\r\n\r\n{zeros}\r\n\r\n");
        for (both, until) in BOTH {
            let text = format!("{length}{chunk}{both}");
            for size in 1..text.len() {
                let seen = seen(&text, size);
                assert!(seen < text.len() - 1 && seen + both.len() >= text.len() + until - both.len(), "{size}");
            }
        }
    }

    #[test]
    fn lines_without_an_end_are_not_kept() {
        let mut boundaries = Boundaries::default();
        for _ in 0..1000 {
            boundaries.follow(&[b'x'; 1000]);
        }
        assert!(boundaries.line.capacity() < 1000);
    }
}

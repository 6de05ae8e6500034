//! The header of the PROXY protocol, versions 1 and 2 (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>): a load balancer
//! of TCP connections puts it first and names the client. Does not know how it is read, nor what the address is used for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The header of a connection that the sender opened for itself, such as a health check.
pub(crate) const LOCAL: [u8; 16] = *b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const SIGNATURE_BYTES: usize = 12;
const TEXT_START: &[u8] = b"PROXY ";
/// Bytes of a header of version 1, with its line end (section 2.1).
const MAX_TEXT_BYTES: usize = 107;
/// Bytes of addresses and additions (TLVs) in a header of version 2. They would take 64 KiB; a client's certificate takes about 2.
const MAX_BINARY_BYTES: usize = 4096;

/// A whole header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProxyHeader {
    /// `None` if it does not name one: then the address is that of the connection.
    pub(crate) client: Option<IpAddr>,
    /// In bytes.
    pub(crate) length: usize,
}

/// Why a connection does not begin with a header that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ProxyHeaderError {
    #[error("it begins with something else")]
    Missing,
    #[error("the header is malformed")]
    Malformed,
    #[error("the header has more than {MAX_BINARY_BYTES} bytes of addresses and TLVs")]
    TooLong,
    #[error("it ended within the header")]
    Cut,
    #[error("the header did not arrive in time")]
    TooLate,
}

/// The header with which `bytes` begin; `None` as long as it is incomplete.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    let begins_with = |start: &[u8]| bytes.iter().zip(start).all(|(byte, expected)| byte == expected);
    if LOCAL.get(..SIGNATURE_BYTES).is_some_and(begins_with) {
        parse_binary(bytes)
    } else if begins_with(TEXT_START) {
        parse_text(bytes)
    } else {
        Err(ProxyHeaderError::Missing)
    }
}

/// Version 2 (section 2.2). What follows the addresses is skipped.
fn parse_binary(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    let after_signature = bytes.get(SIGNATURE_BYTES..).unwrap_or_default();
    let Some((&[command, family, high, low], rest)) = after_signature.split_first_chunk() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    match command {
        0x20 | 0x21 if length > MAX_BINARY_BYTES => return Err(ProxyHeaderError::TooLong),
        0x20 | 0x21 => {}
        _ => return Err(ProxyHeaderError::Malformed),
    }
    let Some(addresses) = rest.get(..length) else { return Ok(None) };
    let client = if command == 0x21 { source(family, addresses)? } else { None };
    Ok(Some(ProxyHeader { client, length: length.saturating_add(LOCAL.len()) }))
}

/// The first of the `addresses`, which have this `family` and transport.
fn source(family: u8, addresses: &[u8]) -> Result<Option<IpAddr>, ProxyHeaderError> {
    let address = match family {
        0x11 | 0x12 if addresses.len() >= 12 => addresses.first_chunk().map(|octets: &[u8; 4]| IpAddr::from(*octets)),
        0x21 | 0x22 if addresses.len() >= 36 => addresses.first_chunk().map(|octets: &[u8; 16]| IpAddr::from(*octets)),
        0x00 | 0x31 | 0x32 => None, // unspecified, or a Unix socket
        _ => return Err(ProxyHeaderError::Malformed),
    };
    Ok(address)
}

/// Version 1 (section 2.1).
fn parse_text(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    let longest = bytes.get(..MAX_TEXT_BYTES);
    let Some(end) = longest.unwrap_or(bytes).windows(2).position(|pair| pair == b"\r\n") else {
        return if longest.is_some() { Err(ProxyHeaderError::Malformed) } else { Ok(None) };
    };
    let line = bytes.get(..end).and_then(|line| str::from_utf8(line).ok()).unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let client = match words[..] {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", "TCP4", ref rest @ ..] => Some(text_source::<Ipv4Addr>(rest)?),
        ["PROXY", "TCP6", ref rest @ ..] => Some(text_source::<Ipv6Addr>(rest)?),
        _ => return Err(ProxyHeaderError::Malformed),
    };
    Ok(Some(ProxyHeader { client, length: end.saturating_add(2) }))
}

/// The first of two addresses, which two ports follow.
fn text_source<A: FromStr + Into<IpAddr>>(words: &[&str]) -> Result<IpAddr, ProxyHeaderError> {
    let &[source, destination, source_port, destination_port] = words else { return Err(ProxyHeaderError::Malformed) };
    match (source.parse::<A>(), destination.parse::<A>()) {
        (Ok(source), Ok(_)) if is_port_number(source_port) && is_port_number(destination_port) => Ok(source.into()),
        _ => Err(ProxyHeaderError::Malformed),
    }
}

/// Whether `text` is a number from 0 to 65535, in digits alone.
pub(crate) fn is_port_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that breaks says so by panicking"
)]
mod tests {
    use super::*;

    /// A header of version 2.
    fn binary(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [&LOCAL[..SIGNATURE_BYTES], &[command, family], &length, addresses].concat()
    }

    /// What is read of `header` when it comes as a whole with a request behind it. In pieces it must be the same.
    fn read(header: &[u8]) -> Result<Option<IpAddr>, ProxyHeaderError> {
        let whole = parse(&[header, b"GET / HTTP/1.1\r\n\r\n"].concat());
        let in_pieces = (0..=header.len()).map(|length| parse(&header[..length])).find(|parsed| *parsed != Ok(None));
        assert_eq!(in_pieces.unwrap_or(Ok(None)), whole, "{:?}", String::from_utf8_lossy(header));
        let header_read = whole?.unwrap();
        assert_eq!(header_read.length, header.len());
        Ok(header_read.client)
    }

    fn address(text: &str) -> Result<Option<IpAddr>, ProxyHeaderError> {
        Ok(Some(text.parse().unwrap()))
    }

    #[test]
    fn version_1() {
        assert_eq!(read(b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n"), address("192.0.2.1"));
        assert_eq!(read(b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"), address("2001:db8::1"));
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
        for unknown in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", &longest] {
            assert_eq!(read(unknown.as_bytes()), Ok(None), "{unknown}");
        }
        for malformed in [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP5 192.0.2.1 10.0.0.1 1 2\r\n",
            "PROXY tcp4 192.0.2.1 10.0.0.1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n",
            "PROXY TCP4  192.0.2.1 10.0.0.1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 1 65536\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1  2\r\n",
            "PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 ::1 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n\r\n",
            "PROXY TCP4 \u{e9} 10.0.0.1 1 2\r\n",
        ] {
            assert_eq!(read(malformed.as_bytes()), Err(ProxyHeaderError::Malformed), "{malformed}");
        }
        let endless = format!("PROXY UNKNOWN {}", "f".repeat(93));
        assert_eq!(parse(endless.as_bytes()), Err(ProxyHeaderError::Malformed));
        assert_eq!(parse(&endless.as_bytes()[..106]), Ok(None));
    }

    #[test]
    fn version_2() {
        let (v4, v6) = ([192, 0, 2, 1, 10, 0, 0, 1, 0, 1, 0, 2], [[0x20; 16], [0; 16]].concat());
        let v6 = [&v6[..], &[0, 1, 0, 2]].concat();
        let tlvs = [3, 0, 4, 1, 2, 3, 4];
        for family in [0x11, 0x12] {
            assert_eq!(read(&binary(0x21, family, &v4)), address("192.0.2.1"));
            assert_eq!(read(&binary(0x21, family, &[&v4[..], &tlvs].concat())), address("192.0.2.1"));
            assert_eq!(read(&binary(0x21, family, &v4[..11])), Err(ProxyHeaderError::Malformed));
        }
        for family in [0x21, 0x22] {
            assert_eq!(read(&binary(0x21, family, &v6)), address("2020:2020:2020:2020:2020:2020:2020:2020"));
            assert_eq!(read(&binary(0x21, family, &[&v6[..], &[0; 4060]].concat())).unwrap(), Some([0x20; 16].into()));
            assert_eq!(read(&binary(0x21, family, &v6[..35])), Err(ProxyHeaderError::Malformed));
        }
        for family in [0x00, 0x31, 0x32] {
            assert_eq!(read(&binary(0x21, family, &[0; 216])), Ok(None));
        }
        for family in [0x00, 0x11, 0x21, 0x31, 0xff] {
            assert_eq!(read(&binary(0x20, family, &v4)), Ok(None), "the sender's own connection");
        }
        assert_eq!(read(&LOCAL), Ok(None));
        for (command, family) in [(0x21, 0x10), (0x21, 0x13), (0x21, 0x41), (0x22, 0x11), (0x11, 0x11), (0x01, 0x11), (0x2f, 0)] {
            assert_eq!(read(&binary(command, family, &v6)), Err(ProxyHeaderError::Malformed), "{command:x} {family:x}");
        }
        assert_eq!(read(&binary(0x21, 0x11, &[0; 4097])), Err(ProxyHeaderError::TooLong));
    }

    #[test]
    fn anything_else_is_missing_at_once() {
        for other in ["GET / HTTP/1.1\r\n", "POST ", "PROXX", "PROXY/", "\r\n\r\nGET", "\r\n\r\n\0\r\nQUIT\r", "\x16\x03\x01"] {
            assert_eq!(parse(other.as_bytes()), Err(ProxyHeaderError::Missing), "{other:?}");
        }
        assert_eq!(parse(b""), Ok(None));
    }
}

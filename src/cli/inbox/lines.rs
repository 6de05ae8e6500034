//! The lines of an export, each a JSON object: one that says where it begins, one for each event, and one that says where it ends. Writes
//! and reads them. Does not know where they come from.
//!
//! ```text
//! {"roomkeyInbox":1,"after":CURSOR}
//! {"cursor","id","event","room","received","key","body"}      `bodyBase64` instead of `body` if that is not UTF-8
//! {"end":CURSOR}
//! ```

use std::io::{self, BufRead, BufReader, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::cli::escapes;
use crate::clock::UnixTime;
use crate::inbox::{Cursor, Entry};
use crate::json::{Members, ObjectWriter, name};

/// The version of the form. A program that changes what the lines mean raises it.
const VERSION: u64 = 1;
/// More than a body of 8 MiB takes if all of it is escaped.
const MAX_LINE: u64 = 64 << 20;

/// The first line of an export that begins after `after`.
pub(super) fn begin(after: Cursor) -> String {
    line(|object| {
        object.value(name!("roomkeyInbox"), &VERSION);
        object.value(name!("after"), &after.to_string());
    })
}

pub(super) fn event(entry: &Entry) -> String {
    line(|object| {
        object.value(name!("cursor"), &entry.cursor.to_string());
        object.value(name!("id"), &entry.id);
        object.value(name!("event"), &entry.event);
        object.value(name!("room"), &entry.room);
        object.value(name!("received"), &entry.received.to_rfc3339().to_string());
        object.value(name!("key"), &entry.key);
        match str::from_utf8(&entry.body) {
            Ok(body) => object.value(name!("body"), body),
            Err(_) => object.value(name!("bodyBase64"), &BASE64.encode(&entry.body)),
        }
    })
}

/// The last line of an export that is complete up to `end`.
pub(super) fn end(end: Cursor) -> String {
    line(|object| object.value(name!("end"), &end.to_string()))
}

fn line(write: impl FnOnce(&mut ObjectWriter<'_, Vec<u8>>)) -> String {
    let mut out = Vec::new();
    let mut object = ObjectWriter::begin(&mut out);
    write(&mut object);
    object.end();
    escapes::visible_json(&String::from_utf8_lossy(&out)) + "\n"
}

/// What a line after the first one says.
#[derive(Debug, PartialEq)]
pub(super) enum ExportLine {
    Event(Entry),
    End(Cursor),
}

/// Why a line cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum WrongLine {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("is longer than {MAX_LINE} bytes")]
    TooLong,
    #[error("is not a JSON object")]
    NotAnObject,
    #[error("is not the first line of an export")]
    NoBeginning,
    #[error("says that a newer roomkey made this export")]
    Newer,
    #[error("has no {0:?}, or it is wrong")]
    Member(&'static str),
    #[error("is not after the line before it")]
    OutOfOrder,
    #[error("is missing or cut, so the export is incomplete")]
    Cut,
    #[error("comes after the end of the export")]
    AfterEnd,
}

/// Reads an export, line by line.
pub(super) struct ExportReader<R> {
    source: BufReader<R>,
    line: Vec<u8>,
    /// The number of the line that was read last.
    pub(super) number: u64,
    /// The cursors of the next lines are later.
    after: Cursor,
}

impl<R: Read> ExportReader<R> {
    /// Reads the first line, which says after which cursor the export begins. The error is about line 1.
    pub(super) fn begin(source: R) -> Result<(Self, Cursor), WrongLine> {
        let (mut source, mut line) = (BufReader::new(source), Vec::new());
        read_line(&mut source, &mut line)?;
        let members = Members::parse(&line).or(Err(WrongLine::NoBeginning))?;
        match members.read::<u64>("roomkeyInbox") {
            None => return Err(WrongLine::NoBeginning),
            Some(VERSION) => {}
            Some(_) => return Err(WrongLine::Newer),
        }
        let after = cursor(&members, "after")?;
        Ok((Self { source, line, number: 1, after }, after))
    }

    /// Reads the next line. After the end there must be none.
    pub(super) fn next(&mut self) -> Result<ExportLine, WrongLine> {
        self.number = self.number.saturating_add(1);
        read_line(&mut self.source, &mut self.line)?;
        let members = Members::parse(&self.line).or(Err(WrongLine::NotAnObject))?;
        if members.value("end").is_some() {
            let end = cursor(&members, "end")?;
            if end < self.after {
                return Err(WrongLine::OutOfOrder);
            }
            if !self.source.fill_buf()?.is_empty() {
                self.number = self.number.saturating_add(1);
                return Err(WrongLine::AfterEnd);
            }
            return Ok(ExportLine::End(end));
        }
        let entry = entry(&members)?;
        if entry.cursor <= self.after {
            return Err(WrongLine::OutOfOrder);
        }
        self.after = entry.cursor;
        Ok(ExportLine::Event(entry))
    }
}

/// Reads a whole line.
fn read_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> Result<(), WrongLine> {
    line.clear();
    source.take(MAX_LINE).read_until(b'\n', line)?;
    match line.last() {
        Some(b'\n') => Ok(()),
        _ if u64::try_from(line.len()).is_ok_and(|length| length >= MAX_LINE) => Err(WrongLine::TooLong),
        _ => Err(WrongLine::Cut),
    }
}

fn cursor(members: &Members<'_>, name: &'static str) -> Result<Cursor, WrongLine> {
    members.text(name).and_then(|text| text.parse().ok()).ok_or(WrongLine::Member(name))
}

fn entry(members: &Members<'_>) -> Result<Entry, WrongLine> {
    let text = |name| members.text(name).map(String::from).ok_or(WrongLine::Member(name));
    let received = members.text("received").and_then(|time| humantime::parse_rfc3339(&time).ok());
    let body = match members.text("bodyBase64") {
        Some(body) => BASE64.decode(&*body).or(Err(WrongLine::Member("bodyBase64")))?,
        None => text("body")?.into_bytes(),
    };
    Ok(Entry {
        cursor: cursor(members, "cursor")?,
        id: text("id")?,
        event: text("event")?,
        room: text("room")?,
        received: UnixTime::from_millis(received.map(UnixTime::from).ok_or(WrongLine::Member("received"))?.as_millis()),
        key: text("key")?,
        body: Bytes::from(body),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    fn sample(cursor: &str, body: &[u8]) -> Entry {
        Entry {
            cursor: cursor.parse().unwrap(),
            id: "EV_1\u{202e}\n".to_owned(),
            event: String::new(),
            room: "\u{1b}[31m \"daily\"\t".to_owned(),
            received: UnixTime::from_millis(1_795_317_315_123),
            key: "APIone".to_owned(),
            body: Bytes::copy_from_slice(body),
        }
    }

    #[test]
    fn what_is_written_is_read_again_to_the_byte() {
        let bodies: [&[u8]; 6] =
            [b"", b"{}\r\n ", b"\xff\x00\xfe", b"\x00\x1b\x7f", "\u{feff}\u{2028} \u{10ffff}é".as_bytes(), &[b'\\'; 100_000]];
        let entries = bodies.iter().zip(1..).map(|(body, number)| sample(&format!("{number:016x}"), body));
        let mut text = begin("0000000000000000".parse().unwrap());
        text.extend(entries.clone().map(|entry| event(&entry)));
        text.push_str(&end("0000000000000009".parse().unwrap()));
        assert_eq!(text.lines().count(), 8);
        assert!(!text.contains(|each| each != '\n' && escapes::is_hidden(each)), "a terminal obeys none of it");
        let (mut reader, after) = ExportReader::begin(text.as_bytes()).unwrap();
        assert_eq!(after.to_string(), "0000000000000000");
        for entry in entries {
            assert_eq!(reader.next().unwrap(), ExportLine::Event(entry));
        }
        assert_eq!(reader.next().unwrap(), ExportLine::End("0000000000000009".parse().unwrap()));
    }

    #[test]
    fn an_event_is_a_line_of_this_form() {
        let line = r#"{"cursor":"0000000000000001","id":"EV_1\u202e\n","event":"","room":"\u001b[31m \"daily\"\t","received":"2026-11-22T03:15:15.123Z","key":"APIone","#;
        assert_eq!(event(&sample("0000000000000001", b"{}")), format!("{line}\"body\":\"{{}}\"}}\n"));
        assert_eq!(event(&sample("0000000000000001", b"\xff")), format!("{line}\"bodyBase64\":\"/w==\"}}\n"));
    }
}

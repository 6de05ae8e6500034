//! Finds out how a body was changed between LiveKit and the application: the usual changes, how each is undone, and which proxy or
//! parser makes it. Does not know how a token vouches for a body.

use std::io::Read;
use std::iter::once_with;

use flate2::read::GzDecoder;
use serde::de::IgnoredAny;

use crate::cli::json_spacing::{Spacing, with_spacing};
use crate::json::Members;
use crate::livekit::webhook::Authenticated;

/// The longest body that is searched for one change, and for two. LiveKit's are far shorter.
const MAX_SEARCHED: (usize, usize) = (4 * 1024 * 1024, 1024 * 1024);
/// The most bytes that a compressed body may unpack to. A longer one is not a webhook.
const MAX_UNPACKED: u64 = 4 * 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What was done to a body; and which programs do that, and what helps.
pub(super) type BodyChange = (&'static str, &'static str);
/// What a body may have been before a change; nothing if the body cannot come from that change.
type Undo = fn(&[u8]) -> Vec<Vec<u8>>;

/// The changes to bytes and characters, the likely ones first.
const OF_BYTES: [(Undo, BodyChange); 8] = [
    (
        |body| {
            let stripped = [body.strip_suffix(b"\n"), body.strip_suffix(b"\r\n"), Some(body.trim_ascii_end())];
            stripped.into_iter().flatten().map(<[u8]>::to_vec).collect()
        },
        (
            "a line end was added at the end",
            "editors, `echo` and `jq` add a line end to what they write: keep the bytes, with `printf %s` or by writing the request's raw body",
        ),
    ),
    (
        |body| vec![[body, b"\n"].concat(), [body, b"\r\n"].concat()],
        (
            "the line end at the end was lost",
            "a shell's `$(...)`, `curl -d @file` and a framework's trim drop it: send with `curl --data-binary @file`, and read the raw body",
        ),
    ),
    (
        |body| body.strip_prefix(BYTE_ORDER_MARK).map(<[u8]>::to_vec).into_iter().collect(),
        (
            "a byte order mark (EF BB BF) is in front",
            "an editor or a .NET or PowerShell encoder adds one when it writes UTF-8: write without it",
        ),
    ),
    (
        |body| with_lf(body).map(String::into_bytes).into_iter().collect(),
        ("line ends were made CRLF", "git's autocrlf, Windows editors and FTP's text mode do that: transfer the body as binary"),
    ),
    (
        |body| with_lf(body).map(|lines| lines.replace('\n', "\r\n").into_bytes()).into_iter().collect(),
        ("CRLF line ends were made LF", "git's autocrlf, `dos2unix` and `curl -d @file` do that: transfer the body as binary"),
    ),
    (
        |body| unpacked(body).into_iter().collect(),
        (
            "the body is compressed with gzip",
            "a proxy or a recorder kept the body compressed: LiveKit sends it plain, so undo what compresses requests on the way",
        ),
    ),
    (
        |body| str::from_utf8(body).ok().and_then(latin1_bytes).into_iter().collect(),
        (
            "text was read as Latin-1 and written as UTF-8, so that each character beyond ASCII became two",
            "a program read the UTF-8 bytes as Latin-1 or Windows-1252, and wrote that as UTF-8: read the body as bytes",
        ),
    ),
    (
        |body| vec![body.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()],
        (
            "the text was written as Latin-1 instead of UTF-8",
            "a program wrote the text as Latin-1, a servlet container's default charset: read the body as bytes, or as UTF-8",
        ),
    ),
];

/// The changes that write JSON again, by the spacing that the body has then.
const OF_SPACING: [(&[Spacing], BodyChange); 4] = [
    (
        &[Spacing::Compact],
        (
            "the JSON was written again, without white space",
            "a body parser read it, and JSON.stringify or similar wrote it (Express' json(), a gateway that transforms bodies): verify the raw body, as express.raw() provides it",
        ),
    ),
    (&[Spacing::AfterCommas], ("the JSON was written again, with Go's spacing: blanks after commas", ANY_PARSER)),
    (
        &[Spacing::AfterBoth],
        (
            "the JSON was written again, with blanks after commas and colons",
            "a parser read it, and Python's json.dumps or similar wrote it (request.json in Flask or FastAPI): verify request.get_data() or await request.body()",
        ),
    ),
    (
        &[Spacing::Pretty("  "), Spacing::Pretty("    "), Spacing::Pretty("\t"), Spacing::Pretty(" ")],
        (
            "the JSON was written again, pretty, one line for each member",
            "`jq`, an editor's format on save or a log's pretty printer wrote it: keep the bytes that arrived",
        ),
    ),
];
const OTHER_SPACING: BodyChange = ("the JSON was written again, with other white space", ANY_PARSER);
const OTHER_ESCAPES: BodyChange = (
    "the JSON was written again, with other escapes in its strings",
    "a parser read it, and PHP's json_encode (\\/), Python's json.dumps (\\u00fc), Go's json.Marshal (\\u003c) or similar wrote it: verify the raw body",
);
const ANY_PARSER: &str = "a proxy or framework parsed the body and wrote it again: verify the raw body, before any parser";

/// Looks for one change, and then for two, that give the body that `authenticated` was signed for when they are undone. Returns
/// them in the order in which they are undone; none if there are no such changes.
pub(super) fn changes(authenticated: &Authenticated, body: &[u8]) -> Vec<BodyChange> {
    if body.len() > MAX_SEARCHED.0 {
        return Vec::new();
    }
    let is_original = |(_, original): &(BodyChange, Vec<u8>)| authenticated.vouches_for(original);
    let once: Vec<_> = undone(body).collect();
    if let Some((change, _)) = once.iter().find(|each| is_original(each)) {
        return vec![*change];
    }
    let mut short = once.iter().filter(|(_, between)| between.len() <= MAX_SEARCHED.1);
    let twice = short.find_map(|(first, between)| Some(vec![*first, undone(between).find(is_original)?.0]));
    twice.unwrap_or_default()
}

/// What `body` may have been before one change, each with that change.
fn undone(body: &[u8]) -> impl Iterator<Item = (BodyChange, Vec<u8>)> {
    let bytes = OF_BYTES.iter().flat_map(|(undo, change)| undo(body).into_iter().map(|original| (*change, original)));
    // JSON comes last, because it takes the most time.
    bytes.chain(once_with(|| rewritten(body)).flatten()).filter(move |(_, original)| original != body)
}

/// `body` with all its line ends as LF.
fn with_lf(body: &[u8]) -> Option<String> {
    str::from_utf8(body).ok().map(|text| text.replace("\r\n", "\n"))
}

fn unpacked(body: &[u8]) -> Option<Vec<u8>> {
    const GZIP: &[u8] = &[0x1f, 0x8b]; // RFC 1952, section 2.3.1
    let mut unpacked = Vec::new();
    if !body.starts_with(GZIP) {
        return None;
    }
    let length = GzDecoder::new(body).take(MAX_UNPACKED.saturating_add(1)).read_to_end(&mut unpacked).ok()?;
    u64::try_from(length).is_ok_and(|length| length <= MAX_UNPACKED).then_some(unpacked)
}

/// `body` with the spacings that LiveKit or another sender may have used, with its strings unchanged and with protobuf's few
/// escapes. Empty if it is not JSON.
fn rewritten(body: &[u8]) -> Vec<(BodyChange, Vec<u8>)> {
    const OF_SENDERS: [Spacing; 5] =
        [Spacing::Compact, Spacing::AfterCommas, Spacing::AfterBoth, Spacing::Pretty("  "), Spacing::Pretty("    ")];
    let Some(json) = str::from_utf8(body).ok().filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok()) else {
        return Vec::new();
    };
    let written = json.trim_ascii_end();
    let has = |spacing: &Spacing| with_spacing(written, *spacing, str::to_owned) == written;
    let style = OF_SPACING.iter().find(|(spacings, _)| spacings.iter().any(has));
    let variants =
        |change, string: fn(&str) -> String| OF_SENDERS.map(|spacing| (change, with_spacing(json, spacing, string).into_bytes()));
    let style = style.map_or(OTHER_SPACING, |(_, change)| *change);
    [variants(style, str::to_owned), variants(OTHER_ESCAPES, with_few_escapes)].concat()
}

/// A JSON string with only the escapes that it needs, as protojson writes it.
fn with_few_escapes(string: &str) -> String {
    let text = serde_json::from_str::<String>(string);
    text.and_then(|text| serde_json::to_string(&text)).unwrap_or_else(|_| string.to_owned())
}

/// The bytes of `text` before it was read as Latin-1, or as Windows-1252, which has letters where Latin-1 has control characters.
fn latin1_bytes(text: &str) -> Option<Vec<u8>> {
    /// From 0x80 on; `\0` where there is no letter.
    const WINDOWS_1252: &str = "€\0‚ƒ„…†‡ˆ‰Š‹Œ\0Ž\0\0‘’“”•–—˜™š›œ\0žŸ";
    let byte = |character: char| match u8::try_from(u32::from(character)) {
        Ok(byte) => Some(byte),
        Err(_) => {
            let at = WINDOWS_1252.chars().position(|each| each == character)?;
            u8::try_from(at).ok()?.checked_add(0x80)
        }
    };
    text.chars().map(byte).collect()
}

/// What can be seen in a body whose original cannot be found. `announced_length` is that of the request's head.
pub(super) fn hint(body: &[u8], announced_length: Option<usize>) -> String {
    let hint = match announced_length {
        _ if body.is_empty() => "the body is empty: something read it before it came here",
        Some(announced) if announced != body.len() => {
            let length = body.len();
            return format!(
                "the head announces {announced} bytes and the body has {length}: it was cut, or belongs to another request"
            );
        }
        _ if serde_json::from_slice::<IgnoredAny>(body).is_err() => {
            "the body is not complete JSON: it was cut, or more than its white space was changed"
        }
        _ if String::from_utf8_lossy(body).contains(char::REPLACEMENT_CHARACTER) => {
            "the body contains U+FFFD, with which a program replaces what it cannot read: the original characters are lost"
        }
        _ if is_sorted(body) => {
            "its members are in alphabetical order, as a map or `jq -S` writes them: a parser read the body and wrote it again, so verify the raw body"
        }
        _ => {
            "undoing the usual changes does not give the body that was signed: it belongs to another delivery, or its content was changed"
        }
    };
    hint.to_owned()
}

/// Whether the members of the outer object are in alphabetical order, in which LiveKit never writes them.
fn is_sorted(body: &[u8]) -> bool {
    Members::parse(body).is_ok_and(|members| members.names().count() > 1 && members.names().is_sorted())
}

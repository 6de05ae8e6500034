//! Owns the ways in which a body is changed between LiveKit and the application: how each is undone, and which habit of a proxy
//! or a parser does it. Does not know which body is the right one.

use std::fmt;
use std::io::Read;

use flate2::read::GzDecoder;

use crate::cli::respacing::{Spacing, respaced};

/// Bytes that a compressed body may unpack to; one that is longer is no webhook.
const MAX_UNPACKED: u64 = 4 * 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// One way in which a body is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    Compressed,
    ByteOrderMark,
    NewlineAdded,
    NewlineLost,
    ToCrLf,
    FromCrLf,
    JsonRewritten(Written),
    ReadAsLatin1,
    WrittenAsLatin1,
}

/// How the JSON that came is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Compact,
    AfterCommas,
    AfterBoth,
    Pretty,
    Otherwise,
    /// With other escapes.
    Escaped,
}

impl Damage {
    /// All of them, the likelier and the cheaper ones first.
    pub(super) const ALL: [Self; 9] = [
        Self::NewlineAdded,
        Self::NewlineLost,
        Self::ByteOrderMark,
        Self::ToCrLf,
        Self::FromCrLf,
        Self::Compressed,
        Self::JsonRewritten(Written::Otherwise),
        Self::ReadAsLatin1,
        Self::WrittenAsLatin1,
    ];

    /// What `body` may have been before, and the damage told more exactly.
    pub(super) fn undone(self, body: &[u8]) -> Vec<(Self, Vec<u8>)> {
        let originals = match self {
            Self::Compressed => unpacked(body).into_iter().collect(),
            Self::ByteOrderMark => body.strip_prefix(BYTE_ORDER_MARK).map(<[u8]>::to_vec).into_iter().collect(),
            Self::NewlineAdded => {
                let stripped = [body.strip_suffix(b"\n"), body.strip_suffix(b"\r\n"), Some(body.trim_ascii_end())];
                stripped.into_iter().flatten().map(<[u8]>::to_vec).collect()
            }
            Self::NewlineLost => vec![[body, b"\n"].concat(), [body, b"\r\n"].concat()],
            Self::ToCrLf => text(body).map(|text| text.replace("\r\n", "\n").into_bytes()).into_iter().collect(),
            Self::FromCrLf => {
                text(body).map(|text| text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()).into_iter().collect()
            }
            Self::JsonRewritten(_) => return rewritten(body),
            Self::ReadAsLatin1 => text(body).and_then(latin1_bytes).into_iter().collect(),
            Self::WrittenAsLatin1 => vec![body.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()],
        };
        originals.into_iter().map(|original| (self, original)).collect()
    }

    /// Which program does that, and what helps.
    pub(super) fn habit(self) -> &'static str {
        match self {
            Self::Compressed => {
                "a proxy or a recorder kept the body compressed: LiveKit sends it plain, so undo what compresses requests on the way"
            }
            Self::ByteOrderMark => {
                "an editor or a .NET or PowerShell encoder puts one in front when it writes UTF-8: write it without"
            }
            Self::NewlineAdded => {
                "editors, `echo` and `jq` end what they write with a line end: keep the bytes, with `printf %s` or by writing the request's body raw"
            }
            Self::NewlineLost => {
                "a shell's `$(...)`, `curl -d @file` and a framework's trim drop it: send with `curl --data-binary @file`, and read the raw body"
            }
            Self::ToCrLf => "git's autocrlf, Windows editors and FTP's text mode do that: move the body as binary",
            Self::FromCrLf => "git's autocrlf, `dos2unix` and `curl -d @file` do that: move the body as binary",
            Self::JsonRewritten(Written::Compact) => {
                "a body parser read it and JSON.stringify, or the like, wrote it (Express' json(), a gateway that transforms bodies): verify the raw body, as express.raw() gives it"
            }
            Self::JsonRewritten(Written::AfterBoth) => {
                "Python's json.dumps, or the like, wrote what a parser had read (request.json in Flask or FastAPI): verify request.get_data() or await request.body()"
            }
            Self::JsonRewritten(Written::Pretty) => {
                "`jq`, an editor's format on save or a log's pretty printer wrote it: keep the bytes that came"
            }
            Self::JsonRewritten(Written::Escaped) => {
                "a parser read it and PHP's json_encode (\\/), Python's json.dumps (\\u00fc), Go's json.Marshal (\\u003c), or the like, wrote it: verify the raw body"
            }
            Self::JsonRewritten(Written::AfterCommas | Written::Otherwise) => {
                "a proxy or framework that parses bodies wrote it again: verify the raw body, before any parser"
            }
            Self::ReadAsLatin1 => {
                "a program read the UTF-8 bytes as Latin-1 or Windows-1252, and wrote that as UTF-8: read the body as bytes"
            }
            Self::WrittenAsLatin1 => {
                "a program wrote the text as Latin-1, a servlet container's default charset: read the body as bytes, or as UTF-8"
            }
        }
    }
}

/// What was done to the body.
impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compressed => "the body is compressed with gzip",
            Self::ByteOrderMark => "a byte order mark (EF BB BF) stands in front",
            Self::NewlineAdded => "a line end was added at the end",
            Self::NewlineLost => "the line end at the end was lost",
            Self::ToCrLf => "line ends were made CRLF",
            Self::FromCrLf => "CRLF line ends were made LF",
            Self::JsonRewritten(Written::Compact) => "the JSON was written again, without white space",
            Self::JsonRewritten(Written::AfterCommas) => "the JSON was written again, with Go's spacing: blanks after commas",
            Self::JsonRewritten(Written::AfterBoth) => "the JSON was written again, with blanks after commas and colons",
            Self::JsonRewritten(Written::Pretty) => "the JSON was written again, pretty, a line each member",
            Self::JsonRewritten(Written::Otherwise) => "the JSON was written again, with other white space",
            Self::JsonRewritten(Written::Escaped) => "the JSON was written again, with other escapes in its strings",
            Self::ReadAsLatin1 => "text was read as Latin-1 and written as UTF-8, so that each letter beyond ASCII became two",
            Self::WrittenAsLatin1 => "the text was written as Latin-1 instead of UTF-8",
        })
    }
}

fn text(body: &[u8]) -> Option<&str> {
    str::from_utf8(body).ok()
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

/// The spacings in which LiveKit, or who sends in its name, may have written the JSON, strings as they are and with protobuf's
/// few escapes.
fn rewritten(body: &[u8]) -> Vec<(Damage, Vec<u8>)> {
    let Some(json) = text(body).filter(|json| serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok()) else {
        return Vec::new();
    };
    let spacings = [Spacing::Compact, Spacing::AfterCommas, Spacing::AfterBoth, Spacing::Pretty("  "), Spacing::Pretty("    ")];
    let damage = Damage::JsonRewritten(written(json));
    let as_it_is = spacings.map(|spacing| respaced(json, spacing, str::to_owned));
    let with_few_escapes = spacings.map(|spacing| respaced(json, spacing, with_few_escapes));
    let escaped = with_few_escapes.map(|original| (Damage::JsonRewritten(Written::Escaped), original.into_bytes()));
    as_it_is.map(|original| (damage, original.into_bytes())).into_iter().chain(escaped).collect()
}

/// How `json` is written.
fn written(json: &str) -> Written {
    let json = json.trim_ascii_end();
    let is = |spacing| respaced(json, spacing, str::to_owned) == json;
    if is(Spacing::Compact) {
        Written::Compact
    } else if is(Spacing::AfterCommas) {
        Written::AfterCommas
    } else if is(Spacing::AfterBoth) {
        Written::AfterBoth
    } else if [Spacing::Pretty("  "), Spacing::Pretty("    "), Spacing::Pretty("\t"), Spacing::Pretty(" ")].into_iter().any(is) {
        Written::Pretty
    } else {
        Written::Otherwise
    }
}

/// A JSON string with no escapes but those that it needs, as protojson writes it.
fn with_few_escapes(string: &str) -> String {
    let text = serde_json::from_str::<String>(string);
    text.and_then(|text| serde_json::to_string(&text)).unwrap_or_else(|_| string.to_owned())
}

/// The bytes that `text` had before they were read as Latin-1, or as Windows-1252, which has letters where Latin-1 has controls.
fn latin1_bytes(text: &str) -> Option<Vec<u8>> {
    /// From 0x80 on; what is `\0` there has no letter.
    const WINDOWS_1252: &str = "€\0‚ƒ„…†‡ˆ‰Š‹Œ\0Ž\0\0‘’“”•–—˜™š›œ\0žŸ";
    let byte = |letter: char| match u8::try_from(u32::from(letter)) {
        Ok(byte) => Some(byte),
        Err(_) => {
            let at = WINDOWS_1252.chars().position(|each| each == letter)?;
            u8::try_from(at).ok()?.checked_add(0x80)
        }
    };
    text.chars().map(byte).collect()
}

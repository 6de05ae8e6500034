//! Redacts the secrets in a webhook's payload, for readers that may see the rest. Works on bytes, so that the rest is unchanged.
//! [`secret_fields`](crate::livekit::secret_fields) says which members hold a secret, [`secret_urls`] which part of a URL is one.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;

use crate::livekit::secret_fields::{PROXY, is_applications, is_error, is_secret, is_url};
use crate::livekit::secret_urls;

/// What replaces a secret, without the quotes that a whole value needs.
const REDACTED: &[u8] = b"[redacted]";

/// `json` with every secret replaced, at any depth: whole values, and parts of URLs.
pub(crate) fn redact(json: &[u8]) -> Cow<'_, [u8]> {
    let mut copy = RedactedCopy { json, made: Vec::new(), copied: 0 };
    let mut outer: Vec<Place> = Vec::new();
    let mut here = Place::default();
    let mut at = 0;
    while let Some(found) = find(json, at, |byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']')) {
        at = found.saturating_add(1);
        match json.get(found) {
            Some(b'{' | b'[') => outer.push(here),
            Some(b'}' | b']') => here = outer.pop().unwrap_or_default(),
            _ => {
                let string = at..closing_quote(json, at);
                at = string.end.saturating_add(1);
                // A string is a member's name if and only if a colon follows.
                let colon = skip_white_space(json, at);
                if json.get(colon) != Some(&b':') {
                    copy.string(string, here.secrets_of);
                    continue;
                }
                let name = name(json.get(string).unwrap_or_default());
                let in_proxy = outer.last().is_some_and(|place| place.in_proxy);
                let value = skip_white_space(json, colon.saturating_add(1));
                if is_applications(&name) {
                    at = end_of_value(json, value).unwrap_or(value);
                } else if is_secret(&name, in_proxy) {
                    at = end_of_value(json, value).unwrap_or(json.len());
                    copy.replace(value..at, &[b"\"", REDACTED, b"\""].concat());
                }
                here = Place { secrets_of: secrets_of(&name), in_proxy: in_proxy || name == PROXY };
            }
        }
    }
    copy.finish()
}

/// What the names around a value say about it.
#[derive(Clone, Copy, Default)]
struct Place {
    secrets_of: Option<SecretsOf>,
    in_proxy: bool,
}

/// Finds the secrets in a string.
type SecretsOf = fn(&[u8]) -> Vec<Range<usize>>;

/// How to find the secrets of a string in the member `name`, or in a list in it; `None` if it is neither a URL nor an error.
fn secrets_of(name: &str) -> Option<SecretsOf> {
    if is_url(name) { Some(secret_urls::in_url) } else { is_error(name).then_some(secret_urls::in_text) }
}

/// A copy of the payload, made only if something is replaced.
struct RedactedCopy<'a> {
    json: &'a [u8],
    made: Vec<u8>,
    /// `made` is complete up to here.
    copied: usize,
}

impl<'a> RedactedCopy<'a> {
    fn replace(&mut self, span: Range<usize>, replacement: &[u8]) {
        self.made.reserve(self.json.len().saturating_sub(self.copied));
        self.made.extend_from_slice(self.json.get(self.copied..span.start).unwrap_or_default());
        self.made.extend_from_slice(replacement);
        self.copied = span.end;
    }

    /// Replaces what is secret in the string at `span`, whose quotes are outside.
    fn string(&mut self, span: Range<usize>, secrets_of: Option<SecretsOf>) {
        let written = self.json.get(span.clone()).unwrap_or_default();
        let secrets_of = match secrets_of {
            Some(secrets_of) => secrets_of,
            None if written.iter().any(|byte| matches!(byte, b':' | b'\\')) => secret_urls::in_streams,
            None => return,
        };
        let text: Vec<u8> = unescaped(written).map(|(byte, _)| byte).collect();
        let mut lengths = unescaped(written).map(|(_, length)| length);
        let mut skip = |count| lengths.by_ref().take(count).fold(0, usize::saturating_add);
        let (mut index, mut at) = (0, span.start);
        for secret in secrets_of(&text) {
            let start = at.saturating_add(skip(secret.start.saturating_sub(index)));
            at = start.saturating_add(skip(secret.len()));
            index = secret.end;
            self.replace(start..at, REDACTED);
        }
    }

    fn finish(mut self) -> Cow<'a, [u8]> {
        if self.copied == 0 {
            return Cow::Borrowed(self.json);
        }
        self.made.extend_from_slice(self.json.get(self.copied..).unwrap_or_default());
        Cow::Owned(self.made)
    }
}

/// A member's name as it is `written` in JSON, without its escapes.
fn name(written: &[u8]) -> Cow<'_, str> {
    if written.contains(&b'\\') {
        unescaped(written).map(|(byte, _)| char::from(byte)).collect()
    } else {
        String::from_utf8_lossy(written)
    }
}

/// The bytes of a string that is `written` in JSON, each with the length of its written form. An escape yields the byte that it stands
/// for, or 0xff if that is not ASCII.
fn unescaped(written: &[u8]) -> impl Iterator<Item = (u8, usize)> {
    let mut rest = written;
    std::iter::from_fn(move || {
        let (byte, length) = match rest {
            [] => return None,
            [b'\\', b'u', hex @ ..] => {
                let digits = hex.get(..4).and_then(|digits| str::from_utf8(digits).ok());
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                (byte.filter(u8::is_ascii).unwrap_or(0xff), 6)
            }
            [b'\\', escaped, ..] => match escaped {
                b'b' => (0x08, 2),
                b'f' => (0x0c, 2),
                b'n' => (b'\n', 2),
                b'r' => (b'\r', 2),
                b't' => (b'\t', 2),
                itself => (*itself, 2),
            },
            [byte, ..] => (*byte, 1),
        };
        let length = length.min(rest.len());
        rest = rest.get(length..).unwrap_or_default();
        Some((byte, length))
    })
}

/// The first byte from `from` on that `is_wanted`.
fn find(json: &[u8], from: usize, is_wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let found = json.get(from..)?.iter().position(|byte| is_wanted(*byte))?;
    Some(from.saturating_add(found))
}

fn skip_white_space(json: &[u8], from: usize) -> usize {
    find(json, from, |byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).unwrap_or(json.len())
}

/// The place of the quote that closes the string whose first byte is at `from`.
fn closing_quote(json: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(found) = find(json, at, |byte| matches!(byte, b'"' | b'\\')) {
        if json.get(found) == Some(&b'"') {
            return found;
        }
        at = found.saturating_add(2);
    }
    json.len()
}

/// The place after the value that begins at `from`; `None` if that is not JSON. The reader does not recurse, so no depth is too deep.
fn end_of_value(json: &[u8], from: usize) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_slice(json.get(from..)?).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(from.saturating_add(values.byte_offset()))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::{redact, unescaped};

    fn redacted(json: &str) -> String {
        String::from_utf8_lossy(&redact(json.as_bytes())).into_owned()
    }

    #[test]
    fn a_secret_is_replaced_whatever_it_is() {
        for value in [
            r#""secret""#,
            r#""with \" and \\""#,
            "\"\"",
            "12.5e3",
            "null",
            "true",
            "[1,[2],{\"a\":\"}\"}]",
            "{\"a\":[\"]\"],\"b\":{}}",
            "{}",
        ] {
            for name in ["turnPassword", "turn_password", "streamKey", "stream_key", r"\u0074urnPassword", r"stream\u004bey"] {
                for (before, after) in [("", ""), (" ", " "), ("\r\n\t", "\n")] {
                    let json = format!(r#"{{"a":1,"{name}"{before}:{before}{value}{after},"b":"c"}}"#);
                    let expected = format!(r#"{{"a":1,"{name}"{before}:{before}"[redacted]"{after},"b":"c"}}"#);
                    assert_eq!(redacted(&json), expected);
                    let json = format!(r#"[{{"x":{{"{name}":{before}{value}}}}}]"#);
                    assert_eq!(redacted(&json), format!(r#"[{{"x":{{"{name}":{before}"[redacted]"}}}}]"#));
                }
            }
        }
    }

    #[test]
    fn the_rest_stays_to_the_byte() {
        for json in [
            r#"{"turnPasswords":"a","urnPassword":"b","streamkey":"c","x":"streamKey","y":["turnPassword"],"\"streamKey":1}"#,
            r#"{ "text" : "\"streamKey\":\"shown\"" , "n":"\\" }"#,
            r#"{"a":"turnPassword","b":{"c":[{"d":"é\u0000"}]}}"#,
            "",
            "12",
            "\"streamKey\"",
        ] {
            assert_eq!(redacted(json), json);
        }
    }

    #[test]
    fn at_any_depth_and_each_time() {
        let depth = 100_000;
        let nest = |value: &str| {
            let open = r#"[{"x":"#.repeat(depth);
            format!("{open}{{\"streamKey\":{value},\"streamKey\":{value}}}{}", "}]".repeat(depth))
        };
        assert_eq!(redacted(&nest("\"k\"")), nest("\"[redacted]\""));
        // A secret that itself nests deeply is one value.
        let deep = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(redacted(&nest(&deep)), nest("\"[redacted]\""));
    }

    #[test]
    fn each_member_by_its_name() {
        for (json, shown) in [
            // Whole values.
            (
                r#"{"secret":"a","session_token":["b"],"assumeRoleExternalId":{}}"#,
                r#"{"secret":"*","session_token":"*","assumeRoleExternalId":"*"}"#,
            ),
            (
                r#"{"gcp":{"credentials":"{\"a\":1}"},"azure":{"account_key":"k"}}"#,
                r#"{"gcp":{"credentials":"*"},"azure":{"account_key":"*"}}"#,
            ),
            (
                r#"{"proxy":{"username":"u","password":"p"},"password":"q"}"#,
                r#"{"proxy":{"username":"u","password":"*"},"password":"q"}"#,
            ),
            (
                r#"{"proxy":[{"x":{"password":"p"}}],"x":[{"password":"q"}]}"#,
                r#"{"proxy":[{"x":{"password":"*"}}],"x":[{"password":"q"}]}"#,
            ),
            (
                r#"{"proxy":{"proxy":{},"x":[],"password":1},"x":{"password":2}}"#,
                r#"{"proxy":{"proxy":{},"x":[],"password":"*"},"x":{"password":2}}"#,
            ),
            // URLs.
            (r#"{"url":"https://u:p@h/x?y","x":"https://u:p@h/x?y"}"#, r#"{"url":"https://*@h/x?*","x":"https://u:p@h/x?y"}"#),
            (
                r#"{"custom_base_url":"h?q","websocketUrl":"h?q","location":"h?q"}"#,
                r#"{"custom_base_url":"h?*","websocketUrl":"h?*","location":"h?*"}"#,
            ),
            (
                r#"{"playlistLocation":"h?q","endpoint":"u@h","proxy":"u:p@h"}"#,
                r#"{"playlistLocation":"h?*","endpoint":"*@h","proxy":"*@h"}"#,
            ),
            (r#"{"urls":["rtmp://h/k",["h?q"]],"x":["h?q"]}"#, r#"{"urls":["rtmp://h/*",["h?*"]],"x":["h?q"]}"#),
            (r#"{"urls":["h?q",{"x":"h?q"},"h?q"],"curl":"h?q"}"#, r#"{"urls":["h?*",{"x":"h?q"},"h?*"],"curl":"h?q"}"#),
            // However they are written.
            (r#"{"ur\u006c":"https:\/\/u\u003ap\u0040h\/x\u003fy\""}"#, r#"{"ur\u006c":"https:\/\/*\u0040h\/x\u003f*"}"#),
            (r#"{"url":"https:\/\/h\/\ud83d\ude00é?\ud83d"}"#, r#"{"url":"https:\/\/h\/\ud83d\ude00é?*"}"#),
            // Streams wherever they are.
            (
                r#"{"x":["at rtmp:\/\/h\/a\/k"],"name":"\u0073rt://h?q","y":"rtmp:k"}"#,
                r#"{"x":["at rtmp:\/\/h\/a\/*"],"name":"\u0073rt://h?*","y":"rtmp:k"}"#,
            ),
            // Texts of errors.
            (
                r#"{"error":"Get \"https://u:p@h/x?y\": no","status":"https://h?q"}"#,
                r#"{"error":"Get \"https://*@h/x?*\": no","status":"https://h?q"}"#,
            ),
            (
                r#"{"details":"at rtmp://h/a/k\nand","lastErrorText":"https://h?q","x":{"errors":["https://h?q"]}}"#,
                r#"{"details":"at rtmp://h/a/*\nand","lastErrorText":"https://h?*","x":{"errors":["https://h?*"]}}"#,
            ),
            (
                r#"{"error":"who? a@b.example/c?d","reason":"https://h?q","message":"https://h?q"}"#,
                r#"{"error":"who? a@b.example/c?d","reason":"https://h?*","message":"https://h?*"}"#,
            ),
            // What is the application's own.
            (
                r#"{"participantMetadata":"rtmp://h/a/k","participant_metadata":{"url":"h?q"}}"#,
                r#"{"participantMetadata":"rtmp://h/a/k","participant_metadata":{"url":"h?q"}}"#,
            ),
            (
                r#"{"metadata":{"url":"h?q","x":[{"secret":1}]},"url":"h?q"}"#,
                r#"{"metadata":{"url":"h?q","x":[{"secret":1}]},"url":"h?*"}"#,
            ),
            (
                r#"{"attributes":{"url":"h?q","error":"https://h?q"},"metadata":"{\"url\":\"h?q\"}"}"#,
                r#"{"attributes":{"url":"h?q","error":"https://h?q"},"metadata":"{\"url\":\"h?q\"}"}"#,
            ),
        ] {
            assert_eq!(redacted(json), shown.replace('*', "[redacted]"));
        }
    }

    /// Random numbers that are the same each time.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % bound
        }

        fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
            all[self.below(all.len())]
        }

        /// `text` in JSON, each byte of it plain or as an escape.
        fn written(&mut self, text: &str) -> String {
            let letters = text.chars().map(|letter| match self.below(8) {
                0 => format!("\\u{:04x}", u32::from(letter)),
                1 if letter == '/' => "\\/".to_owned(),
                _ => letter.to_string(),
            });
            letters.collect()
        }

        /// A member and how it is to be shown.
        fn member(&mut self, depth: usize) -> [String; 2] {
            let (name, template) = match self.below(8) {
                0 if depth > 0 => return self.nested(depth),
                0 | 1 => {
                    (self.one_of(&["turnPassword", "stream_key", "secret", "session_token", "accountKey", "credentials"]), "<*>")
                }
                2 => {
                    (self.one_of(&["url", "custom_base_url", "websocketUrl", "location"]), "\"https://<*>@h.example/a/b@c?<*>\"")
                }
                3 => (self.one_of(&["url", "streamUrl"]), "\"rtmps://<*>@[::1]:443/app/<*>?<*>\""),
                4 => (self.one_of(&["error", "details"]), "\"at srt://h.example:9000?<*> and https://<*>@h/x: no\""),
                5 => (self.one_of(&["urls", "add_output_urls"]), "[\"https://h/#<*>\" , \"rtmp://h/app/<*>\"]"),
                6 => (self.one_of(&["name", "output"]), "\"see rtmp://<*>@h:1935/app/<*>, or https://h/x?y\""),
                _ => (self.one_of(&["metadata", "name", "attributes", "filepath"]), "\"https://user:word@h/x?y\""),
            };
            let pieces: Vec<&str> = template.split("<*>").collect();
            let mut both = [String::new(), String::new()];
            for (index, piece) in pieces.iter().enumerate() {
                let quotes = template == "<*>";
                if index > 0 {
                    let secret = format!("s3cr3t{}", self.below(1000));
                    let secret = self.written(&secret);
                    both[0] += &if quotes { format!("\"{secret}\"") } else { secret };
                    both[1] += if quotes { "\"[redacted]\"" } else { "[redacted]" };
                }
                let is_list = template.starts_with('[');
                let piece = if is_list || piece.contains('"') { (*piece).to_owned() } else { self.written(piece) };
                both.iter_mut().for_each(|json| *json += &piece);
            }
            let name = self.written(name);
            let space = self.one_of(&["", " ", "\r\n\t"]);
            both.map(|value| format!("\"{name}\"{space}:{space}{value}"))
        }

        fn nested(&mut self, depth: usize) -> [String; 2] {
            let name = self.one_of(&["x", "egressInfo", "s3", "outputs", "proxy"]);
            let is_list = self.below(2) == 0;
            self.object(depth - 1).map(|object| format!("\"{name}\":{}", if is_list { format!("[ {object}]") } else { object }))
        }

        fn object(&mut self, depth: usize) -> [String; 2] {
            let members: Vec<_> = (0..self.below(6)).map(|_| self.member(depth)).collect();
            [0, 1].map(|which| format!("{{{}}}", members.iter().map(|both| both[which].as_str()).collect::<Vec<_>>().join(",")))
        }
    }

    #[test]
    fn any_document_loses_its_secrets_and_nothing_else() {
        let mut random = Random(1);
        let mut hidden = 0;
        for _ in 0..1000 {
            let [json, shown] = random.object(6);
            assert!(serde_json::from_str::<&serde_json::value::RawValue>(&json).is_ok(), "{json}");
            let once = redacted(&json);
            assert_eq!(once, shown, "{json}");
            assert_eq!(redacted(&once), once, "{json}");
            hidden += shown.matches("[redacted]").count();
            // Whatever is cut off or changed, it ends, and does not panic.
            let mut bytes = json.into_bytes();
            bytes.truncate(random.below(bytes.len()));
            redact(&bytes);
            if let Some(place) = bytes.len().checked_sub(1).map(|last| random.below(last + 1)) {
                bytes[place] = b"\"\\{}[]:,/@?#u"[random.below(13)];
                redact(&bytes);
            }
        }
        assert!(hidden > 1000, "only {hidden}");
    }

    #[test]
    fn a_letter_is_what_its_escape_stands_for() {
        let written = r#"a\/\"\\\n\u0040\u00e9\ud83d\u002x\u"#;
        let read: Vec<_> = unescaped(written.as_bytes()).collect();
        let lengths = read.iter().map(|(_, length)| length).sum::<usize>();
        let letters: Vec<_> = read.into_iter().map(|(letter, _)| letter).collect();
        assert_eq!((letters.as_slice(), lengths), (&b"a/\"\\\n@\xff\xff\xff\xff"[..], written.len()));
    }

    #[test]
    fn what_is_no_json_does_no_harm() {
        for text in [
            "{\"streamKey\":",
            "{\"streamKey\"",
            "{\"streamKey",
            "\"streamKey\":\"a",
            "\"\\",
            "\"a\\\"",
            "}]]]",
            ":\"",
            "\"streamKey\":[[[",
        ] {
            redacted(text);
        }
        assert_eq!(redacted("{\"streamKey\":\"cut"), "{\"streamKey\":\"[redacted]\"");
    }
}

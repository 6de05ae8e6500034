//! Owns what is secret in a webhook's payload, and its replacement wherever a payload is shown to one who may see the rest.
//! Works on bytes, so that the rest stays as it came.

use std::borrow::Cow;

/// The members that hold a secret (livekit/protocol `livekit_models.proto` `Room.turn_password`, `livekit_ingress.proto`
/// `IngressInfo.stream_key`), as protobuf's JSON writes them and as it also reads them.
const SECRETS: [&str; 4] = ["turnPassword", "turn_password", "streamKey", "stream_key"];
/// What stands in a secret's place.
const REDACTED: &[u8] = br#""[redacted]""#;

/// `json` with the values of all members that hold a secret replaced, at any depth and whatever they are.
pub(crate) fn redact(json: &[u8]) -> Cow<'_, [u8]> {
    let mut shown: Option<Vec<u8>> = None;
    let mut copied = 0;
    let mut at = 0;
    while let Some(quote) = find(json, at, |byte| byte == b'"') {
        let end = end_of_string(json, quote);
        at = end;
        // A string before a colon is a member's name, and no other is.
        let colon = skip_white_space(json, end);
        if json.get(colon) != Some(&b':') || !is_secret(json.get(quote..end).unwrap_or_default()) {
            continue;
        }
        let value = skip_white_space(json, colon.saturating_add(1));
        at = end_of_value(json, value);
        let shown = shown.get_or_insert_with(|| Vec::with_capacity(json.len()));
        shown.extend_from_slice(json.get(copied..value).unwrap_or_default());
        shown.extend_from_slice(REDACTED);
        copied = at;
    }
    match shown {
        None => Cow::Borrowed(json),
        Some(mut shown) => {
            shown.extend_from_slice(json.get(copied..).unwrap_or_default());
            Cow::Owned(shown)
        }
    }
}

/// Whether `name`, quotes included, names a secret. Escapes count as what they stand for.
fn is_secret(name: &[u8]) -> bool {
    if !name.contains(&b'\\') {
        let name = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name);
        return SECRETS.iter().any(|secret| secret.as_bytes() == name);
    }
    serde_json::from_slice::<String>(name).is_ok_and(|name| SECRETS.contains(&&*name))
}

/// The first byte from `from` on that `is_wanted`.
fn find(json: &[u8], from: usize, is_wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let found = json.get(from..)?.iter().position(|byte| is_wanted(*byte))?;
    Some(from.saturating_add(found))
}

fn skip_white_space(json: &[u8], from: usize) -> usize {
    find(json, from, |byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).unwrap_or(json.len())
}

/// Behind the string whose opening quote is at `quote`.
fn end_of_string(json: &[u8], quote: usize) -> usize {
    let mut at = quote.saturating_add(1);
    while let Some(found) = find(json, at, |byte| matches!(byte, b'"' | b'\\')) {
        let length = if json.get(found) == Some(&b'"') { 1 } else { 2 };
        at = found.saturating_add(length);
        if length == 1 {
            return at;
        }
    }
    json.len()
}

/// Behind the value that begins at `from`. What nests is counted and not descended into, so that no depth is too deep.
fn end_of_value(json: &[u8], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0_usize);
    while let Some(byte) = json.get(at) {
        let next = at.saturating_add(1);
        let ends_here = depth == 0;
        at = match byte {
            b'"' => end_of_string(json, at),
            b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' if ends_here => return at,
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                next
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                next
            }
            _ => next,
        };
        if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
            return at;
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::redact;

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

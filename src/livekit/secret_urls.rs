//! Finds what is secret in a URL: the userinfo, everything after `?` or `#`, and a stream key, which is the last segment of the path.
//! Reads what programs write and people type, not only what RFC 3986 allows. A part that could be a secret counts as one. Does not
//! know JSON.

use std::ops::Range;

type Span = Range<usize>;

/// The secret parts of `url`, in order.
pub(crate) fn in_url(url: &[u8]) -> Vec<Span> {
    let start = find(url, 0, |byte| !byte.is_ascii_whitespace());
    let trimmed = url.trim_ascii_end();
    let mut spans = Vec::new();
    if trimmed.iter().skip(start).any(u8::is_ascii_control) {
        push(&mut spans, start..trimmed.len()); // programs differ in how they read it
    } else {
        collect(trimmed, start, &mut spans);
    }
    spans
}

/// Whether `url` has a credential. A query does not count, because it rarely is one.
pub(crate) fn bears_credentials(url: &[u8]) -> bool {
    let follows = |span: &Span| span.start.checked_sub(1).and_then(|before| url.get(before));
    in_url(url).iter().any(|span| !matches!(follows(span), Some(b'?' | b'#')))
}

/// The secret parts of the URLs in `text`, in order.
#[cfg(feature = "server")]
pub(crate) fn in_text(text: &[u8]) -> Vec<Span> {
    in_urls(text, |_| true)
}

/// The secret parts of the stream URLs in `text`, in order. They are redacted in every string.
#[cfg(feature = "server")]
pub(crate) fn in_streams(text: &[u8]) -> Vec<Span> {
    in_urls(text, |scheme| is_stream(scheme) || is_shorthand(scheme))
}

/// The secret parts of those URLs in `text` whose scheme `is_wanted`.
#[cfg(feature = "server")]
fn in_urls(text: &[u8], is_wanted: fn(&[u8]) -> bool) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some((colon, authority)) = find_authority(text, from) {
        let before = text.get(from..colon).unwrap_or_default();
        let length = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let start = colon.saturating_sub(length);
        from = authority;
        if is_wanted(text.get(start..colon).unwrap_or_default()) {
            from = match start.checked_sub(1).and_then(|before| text.get(before)) {
                Some(quote @ (b'"' | b'`')) => end_of_quoted(text, authority, *quote),
                Some(b'<') => end_of_quoted(text, authority, b'>'),
                _ => end_of_word(text, authority),
            };
            collect(text.get(..from).unwrap_or_default(), start, &mut spans);
        }
    }
    spans
}

/// The end of a URL in quotes. It may hold white space, and quotes after a backslash.
#[cfg(feature = "server")]
fn end_of_quoted(text: &[u8], from: usize, quote: u8) -> usize {
    let mut at = from;
    while let Some(byte) = text.get(at).filter(|byte| **byte != quote) {
        at = at.saturating_add(if *byte == b'\\' { 2 } else { 1 });
    }
    at.min(text.len())
}

/// The end of a URL without quotes. Punctuation after it does not belong to it, nor does a bracket that it did not open.
#[cfg(feature = "server")]
fn end_of_word(text: &[u8], from: usize) -> usize {
    let end = find(text, from, |byte| byte <= b' ');
    let word = text.get(from..end).unwrap_or_default();
    let is_punctuation = |byte: &&u8| match byte {
        b')' => !word.contains(&b'('),
        b']' => !word.contains(&b'['),
        other => b".,:;!'\"<>`".contains(other),
    };
    end.saturating_sub(word.iter().rev().take_while(is_punctuation).count())
}

/// Appends the secret parts of the URL from `start` to the end of `text`.
fn collect(text: &[u8], start: usize, spans: &mut Vec<Span>) {
    let (scheme, authority) = split_scheme(text, start);
    let tail = find(text, authority, |byte| matches!(byte, b'?' | b'#'));
    let path = find(text, authority, is_slash).min(tail);
    let rest = text.get(path..).unwrap_or_default();
    let userinfo = last_at(text, authority, path);
    let host = text.get(userinfo.map_or(authority, |at| at.saturating_add(1))..path).unwrap_or_default();
    // If a name or a password holds an unescaped slash or question mark, then what looks like a port is not a number.
    let is_doubtful = !has_sound_port(host) && rest.contains(&b'@');
    if is_doubtful || is_shorthand(scheme) {
        return push(spans, authority..text.len());
    }
    let key = if is_stream(scheme) { last_segment(text, path, tail) } else { tail..tail };
    // The path of a URL may contain another URL.
    let (mut from, mut until) = (authority, path);
    loop {
        push(spans, from..last_at(text, from, until).unwrap_or(from));
        match find_authority(text.get(..key.start).unwrap_or_default(), until) {
            Some((_, next)) => (from, until) = (next, find(text, next, is_slash).min(key.start)),
            None => break,
        }
    }
    push(spans, key);
    push(spans, tail.saturating_add(1)..text.len());
}

/// The scheme of the URL at `start`, and the start of its authority. Any number of slashes may be between them. Without a scheme, a
/// single slash begins a path.
fn split_scheme(text: &[u8], start: usize) -> (&[u8], usize) {
    let colon = find(text, start, |byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(&byte));
    let scheme = text.get(start..colon).unwrap_or_default();
    let slashes = colon.saturating_add(1);
    let authority = find(text, slashes, |byte| !is_slash(byte));
    if text.get(colon) == Some(&b':') && (authority > slashes || is_stream(scheme)) {
        return (scheme, authority);
    }
    let authority = find(text, start, |byte| !is_slash(byte));
    (&[], if authority.saturating_sub(start) == 1 { start } else { authority })
}

/// Whether URLs with this `scheme` have a stream key in their path: `rtmp` and its variants, and `srt`.
fn is_stream(scheme: &[u8]) -> bool {
    scheme.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"rtmp")) || scheme.eq_ignore_ascii_case(b"srt")
}

/// Whether LiveKit's egress reads the host of URLs with this `scheme` as a stream key.
fn is_shorthand(scheme: &[u8]) -> bool {
    ["mux", "twitch"].iter().any(|each| scheme.eq_ignore_ascii_case(each.as_bytes()))
}

/// Whether `host` has no port, or one that is a number.
fn has_sound_port(host: &[u8]) -> bool {
    let name = if host.starts_with(b"[") { find(host, 0, |byte| byte == b']').saturating_add(1) } else { 0 };
    let colon = find(host, name, |byte| byte == b':');
    host.get(colon.saturating_add(1)..).unwrap_or_default().iter().all(u8::is_ascii_digit)
}

/// The last segment from `path` to `tail` that is not empty.
fn last_segment(text: &[u8], path: usize, tail: usize) -> Span {
    let segments = text.get(path..tail).unwrap_or_default();
    let end = segments.iter().rposition(|byte| !is_slash(*byte)).map_or(0, |last| last.saturating_add(1));
    let before = segments.get(..end).unwrap_or_default().iter().rposition(|byte| is_slash(*byte));
    let start = before.map_or(end, |slash| slash.saturating_add(1));
    path.saturating_add(start)..path.saturating_add(end)
}

/// The next colon from `from` on that two or more slashes follow, and the end of these.
fn find_authority(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let begins = |three: &[u8]| matches!(three, [b':', one, two] if is_slash(*one) && is_slash(*two));
    let colon = from.saturating_add(text.get(from..)?.windows(3).position(begins)?);
    Some((colon, find(text, colon.saturating_add(1), |byte| !is_slash(byte))))
}

fn last_at(text: &[u8], from: usize, until: usize) -> Option<usize> {
    let at = text.get(from..until)?.iter().rposition(|byte| *byte == b'@')?;
    Some(from.saturating_add(at))
}

/// Browsers read a backslash as a slash.
fn is_slash(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// The first place from `from` on whose byte `is_wanted`, or the end of `text`.
fn find(text: &[u8], from: usize, is_wanted: impl Fn(u8) -> bool) -> usize {
    let found = text.get(from..).unwrap_or_default().iter().position(|byte| is_wanted(*byte));
    found.map_or(text.len(), |found| from.saturating_add(found))
}

fn push(spans: &mut Vec<Span>, span: Span) {
    if !span.is_empty() {
        spans.push(span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text` with an asterisk in the place of each span.
    fn hidden(text: &str, spans: &[Span]) -> String {
        let mut shown = String::new();
        let mut from = 0;
        for span in spans {
            assert!(from <= span.start && span.start < span.end, "{text}: {spans:?}");
            shown.push_str(text.get(from..span.start).unwrap_or("cut"));
            shown.push('*');
            from = span.end;
        }
        shown + text.get(from..).unwrap_or("cut")
    }

    #[cfg(feature = "server")]
    #[test]
    fn brackets_and_quotes_do_not_end_a_url_without_quotes() {
        for (text, shown) in [
            ("could not push to rtmp://u:pa>s@h/live/k", "could not push to rtmp://*@h/live/*"),
            ("https://u:p>s@h/x failed", "https://*@h/x failed"),
            ("rtmp://h/live/ab>s bad", "rtmp://h/live/* bad"),
            ("rtmp://h/live/ab\"s bad", "rtmp://h/live/* bad"),
            ("see <https://h/x?sig=a<b> or \"https://h/y?z\".", "see <https://h/x?*> or \"https://h/y?*\"."),
        ] {
            assert_eq!(hidden(text, &in_text(text.as_bytes())), shown);
        }
    }

    #[test]
    fn the_secrets_of_a_url() {
        for (url, shown) in [
            ("", ""),
            ("https://example.com:443/a/b.mp4", "https://example.com:443/a/b.mp4"),
            ("https://u:p@example.com/a?b=c&d=e", "https://*@example.com/a?*"),
            ("https://u@example.com", "https://*@example.com"),
            ("https://@example.com/?", "https://@example.com/?"),
            ("https://u:p@q@example.com/x@y", "https://*@example.com/x@y"),
            ("https://example.com/a#b?c", "https://example.com/a#*"),
            ("https://example.com?a=b@c/d#e", "https://example.com?*"),
            ("wss://[::1]:80/x?y", "wss://[::1]:80/x?*"),
            ("https://u:p@[2001:db8::1]/x", "https://*@[2001:db8::1]/x"),
            ("  https://u:p@h/x?y  ", "  https://*@h/x?*  "),
            // What is no URL by the book.
            ("HTTPS:\\\\u:p@h\\x?y", "HTTPS:\\\\*@h\\x?*"),
            ("https:u:p@h/x", "*@h/x"),
            ("https:/u:p@h/x", "https:/*@h/x"),
            ("https:///u:p@h/x", "https:///*@h/x"),
            ("//u:p@h/x?y", "//*@h/x?*"),
            ("u:p@h/x?y", "*@h/x?*"),
            ("://u:p@h/x?y", "://*@h/x?*"),
            ("https://u:p/q@h/x", "https://*"),
            ("https://u:p?q@h/x", "https://*"),
            ("https://u:p#q@h/x", "https://*"),
            ("https://a@u:p/q@h/x", "https://*"),
            ("https://h:x/y", "https://h:x/y"),
            ("https://u:p\n@h/x", "*"),
            ("https://us er:p@h/x y", "https://*@h/x y"),
            ("https://h/https://u:p@i/x?y", "https://h/https://*@i/x?*"),
            // Not URLs, but in their place.
            ("recordings/alice@example.com.mp4", "recordings/alice@example.com.mp4"),
            ("/out/alice@example.com.mp4", "/out/alice@example.com.mp4"),
            ("s3://bucket/alice@example.com.mp4", "s3://bucket/alice@example.com.mp4"),
            ("a.mp4?signature", "a.mp4?*"),
            ("\u{e9}:\u{e9}@h\u{e9}/\u{e9}?\u{e9}", "*@h\u{e9}/\u{e9}?*"),
        ] {
            assert_eq!(hidden(url, &in_url(url.as_bytes())), shown, "{url}");
        }
    }

    #[test]
    fn a_streams_key_is_its_last_segment() {
        for (url, shown) in [
            ("rtmp://h/app/key", "rtmp://h/app/*"),
            ("RTMPS://u:p@h:443/app/key?a=b", "RTMPS://*@h:443/app/*?*"),
            ("rtmpt://h/app/key/", "rtmpt://h/app/*/"),
            ("rtmp://h/key", "rtmp://h/*"),
            ("rtmp://h/app//key//", "rtmp://h/app//*//"),
            ("rtmp:\\\\h\\app\\key", "rtmp:\\\\h\\app\\*"),
            ("rtmp:h/app/key", "rtmp:h/app/*"),
            ("rtmp://h/app/key#more", "rtmp://h/app/*#*"),
            ("rtmp://h", "rtmp://h"),
            ("rtmp://h/", "rtmp://h/"),
            ("rtmp://h/app/x@y", "rtmp://h/app/*"),
            ("rtmp://h/rtmp://u:p@i/app/key", "rtmp://h/rtmp://*@i/app/*"),
            ("rtmp://h/rtmp://u:p@key", "rtmp://h/rtmp://*"),
            ("srt://h:9000?streamid=publish:a@b/c&passphrase=d", "srt://h:9000?*"),
            ("srt://[::1]:9000/key", "srt://[::1]:9000/*"),
            ("mux://key", "mux://*"),
            ("Twitch://key/x", "Twitch://*"),
            ("rtmp://h/app/{k...y}", "rtmp://h/app/*"),
        ] {
            assert_eq!(hidden(url, &in_url(url.as_bytes())), shown, "{url}");
        }
    }

    #[cfg(feature = "server")]
    #[test]
    fn the_secrets_of_a_text() {
        for (text, shown) in [
            ("no URL: a/b?c@d // e", "no URL: a/b?c@d // e"),
            ("cannot reach rtmp://u:p@h/app/key: timeout (a?b)", "cannot reach rtmp://*@h/app/*: timeout (a?b)"),
            ("two: rtmp://h/a/k, https://h/?q.", "two: rtmp://h/a/*, https://h/?*."),
            ("Get \"https://u:p w@h/x?y z\": no host \"a?b\"", "Get \"https://*@h/x?*\": no host \"a?b\""),
            (r#"parse "https://u:p\"w@h/x": no"#, r#"parse "https://*": no"#),
            ("'rtmp://h/app/k'ey' is wrong", "'rtmp://h/app/*' is wrong"),
            ("(https://h/x?y)", "(https://h/x?*)"),
            ("[rtmp://h/a/k rtmp://h/a/l]", "[rtmp://h/a/* rtmp://h/a/*]"),
            ("<https://h/x?y>", "<https://h/x?*>"),
            ("failed.rtmp://h/a/k", "failed.rtmp://h/a/*"),
            (r"rtmp:\/\/h\/a\/k", r"rtmp:\/\/h\/a\/*"),
            ("at mux://key", "at mux://*"),
            ("\"https://u:p@h", "\"https://*@h"),
            ("https://", "https://"),
            ("https://.", "https://."),
            ("://", "://"),
        ] {
            assert_eq!(hidden(text, &in_text(text.as_bytes())), shown, "{text}");
        }
    }

    #[cfg(feature = "server")]
    #[test]
    fn a_stream_is_found_in_any_text() {
        for (text, shown) in [
            ("https://u:p@h/x?y, rtmp://u:p@h/a/k?q", "https://u:p@h/x?y, rtmp://*@h/a/*?*"),
            ("https://h/x?y=srt://h:1/k", "https://h/x?y=srt://h:1/*"),
            ("MUX://k", "MUX://*"),
            ("rtmp:k, a:b", "rtmp:k, a:b"),
        ] {
            assert_eq!(hidden(text, &in_streams(text.as_bytes())), shown, "{text}");
        }
    }

    #[test]
    fn a_query_alone_is_no_credential() {
        for (url, bears) in [
            ("https://example.com/?theme=dark#x", false),
            ("https://example.com/a@b", false),
            ("http://u:p@proxy:3128", true),
            ("u@h", true),
            ("rtmp://h/app/key", true),
        ] {
            assert_eq!(bears_credentials(url.as_bytes()), bears, "{url}");
        }
    }
}

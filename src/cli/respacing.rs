//! Owns JSON written again with other white space and other escapes, members and numbers as they were: what programs make of a
//! JSON text that they read and write. Text that is no JSON comes out as something, too.

/// Where white space goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spacing {
    /// None: `{"a":1,"b":[]}`.
    Compact,
    /// After commas, as Go's protojson may: `{"a":1, "b":[]}`.
    AfterCommas,
    /// After commas and colons, as Python's `json.dumps`: `{"a": 1, "b": []}`.
    AfterBoth,
    /// A line each, with this indent.
    Pretty(&'static str),
}

/// `json` with `spacing`, each string, quotes included, as `string` makes it.
pub(super) fn respaced(json: &str, spacing: Spacing, string: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(json.len());
    let mut depth: usize = 0;
    let mut is_first = false; // in the list or object that the last character opened
    let mut rest = json.trim_start_matches(is_space);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => end_of_string(rest),
            '{' | '[' | '}' | ']' | ',' | ':' => 1,
            _ => rest.find(|letter: char| is_space(letter) || "{}[],:\"".contains(letter)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        rest = after.trim_start_matches(is_space);
        let closes = matches!(first, '}' | ']');
        if closes {
            depth = depth.saturating_sub(1);
        }
        if is_first != closes {
            break_line(&mut out, spacing, depth);
        }
        is_first = matches!(first, '{' | '[');
        if is_first {
            depth = depth.saturating_add(1);
        }
        match first {
            '"' => out.push_str(&string(token)),
            _ => out.push_str(token),
        }
        match (first, spacing) {
            (',', Spacing::AfterCommas | Spacing::AfterBoth) | (':', Spacing::AfterBoth | Spacing::Pretty(_)) => out.push(' '),
            (',', Spacing::Pretty(_)) => break_line(&mut out, spacing, depth),
            _ => {}
        }
    }
    out
}

/// What RFC 8259 calls white space.
fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r')
}

fn break_line(out: &mut String, spacing: Spacing, depth: usize) {
    if let Spacing::Pretty(indent) = spacing {
        out.push('\n');
        out.extend(std::iter::repeat_n(indent, depth));
    }
}

/// How long the string is with which `text` begins.
fn end_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            '"' if !is_escaped => return at.saturating_add(1),
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_every_spacing() {
        let json = "{ \"a\" : [1,\n2.50, -3e4], \"b,{\\\"\" :{}, \"c\":[ ], \"d\":[{\"e\":null}]}\n";
        for (spacing, expected) in [
            (Spacing::Compact, r#"{"a":[1,2.50,-3e4],"b,{\"":{},"c":[],"d":[{"e":null}]}"#),
            (Spacing::AfterCommas, r#"{"a":[1, 2.50, -3e4], "b,{\"":{}, "c":[], "d":[{"e":null}]}"#),
            (Spacing::AfterBoth, r#"{"a": [1, 2.50, -3e4], "b,{\"": {}, "c": [], "d": [{"e": null}]}"#),
            (
                Spacing::Pretty(" "),
                "{\n \"a\": [\n  1,\n  2.50,\n  -3e4\n ],\n \"b,{\\\"\": {},\n \"c\": [],\n \"d\": [\n  {\n   \"e\": null\n  }\n ]\n}",
            ),
        ] {
            assert_eq!(respaced(json, spacing, str::to_owned), expected);
        }
    }

    #[test]
    fn what_is_no_json_ends_too() {
        for text in ["", "}", "]]", "\"", "\"\\", "{\"a\"", "\u{feff}{}", "nul", "::,,", "[[[["] {
            for spacing in [Spacing::Compact, Spacing::Pretty("\t")] {
                respaced(text, spacing, str::to_owned);
            }
        }
    }
}

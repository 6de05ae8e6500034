//! Writes JSON again with other white space and other escapes, but the same members and numbers, as programs do that read and write
//! it. Does not check whether the text is JSON.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spacing {
    /// None: `{"a":1,"b":[]}`.
    Compact,
    /// After commas, as Go's protojson may: `{"a":1, "b":[]}`.
    AfterCommas,
    /// After commas and colons, as with Python's `json.dumps`: `{"a": 1, "b": []}`.
    AfterBoth,
    /// One line for each member, with this indent.
    Pretty(&'static str),
}

/// `json` with `spacing`. `string` rewrites each string, including its quotes.
pub(super) fn with_spacing(json: &str, spacing: Spacing, string: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(json.len());
    let mut depth: usize = 0;
    let mut is_first = false; // whether the last character opened a list or object
    let mut rest = json.trim_start_matches(is_space);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => end_of_string(rest),
            '{' | '[' | '}' | ']' | ',' | ':' => 1,
            _ => rest.find(|character: char| is_space(character) || "{}[],:\"".contains(character)).unwrap_or(rest.len()),
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

/// White space as RFC 8259 defines it.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

fn break_line(out: &mut String, spacing: Spacing, depth: usize) {
    if let Spacing::Pretty(indent) = spacing {
        out.push('\n');
        out.extend(std::iter::repeat_n(indent, depth));
    }
}

/// Where the string at the start of `text` ends.
fn end_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, character)| {
        let closes = *character == '"' && !is_escaped;
        is_escaped = *character == '\\' && !is_escaped;
        closes
    });
    end.map_or(text.len(), |(at, _)| at.saturating_add(1))
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
            assert_eq!(with_spacing(json, spacing, str::to_owned), expected);
        }
    }

    #[test]
    fn rewriting_ends_even_if_the_text_is_not_json() {
        for text in ["", "}", "]]", "\"", "\"\\", "{\"a\"", "\u{feff}{}", "nul", "::,,", "[[[["] {
            for spacing in [Spacing::Compact, Spacing::Pretty("\t")] {
                with_spacing(text, spacing, str::to_owned);
            }
        }
    }
}

//! Which characters are never printed as they are, because a terminal obeys them or because they change how the text around them
//! reads, and how they are escaped. Does not know where a text goes.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether `character` is a control, format or bidirectional character, or another one that is invisible on its own.
pub(super) fn is_hidden(character: char) -> bool {
    match character {
        ' '..='~' => false,
        '\0'..='\u{7f}' => true,
        character => character.escape_debug().len() > 1,
    }
}

/// Appends a hidden `character` as Rust escapes it: `\n` or `\u{202e}`.
pub(super) fn push_escaped(text: &mut String, character: char) {
    text.extend(character.escape_debug());
}

/// Appends `character` as JSON escapes it: `\u202e`.
pub(super) fn push_json_escaped(text: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        let _ = write!(text, "\\u{unit:04x}"); // writing to a string cannot fail
    }
}

/// Lines for people, with all hidden characters escaped except line ends and tabs.
pub(super) fn visible(lines: &str) -> String {
    escaped(lines, push_escaped)
}

/// A JSON text with the same value, with all hidden characters escaped. Line ends and tabs stay, because they are between its
/// strings.
pub(super) fn visible_json(json: &str) -> String {
    escaped(json, push_json_escaped)
}

/// `text` unchanged if it is one word, else quoted and escaped.
pub(super) fn word(text: &str) -> Cow<'_, str> {
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_word { text.into() } else { format!("{text:?}").into() }
}

fn escaped(text: &str, escape: fn(&mut String, char)) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            character if is_hidden(character) && !matches!(character, '\n' | '\t') => escape(&mut escaped, character),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misleading_characters_are_hidden_and_letters_are_not() {
        let ranges =
            ['\0'..='\u{1f}', '\u{7f}'..='\u{9f}', '\u{200e}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
        for letter in ranges.into_iter().flatten().chain(['\u{61c}', '\u{ad}', '\u{feff}', '\u{e0041}']) {
            assert!(is_hidden(letter), "{letter:?}");
        }
        for letter in "aZ~ \"'\\äßлж中文😀…".chars() {
            assert!(!is_hidden(letter), "{letter:?}");
        }
    }

    #[test]
    fn escapes_of_words_and_of_json() {
        assert_eq!(visible("a\n\tb\r\u{1b}[1m\u{202e}\"\\é"), "a\n\tb\\r\\u{1b}[1m\\u{202e}\"\\é");
        assert_eq!(
            visible_json("[\n\t\"\u{9b}\u{7f}\u{202e}\u{e0041}\\né\"]"),
            "[\n\t\"\\u009b\\u007f\\u202e\\udb40\\udc41\\né\"]"
        );
    }
}

//! Templates: text with placeholders. Does not know what a template is for.

use std::borrow::Cow;
use std::io;

use crate::policy::placeholder::{Placeholder, PlaceholderError};
use crate::policy::values::{Unfilled, Values};

/// Makes random letters, others each time.
pub(crate) type Random<'a> = dyn FnMut() -> io::Result<String> + 'a;

/// Text with placeholders. Literal text stands alone: there are no two pieces of it side by side, and none is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    Placeholder(Placeholder),
}

impl Template {
    /// Reads `text`, in which `{{` is a brace. A single `}` stands for itself.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let (mut pieces, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('{') {
                literal.push('{');
                rest = after;
                continue;
            }
            let (inside, after) = split_at_brace(after).ok_or(TemplateError::Open)?;
            push_text(&mut pieces, std::mem::take(&mut literal));
            pieces.push(Piece::Placeholder(Placeholder::parse(inside)?));
            rest = after;
        }
        literal.push_str(rest);
        push_text(&mut pieces, literal);
        Ok(Self(pieces))
    }

    /// The template in parts, which stand where `separator` does in its literal text.
    pub(crate) fn split(self, separator: char) -> Vec<Self> {
        let (mut parts, mut part) = (Vec::new(), Vec::new());
        for piece in self.0 {
            let Piece::Text(text) = piece else {
                part.push(piece);
                continue;
            };
            let mut texts = text.split(separator);
            push_text(&mut part, texts.next().unwrap_or_default().to_owned());
            for text in texts {
                parts.push(Self(std::mem::take(&mut part)));
                push_text(&mut part, text.to_owned());
            }
        }
        parts.push(Self(part));
        parts
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    pub(crate) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.0.iter().filter_map(Piece::placeholder)
    }

    /// The placeholder that the whole template is.
    pub(crate) fn only_placeholder(&self) -> Option<&Placeholder> {
        if let [Piece::Placeholder(placeholder)] = &self.0[..] { Some(placeholder) } else { None }
    }

    /// The literal text that it begins with.
    pub(crate) fn prefix(&self) -> &str {
        self.0.first().map_or("", Piece::text)
    }

    /// The literal text before, between and after the placeholders, also where it is empty.
    pub(crate) fn literals(&self) -> Vec<String> {
        let mut literals = vec![String::new()];
        for piece in &self.0 {
            match (piece, literals.last_mut()) {
                (Piece::Text(text), Some(last)) => last.push_str(text),
                _ => literals.push(String::new()),
            }
        }
        literals
    }

    /// Two placeholders with nothing between them: two different pairs of values could give one text.
    pub(crate) fn touching(&self) -> Option<(&Placeholder, &Placeholder)> {
        self.0.windows(2).find_map(|pair| if let [first, second] = pair { ambiguous(first, second) } else { None })
    }

    /// The text with `values` in place of the placeholders.
    pub(crate) fn fill<'a>(&'a self, values: &Values<'a>, random: &mut Random<'_>) -> Result<Cow<'a, str>, Unfilled<'a>> {
        self.fill_with(random, |_, placeholder| values.text(placeholder))
    }

    /// Like [`fill`](Self::fill), but no two different rows of values give one text.
    pub(crate) fn fill_distinctly<'a>(
        &'a self,
        values: &Values<'a>,
        random: &mut Random<'_>,
    ) -> Result<Cow<'a, str>, Unfilled<'a>> {
        self.fill_with(random, |index, placeholder| self.distinct_value(index, placeholder, values))
    }

    fn fill_with<'a>(
        &'a self,
        random: &mut Random<'_>,
        value: impl Fn(usize, &'a Placeholder) -> Result<Cow<'a, str>, Unfilled<'a>>,
    ) -> Result<Cow<'a, str>, Unfilled<'a>> {
        if let Some(only) = self.only_placeholder().filter(|only| **only != Placeholder::Random) {
            return value(0, only);
        }
        let filled = self.0.iter().enumerate().try_fold(String::new(), |mut filled, (index, piece)| {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Placeholder(Placeholder::Random) => filled.push_str(&random().map_err(Unfilled::NoRandomness)?),
                Piece::Placeholder(placeholder) => filled.push_str(&value(index, placeholder)?),
            }
            Ok(filled)
        });
        filled.map(Cow::Owned)
    }

    /// The text of each piece, as far as it can be filled distinctly. `{random}` cannot.
    pub(crate) fn texts<'a>(&'a self, values: &Values<'a>) -> impl Iterator<Item = Result<Cow<'a, str>, Unfilled<'a>>> {
        self.0.iter().enumerate().map(move |(index, piece)| match piece {
            Piece::Text(text) => Ok(Cow::Borrowed(text.as_str())),
            Piece::Placeholder(placeholder) => self.distinct_value(index, placeholder, values),
        })
    }

    /// The value of the placeholder at `index`, if the text after it shows where the value ends.
    fn distinct_value<'a>(
        &'a self,
        index: usize,
        placeholder: &'a Placeholder,
        values: &Values<'a>,
    ) -> Result<Cow<'a, str>, Unfilled<'a>> {
        let value = values.text(placeholder)?;
        match self.0.get(index..).unwrap_or_default() {
            [own, Piece::Text(text), next, ..] if ambiguous(own, next).is_some() && !ends_at_first(&value, text) => {
                Err(Unfilled::Ambiguous { placeholder, value, text })
            }
            _ => Ok(value),
        }
    }
}

impl Piece {
    pub(crate) fn placeholder(&self) -> Option<&Placeholder> {
        if let Self::Placeholder(placeholder) = self { Some(placeholder) } else { None }
    }

    pub(crate) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }
}

/// The placeholders that two pieces are, if text between them has to show where the value of the first ends. Random letters always
/// have the same length, and nobody chooses them.
pub(crate) fn ambiguous<'a>(first: &'a Piece, second: &'a Piece) -> Option<(&'a Placeholder, &'a Placeholder)> {
    let (first, second) = (first.placeholder()?, second.placeholder()?);
    (*first != Placeholder::Random && *second != Placeholder::Random).then_some((first, second))
}

/// Whether `separator` after `value` is the first one in the whole. `a-` before `--` is not: `a---b` could also be `a` and `-b`.
fn ends_at_first(value: &str, separator: &str) -> bool {
    let together = [value, separator].concat();
    together.find(separator) == Some(value.len())
}

fn push_text(pieces: &mut Vec<Piece>, text: String) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

/// Splits after the placeholder that begins `text`. A brace in quotes does not end it.
fn split_at_brace(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let end = text.char_indices().find_map(|(at, each)| {
        match (quote, each) {
            (None, '}') => return Some(at),
            (None, '"' | '\'') => quote = Some(each),
            (Some(open), each) if open == each => quote = None,
            _ => {}
        }
        None
    })?;
    let (inside, rest) = text.split_at_checked(end)?;
    Some((inside, rest.strip_prefix('}')?))
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TemplateError {
    #[error("a brace is not closed: write {{{{ for a brace that stands for itself")]
    Open,
    #[error(transparent)]
    Placeholder(#[from] PlaceholderError),
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    #[test]
    fn braces_and_quotes() {
        let claim = |names: &[&str]| Placeholder::Claim(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().into());
        let text = |text: &str| Piece::Text(text.to_owned());
        for (source, pieces) in [
            ("", vec![]),
            ("a", vec![text("a")]),
            ("a}{{b}}{{{{", vec![text("a}{b}}{{")]),
            ("{{{subject}}", vec![text("{"), Piece::Placeholder(Placeholder::Subject), text("}")]),
            ("{claims.a.b-c_1}", vec![Piece::Placeholder(claim(&["a", "b-c_1"]))]),
            ("{claims.\"a.b}\".'c:d'}x", vec![Piece::Placeholder(claim(&["a.b}", "c:d"])), text("x")]),
            ("{claims.\"\\u0041\"}", vec![Piece::Placeholder(claim(&["A"]))]),
        ] {
            assert_eq!(Template::parse(source), Ok(Template(pieces)), "{source}");
        }
        for source in ["{", "a{b", "{claims.\"}", "{subject}{"] {
            assert_eq!(Template::parse(source), Err(TemplateError::Open), "{source}");
        }
        for source in [
            "{}",
            "{ subject }",
            "{Subject}",
            "{claims}",
            "{claims.}",
            "{claims.a..b}",
            "{claims.a=1\nb}",
            "{claims.a b}",
            "{request}",
        ] {
            assert!(matches!(Template::parse(source), Err(TemplateError::Placeholder(_))), "{source}");
        }
    }
}

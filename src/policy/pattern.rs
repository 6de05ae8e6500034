//! Room patterns: which rooms a rule is about. Does not know rules.

use std::borrow::Cow;
use std::fmt;
use std::io;

use crate::caller::stars;
use crate::policy::placeholder::Placeholder;
use crate::policy::template::{Piece, Random, Template, TemplateError, ambiguous};
use crate::policy::values::{Unfilled, Values};

/// A template in which `*` stands for any run of characters, also an empty one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    /// What stands before, between and after the stars. There is at least one.
    parts: Vec<Template>,
    /// As it is written.
    source: String,
    /// What stands before, between and after the stars, if each placeholder is a star too.
    widest: Vec<String>,
    has_random: bool,
}

/// Whether a room fits.
#[derive(Debug)]
pub(crate) enum Fit<'a> {
    Yes,
    No,
    /// It could fit, if the pattern could be filled.
    Unfilled(Unfilled<'a>),
}

impl Pattern {
    pub(crate) fn parse(source: &str) -> Result<Self, TemplateError> {
        let parts = Template::parse(source)?.split('*');
        let has_random = parts.iter().flat_map(Template::placeholders).any(|each| *each == Placeholder::Random);
        let widest = parts.iter().flat_map(Template::literals).collect();
        Ok(Self { parts, source: source.to_owned(), widest, has_random })
    }

    /// The parts before, between and after the stars.
    pub(crate) fn parts(&self) -> &[Template] {
        &self.parts
    }

    /// What stands before, between and after the stars, with a star in place of each placeholder. That pattern fits every room that
    /// this one can fit.
    pub(crate) fn widest(&self) -> &[String] {
        &self.widest
    }

    /// Whether values could make `room` fit. Quick, because most rules are about other rooms.
    fn can_fit(&self, room: &str) -> bool {
        // Nobody can ask for letters that are still to be made.
        !self.has_random && stars::fits_text(self.widest.iter().map(String::as_str), room)
    }

    /// Whether `room` fits, with the values in place of the placeholders. A star in a value is only a star.
    pub(crate) fn fit<'a>(&'a self, room: &str, values: &Values<'a>) -> Fit<'a> {
        if !self.can_fit(room) {
            return Fit::No;
        }
        if self.placeholders().next().is_none() {
            return Fit::Yes;
        }
        let (filled, unfilled) = self.runs(values);
        if !stars::fits_text(filled.iter().map(String::as_str), room) {
            return Fit::No;
        }
        unfilled.map_or(Fit::Yes, Fit::Unfilled)
    }

    /// What stands before, between and after the stars, with the values in place of the placeholders. A star stands in place of each
    /// placeholder that cannot be filled; the first reason is told.
    fn runs<'a>(&'a self, values: &Values<'a>) -> (Vec<String>, Option<Unfilled<'a>>) {
        let (mut runs, mut unfilled) = (Vec::with_capacity(self.parts.len()), None);
        for part in &self.parts {
            let mut run = String::new();
            for text in part.texts(values) {
                match text {
                    Ok(text) => run.push_str(&text),
                    Err(why) => {
                        unfilled.get_or_insert(why);
                        runs.push(std::mem::take(&mut run));
                    }
                }
            }
            runs.push(run);
        }
        (runs, unfilled)
    }

    /// The only room that fits, if there is no star.
    pub(crate) fn room<'a>(&'a self, values: &Values<'a>, random: &mut Random<'_>) -> Option<Result<Cow<'a, str>, Unfilled<'a>>> {
        match &self.parts[..] {
            [only] => Some(only.fill_distinctly(values, random)),
            _ => None,
        }
    }

    /// The pattern with the values in place of the placeholders, if it has any and all of them are known.
    pub(crate) fn filled(&self, values: &Values<'_>) -> Option<String> {
        self.placeholders().next()?;
        let mut unknown = || Err(io::Error::from(io::ErrorKind::Unsupported)); // letters that are still to be made
        let parts: Option<Vec<_>> = self.parts.iter().map(|part| part.fill(values, &mut unknown).ok()).collect();
        Some(parts?.join("*"))
    }

    /// A placeholder that no text keeps apart from a star, so that a room of one of its values can fit another value too. Letters,
    /// digits, `-` and `_` are common in values, and keep nothing apart.
    pub(crate) fn open_end(&self) -> Option<&Placeholder> {
        self.parts.windows(2).find_map(|pair| {
            let [before, after] = pair else { return None };
            open_end(before.pieces().iter().rev()).or_else(|| open_end(after.pieces().iter()))
        })
    }

    /// Two placeholders with only a star between them: two different pairs of values could give one room.
    pub(crate) fn parted_by_star(&self) -> Option<(&Placeholder, &Placeholder)> {
        let ends = self.parts.iter().map(Template::pieces).filter_map(|pieces| Some((pieces.first()?, pieces.last()?)));
        let (before, after) = (ends.clone(), ends.skip(1));
        before.zip(after).find_map(|((_, last), (first, _))| ambiguous(last, first))
    }

    pub(crate) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.parts.iter().flat_map(Template::placeholders)
    }
}

/// The first placeholder of `pieces`, which begin at a star, unless text keeps it apart from the star.
fn open_end<'a>(mut pieces: impl Iterator<Item = &'a Piece>) -> Option<&'a Placeholder> {
    let is_common = |each: char| each.is_ascii_alphanumeric() || matches!(each, '-' | '_');
    let placeholder = match pieces.next()? {
        Piece::Placeholder(placeholder) => placeholder,
        Piece::Text(text) if text.chars().all(is_common) => pieces.next()?.placeholder()?,
        Piece::Text(_) => return None,
    };
    matches!(placeholder, Placeholder::Claim(_) | Placeholder::Subject).then_some(placeholder)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.source)
    }
}

//! Compares room patterns: whether one fits every room that another fits, and whether two can fit one room. Does not know rules.

use crate::caller::claim_path::ClaimPath;
use crate::caller::stars;
use crate::policy::pattern::Pattern;
use crate::policy::placeholder::{Field, Placeholder};
use crate::policy::template::Piece;

/// A pattern letter by letter, to be compared with others.
#[derive(Debug)]
pub(super) struct Shape<'a>(Vec<Unit<'a>>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit<'a> {
    Letter(char),
    Star,
    Placeholder(&'a Placeholder),
}

impl<'a> Shape<'a> {
    pub(super) fn of(pattern: &'a Pattern) -> Self {
        let mut units = Vec::new();
        for (index, part) in pattern.parts().iter().enumerate() {
            if index > 0 {
                units.push(Unit::Star);
            }
            for piece in part.pieces() {
                match piece {
                    Piece::Text(text) => units.extend(text.chars().map(Unit::Letter)),
                    Piece::Placeholder(placeholder) => units.push(Unit::Placeholder(placeholder)),
                }
            }
        }
        // Whatever room is asked for.
        let is_any = |unit: &Unit<'_>| matches!(unit, Unit::Star | Unit::Placeholder(Placeholder::Request(Field::Room)));
        if !units.is_empty() && units.iter().all(is_any) { Self(vec![Unit::Star]) } else { Self(units) }
    }

    /// Whether the pattern fits every room that `narrow` fits, whatever the values of placeholders are. `subject` is the claim that
    /// `{subject}` stands for, if it is known. A star in `narrow` is a letter like others here: only a star covers it.
    pub(super) fn covers(&self, narrow: &Self, subject: Option<&ClaimPath>) -> bool {
        let runs = self.0.split(|unit| *unit == Unit::Star);
        stars::fits(runs, &narrow.0, |wide, narrow| wide.iter().zip(narrow).all(|(wide, narrow)| wide.is(narrow, subject)))
    }
}

impl Unit<'_> {
    fn is(&self, narrow: &Self, subject: Option<&ClaimPath>) -> bool {
        match (self, narrow) {
            // Nobody can ask for letters that are still to be made.
            (Self::Placeholder(Placeholder::Random), _) => false,
            (Self::Placeholder(Placeholder::Subject), Self::Placeholder(Placeholder::Claim(path)))
            | (Self::Placeholder(Placeholder::Claim(path)), Self::Placeholder(Placeholder::Subject)) => Some(path) == subject,
            _ => self == narrow,
        }
    }
}

/// Whether there is a text that both patterns fit, of which these are what stands before, between and after the stars.
pub(super) fn overlap(one: &[String], other: &[String]) -> bool {
    match (one, other) {
        ([text], pattern) | (pattern, [text]) => stars::fits_text(pattern.iter().map(String::as_str), text),
        // Between the longer beginning and the longer end, there can be whatever the two have between theirs.
        ([start, .., end], [other_start, .., other_end]) => {
            (start.starts_with(other_start) || other_start.starts_with(start))
                && (end.ends_with(other_end) || other_end.ends_with(end))
        }
        _ => false, // a pattern has a part at least
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_cover_others() {
        let subject = ClaimPath::from(vec!["sub".to_owned()]);
        let covers = |wide, narrow| {
            let (wide, narrow) = (Pattern::parse(wide).unwrap(), Pattern::parse(narrow).unwrap());
            Shape::of(&wide).covers(&Shape::of(&narrow), Some(&subject))
        };
        for (wide, narrow) in [
            ("*", "a"),
            ("*", "*"),
            ("*", "{claims.a}-*"),
            ("*", "{random}"),
            ("{request.room}", "a-*"),
            ("a-*", "a-b"),
            ("a-*", "a-"),
            ("a-*", "a-{subject}"),
            ("a-*-c", "a-*-b-c"),
            ("a-{claims.b}", "a-{claims.b}"),
            ("*{claims.b}", "a-{claims.b}"),
            ("*a*a*", "aa"),
            ("a**b", "a{random}b"),
            ("{subject}/*", "{claims.sub}/a"),
            ("*{claims.sub}", "*-{subject}"),
            ("**{request.room}", "*"),
        ] {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in [
            ("a", "*"),
            ("a-*", "a*"),
            ("a-{claims.b}", "a-{claims.c}"),
            ("a-{claims.b}", "a-*"),
            ("a-{claims.b}", "a-b"),
            ("{random}", "{random}"),
            ("a-*-c", "a-c"),
            ("*a*a*", "a"),
            ("a*ab", "ab"),
            ("{subject}", "{claims.id}"),
            ("{subject}", "sub"),
            ("a-{request.room}", "a-b"), // fits no room
        ] {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }

    #[test]
    fn patterns_that_overlap() {
        let overlap = |one: &str, other: &str| {
            let runs = |pattern: &str| pattern.split('*').map(str::to_owned).collect::<Vec<_>>();
            overlap(&runs(one), &runs(other))
        };
        for (one, other) in
            [("*", "*"), ("a*", "*b"), ("a*c", "ab*"), ("", "*"), ("a", "a"), ("a*b*c", "a*c"), ("x*b*c", "x*d*bc")]
        {
            assert!(overlap(one, other) && overlap(other, one), "{one} {other}");
        }
        for (one, other) in [("a", "b"), ("a*", "b*"), ("*a", "*b"), ("a-*", "a"), ("", "a")] {
            assert!(!overlap(one, other) && !overlap(other, one), "{one} {other}");
        }
    }
}

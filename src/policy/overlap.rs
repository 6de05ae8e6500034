//! Compares room patterns: whether one fits every room that another fits, and whether two can fit one room. Does not know rules.

use std::collections::HashSet;

use crate::policy::pattern::Pattern;
use crate::policy::placeholder::{Field, Placeholder};
use crate::policy::template::Piece;

/// A pattern letter by letter.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit<'a> {
    Letter(char),
    Star,
    Placeholder(&'a Placeholder),
}

fn units(pattern: &Pattern) -> Vec<Unit<'_>> {
    let mut units = Vec::new();
    for (index, part) in pattern.parts().iter().enumerate() {
        if index > 0 {
            units.push(Unit::Star);
        }
        for piece in part.pieces() {
            match piece {
                Piece::Text(text) => units.extend(text.chars().map(Unit::Letter)),
                // Whatever room is asked for.
                Piece::Placeholder(Placeholder::Request(Field::Room)) => units.push(Unit::Star),
                Piece::Placeholder(placeholder) => units.push(Unit::Placeholder(placeholder)),
            }
        }
    }
    units
}

/// Whether `wide` fits every room that `narrow` fits, whatever the values of placeholders are.
pub(super) fn covers(wide: &Pattern, narrow: &Pattern) -> bool {
    let (wide, narrow) = (units(wide), units(narrow));
    any_way(&wide, &narrow, |wide, narrow| match (wide.split_first()?, narrow.split_first()) {
        ((Unit::Star, rest), Some((_, narrower))) => Some([(rest, narrow), (wide, narrower)].to_vec()),
        ((Unit::Star, rest), None) => Some(vec![(rest, narrow)]),
        ((Unit::Placeholder(Placeholder::Random), _), _) => None,
        ((first, rest), Some((second, narrower))) if first == second => Some(vec![(rest, narrower)]),
        _ => None,
    })
}

/// Whether there is a text that both patterns fit. In both, only `*` stands for others.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    let letters = |text: &str| text.chars().collect::<Vec<_>>();
    any_way(&letters(one), &letters(other), |one, other| match (one.split_first(), other.split_first()) {
        (Some(('*', rest)), Some((_, others))) => Some(vec![(rest, other), (one, others)]),
        (Some(('*', rest)), None) => Some(vec![(rest, other)]),
        (Some((_, rest)), Some(('*', others))) => Some(vec![(one, others), (rest, other)]),
        (None, Some(('*', others))) => Some(vec![(one, others)]),
        (Some((first, rest)), Some((second, others))) if first == second => Some(vec![(rest, others)]),
        _ => None,
    })
}

/// What is left of two patterns.
type Rests<'a, T> = (&'a [T], &'a [T]);

/// Whether the steps can use up both patterns. No pair of rests is looked at twice.
fn any_way<'a, T>(one: &'a [T], other: &'a [T], step: impl Fn(&'a [T], &'a [T]) -> Option<Vec<Rests<'a, T>>>) -> bool {
    let (mut seen, mut open) = (HashSet::new(), vec![(one, other)]);
    while let Some((one, other)) = open.pop() {
        if one.is_empty() && other.is_empty() {
            return true;
        }
        if seen.insert((one.len(), other.len())) {
            open.extend(step(one, other).into_iter().flatten());
        }
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_cover_others() {
        let covers = |wide, narrow| covers(&Pattern::parse(wide).unwrap(), &Pattern::parse(narrow).unwrap());
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
        ] {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }

    #[test]
    fn patterns_that_overlap() {
        for (one, other) in [("*", "*"), ("a*", "*b"), ("a*c", "ab*"), ("", "*"), ("a", "a"), ("a*b*c", "a*c")] {
            assert!(overlap(one, other) && overlap(other, one), "{one} {other}");
        }
        for (one, other) in [("a", "b"), ("a*", "b*"), ("*a", "*b"), ("a-*", "a"), ("", "a")] {
            assert!(!overlap(one, other) && !overlap(other, one), "{one} {other}");
        }
        let stars = "*a".repeat(60);
        assert!(!overlap(&format!("{stars}b"), &format!("{stars}c")), "and soon");
    }
}

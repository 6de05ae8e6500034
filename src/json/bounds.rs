//! Bounds for JSON from outside. Does not know what is read from it.

/// How much a JSON text may hold. It is checked before the text is read, without allocating, so that reading takes bounded time and
/// memory too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Values, at all depths.
    pub(crate) values: usize,
    /// Nested lists and objects.
    pub(crate) depth: usize,
    /// Bytes outside strings, and those of escapes inside them: what a reader looks at one by one.
    pub(crate) steps: usize,
}

/// The bound that a text exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    Values,
    Depth,
    Steps,
}

impl Bounds {
    /// Checks `json`, which need not be valid. Counts commas outside strings, because each is followed by a value.
    pub(crate) fn check(self, json: &[u8]) -> Result<(), Excess> {
        if json.len() <= self.values.min(self.depth).min(self.steps) {
            return Ok(()); // it has fewer bytes than it may have values
        }
        let (mut values, mut depth, mut steps) = (0_usize, 0_usize, 0_usize);
        let mut bytes = json.iter();
        while let Some(byte) = bytes.next() {
            steps = steps.saturating_add(1);
            match byte {
                b'"' => steps = steps.saturating_add(skip_string(&mut bytes, self.steps)),
                b',' => values = values.saturating_add(1),
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    if depth > self.depth {
                        return Err(Excess::Depth);
                    }
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if values > self.values {
                return Err(Excess::Values);
            }
            if steps > self.steps {
                return Err(Excess::Steps);
            }
        }
        Ok(())
    }
}

/// Moves `bytes` past the string whose opening quote was just read, and returns four for each escape. Stops if that exceeds `most`.
fn skip_string(bytes: &mut std::slice::Iter<'_, u8>, most: usize) -> usize {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\');
    let mut escapes = 0_usize;
    while escapes <= most {
        // Most of a long string is plain: 32 bytes at once.
        while let Some((plain, rest)) = bytes.as_slice().split_first_chunk::<32>()
            && !plain.iter().fold(false, |found, byte| found | is_special(byte))
        {
            *bytes = rest.iter();
        }
        if bytes.find(|byte| is_special(byte)) != Some(&b'\\') {
            break;
        }
        bytes.next();
        escapes = escapes.saturating_add(4);
    }
    escapes
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Excess};

    #[test]
    fn what_is_bounded_is_counted_outside_of_strings() {
        let bounds = Bounds { values: 3, depth: 3, steps: 40 };
        for (json, expected) in [
            (r#"{"a":[1,2],"b":{}}"#, Ok(())),
            (r#"{"a":[1,2],"b":[3,4]}"#, Ok(())),
            (r#"{"a":[1,2],"b":[3,4,5]}"#, Err(Excess::Values)),
            (r#"[[["[[[[,,,,,\"]]]]"]]]"#, Ok(())),
            ("[[[[", Err(Excess::Depth)),
            ("[[]][[]][[]]", Ok(())),
            (&" ".repeat(41), Err(Excess::Steps)),
            (&format!("\"{}\"", "x".repeat(1000)), Ok(())),
            (&format!("\"{}\\", "x".repeat(1000)), Ok(())),
            (&format!("\"{}\",,,,", "x".repeat(31)), Err(Excess::Values)),
            (&format!("\"{}\"", r"\n".repeat(9)), Ok(())),
            (&format!("\"{}\"", r"\n".repeat(11)), Err(Excess::Steps)),
        ] {
            assert_eq!(bounds.check(json.as_bytes()), expected, "{json}");
        }
    }
}

//! What a star means: any run of letters, also none. Does not know what the letters are.

/// Whether `text` consists of the runs, which stand before, between and after the stars.
pub(crate) fn fits_text<'r>(runs: impl DoubleEndedIterator<Item = &'r str>, text: &str) -> bool {
    // At most places the first letters differ already, and comparing two letters takes no call. An empty run must not take one either,
    // because calls with empty runs were measured to be slow.
    let are_same = |run: &[u8], part: &[u8]| run.is_empty() || run.first() == part.first() && run == part;
    fits(runs.map(str::as_bytes), text.as_bytes(), are_same)
}

/// Whether `whole` consists of the runs, which stand before, between and after the stars. `are_same` compares runs of one length.
pub(crate) fn fits<'r, T: 'r>(
    mut runs: impl DoubleEndedIterator<Item = &'r [T]>,
    whole: &[T],
    are_same: impl Fn(&[T], &[T]) -> bool,
) -> bool {
    let fits = || {
        let first = runs.next()?;
        let (start, rest) = whole.split_at_checked(first.len())?;
        let Some(last) = runs.next_back() else { return (rest.is_empty() && are_same(first, start)).then_some(()) };
        let (between, end) = rest.split_at_checked(rest.len().checked_sub(last.len())?)?;
        if !are_same(first, start) || !are_same(last, end) {
            return None;
        }
        // The earliest place leaves the most for the runs after it.
        runs.filter(|run| !run.is_empty()).try_fold(between, |rest, run| {
            let at = rest.windows(run.len()).position(|part| are_same(run, part))?;
            rest.get(at.checked_add(run.len())?..)
        })?;
        Some(())
    };
    fits().is_some()
}

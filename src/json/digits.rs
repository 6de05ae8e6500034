//! Writes the digits of times. Does not know where they go.

/// The digit zero, eight times.
const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);
/// The first number of nine digits.
const EIGHT_DIGITS: u64 = 100_000_000;

/// The digits of `number`, if it has ten.
#[inline]
pub(crate) fn ten_digits(number: u64) -> Option<[u8; 10]> {
    let (first, [c, d, e, f, g, h, i, j]) = (number / EIGHT_DIGITS, eight_digits(number % EIGHT_DIGITS));
    match u8::try_from(first) {
        Ok(first @ 10..100) => Some([b'0' | (first / 10), b'0' | (first % 10), c, d, e, f, g, h, i, j]),
        _ => None,
    }
}

/// The digits of a number below [`EIGHT_DIGITS`], computed side by side: two halves of four digits, then four pairs, then eight single
/// digits. Dividing the parts by a multiplication and a shift is exact for so few digits, and needs no division for each digit.
#[inline]
fn eight_digits(number: u64) -> [u8; 8] {
    // Each lane becomes a quotient, and the remainder after it.
    let split = |lanes: u64, quotients: u64, divisor: u64, width: u32| {
        quotients.wrapping_add(lanes.wrapping_sub(quotients.wrapping_mul(divisor)) << width)
    };
    let halves = split(number, number / 10_000, 10_000, 32);
    let pairs = split(halves, (halves.wrapping_mul(10_486) >> 20) & 0x0000_007f_0000_007f, 100, 16);
    let digits = split(pairs, (pairs.wrapping_mul(103) >> 10) & 0x000f_000f_000f_000f, 10, 8);
    (digits | ZEROS).to_le_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that breaks says so by panicking")]
mod tests {
    use super::ten_digits;

    #[test]
    fn numbers_of_ten_digits_have_their_digits() {
        let many = (0..1_000_000).map(|at| at * 8_999 + 1_000_000_000);
        for number in many.chain([1_795_317_324, 9_999_999_999]) {
            assert_eq!(ten_digits(number).unwrap().as_slice(), number.to_string().as_bytes());
        }
        for number in [0, 99_999_999, 999_999_999, 10_000_000_000, 25_600_000_000, 260_000_000_000, u64::MAX] {
            assert_eq!(ten_digits(number), None, "{number}");
        }
    }
}

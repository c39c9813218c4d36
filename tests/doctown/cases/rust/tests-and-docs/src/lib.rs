//! The crate.

/// Adds.
///
/// Twice.
#[inline]
#[must_use]
pub fn add(a: u8, b: u8) -> u8 {
    a + b
}

/** A block
 * of words. */
pub(crate) struct Hidden {
    value: u8,
}

pub union Both {
    a: u8,
}

pub static LIMIT: u8 = 3;
pub type Pair = (u8, u8);

extern "C" {
    fn outside(x: u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds() {
        add(1, 2);
    }

    fn helper() {}
}

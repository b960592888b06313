//! Number of znodes to read at a time.
//!
//! A sub-account's znode holds a coin, but any client may write a megabyte into it, and an answer is in memory whole,
//! several times over. So reads go out in windows: small at first and after large znodes, larger where all znodes are
//! small.

/// Maximum znodes of a window: those of one chunk or one part of a map.
const MOST: usize = 500;

/// Maximum znodes of one request within a window: the answer to a request is in memory whole, while those of the other
/// requests may still be on their way.
pub(super) const OF_A_REQUEST: usize = 100;

/// Znodes of the first window.
const FIRST: usize = 8;

/// Data of more bytes is large. No coin's name has as many.
const LARGE: usize = 1024;

/// Bytes of a window, if its znodes are as large as the largest of the previous one.
const BYTES: usize = 8 << 20;

/// The window of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadWindow {
    znodes: usize,
}

impl Default for ReadWindow {
    fn default() -> Self {
        Self { znodes: FIRST }
    }
}

impl ReadWindow {
    pub(super) fn znodes(self) -> usize {
        self.znodes
    }

    /// Adapts to a window of so many znodes, the largest of so many bytes.
    pub(super) fn note(&mut self, znodes: usize, largest: usize) {
        if largest > LARGE {
            self.znodes = (BYTES / largest).clamp(1, FIRST);
        } else if znodes >= self.znodes {
            self.znodes = (self.znodes * 2).min(MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_grow_while_znodes_are_small_and_shrink_at_the_first_large_one() {
        let mut window = ReadWindow::default();
        let mut sizes = Vec::new();
        for largest in [3, 64, 0, 3, 3, 3, 3, 1 << 20, 1 << 20, 3, 4 << 20, 64 << 20, 3, 3] {
            sizes.push(window.znodes());
            window.note(window.znodes(), largest);
        }
        assert_eq!(sizes, [8, 16, 32, 64, 128, 256, 500, 500, 8, 8, 16, 2, 1, 2]);
    }

    #[test]
    fn a_window_that_was_not_full_proves_nothing() {
        let mut window = ReadWindow::default();
        (0..100).for_each(|_| window.note(1, 3));
        assert_eq!(window.znodes(), FIRST);
    }
}

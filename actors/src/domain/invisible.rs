//! Characters that a reader does not see or confuses with others. Log, client and console escape them, so that no
//! text passes for another: `alice` and `alice` plus a zero-width character are two sub-accounts.
//!
//! The console's scripts have a copy of the list (`src/admin/console/dom.js`); a test compares both.

/// First and last character of each range, ascending.
///
/// Contents: the Unicode property `Default_Ignorable_Code_Point`; the general categories Cc, Cf, Zl, Zp, Co, and Zs
/// except U+0020; U+2800 and U+1D159 (empty glyphs); U+FFFC (drawn as nothing by many fonts); and the noncharacters
/// of the basic plane.
pub const INVISIBLE: &[(char, char)] = &[
    ('\u{0}', '\u{1f}'),
    ('\u{7f}', '\u{a0}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{2000}', '\u{200f}'),
    ('\u{2028}', '\u{202f}'),
    ('\u{205f}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3000}', '\u{3000}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{e000}', '\u{f8ff}'),
    ('\u{fdd0}', '\u{fdef}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffc}'),
    ('\u{fffe}', '\u{ffff}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d159}', '\u{1d159}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
    ('\u{f0000}', '\u{10ffff}'),
];

/// Whether [`INVISIBLE`] contains the character.
pub fn is_invisible(c: char) -> bool {
    let after = INVISIBLE.partition_point(|&(first, _)| first <= c);
    after.checked_sub(1).is_some_and(|at| c <= INVISIBLE[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_are_in_order_and_apart() {
        for pair in INVISIBLE.windows(2) {
            assert!(u32::from(pair[0].1) + 1 < u32::from(pair[1].0), "{pair:?}");
        }
        assert!(INVISIBLE.iter().all(|(first, last)| first <= last));
    }

    #[test]
    fn default_ignorable_code_points_are_invisible() {
        // DerivedCoreProperties.txt of Unicode 16.
        for (first, last) in [
            (0xad, 0xad),
            (0x34f, 0x34f),
            (0x61c, 0x61c),
            (0x115f, 0x1160),
            (0x17b4, 0x17b5),
            (0x180b, 0x180f),
            (0x200b, 0x200f),
            (0x202a, 0x202e),
            (0x2060, 0x206f),
            (0x3164, 0x3164),
            (0xfe00, 0xfe0f),
            (0xfeff, 0xfeff),
            (0xffa0, 0xffa0),
            (0xfff0, 0xfff8),
            (0x1bca0, 0x1bca3),
            (0x1d173, 0x1d17a),
            (0xe0000, 0xe0fff),
        ] {
            for code in first..=last {
                assert!(is_invisible(char::from_u32(code).unwrap()), "U+{code:04X}");
            }
        }
        assert!(is_invisible('\u{2800}'));
    }

    #[test]
    fn controls_and_blanks_but_the_usual_one_are_invisible() {
        for c in '\0'..=char::MAX {
            assert!(is_invisible(c) || c == ' ' || !(c.is_control() || c.is_whitespace()), "{c:?}");
            assert!(!is_invisible(c) || !c.is_ascii_graphic(), "{c:?}");
        }
        for c in " aé用\u{301}\u{ac00}\u{1f419}\u{fffd}\u{2026}".chars() {
            assert!(!is_invisible(c), "{c:?}");
        }
    }
}

//! Bars of block characters, to an eighth of a cell.

/// Left parts of a cell, from one eighth to seven.
const PARTS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// A bar as long as `value` is of `whole`, in `width` cells, without padding. Anything above
/// nothing shows at least one eighth.
pub fn bar(value: i64, whole: i64, width: usize) -> String {
    if value <= 0 || whole <= 0 || width == 0 {
        return String::new();
    }
    let cells = width as i128 * 8;
    let eighths = (i128::from(value) * cells / i128::from(whole)).clamp(1, cells) as usize;
    let mut text = "█".repeat(eighths / 8);
    if let Some(part) = (eighths % 8).checked_sub(1).and_then(|at| PARTS.get(at)) {
        text.push(*part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(10, 10, 4), "████");
        assert_eq!(bar(5, 10, 4), "██");
        assert_eq!(bar(3, 16, 4), "▊");
        assert_eq!(bar(13, 32, 4), "█▋");
    }

    #[test]
    fn the_least_shows_and_nothing_does_not() {
        assert_eq!(bar(1, 1_000_000, 10), "▏");
        assert_eq!(bar(0, 10, 10), "");
        assert_eq!(bar(5, 0, 10), "");
        assert_eq!(bar(i64::MAX, 1, 2), "██");
    }
}

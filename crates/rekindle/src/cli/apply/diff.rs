//! The difference between two texts, line by line.

use std::fmt::Write;

use owo_colors::OwoColorize;

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;
/// Above this many cells the table of common lines is not built, and everything counts as changed.
const MAX_CELLS: usize = 16_000_000;

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Removed,
    Added,
}

/// The difference: changed lines with `-` or `+` before them and three unchanged ones around;
/// `...` where lines are left out. Empty when the texts are equal.
pub fn lines(old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let old: Vec<&str> = old.lines().collect();
    let new: Vec<&str> = new.lines().collect();
    let script = script(&old, &new);
    let mut text = String::new();
    let mut skipped = false;
    for (at, (fate, line)) in script.iter().enumerate() {
        if *fate == Fate::Kept && !is_near_a_change(&script, at) {
            skipped = true;
            continue;
        }
        if std::mem::take(&mut skipped) {
            text.push_str("  ...\n");
        }
        let mark = match fate {
            Fate::Kept => ' ',
            Fate::Removed => '-',
            Fate::Added => '+',
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{mark} {line}");
    }
    if skipped {
        text.push_str("  ...\n");
    }
    text
}

/// A difference with a headline, in colours.
pub fn coloured(headline: &str, diff: &str) -> String {
    let mut text = format!("{}\n", headline.bold());
    for line in diff.lines() {
        let _ = match line.as_bytes().first() {
            Some(b'-') => writeln!(text, "{}", line.red()),
            Some(b'+') => writeln!(text, "{}", line.green()),
            _ => writeln!(text, "{line}"),
        };
    }
    text.push('\n');
    text
}

fn is_near_a_change(script: &[(Fate, &str)], at: usize) -> bool {
    let from = at.saturating_sub(CONTEXT);
    let to = (at + CONTEXT + 1).min(script.len());
    script[from..to].iter().any(|(fate, _)| *fate != Fate::Kept)
}

/// Every line of both texts, in order, with its fate.
fn script<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Fate, &'a str)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let middle_old = &old[head..old.len() - tail];
    let middle_new = &new[head..new.len() - tail];
    let kept = |line: &&'a str| (Fate::Kept, *line);
    let mut script: Vec<_> = old[..head].iter().map(kept).collect();
    script.extend(changed(middle_old, middle_new));
    script.extend(old[old.len() - tail..].iter().map(kept));
    script
}

/// The same by the longest common subsequence, for texts that share neither head nor tail.
fn changed<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Fate, &'a str)> {
    let width = new.len() + 1;
    if (old.len() + 1) * width > MAX_CELLS {
        let removed = old.iter().map(|line| (Fate::Removed, *line));
        return removed.chain(new.iter().map(|line| (Fate::Added, *line))).collect();
    }
    // common[i * width + j]: length of the longest common subsequence of old[i..] and new[j..].
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut script = Vec::with_capacity(old.len() + new.len());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            script.push((Fate::Kept, old[i]));
            i += 1;
            j += 1;
        } else if j == new.len()
            || (i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            script.push((Fate::Removed, old[i]));
            i += 1;
        } else {
            script.push((Fate::Added, new[j]));
            j += 1;
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_no_difference() {
        assert_eq!(lines("a\nb", "a\nb"), "");
    }

    #[test]
    fn a_change_is_shown_with_three_lines_around_it() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9";
        let new = "1\n2\n3\n4\nfive\n6\n7\n8\n9";
        assert_eq!(lines(old, new), "  ...\n  2\n  3\n  4\n- 5\n+ five\n  6\n  7\n  8\n  ...\n");
    }

    #[test]
    fn a_new_text_is_all_additions() {
        assert_eq!(lines("", "{\n}"), "+ {\n+ }\n");
    }

    #[test]
    fn a_line_moved_is_removed_once_and_added_once() {
        assert_eq!(lines("a\nb\nc", "b\nc\na"), "- a\n  b\n  c\n+ a\n");
    }

    #[test]
    fn texts_with_nothing_in_common_but_a_middle_line_keep_it() {
        assert_eq!(lines("a\nsame\nb", "x\nsame\ny"), "- a\n+ x\n  same\n- b\n+ y\n");
    }

    #[test]
    fn texts_too_long_to_compare_are_replaced_whole() {
        let old: Vec<String> = (0..5000).map(|n| format!("old {n}")).collect();
        let new: Vec<String> = (0..5000).map(|n| format!("new {n}")).collect();
        let diff = lines(&old.join("\n"), &new.join("\n"));
        assert_eq!(diff.lines().count(), 10_000);
        assert!(diff.starts_with("- old 0\n"));
    }
}

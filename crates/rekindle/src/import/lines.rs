//! Lines of bounded length.

use std::collections::VecDeque;
use std::io::{self, BufRead};

/// The longest line, in bytes.
pub const MAX_LINE: usize = 64 * 1024;
/// A mark that some programs put before text (UTF-8, U+FEFF).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: u64,
    /// Its bytes, or `None` if it is longer than [`MAX_LINE`].
    pub bytes: Option<Vec<u8>>,
}

/// Takes a stream apart into lines, whose ends are LF or CR LF.
pub struct Lines<R> {
    inner: R,
    read: u64,
    returned: VecDeque<Line>,
}

impl<R: BufRead> Lines<R> {
    /// Begins with line 1. A byte order mark before it is passed over.
    pub fn new(inner: R) -> Self {
        Self { inner, read: 0, returned: VecDeque::new() }
    }

    /// The next line; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.returned.pop_front() {
            return Ok(Some(line));
        }
        let mut bytes = Vec::new();
        let mut too_long = false;
        loop {
            let buffer = self.inner.fill_buf()?;
            if buffer.is_empty() {
                if bytes.is_empty() && !too_long {
                    return Ok(None);
                }
                break;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            // One more byte than a line may have: a CR that belongs to its end.
            if bytes.len() + part.len() > MAX_LINE + 1 {
                too_long = true;
                bytes.clear();
            }
            if !too_long {
                bytes.extend_from_slice(part);
            }
            let used = end.map_or(part.len(), |end| end + 1);
            self.inner.consume(used);
            if end.is_some() {
                break;
            }
        }
        self.read += 1;
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        if self.read == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        let is_whole = !too_long && bytes.len() <= MAX_LINE;
        Ok(Some(Line { number: self.read, bytes: is_whole.then_some(bytes) }))
    }

    /// Gives lines back, to be read again in the order given.
    pub fn give_back(&mut self, lines: impl DoubleEndedIterator<Item = Line>) {
        for line in lines.rev() {
            self.returned.push_front(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<(u64, Option<String>)> {
        let mut lines = Lines::new(io::BufReader::with_capacity(7, bytes));
        let mut found = Vec::new();
        while let Some(line) = lines.next().expect("memory reads") {
            let text = line.bytes.map(|bytes| String::from_utf8(bytes).expect("text"));
            found.push((line.number, text));
        }
        found
    }

    #[test]
    fn lines_end_with_lf_or_cr_lf_and_the_last_needs_no_end() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            all(b"\xef\xbb\xbfone\r\n\ntwo\rx\nthree"),
            [(1, text("one")), (2, text("")), (3, text("two\rx")), (4, text("three"))]
        );
        assert_eq!(all(b""), []);
        assert_eq!(all(b"a\n"), [(1, text("a"))]);
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_and_the_next_is_read() {
        let mut bytes = vec![b'x'; MAX_LINE];
        bytes.extend(b"\r\n");
        bytes.extend(vec![b'y'; MAX_LINE + 1]);
        bytes.extend(b"\nshort\n");
        let lines = all(&bytes);
        assert_eq!(lines[0].1.as_ref().map(String::len), Some(MAX_LINE));
        assert_eq!(lines[1], (2, None));
        assert_eq!(lines[2], (3, Some("short".to_owned())));
    }

    #[test]
    fn lines_given_back_come_again_in_order() {
        let mut lines = Lines::new(&b"a\nb\nc\n"[..]);
        let mut take = || lines.next().expect("memory reads").expect("a line");
        let (a, b) = (take(), take());
        lines.give_back([a.clone(), b].into_iter());
        assert_eq!(lines.next().expect("memory reads"), Some(a));
        assert_eq!(lines.next().expect("memory reads").map(|line| line.number), Some(2));
        assert_eq!(lines.next().expect("memory reads").map(|line| line.number), Some(3));
    }
}

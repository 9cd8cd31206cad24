//! A message as it goes over the wire after `DATA` (RFC 5321 §4.5.2).

/// The message with its lines ended by CRLF, leading dots doubled, and the
/// final dot appended.
///
/// A lone CR or LF becomes CRLF, so that no relay can see an end of data, or a
/// second message, where we saw none.
pub(super) fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + message.len() / 64 + 8);
    let mut line_start = true;
    let mut bytes = message.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                wire.extend_from_slice(b"\r\n");
                line_start = true;
            }
            b'\n' => {
                wire.extend_from_slice(b"\r\n");
                line_start = true;
            }
            _ => {
                if line_start && byte == b'.' {
                    wire.push(b'.');
                }
                wire.push(byte);
                line_start = false;
            }
        }
    }
    if !line_start {
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn leading_dots_are_doubled_and_line_ends_made_whole() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"", b".\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b".\r\n..\r\na.\r\n", b"..\r\n...\r\na.\r\n.\r\n"),
            (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r.\rb\n\r", b"a\r\n..\r\nb\r\n\r\n.\r\n"),
        ];
        for (message, wire) in cases {
            assert_eq!(stuffed(message), wire, "{:?}", String::from_utf8_lossy(message));
        }
    }

    proptest! {
        #[test]
        fn the_end_of_data_appears_once_and_at_the_end(
            message in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'x')], 0..64)
        ) {
            let mut wire = b"\r\n".to_vec();
            wire.extend(stuffed(&message));
            let ends: Vec<usize> =
                wire.windows(5).enumerate().filter(|(_, w)| *w == b"\r\n.\r\n").map(|(at, _)| at).collect();
            prop_assert_eq!(ends, vec![wire.len() - 5]);
        }
    }
}

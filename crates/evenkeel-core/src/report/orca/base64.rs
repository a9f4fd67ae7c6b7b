//! Base64 (RFC 4648), read: both alphabets, with or without padding, as gRPC asks of readers.

/// Decodes into `room`, which holds three bytes for every four of `text`; `None` when it is malformed.
pub(super) fn decode<'r>(text: &[u8], room: &'r mut [u8]) -> Option<&'r [u8]> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    if padding > 0 && (padding > 2 || !text.len().is_multiple_of(4)) {
        return None;
    }
    let mut len = 0;
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for digit in group {
            bits = bits << 6 | value(*digit)?;
        }
        let bytes = group.len() * 6 / 8;
        // Bits left over are zero; a single digit is no byte.
        let rest = group.len() * 6 - bytes * 8;
        if bytes == 0 || bits & ((1 << rest) - 1) != 0 {
            return None;
        }
        bits >>= rest;
        room.get_mut(len..len + bytes)?
            .copy_from_slice(&bits.to_be_bytes()[4 - bytes..]);
        len += bytes;
    }
    Some(&room[..len])
}

const fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(value as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 4648 §10, and what is none.
    #[test]
    fn vectors() {
        for (text, expected) in [
            ("", Some("")),
            ("Zg==", Some("f")),
            ("Zm8=", Some("fo")),
            ("Zm9v", Some("foo")),
            ("Zm9vYg==", Some("foob")),
            ("Zm9vYmE=", Some("fooba")),
            ("Zm9vYmFy", Some("foobar")),
            ("Zg", Some("f")),
            ("Zm8", Some("fo")),
            ("Z", None),
            ("Zg=", None),
            ("Zg===", None),
            ("=", None),
            ("====", None),
            ("Zm9=v", None),
            ("Zh==", None),
            ("Zm9v Zm9v", None),
        ] {
            let mut room = [0; 8];
            assert_eq!(
                decode(text.as_bytes(), &mut room),
                expected.map(str::as_bytes),
                "{text}"
            );
        }
        let mut room = [0; 3];
        assert_eq!(decode(b"-_+/", &mut room), Some(&[0xfb, 0xff, 0xbf][..]));
        assert_eq!(decode(b"AAAAAA", &mut room), None, "no room");
    }
}

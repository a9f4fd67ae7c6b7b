//! The syntax of `host[:port]` (RFC 3986 §3.2, without user information).
//!
//! The effective host selects a service, so it is held to the grammar: a registered name, an IPv4
//! address (which is one in form) or a bracketed IPv6 address, and at most one port. A comma, which
//! the grammar allows, is refused because a recipient may read it as a list of hosts.

use std::net::Ipv6Addr;

/// Whether `authority` is `host[:port]` with a host that is not empty.
pub(crate) fn is_host_and_port(authority: &[u8]) -> bool {
    if let Some(rest) = authority.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', rest) else {
            return false;
        };
        let address = std::str::from_utf8(&rest[..end])
            .ok()
            .and_then(|text| text.parse::<Ipv6Addr>().ok());
        return address.is_some() && is_port_suffix(&rest[end + 1..]);
    }
    let end = memchr::memchr(b':', authority).unwrap_or(authority.len());
    end > 0 && is_registered_name(&authority[..end]) && is_port_suffix(&authority[end..])
}

/// Whether `suffix` is empty or `:` and a port number; RFC 3986 allows an empty port.
fn is_port_suffix(suffix: &[u8]) -> bool {
    match suffix {
        [] | [b':'] => true,
        [b':', digits @ ..] if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) => {
            digits
                .iter()
                .fold(0u32, |port, digit| port * 10 + u32::from(digit - b'0'))
                <= 65_535
        }
        _ => false,
    }
}

/// Whether `name` has only the bytes of a registered name, with whole percent encodings.
fn is_registered_name(name: &[u8]) -> bool {
    let mut rest = name;
    loop {
        rest = match rest {
            [] => return true,
            [
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~',
                rest @ ..,
            ] => rest,
            [
                b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=',
                rest @ ..,
            ] => rest,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::is_host_and_port;

    #[test]
    fn hosts() {
        for good in [
            "a",
            "example.com",
            "example.com:80",
            "a:",
            "127.0.0.1:65535",
            "[::1]",
            "[2001:db8::1]:443",
            "a_b",
            "x%20y",
            "*",
        ] {
            assert!(is_host_and_port(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a,b",
            "a/b",
            "a@b",
            "u:p@b",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:123456",
            "a:-1",
            "[::1",
            "[::1]x",
            "[a]",
            "[fe80::1%25eth0]",
            "::1",
            "a\\b",
            "a#b",
            "a?b",
            "a%2",
            "a%zz",
            "b\u{e9}",
            "a\0",
            "a\t",
            "<a>",
            "\"a\"",
        ] {
            assert!(!is_host_and_port(bad.as_bytes()), "{bad}");
        }
    }
}

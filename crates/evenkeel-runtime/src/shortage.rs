//! Whose fault it is that a connection cannot be made.

use std::io;

const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOBUFS: i32 = if cfg!(any(target_os = "linux", target_os = "android")) {
    105
} else {
    55
};

/// Whether an error of connecting is about this machine: no descriptor, memory, buffer, local address or
/// port left. It is then no evidence against the instance.
///
/// Local ports run out per destination, so that a shortage of them may concern one instance alone; but it
/// is still this side that lacks them, and the instance may serve everybody else.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory
    ) || matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn five_errors_are_shortages_of_this_machine() {
        for (errno, name, expected) in [
            (12, "ENOMEM", true),
            (23, "ENFILE", true),
            (24, "EMFILE", true),
            (99, "EADDRNOTAVAIL", true),
            (105, "ENOBUFS", true),
            (13, "EACCES", false),
            (101, "ENETUNREACH", false),
            (104, "ECONNRESET", false),
            (110, "ETIMEDOUT", false),
            (111, "ECONNREFUSED", false),
            (113, "EHOSTUNREACH", false),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(is_shortage(&error), expected, "{name}");
        }
        assert!(!is_shortage(&io::ErrorKind::UnexpectedEof.into()));
    }
}

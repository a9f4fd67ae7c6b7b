//! Strict sans-I/O HTTP/1.1 message framing.

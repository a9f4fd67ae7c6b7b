//! What gRPC says of a call: a status in the trailers, or in the head of a response that is nothing but a head. The HTTP
//! status is 200 either way, so without this a server that fails every call would look well.
//!
//! Absent on purpose: gRPC-Web, whose status stands within its body. Such responses count by their HTTP status.

use evenkeel_core::Verdict;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// Whether the response must have a gRPC status: its content type is `application/grpc`, or that with `+` and a format.
pub(super) fn is_spoken(head: &HeaderMap) -> bool {
    let content = head.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    content.is_some_and(|content| {
        let (name, rest) = content.split_at(content.len().min(b"application/grpc".len()));
        name.eq_ignore_ascii_case(b"application/grpc")
            && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
    })
}

/// What the status says of the instance, in the head or the trailers; `None` when there is none.
pub(super) fn verdict(fields: &HeaderMap) -> Option<Verdict> {
    let status = fields.get("grpc-status")?;
    Some(match status.as_bytes() {
        // Our side gave up.
        b"1" => Verdict::Cancelled,
        // Out of quota, memory or permits: it works, and has too much of it.
        b"8" => Verdict::Throttled,
        b"0" => Verdict::Success,
        // What is wrong with the request: an argument, a right, what it looks for, who was faster, what it calls. Such
        // answers may take no work at all.
        b"3" | b"5" | b"6" | b"7" | b"9" | b"10" | b"11" | b"12" | b"16" => Verdict::Declined,
        // Unknown, deadline exceeded, internal, unavailable, data loss, and what gRPC does not know: it says that such
        // a status is to be read as unknown.
        _ => Verdict::Failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: &'static str, value: &str) -> HeaderMap {
        let name = http::HeaderName::from_static(name);
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn each_status_speaks_of_the_instance_or_of_the_caller() {
        for code in 0..=17 {
            let expected = match code {
                1 => Verdict::Cancelled,
                8 => Verdict::Throttled,
                2 | 4 | 13..=15 | 17.. => Verdict::Failure,
                0 => Verdict::Success,
                _ => Verdict::Declined,
            };
            let said = verdict(&fields("grpc-status", &code.to_string()));
            assert_eq!(said, Some(expected), "{code}");
        }
        for odd in ["", "-1", "00", "OK", "999999999999"] {
            assert_eq!(
                verdict(&fields("grpc-status", odd)),
                Some(Verdict::Failure),
                "{odd:?}"
            );
        }
        assert_eq!(verdict(&HeaderMap::new()), None);
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        for (content, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/GRPC; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grp", false),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(is_spoken(&fields("content-type", content)), expected, "{content}");
        }
        assert!(!is_spoken(&HeaderMap::new()));
    }
}

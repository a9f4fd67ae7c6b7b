//! Which service a request goes to.

use crate::settings::RouteSettings;

/// Index of the upstream of the first route that matches.
///
/// `authority` is `host[:port]` as the client sent it, `path` begins with `/` (or is `*`). A path
/// prefix matches at a segment boundary: `/v2` matches `/v2`, `/v2/x` and `/v2?x`, not `/v20`.
pub(crate) fn find(routes: &[RouteSettings], authority: &[u8], path: &[u8]) -> Option<usize> {
    let host = without_port(authority);
    routes
        .iter()
        .find(|route| {
            route
                .host
                .as_deref()
                .is_none_or(|pattern| host_matches(pattern.as_bytes(), host))
                && route
                    .path_prefix
                    .as_deref()
                    .is_none_or(|prefix| path_matches(prefix.as_bytes(), path))
        })
        .map(|route| route.upstream)
}

fn without_port(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|b| *b == b':') {
        Some(colon) if authority[colon + 1..].iter().all(u8::is_ascii_digit) => &authority[..colon],
        _ => authority,
    }
}

fn host_matches(pattern: &[u8], host: &[u8]) -> bool {
    let host = host.strip_suffix(b".").unwrap_or(host);
    match pattern.strip_prefix(b"*") {
        Some(suffix) => {
            host.len() > suffix.len() && host[host.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
        }
        None => host.eq_ignore_ascii_case(pattern),
    }
}

fn path_matches(prefix: &[u8], path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else {
        return false;
    };
    prefix.ends_with(b"/") || matches!(rest.first(), None | Some(b'/' | b'?'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_match_wins() {
        let route = |host: &str, prefix: &str, upstream| RouteSettings {
            host: (!host.is_empty()).then(|| host.into()),
            path_prefix: (!prefix.is_empty()).then(|| prefix.into()),
            upstream,
        };
        let routes = [
            route("api.example.com", "/v2", 0),
            route("*.example.com", "", 1),
            route("[::1]", "", 2),
            route("", "/static/", 3),
        ];
        let find = |host: &str, path: &str| find(&routes, host.as_bytes(), path.as_bytes());
        assert_eq!(find("api.example.com", "/v2/users"), Some(0));
        assert_eq!(find("API.example.com:8080", "/v2?x=1"), Some(0));
        assert_eq!(find("api.example.com.", "/v2"), Some(0));
        assert_eq!(find("api.example.com", "/v20"), Some(1));
        assert_eq!(find("example.com", "/"), None);
        assert_eq!(find("[::1]:80", "/"), Some(2));
        assert_eq!(find("other", "/static/a.css"), Some(3));
        assert_eq!(find("other", "/static"), None);
    }
}

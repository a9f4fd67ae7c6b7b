//! Which service a request goes to.

use std::borrow::Cow;

use memchr::memchr;

use crate::settings::RouteSettings;

/// Index of the upstream of the first route that matches.
///
/// `authority` is `host[:port]` as the client sent it, `target` begins with `/` (or is `*`). A path
/// prefix matches at a segment boundary: `/v2` matches `/v2`, `/v2/x` and `/v2?x`, not `/v20`. It is compared
/// with what the path means, so that no spelling of it takes another route; the instance gets it as it came.
pub(crate) fn find(routes: &[RouteSettings], authority: &[u8], target: &[u8]) -> Option<usize> {
    let host = without_port(authority);
    // Routes without a path are found without looking at it.
    let mut path = None;
    routes
        .iter()
        .find(|route| {
            route
                .host
                .as_deref()
                .is_none_or(|pattern| host_matches(pattern.as_bytes(), host))
                && route.path_prefix.as_deref().is_none_or(|prefix| {
                    let path = path.get_or_insert_with(|| normal(target));
                    path_matches(prefix.as_bytes(), path)
                })
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
    prefix.ends_with(b"/") || matches!(rest.first(), None | Some(b'/'))
}

/// The path of `target` with percent-encodings resolved, slashes in a row merged and dot segments removed
/// (RFC 3986 §6.2.2), as servers understand it that map paths to files. Allocates for paths that need it only.
fn normal(target: &[u8]) -> Cow<'_, [u8]> {
    let end = memchr(b'?', target).unwrap_or(target.len());
    let path = &target[..end];
    let plain = memchr(b'%', path).is_none() && !path.windows(2).any(|pair| matches!(pair, b"//" | b"/."));
    if plain {
        return Cow::Borrowed(path);
    }
    let path = decoded(path);
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut normal = Vec::with_capacity(path.len());
    for segment in &segments {
        normal.push(b'/');
        normal.extend_from_slice(segment);
    }
    let folder = [&b"/"[..], b"/.", b"/.."].iter().any(|end| path.ends_with(end));
    if folder || segments.is_empty() {
        normal.push(b'/');
    }
    Cow::Owned(normal)
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        rest = tail;
        decoded.push(match (first, tail) {
            (b'%', [high, low, behind @ ..]) => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => {
                    rest = behind;
                    (high * 16 + low) as u8
                }
                _ => b'%',
            },
            _ => *first,
        });
    }
    decoded
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
        // Other spellings of the same path, and paths that only look like it.
        for path in [
            "/%73tatic/a",
            "//static//a",
            "/./static/a",
            "/x/../static/a",
            "/static%2fa",
            "/a/..//static/.",
        ] {
            assert_eq!(find("other", path), Some(3), "{path}");
        }
        for path in [
            "/static/../a",
            "/static/%2e%2E/a",
            "/a?/static/",
            "/%2573tatic/a",
            "*",
            "/.static/a",
        ] {
            assert_eq!(find("other", path), None, "{path}");
        }
    }

    #[test]
    fn paths_in_normal_form() {
        for (target, path) in [
            ("/", "/"),
            ("*", "*"),
            ("/a/b?c//d/../e", "/a/b"),
            ("//", "/"),
            ("/..", "/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/./b/", "/a/b/"),
            ("/a//b", "/a/b"),
            ("/..a/.b", "/..a/.b"),
            ("/%41%zz%4", "/A%zz%4"),
            ("/%3fx", "/?x"),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&normal(target.as_bytes())),
                path,
                "{target}"
            );
        }
    }
}

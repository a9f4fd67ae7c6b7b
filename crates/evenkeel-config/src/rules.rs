//! Rules for single values, called by garde. Each message says what is wrong and what would be right.

use evenkeel_core::InstanceId;

use crate::sticky::Sticky;
use crate::text::DurationText;

/// Names of listeners and services stand in URLs, labels and logs, like instance ids.
pub(crate) fn name(name: &str, (): &()) -> garde::Result {
    InstanceId::new(name).map(|_| ()).map_err(|_| {
        garde::Error::new(format!(
            "{name:?} is not a name: write 1 to {} ASCII letters, digits and any of {}, such as `web` or `api-v2`",
            InstanceId::MAX_BYTES,
            InstanceId::SIGNS,
        ))
    })
}

/// A directory.
pub(crate) fn directory(path: &Option<String>, (): &()) -> garde::Result {
    match path.as_deref() {
        Some("") => Err(garde::Error::new(
            "this names no directory: write its path, or leave the key out",
        )),
        _ => Ok(()),
    }
}

/// Ids of instances.
pub(crate) fn id(id: &Option<String>, (): &()) -> garde::Result {
    id.as_deref().map_or(Ok(()), |id| name(id, &()))
}

/// Hosts of routes: a name or address without port, or `*.` and a domain.
pub(crate) fn host(host: &Option<String>, (): &()) -> garde::Result {
    let Some(host) = host else { return Ok(()) };
    let bare = host.strip_prefix("*.").unwrap_or(host);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    if let Some((name, port)) = bare.rsplit_once(':')
        && !name.contains(':')
        && !port.is_empty()
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(garde::Error::new(format!(
            "a route's host has no port: write `{name}`"
        )));
    }
    if host == "*" {
        return Err(garde::Error::new("leave `host` out to match every host"));
    }
    if bare.contains('*') {
        return Err(garde::Error::new(
            "`*` can only stand for the first labels: write `*.example.com`",
        ));
    }
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'[' | b']');
    if bare.is_empty() || !bare.bytes().all(ok) || bare.split('.').any(str::is_empty) {
        return Err(garde::Error::new(format!(
            "{host:?} is not a host: write a name such as `api.example.com` or `*.example.com`"
        )));
    }
    Ok(())
}

/// Path prefixes of routes: normal paths, as that is what they are compared with.
pub(crate) fn path_prefix(prefix: &Option<String>, (): &()) -> garde::Result {
    let Some(prefix) = prefix.as_deref() else {
        return Ok(());
    };
    if prefix.contains(['?', '#']) {
        return Err(garde::Error::new(
            "a path prefix has no query and no fragment: end it before `?` or `#`",
        ));
    }
    if prefix.contains(char::is_control) {
        return Err(garde::Error::new(format!(
            "a path prefix has no control characters: remove them from {prefix:?}"
        )));
    }
    let suggested = normal(prefix);
    if suggested == prefix {
        return Ok(());
    }
    Err(garde::Error::new(match suggested {
        suggested if !prefix.starts_with('/') => {
            format!("a path prefix starts with `/`: write `{suggested}`")
        }
        // What is encoded twice, or is not text, has no normal form to suggest.
        suggested if normal(&suggested) != suggested || suggested.contains(['?', '#', '\u{fffd}']) => {
            format!(
                "`{prefix}` matches no path, as paths are compared decoded: leave out what is percent-encoded"
            )
        }
        suggested => {
            format!("`{prefix}` matches no path, as paths are compared in normal form: write `{suggested}`")
        }
    }))
}

/// `prefix` with percent-encodings resolved, slashes in a row merged and dot segments removed.
fn normal(prefix: &str) -> String {
    let mut bytes = Vec::with_capacity(prefix.len());
    let mut rest = prefix.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let encoded = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let hex = |pair: &&[u8]| pair.iter().all(u8::is_ascii_hexdigit);
        match tail.get(..2).filter(hex).and_then(encoded) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let directory = ["/", "/.", "/.."].iter().any(|end| text.ends_with(end));
    let end = if directory && !segments.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", segments.join("/"))
}

/// Paths of checks.
pub(crate) fn path(path: &Option<String>, (): &()) -> garde::Result {
    match path.as_deref() {
        None => Ok(()),
        Some(path) if path.bytes().any(|b| !b.is_ascii_graphic()) => Err(garde::Error::new(format!(
            "a path holds visible ASCII characters only: percent-encode the others in {path:?}"
        ))),
        Some(path) if path.starts_with('/') => Ok(()),
        Some(path) => Err(garde::Error::new(format!(
            "a path starts with `/`: write `/{path}`"
        ))),
    }
}

/// `Host` of check requests.
pub(crate) fn check_host(host: &Option<String>, (): &()) -> garde::Result {
    match host.as_deref() {
        Some(host) if host.is_empty() || host.bytes().any(|b| !b.is_ascii_graphic() || b == b'/') => {
            Err(garde::Error::new(format!(
                "{host:?} is not a host: write a name, with its port if it needs one"
            )))
        }
        _ => Ok(()),
    }
}

/// Names of cookies: tokens (RFC 6265), short, as every request carries them.
pub(crate) fn cookie_name(name: &Option<String>, (): &()) -> garde::Result {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    match name.as_deref() {
        Some(name) if !(1..=Sticky::LONGEST).contains(&name.len()) || !name.bytes().all(token) => {
            Err(garde::Error::new(format!(
                "{name:?} cannot be the name of a cookie: write 1 to 64 letters, digits, `-`, `_` or `.`"
            )))
        }
        _ => Ok(()),
    }
}

/// Paths of cookies.
pub(crate) fn cookie_path(value: &Option<String>, (): &()) -> garde::Result {
    path(value, &())?;
    match value.as_deref() {
        Some(value) if value.contains([';', ',']) => Err(garde::Error::new(format!(
            "a cookie's path has no `;` and no `,`: percent-encode them in {value:?}"
        ))),
        _ => Ok(()),
    }
}

/// How long cookies live, which browsers count in whole seconds.
pub(crate) fn cookie_ttl(ttl: &Option<DurationText>, (): &()) -> garde::Result {
    match ttl {
        Some(ttl) if ttl.0.as_secs() == 0 || ttl.0.subsec_nanos() != 0 => Err(garde::Error::new(format!(
            "a cookie lives for whole seconds, and `{ttl}` is none: write `1s` or more"
        ))),
        _ => Ok(()),
    }
}

/// Paths of files with secrets.
pub(crate) fn secret_file(file: &Option<String>, (): &()) -> garde::Result {
    match file.as_deref() {
        Some("") => Err(garde::Error::new(
            "this names no file: write its path, or remove the key",
        )),
        _ => Ok(()),
    }
}

/// Paths of logs.
pub(crate) fn log_file(file: &str, (): &()) -> garde::Result {
    if file.is_empty() {
        return Err(garde::Error::new(
            "this names no file: write its path, or `-` for standard output",
        ));
    }
    Ok(())
}

/// Lists that mean nothing when they are empty.
pub(crate) fn not_empty<T>(list: &Option<Vec<T>>, (): &()) -> garde::Result {
    match list {
        Some(list) if list.is_empty() => Err(garde::Error::new(
            "an empty list matches nothing: name at least one, or leave the key out",
        )),
        _ => Ok(()),
    }
}

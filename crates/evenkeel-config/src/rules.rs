//! Rules for single values, called by garde. Each message says what is wrong and what would be right.

use evenkeel_core::InstanceId;

/// Names of listeners and services stand in URLs, labels and logs, like instance ids.
pub(crate) fn name(name: &str, (): &()) -> garde::Result {
    InstanceId::new(name).map(|_| ()).map_err(|_| {
        garde::Error::new(format!(
            "{name:?} is not a name: write 1 to {} characters without white space and `/`, such as `web` or `api-v2`",
            InstanceId::MAX_BYTES
        ))
    })
}

/// Ids of instances.
pub(crate) fn id(id: &Option<String>, (): &()) -> garde::Result {
    id.as_deref().map_or(Ok(()), |id| name(id, &()))
}

/// Hosts of routes: a name or address without port, or `*.` and a domain.
pub(crate) fn host(host: &Option<String>, (): &()) -> garde::Result {
    let Some(host) = host else { return Ok(()) };
    let bare = host.strip_prefix("*.").unwrap_or(host);
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
    if bare.is_empty() || !bare.bytes().all(ok) || bare.starts_with('.') {
        return Err(garde::Error::new(format!(
            "{host:?} is not a host: write a name such as `api.example.com` or `*.example.com`"
        )));
    }
    Ok(())
}

/// Path prefixes of routes.
pub(crate) fn path_prefix(prefix: &Option<String>, (): &()) -> garde::Result {
    match prefix.as_deref() {
        None => Ok(()),
        Some(prefix) if prefix.contains(['?', '#']) => Err(garde::Error::new(
            "a path prefix has no query and no fragment: end it before `?` or `#`",
        )),
        prefix => absolute(prefix, "a path prefix"),
    }
}

/// Paths of checks.
pub(crate) fn path(path: &Option<String>, (): &()) -> garde::Result {
    absolute(path.as_deref(), "a path")
}

fn absolute(path: Option<&str>, what: &str) -> garde::Result {
    match path {
        None => Ok(()),
        Some(path) if path.bytes().any(|b| !b.is_ascii_graphic()) => Err(garde::Error::new(format!(
            "{what} holds visible ASCII characters only: percent-encode the others in {path:?}"
        ))),
        Some(path) if path.starts_with('/') => Ok(()),
        Some(path) => Err(garde::Error::new(format!(
            "{what} starts with `/`: write `/{path}`"
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

/// Lists that mean nothing when they are empty.
pub(crate) fn not_empty<T>(list: &Option<Vec<T>>, (): &()) -> garde::Result {
    match list {
        Some(list) if list.is_empty() => Err(garde::Error::new(
            "an empty list matches nothing: name at least one, or leave the key out",
        )),
        _ => Ok(()),
    }
}

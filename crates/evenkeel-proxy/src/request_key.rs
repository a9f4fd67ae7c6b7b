//! What of a request decides its instance, for strategies that hash: found in the head and hashed where it
//! stands, without a copy.

use evenkeel_core::{HashedKey, KeySource};
use evenkeel_h1::{FieldName, RequestHead};

use crate::worker::Upstream;

/// The hash that the strategy of `upstream` asks for; `None` when it asks for none. What is absent or empty
/// in the request is replaced by `source`, its source address as text, and counted.
pub(crate) fn hash(
    upstream: &Upstream,
    head: &RequestHead,
    buf: &[u8],
    target: &[u8],
    source: &str,
) -> Option<HashedKey> {
    let mut reader = upstream.view.borrow_mut();
    let wanted = reader.view().request_key()?;
    let found = find(&wanted.source, head, buf, target).filter(|key| !key.is_empty());
    if found.is_none() && wanted.source != KeySource::SourceAddress {
        upstream.settings.service.metrics().record_absent_key();
    }
    Some(wanted.hash.hash(found.unwrap_or(source.as_bytes())))
}

fn find<'b>(source: &KeySource, head: &RequestHead, buf: &'b [u8], target: &'b [u8]) -> Option<&'b [u8]> {
    let (path, query) = split(target, b'?');
    match source {
        KeySource::Header(name) => {
            let mut fields = head.fields().iter();
            let field = fields.find(|field| field.name.of(buf).eq_ignore_ascii_case(name.as_bytes()))?;
            Some(field.value.of(buf))
        }
        KeySource::Cookie(name) => cookies(name, head, buf).next(),
        KeySource::Query(name) => query?.split(|b| *b == b'&').find_map(|pair| value_of(name, pair)),
        KeySource::Path => Some(path),
        KeySource::SourceAddress => None,
    }
}

/// The values of the cookies of this name.
pub(crate) fn cookies<'b>(name: &str, head: &RequestHead, buf: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
    let fields = head.fields().iter().filter(|field| field.id == FieldName::Cookie);
    fields
        .flat_map(|field| field.value.of(buf).split(|b| *b == b';'))
        .filter_map(move |pair| value_of(name, pair.trim_ascii()))
}

/// The value of `name=value`.
fn value_of<'b>(name: &str, pair: &'b [u8]) -> Option<&'b [u8]> {
    let (key, value) = split(pair, b'=');
    value.filter(|_| key == name.as_bytes())
}

/// What is before the first `byte`, and what is after it.
fn split(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|b| *b == byte) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_they_are() {
        let buf = b"GET /a/b?user=1&x=&user=2&flag HTTP/1.1\r\nHost: a\r\nX-User: bob \r\nx-user: eve\r\n\
                    Cookie: id=7;theme=dark\r\nCookie: late=1\r\n\r\n";
        let mut head = RequestHead::new();
        assert!(head.parse(buf, &evenkeel_h1::Limits::default()).is_ok());
        let target = head.origin_target(buf).1;
        let find = |source: KeySource| {
            find(&source, &head, buf, target).map(|key| String::from_utf8_lossy(key).into_owned())
        };
        for (source, expected) in [
            (KeySource::Header("x-user".into()), Some("bob")),
            (KeySource::Header("x-other".into()), None),
            (KeySource::Cookie("theme".into()), Some("dark")),
            (KeySource::Cookie("late".into()), Some("1")),
            (KeySource::Cookie("Theme".into()), None),
            (KeySource::Query("user".into()), Some("1")),
            (KeySource::Query("x".into()), Some("")),
            (KeySource::Query("flag".into()), None),
            (KeySource::Path, Some("/a/b")),
        ] {
            assert_eq!(find(source.clone()).as_deref(), expected, "{source:?}");
        }
    }
}

//! Sessions that stick: the cookie by which a client comes back to the instance it had.
//!
//! The cookie holds the instance's tag ([`SessionTag`]). It is set with a response whenever the client has none
//! that leads to an instance which takes requests of its own, and never with a 5xx: that is nothing to come
//! back to. The instance sees the cookie, as it sees all others.

use std::io::Write as _;
use std::time::Duration;

use evenkeel_core::SessionTag;
use evenkeel_h1::RequestHead;

use crate::request_key;
use crate::worker::Upstream;

/// The cookie of a service's sessions. Always `HttpOnly`: no script has a use for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickyCookie {
    /// Its name, a token.
    pub name: Box<str>,
    /// Paths below which clients send it; begins with a slash.
    pub path: Box<str>,
    /// How long clients keep it, in whole seconds; as long as the browser runs when `None`.
    pub ttl: Option<Duration>,
    /// Whether clients send it over TLS alone.
    pub secure: bool,
    /// Whether clients send it with requests that other sites cause.
    pub same_site: SameSite,
}

/// With which requests that other sites cause a cookie is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// None.
    Strict,
    /// When the user follows a link.
    Lax,
    /// All; browsers want [`StickyCookie::secure`] then.
    None,
}

impl StickyCookie {
    /// Appends the field that sets it to `tag`.
    pub(crate) fn write(&self, out: &mut Vec<u8>, tag: SessionTag) {
        for part in [
            b"Set-Cookie: ",
            self.name.as_bytes(),
            b"=",
            &tag.to_text(),
            b"; Path=",
        ] {
            out.extend_from_slice(part);
        }
        out.extend_from_slice(self.path.as_bytes());
        if let Some(ttl) = self.ttl {
            let _ = write!(out, "; Max-Age={}", ttl.as_secs());
        }
        if self.secure {
            out.extend_from_slice(b"; Secure");
        }
        out.extend_from_slice(match self.same_site {
            SameSite::Strict => b"; HttpOnly; SameSite=Strict\r\n",
            SameSite::Lax => b"; HttpOnly; SameSite=Lax\r\n",
            SameSite::None => b"; HttpOnly; SameSite=None\r\n",
        });
    }
}

/// What a request says of its session: the first cookie of the name that holds a tag.
pub(crate) fn session(upstream: &Upstream, head: &RequestHead, buf: &[u8]) -> Option<SessionTag> {
    let cookie = upstream.settings.sticky.as_ref()?;
    request_key::cookies(&cookie.name, head, buf).find_map(SessionTag::from_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_has_its_attributes() {
        let tag = SessionTag::from_text(b"000102030405060708090a0b0c0d0e0f").unwrap();
        let written = |cookie: &StickyCookie| {
            let mut out = Vec::new();
            cookie.write(&mut out, tag);
            String::from_utf8(out).unwrap()
        };
        let mut cookie = StickyCookie {
            name: "evenkeel".into(),
            path: "/".into(),
            ttl: None,
            secure: false,
            same_site: SameSite::Lax,
        };
        assert_eq!(
            written(&cookie),
            "Set-Cookie: evenkeel=000102030405060708090a0b0c0d0e0f; Path=/; HttpOnly; SameSite=Lax\r\n"
        );
        cookie.ttl = Some(Duration::from_secs(3600));
        cookie.secure = true;
        cookie.same_site = SameSite::None;
        assert!(written(&cookie).ends_with("; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=None\r\n"));
    }
}

//! Sessions that stick to an instance, as written in the file and resolved. Off unless the group is there, as
//! `sticky: {}` at least.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;
use crate::settings::Overlay;
use crate::text::DurationText;
use crate::tolerated;

/// Sessions that stick: a client gets a cookie, and with it the instance it had, draining or not, until that is gone or
/// does not answer. Then another takes the session over, with a new cookie.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, garde::Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct StickyFile {
    /// Name of the cookie. Default `evenkeel-` and the name of the service, so that clients of several services keep a
    /// session with each. It holds neither the id nor the address of an instance, and nobody can make one up.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[garde(custom(rules::cookie_name))]
    pub cookie: Option<String>,
    /// How long clients keep the cookie after it was set. Without it, until the browser ends. At least `1s`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[garde(custom(rules::cookie_ttl))]
    pub ttl: Option<DurationText>,
    /// Below which paths clients send it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[garde(custom(rules::cookie_path))]
    #[schemars(extend("default" = StickyFile::PATH))]
    pub path: Option<String>,
    /// Whether clients send it over TLS alone. For services that clients reach by `https` only.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = false))]
    pub secure: Option<bool>,
    /// Whether clients send it with requests that other sites cause: `strict` (none), `lax` (links that are followed) or
    /// `none` (all, which needs `secure: true`).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[schemars(extend("default" = SameSite::Lax))]
    pub same_site: Option<SameSite>,
    /// File with a secret of at least 16 bytes that cookies are made with. The same in all proxies of a service. Without
    /// it, the one in `session-secret` of `state_dir`, which is made there at the first start: sessions outlast restarts,
    /// and other machines do not know them.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "tolerated::key"
    )]
    #[garde(custom(rules::secret_file))]
    pub secret_file: Option<String>,
}

/// With which requests that other sites cause a cookie is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    /// None.
    Strict,
    /// When the user follows a link.
    #[default]
    Lax,
    /// All.
    None,
}

/// Sessions that stick.
#[derive(Debug, Clone, PartialEq)]
pub struct Sticky {
    /// Name of the cookie, a token.
    pub cookie: String,
    /// How long clients keep it; `None`: until the browser ends.
    pub ttl: Option<Duration>,
    /// Below which paths clients send it.
    pub path: String,
    /// Whether clients send it over TLS alone.
    pub secure: bool,
    /// Whether clients send it with requests that other sites cause.
    pub same_site: SameSite,
    /// The file with the secret; `None`: that of the state directory.
    pub secret_file: Option<String>,
}

impl StickyFile {
    const PATH: &'static str = "/";

    /// What is left out here is that of `service`.
    pub(crate) fn resolved(self, service: &str) -> Sticky {
        Sticky {
            cookie: self.cookie.unwrap_or_else(|| Sticky::cookie_of(service)),
            ttl: self.ttl.map(Into::into),
            path: self.path.unwrap_or_else(|| Self::PATH.to_owned()),
            secure: self.secure.unwrap_or_default(),
            same_site: self.same_site.unwrap_or_default(),
            secret_file: self.secret_file,
        }
    }

    /// Keys that do not go together, with what to do, and whether that is to add a key.
    pub(crate) fn misplaced(&self) -> Vec<(&'static str, &'static str, bool)> {
        let mut wrong = Vec::new();
        let secure = self.secure == Some(true);
        if self.same_site == Some(SameSite::None) && !secure {
            wrong.push((
                "same_site",
                "browsers refuse a cookie for requests of all sites that is not for TLS alone\nadd `secure: true`, or write `same_site: lax`",
                self.secure.is_none(),
            ));
        }
        let cookie = self.cookie.as_deref().unwrap_or_default().to_ascii_lowercase();
        let of_host = cookie.starts_with("__host-");
        if (of_host || cookie.starts_with("__secure-")) && !secure {
            wrong.push((
                "cookie",
                "browsers refuse a cookie with this name that is not for TLS alone\nadd `secure: true`, or choose another name",
                self.secure.is_none(),
            ));
        }
        if of_host && self.path.as_deref().is_some_and(|path| path != Self::PATH) {
            wrong.push((
                "path",
                "browsers refuse a cookie whose name begins with `__Host-` for some paths only\nwrite `path: /`, or choose another name",
                false,
            ));
        }
        wrong
    }
}

impl Overlay for StickyFile {
    fn over(self, below: Self) -> Self {
        Self {
            cookie: self.cookie.or(below.cookie),
            ttl: self.ttl.or(below.ttl),
            path: self.path.or(below.path),
            secure: self.secure.or(below.secure),
            same_site: self.same_site.or(below.same_site),
            secret_file: self.secret_file.or(below.secret_file),
        }
    }
}

impl Sticky {
    /// Longest name of a cookie.
    pub(crate) const LONGEST: usize = 64;

    /// The name of the cookie of `service` unless the file has one. Browsers keep a cookie per name, not per service.
    fn cookie_of(service: &str) -> String {
        let service = service.chars();
        // A service may be called what a cookie cannot.
        let name = service.map(|c| if ":@=[]".contains(c) { '_' } else { c });
        "evenkeel-".chars().chain(name).take(Self::LONGEST).collect()
    }
}

impl From<&Sticky> for StickyFile {
    fn from(sticky: &Sticky) -> Self {
        Self {
            cookie: Some(sticky.cookie.clone()),
            ttl: sticky.ttl.map(Into::into),
            path: Some(sticky.path.clone()),
            secure: Some(sticky.secure),
            same_site: Some(sticky.same_site),
            secret_file: sticky.secret_file.clone(),
        }
    }
}

//! Addresses, networks and status codes, as they are written.
//!
//! Names are not resolved here: that is the caller's, at start and at reload.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::text::textual;

/// An IP address and port to listen on; port 0 lets the system choose one, which the log names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bind(pub SocketAddr);

impl Bind {
    const EXPECTED: &'static str = "an IP address and a port, such as `127.0.0.1:8080` or `[::]:8080`";
}

impl FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| match text.strip_prefix(':') {
            Some(port) if port.parse::<u16>().is_ok() => {
                format!("`{text}` names no address: write `0.0.0.0{text}` for all interfaces or `127.0.0.1{text}` for this machine only")
            }
            _ => format!("`{text}` is not an address to listen on: write {}", Self::EXPECTED),
        })
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Bind> for SocketAddr {
    fn from(bind: Bind) -> Self {
        bind.0
    }
}

impl From<SocketAddr> for Bind {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

textual!(Bind, "string", "x-expects": "address", "examples": ["127.0.0.1:8080", "[::]:8080"]);

/// Where an instance is: an IP address with a port, or a DNS name with a port, which the caller resolves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An address that needs no resolution.
    Socket(SocketAddr),
    /// A DNS name.
    Name {
        /// The name, in lower case, without a dot at its end.
        host: String,
        /// The port, never 0.
        port: u16,
    },
}

impl Address {
    const EXPECTED: &'static str =
        "`host:port`, such as `10.0.0.7:9001`, `[fd00::7]:9001` or `web-1.internal:9001`";

    /// The port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Socket(address) => address.port(),
            Self::Name { port, .. } => *port,
        }
    }

    /// The IP address, when no resolution is needed.
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Socket(address) => Some(*address),
            Self::Name { .. } => None,
        }
    }
}

/// RFC 1123 host names, and `_` as used in service names.
fn is_host_name(name: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // A name whose last label is a number is a mistyped IPv4 address (RFC 3696 §2).
    name.len() <= 253
        && name.split('.').all(label)
        && !name
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an address: write {}", Self::EXPECTED);
        if let Some((scheme, rest)) = text.split_once("://") {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let port = if scheme == "https" { 443 } else { 80 };
            return [authority.to_owned(), format!("{authority}:{port}")]
                .iter()
                .find(|remedy| remedy.parse::<Self>().is_ok())
                .map_or_else(
                    || Err(wrong()),
                    |remedy| {
                        Err(format!(
                            "`{text}` is a URL: write `{remedy}`, without `{scheme}://`"
                        ))
                    },
                );
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            let (ip, port) = text.rsplit_once(':').unwrap_or_default();
            return Err(
                if ip.parse::<Ipv6Addr>().is_ok() && port.parse::<u16>().is_ok_and(|port| port > 0) {
                    format!(
                        "`{text}` may or may not have a port: write `[{ip}]:{port}` for port {port}, or `[{text}]:80` with the port the instance listens on"
                    )
                } else {
                    format!("`{text}` has no port: write `[{text}]:80` with the port the instance listens on")
                },
            );
        }
        let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        if bracketed.is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()) {
            return Err(format!(
                "`{text}` has no port: write `{text}:80` with the port the instance listens on"
            ));
        }
        let port_alone = text.strip_prefix(':').unwrap_or(text);
        if port_alone.parse::<u16>().is_ok_and(|port| port > 0) {
            return Err(format!(
                "`{text}` has no host: write `127.0.0.1:{port_alone}` for an instance on this machine"
            ));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            let remedy = format!("{text}:80");
            return Err(if remedy.parse::<Self>().is_ok() {
                format!("`{text}` has no port: write `{remedy}` with the port the instance listens on")
            } else {
                wrong()
            });
        };
        let port: u16 = port
            .parse()
            .map_err(|_| format!("`{port}` is not a port: write a number from 1 to 65535"))?;
        if port == 0 {
            return Err("port 0 cannot be connected to: write a number from 1 to 65535".to_owned());
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Socket(address));
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        if is_host_name(host) {
            Ok(Self::Name {
                host: host.to_ascii_lowercase(),
                port,
            })
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

textual!(Address, "string", "x-expects": "address", "examples": ["10.0.0.7:9001", "web-1.internal:9001"]);

/// A network in CIDR notation, `10.0.0.0/8`; a single address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    const EXPECTED: &'static str = "a network such as `10.0.0.0/8`, or a single IP address";

    /// Whether `ip` lies in the network; an IPv4 address mapped into IPv6 counts as the IPv4 address it is.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                (net.to_bits() ^ ip.to_bits())
                    .checked_shr(32 - u32::from(self.prefix))
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                (net.to_bits() ^ ip.to_bits())
                    .checked_shr(128 - u32::from(self.prefix))
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }

    /// The same prefix with all host bits cleared.
    fn network(address: IpAddr, prefix: u8) -> IpAddr {
        match address {
            IpAddr::V4(ip) => {
                IpAddr::V4((ip.to_bits() & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)).into())
            }
            IpAddr::V6(ip) => IpAddr::V6(
                (ip.to_bits() & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)).into(),
            ),
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not {}", Self::EXPECTED);
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix)),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) => digits.parse().ok().filter(|p| *p <= longest).ok_or_else(|| {
                format!(
                    "`{text}` has no valid prefix length: write a number from 0 to {longest} after the `/`"
                )
            })?,
        };
        let network = Self::network(address, prefix);
        if network == address {
            Ok(Self { address, prefix })
        } else {
            Err(format!(
                "`{text}` has bits set behind its prefix: write `{network}/{prefix}` for the network or `{address}` for the one address"
            ))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

textual!(Cidr, "string", "x-expects": "network", "examples": ["10.0.0.0/8", "192.168.1.7"]);

/// Status codes: one, `204`, or a range with both ends, `200-399`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(pub RangeInclusive<u16>);

impl Statuses {
    const EXPECTED: &'static str = "a status code such as `200`, or a range such as `200-399`";
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let code = |digits: &str| {
            digits
                .trim()
                .parse::<u16>()
                .ok()
                .filter(|code| (100..=599).contains(code))
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (code(first), code(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self(first..=last)),
            (Some(first), Some(last)) => Err(format!("`{text}` is an empty range: write `{last}-{first}`")),
            _ => Err(format!(
                "`{text}` is not {} (codes go from 100 to 599)",
                Self::EXPECTED
            )),
        }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.0.start(), self.0.end());
        if first == last {
            write!(f, "{first}")
        } else {
            write!(f, "{first}-{last}")
        }
    }
}

textual!(Statuses, ["integer", "string"], "minimum": 100, "maximum": 599, "pattern": "^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$", "x-expects": "status code or range");

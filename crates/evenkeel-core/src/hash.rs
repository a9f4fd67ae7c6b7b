//! Hashes of request keys and of instances, the same on every platform, in every process and release.
//!
//! Whoever chooses a key (any client) or an id (whoever may register) could aim at one instance if the
//! hash were known, so the hash is SipHash-1-3 under a key of 128 bits, made from a secret and the name
//! of the service. The compatible modes are fixed, and therefore known, functions: XXH64 with seed 0, as
//! in Envoy and gRPC, and CRC-32 (IEEE), as in nginx.
//!
//! Absent on purpose: `std`'s hashers, which promise nothing across releases.

use std::fmt;

use siphasher::sip::SipHasher13;
use siphasher::sip128;

use crate::Nanos;

/// What the keyed hash is keyed with. Never shown, not even by `Debug`.
///
/// The default stands for none: a service then hashes under the key that its name makes, [`Self::new`] without a
/// secret.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct HashSecret([u64; 2]);

impl HashSecret {
    /// The key of `service` under `secret`. Services under one secret have keys that say nothing about
    /// each other. Without a secret the name alone decides: stable, but known to whoever knows the name.
    #[must_use]
    pub fn new(secret: Option<&[u8]>, service: &str) -> Self {
        let outer = sip128::SipHasher13::new_with_keys(0x6576_656e_6b65_656c, 0x6861_7368_2d6b_6579)
            .hash(secret.unwrap_or_default());
        let key = sip128::SipHasher13::new_with_keys(outer.h1, outer.h2).hash(service.as_bytes());
        Self([key.h1, key.h2])
    }

    /// SipHash-1-3 of `bytes`.
    #[inline]
    #[must_use]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.0[0], self.0[1]).hash(bytes)
    }
}

impl fmt::Debug for HashSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashSecret(..)")
    }
}

/// A secret that takes over from another, key by key: the keys decide who is next, so all balancers move the
/// same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// The secret before.
    pub from: HashSecret,
    /// When the last key has moved.
    pub ends: Nanos,
    /// How long that takes; keys move evenly.
    pub lasts: Nanos,
}

impl Rotation {
    /// The part of the keys that has moved, in 2^-32.
    pub(crate) fn moved(&self, now: Nanos) -> u64 {
        let left = self.ends.0.saturating_sub(now.0).min(self.lasts.0);
        let moved = u128::from(self.lasts.0 - left) << 32;
        // Nothing that takes no time takes time.
        moved.checked_div(u128::from(self.lasts.0)).unwrap_or(1 << 32) as u64
    }
}

/// Under what a service hashes: its secret, and the one before while keys move from that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HashKeys {
    /// The secret.
    pub secret: HashSecret,
    /// How it takes over from the one before, if it does.
    pub rotation: Option<Rotation>,
}

/// The hash of a request's key, for [`crate::PickRequest::key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashedKey {
    hash: u64,
    /// Under the secret before; the same when there is none.
    before: u64,
}

impl HashedKey {
    /// What stands for the key in logs: equal keys of a service have equal ids.
    #[must_use]
    pub fn id(self) -> u64 {
        self.hash
    }

    #[inline]
    pub(crate) fn hash(self) -> u64 {
        self.hash
    }

    #[inline]
    pub(crate) fn before(self) -> u64 {
        self.before
    }
}

impl From<u64> for HashedKey {
    #[inline]
    fn from(hash: u64) -> Self {
        Self { hash, before: hash }
    }
}

/// Where a request's key is taken from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeySource {
    /// The value of the first field of this name; case does not matter.
    Header(Box<str>),
    /// The value of the cookie of this name.
    Cookie(Box<str>),
    /// The value of the query parameter of this name, as it was sent.
    Query(Box<str>),
    /// The path without its query, as it was sent.
    Path,
    /// The address the connection comes from, without its port.
    #[default]
    SourceAddress,
}

impl std::fmt::Display for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header(name) => write!(f, "the header {name}"),
            Self::Cookie(name) => write!(f, "the cookie {name}"),
            Self::Query(name) => write!(f, "the query parameter {name}"),
            Self::Path => f.write_str("the path"),
            Self::SourceAddress => f.write_str("the client's address"),
        }
    }
}

/// The function that hashes keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHash {
    /// SipHash-1-3 under a secret.
    Keyed(HashSecret),
    /// The same under two, the new one first: while keys move from one to the other.
    Rotating(HashSecret, HashSecret),
    /// XXH64 with seed 0.
    Xxh64,
    /// CRC-32 (IEEE), in the upper half of the word: rings order hashes by their leading bits.
    Crc32,
}

impl KeyHash {
    /// The hash of a key. O(length).
    #[inline]
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> HashedKey {
        match self {
            Self::Keyed(secret) => secret.hash(key).into(),
            Self::Rotating(secret, before) => HashedKey {
                hash: secret.hash(key),
                before: before.hash(key),
            },
            Self::Xxh64 => xxh64(key, 0).into(),
            Self::Crc32 => (u64::from(crc32fast::hash(key)) << 32).into(),
        }
    }
}

/// What a strategy wants to know of a request, and how it is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// Where it is taken from.
    pub source: KeySource,
    /// How it is hashed.
    pub hash: KeyHash,
}

/// XXH64.
pub(crate) fn xxh64(bytes: &[u8], seed: u64) -> u64 {
    xxhash_rust::xxh64::xxh64(bytes, seed)
}

/// A permutation of 64-bit words that spreads every bit over all (the finaliser of SplitMix64).
#[inline]
pub(crate) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// The `index`th of a sequence of words that `start` decides; the 0th is not `start`.
#[inline]
pub(crate) const fn nth(start: u64, index: u64) -> u64 {
    mix(start.wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published vectors: XXH64 from its specification's repository, CRC-32's check value, SplitMix64 of
    /// seed 0 from its authors' code.
    #[test]
    fn known_functions_give_their_published_values() {
        assert_eq!(KeyHash::Xxh64.hash(b"").hash(), 0xEF46_DB37_51D8_E999);
        assert_eq!(KeyHash::Xxh64.hash(b"a").hash(), 0xD24E_C4F1_A98C_6E5B);
        assert_eq!(KeyHash::Xxh64.hash(b"abc").hash(), 0x44BC_2CF5_AD77_0999);
        assert_eq!(KeyHash::Crc32.hash(b"123456789").hash(), 0xCBF4_3926 << 32);
        assert_eq!(nth(0, 0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(nth(0, 1), 0x6E78_9E6A_A1B9_65F4);
    }

    /// SipHash-1-3 of the bytes 0, 1, 2, … under the key 00 01 … 0f (the test of Rust's own library).
    #[test]
    fn the_keyed_hash_gives_its_published_values() {
        let secret = HashSecret([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]);
        let bytes: Vec<u8> = (0..64).collect();
        assert_eq!(
            secret.hash(&bytes[..0]),
            u64::from_le_bytes(*b"\xdc\xc4\x0f\x05\x58\x01\xac\xab")
        );
        assert_eq!(
            secret.hash(&bytes[..1]),
            u64::from_le_bytes(*b"\x93\xca\x57\x7d\xf3\x9b\xf4\xc9")
        );
    }

    /// Our own, once and for all: a change here moves every key of every user.
    #[test]
    fn keys_of_services_never_change() {
        let hashes = [
            (None, "web"),
            (None, "api"),
            (Some(&b"0123456789abcdef"[..]), "web"),
        ]
        .map(|(secret, service)| HashSecret::new(secret, service).hash(b"alice"));
        assert_eq!(
            hashes,
            [
                0xc3bd_c735_08da_20c9,
                0x3071_293b_791a_3375,
                0x18bb_f92f_457c_fcbb
            ],
            "{hashes:#x?}"
        );
    }

    #[test]
    fn keys_move_evenly_and_no_earlier() {
        let rotation = Rotation {
            from: HashSecret::default(),
            ends: Nanos::from_secs(700),
            lasts: Nanos::from_secs(600),
        };
        for (now, moved) in [
            (0, 0.0),
            (100, 0.0),
            (250, 0.25),
            (400, 0.5),
            (700, 1.0),
            (9999, 1.0),
        ] {
            let part = rotation.moved(Nanos::from_secs(now)) as f64 / (1u64 << 32) as f64;
            assert!((part - moved).abs() < 1e-9, "{now}: {part}");
        }
        let at_once = Rotation {
            lasts: Nanos::ZERO,
            ..rotation
        };
        assert_eq!(at_once.moved(Nanos::ZERO), 1 << 32);
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(
            format!("{:?}", HashSecret::new(Some(b"hunter2"), "web")),
            "HashSecret(..)"
        );
    }
}

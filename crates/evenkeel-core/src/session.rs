//! Sessions that stick to an instance: what a client may know of it, and the way back.
//!
//! A client keeps a **tag**: the SipHash-2-4 (128 bits) of the instance's id under a key that is made of a
//! secret and the name of the service. It says nothing of the id or the address, and who has not the secret
//! cannot make one: a tag is its own signature. It depends on nothing else, so sessions survive restarts,
//! changes of weights and addresses, and are understood by all balancers that share the secret. What a client
//! sends is looked up among the tags of the present instances; anything else is no session.
//!
//! Absent on purpose: an expiry in the tag. Who returns later than the cookie should live gets the instance
//! it had, which harms nobody.

use std::fmt;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::{InstanceId, Member, Slot};

/// What keys the tags of a service. Never shown, not even by `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionKey(u64, u64);

impl SessionKey {
    /// The key of `service` under `secret`, which should have 128 bits of entropy. It says nothing about the
    /// keys of other services, nor about those that hash requests ([`crate::HashSecret`]) under one secret.
    #[must_use]
    pub fn new(secret: &[u8], service: &str) -> Self {
        let outer = SipHasher24::new_with_keys(0x6576_656e_6b65_656c, 0x7365_7373_696f_6e73).hash(secret);
        let key = SipHasher24::new_with_keys(outer.h1, outer.h2).hash(service.as_bytes());
        Self(key.h1, key.h2)
    }

    /// The tag of the instance with this id.
    #[must_use]
    pub fn tag(&self, id: &InstanceId) -> SessionTag {
        let mut hasher = SipHasher24::new_with_keys(self.0, self.1);
        std::hash::Hasher::write(&mut hasher, id.as_str().as_bytes());
        let hash = hasher.finish128();
        SessionTag {
            place: hash.h1,
            proof: hash.h2,
        }
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// Names an instance to its clients: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTag {
    /// Where it stands among others.
    place: u64,
    /// Shows that we made it.
    proof: u64,
}

impl SessionTag {
    /// Length as text.
    pub const LEN: usize = 32;

    /// As text.
    #[must_use]
    pub fn to_text(self) -> [u8; Self::LEN] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let bits = u128::from(self.place) << 64 | u128::from(self.proof);
        std::array::from_fn(|index| DIGITS[(bits >> (124 - 4 * index)) as usize & 15])
    }

    /// From text; `None` when it is none: other digits, upper case, another length.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<Self> {
        if text.len() != Self::LEN {
            return None;
        }
        let half = |digits: &[u8]| {
            digits.iter().try_fold(0u64, |bits, digit| {
                let value = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return None,
                };
                Some(bits << 4 | u64::from(value))
            })
        };
        let (place, proof) = text.split_at(Self::LEN / 2);
        Some(Self {
            place: half(place)?,
            proof: half(proof)?,
        })
    }
}

/// The way from tags to instances; made anew when membership changes.
#[derive(Debug)]
pub(crate) struct Sessions {
    key: SessionKey,
    /// Ascending by place.
    tags: Box<[(SessionTag, Slot)]>,
}

impl Sessions {
    /// Those of `members`. O(n log n).
    pub(crate) fn new(key: SessionKey, members: &[Option<Arc<Member>>]) -> Self {
        let members = members.iter().enumerate();
        let mut tags: Box<[_]> = members
            .filter_map(|(slot, member)| Some((key.tag(&member.as_ref()?.instance().id), Slot(slot as u32))))
            .collect();
        tags.sort_unstable_by_key(|(tag, _)| tag.place);
        Self { key, tags }
    }

    pub(crate) fn key(&self) -> &SessionKey {
        &self.key
    }

    /// The slot of the instance with this tag. O(log n), no allocation.
    ///
    /// How long it takes can tell, at most, how a guess compares with the first half of a tag. The other half,
    /// 64 bits, is compared as one word, in the same time whatever it is.
    pub(crate) fn find(&self, tag: SessionTag) -> Option<Slot> {
        let first = self.tags.partition_point(|(known, _)| known.place < tag.place);
        self.tags[first..]
            .iter()
            .take_while(|(known, _)| known.place == tag.place)
            .find(|(known, _)| known.proof ^ tag.proof == 0)
            .map(|(_, slot)| *slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instance;
    use proptest::prelude::*;

    fn members(n: usize) -> Vec<Option<Arc<Member>>> {
        let loads = crate::Loads::default().with_room_for(n.next_power_of_two());
        let member = |slot: usize| {
            // A slot in seven is empty.
            (slot % 7 != 3).then(|| {
                let address = ([127, 0, 0, 1], 1 + slot as u16).into();
                let instance = Instance::new(&format!("i-{slot}"), address).unwrap();
                let load = loads.slot(slot as u32).unwrap();
                Arc::new(Member::new(instance, Arc::default(), load))
            })
        };
        (0..n).map(member).collect()
    }

    #[test]
    fn every_instance_is_found_by_its_tag_alone() {
        for n in [0, 1, 2, 1000] {
            let members = members(n);
            let key = SessionKey::new(b"0123456789abcdef", "web");
            let sessions = Sessions::new(key, &members);
            for (slot, member) in members.iter().enumerate() {
                let Some(member) = member else { continue };
                let tag = key.tag(&member.instance().id);
                assert_eq!(sessions.find(tag), Some(Slot(slot as u32)));
                for bit in 0..64 {
                    let (place, proof) = (tag.place ^ 1 << bit, tag.proof ^ 1 << bit);
                    assert_eq!(sessions.find(SessionTag { place, ..tag }), None);
                    assert_eq!(sessions.find(SessionTag { proof, ..tag }), None);
                }
            }
        }
    }

    /// Our own, once and for all: a change here ends every session of every user.
    #[test]
    fn tags_never_change() {
        let id = InstanceId::new("web-1").unwrap();
        let texts = [
            ("web", "0123456789abcdef"),
            ("api", "0123456789abcdef"),
            ("web", "0123456789abcdeg"),
        ]
        .map(|(service, secret)| SessionKey::new(secret.as_bytes(), service).tag(&id).to_text());
        assert_eq!(
            texts.map(|text| String::from_utf8(text.to_vec()).unwrap()),
            [
                "7c3fd0836063205f43c499a1de1c99fc",
                "0ce9aaa8429edd554160eecac9361245",
                "fe38b2d6f4dc7207c84e89eb97e88152",
            ]
        );
    }

    /// SipHash-2-4 with 128 bits of the bytes 0, 1, 2 under the key 00 01 … 0f, from its authors' vectors.
    #[test]
    fn the_hash_gives_its_published_values() {
        let hasher = SipHasher24::new_with_keys(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        for (bytes, expected) in [
            (
                &[][..],
                *b"\xa3\x81\x7f\x04\xba\x25\xa8\xe6\x6d\xf6\x72\x14\xc7\x55\x02\x93",
            ),
            (
                &[0],
                *b"\xda\x87\xc1\xd8\x6b\x99\xaf\x44\x34\x76\x59\x11\x9b\x22\xfc\x45",
            ),
            (
                &[0, 1],
                *b"\x81\x77\x22\x8d\xa4\xa4\x5d\xc7\xfc\xa3\x8b\xde\xf6\x0a\xff\xe4",
            ),
        ] {
            assert_eq!(hasher.hash(bytes).as_bytes(), expected);
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(
            format!("{:?}", SessionKey::new(b"hunter2", "web")),
            "SessionKey(..)"
        );
    }

    proptest! {
        #[test]
        fn text_and_back(place: u64, proof: u64, junk: Vec<u8>) {
            let tag = SessionTag { place, proof };
            prop_assert_eq!(SessionTag::from_text(&tag.to_text()), Some(tag));
            // What is read is what would be written.
            if let Some(tag) = SessionTag::from_text(&junk) {
                prop_assert_eq!(&tag.to_text()[..], &junk[..]);
            }
            prop_assert_eq!(SessionTag::from_text(&tag.to_text().map(|b| b ^ 0x80)), None);
        }
    }
}

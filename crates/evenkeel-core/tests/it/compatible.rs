//! The compatible modes, beside what they are compatible with.

use std::net::SocketAddr;
use std::sync::Arc;

use evenkeel_core::strategy::{ConsistentHash, RingKind};
use evenkeel_core::{Candidates, Instance, Loads, Member, PickContext, PickRequest, Slot, Strategy, Weight};
use pingora_ketama::{Bucket, Continuum};

fn service(addresses: &[(SocketAddr, u32)]) -> Candidates {
    let loads = Loads::default().with_room_for(addresses.len());
    let members: Vec<_> = (0..)
        .zip(addresses)
        .map(|(slot, (address, weight))| {
            let instance = Instance::new(&format!("any-{slot}"), *address).unwrap();
            let instance = instance.with_weight(Weight::new(u64::from(*weight)).unwrap());
            Some(Arc::new(Member::new(
                instance,
                Arc::default(),
                loads.slot(slot).unwrap(),
            )))
        })
        .collect();
    let slots: Vec<Slot> = (0..addresses.len() as u32).map(Slot).collect();
    Candidates::new(members.into(), slots.into(), loads)
}

/// The address a strategy picks for a key.
fn pick(strategy: &dyn Strategy, service: &Candidates) -> impl Fn(&[u8]) -> SocketAddr + use<> {
    let hash = strategy.request_key().unwrap().hash;
    let picker = strategy.build(service, 1);
    let service = service.clone();
    move |key| {
        let request = PickRequest {
            key: Some(hash.hash(key)),
            region: None,
            tried: &[],
        };
        let slot = picker.pick(&request, &mut PickContext::new(0)).unwrap();
        service.member(slot).unwrap().instance().address
    }
}

fn ketama() -> ConsistentHash {
    ConsistentHash {
        ring: RingKind::Ketama,
        ..Default::default()
    }
}

#[test]
fn ketama_agrees_with_pingora_over_a_hundred_thousand_keys() {
    for weights in [vec![1; 10], vec![100; 9], (1..=30).collect(), vec![1; 400]] {
        let addresses: Vec<(SocketAddr, u32)> = (0u16..)
            .zip(&weights)
            .map(|(i, weight)| {
                let ip = match i % 7 {
                    0 => format!("[2001:db8::{i:x}]:443"),
                    _ => format!("10.1.{}.{}:{}", i / 250, i % 250 + 1, 8000 + i),
                };
                (ip.parse().unwrap(), *weight)
            })
            .collect();
        let buckets: Vec<Bucket> = addresses
            .iter()
            .map(|(address, weight)| Bucket::new(*address, *weight))
            .collect();
        let theirs = Continuum::new(&buckets);
        let ours = pick(&ketama(), &service(&addresses));
        for key in 0..25_000 {
            let key = format!("/key/{key}");
            assert_eq!(Some(ours(key.as_bytes())), theirs.node(key.as_bytes()), "{key}");
        }
    }
}

/// Answers of nginx itself: the first lines of `test-data/sample-nginx-upstream.csv` in the crate pingora-ketama
/// 0.9.1 (nine servers of weight 100).
#[test]
fn ketama_agrees_with_nginx() {
    let servers: Vec<(SocketAddr, u32)> = (1..=9)
        .map(|i| (SocketAddr::from(([10, 0, 0, i], 443)), 100))
        .collect();
    let ours = pick(&ketama(), &service(&servers));
    let vectors = [
        ("/81fa1d251d605775d647b5b55565e71526d4cef6", 7),
        ("/2fec328e6ccdda6a7edf329f9f780e546ea183b4", 5),
        ("/19fb835d90883a6263ec4279c6da184e3f1a79b2", 4),
        ("/da7a88e542f7aaddc074f988164b9df7e5f7fea6", 4),
        ("/8f87cfd8005306643b6528b3d4125cf005139a7e", 5),
        ("/26d2769eab098458bc3e4e641a4b7d8abffd0aea", 6),
        ("/aa5b5323980f2d3e21246212ebd820c3949c1e88", 7),
        ("/d9c4bc3cc4517c629e8f4c911c2fd8baf260ae65", 1),
        ("/28c1c069a2904bb3b3e0f9731b1ff8de9ab7a76d", 4),
        ("/fe5199bdfeee5cd431ae7e9f77f178164f9995a0", 9),
        ("/43992eee187920c5e8695332f71ca6e23ef6ac4b", 3),
        ("/38528aab753a6f32de86b5a7acdbb0c885137a81", 9),
    ];
    for (key, server) in vectors {
        assert_eq!(
            ours(key.as_bytes()),
            SocketAddr::from(([10, 0, 0, server], 443)),
            "{key}"
        );
    }
}

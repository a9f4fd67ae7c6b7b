//! The compatible modes, beside what they are compatible with.
//!
//! The files in `golden/` hold answers of the real programs: instances with their weights, then keys with whom each
//! went to. Envoy and nginx were asked for them, nothing of ours; `cargo xtask test --with-peers` asks again, and for
//! two thousand other keys.

use std::net::SocketAddr;

use evenkeel_core::strategy::{ConsistentHash, Maglev, RingKind};
use evenkeel_core::testing::{candidates_of, owner};
use evenkeel_core::{Candidates, Strategy};
use pingora_ketama::{Bucket, Continuum};

fn service(addresses: &[(SocketAddr, u32)]) -> Candidates {
    candidates_of(addresses).unwrap()
}

/// The address a strategy picks for a key.
fn pick(strategy: &dyn Strategy, service: &Candidates) -> impl Fn(&[u8]) -> SocketAddr + use<> {
    let owner = owner(strategy, service);
    move |key| owner(key).unwrap()
}

fn ring(ring: RingKind) -> ConsistentHash {
    ConsistentHash {
        ring,
        ..Default::default()
    }
}

fn ketama() -> ConsistentHash {
    ring(RingKind::Ketama)
}

fn assert_golden(strategy: &dyn Strategy, files: &[(&str, &str)]) {
    for (name, text) in files {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let (mut instances, mut keys) = (Vec::new(), Vec::new());
        for (left, right) in lines.filter_map(|line| line.split_once(' ')) {
            match left.parse() {
                Ok(address) => instances.push((address, right.parse().unwrap())),
                Err(_) => keys.push((left, right.parse().unwrap())),
            }
        }
        assert!(keys.len() >= 60 && instances.len() >= 7, "{name}");
        let ours = pick(strategy, &service(&instances));
        for (key, theirs) in keys {
            assert_eq!(ours(key.as_bytes()), theirs, "{name}: {key}");
        }
    }
}

/// The files of one program, each a fleet.
macro_rules! golden {
    ($program:literal) => {
        [
            ("even", include_str!(concat!("golden/", $program, "-even.txt"))),
            (
                "weighted",
                include_str!(concat!("golden/", $program, "-weighted.txt")),
            ),
            ("ipv6", include_str!(concat!("golden/", $program, "-ipv6.txt"))),
            ("many", include_str!(concat!("golden/", $program, "-many.txt"))),
            ("heavy", include_str!(concat!("golden/", $program, "-heavy.txt"))),
        ]
    };
}

#[test]
fn rings_are_those_of_envoy() {
    assert_golden(&ring(RingKind::Envoy), &golden!("envoy-ring"));
}

#[test]
fn tables_are_those_of_envoy() {
    let maglev = Maglev {
        envoy: true,
        ..Default::default()
    };
    assert_golden(&maglev, &golden!("envoy-maglev"));
}

#[test]
fn rings_are_those_of_nginx() {
    assert_golden(&ketama(), &golden!("ketama"));
}

/// Rings of more points than the memory of a keyed ring is capped at; and what is too much even so is refused.
#[test]
fn ketama_has_as_many_points_as_weights_ask_for() {
    let servers: Vec<(SocketAddr, u32)> = (1..=20)
        .map(|i| (SocketAddr::from(([10, 0, 0, i], 80)), 100 * u32::from(i)))
        .collect();
    let buckets: Vec<Bucket> = servers.iter().map(|(a, w)| Bucket::new(*a, *w)).collect();
    let (theirs, ours) = (Continuum::new(&buckets), pick(&ketama(), &service(&servers)));
    let same = (0..2000).filter(|key| {
        let key = format!("user-{key}");
        Some(ours(key.as_bytes())) == theirs.node(key.as_bytes())
    });
    assert_eq!(same.count(), 2000);

    assert_eq!(ketama().suits(1, 52_428), Ok(()));
    let refused = ketama().suits(2, 52_429).unwrap_err();
    assert!(
        refused.contains("52429") && refused.contains("divide"),
        "{refused}"
    );
    assert_eq!(ConsistentHash::default().suits(2, u64::MAX), Ok(()));
}

#[test]
fn ketama_agrees_with_pingora_over_a_hundred_thousand_keys() {
    for weights in [vec![1; 10], vec![100; 9], (1..=30).collect(), vec![1; 400]] {
        let addresses: Vec<(SocketAddr, u32)> = (0u16..)
            .zip(&weights)
            .map(|(i, weight)| {
                let address = format!("10.1.{}.{}:{}", i / 250, i % 250 + 1, 8000 + i);
                (address.parse().unwrap(), *weight)
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

/// All 1001 answers of nginx that come with the crate pingora-ketama (nine servers of weight 100).
#[test]
fn ketama_agrees_with_the_answers_that_pingora_collected() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let platform = format!("{}-unknown-{}-gnu", std::env::consts::ARCH, std::env::consts::OS);
    let output = std::process::Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline"])
        // Packages of others need not be here.
        .args(["--filter-platform", &platform])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata = String::from_utf8(output.stdout).unwrap();
    let marker = "/Cargo.toml";
    let crate_dir = metadata
        .split('"')
        .filter_map(|text| text.strip_suffix(marker))
        .find(|folder| {
            folder
                .rsplit('/')
                .next()
                .is_some_and(|name| name.starts_with("pingora-ketama-"))
        });
    let csv = format!("{}/test-data/sample-nginx-upstream.csv", crate_dir.unwrap());
    let text = std::fs::read_to_string(csv).unwrap();
    let servers: Vec<(SocketAddr, u32)> = (1..=9)
        .map(|i| (SocketAddr::from(([10, 0, 0, i], 443)), 100))
        .collect();
    let ours = pick(&ketama(), &service(&servers));
    let rows: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(',')).collect();
    assert_eq!(rows.len(), 1001);
    for (key, server) in rows {
        assert_eq!(ours(key.as_bytes()), server.parse().unwrap(), "{key}");
    }
}

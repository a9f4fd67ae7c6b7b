//! Envoy beside our compatible modes: the same instance for every key.

use std::net::SocketAddr;
use std::time::Duration;

use super::beside;
use super::proxies::Envoy;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::process::Server;

const KEYS: usize = 2000;
const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

async fn owners(address: SocketAddr) -> Vec<String> {
    let mut client = Client::connect(address).await.unwrap();
    let mut owners = Vec::new();
    for key in 0..KEYS {
        let answer = client.get_with("/name", ("x-user", &format!("key {key}"))).await;
        owners.push(answer.unwrap().body);
    }
    owners
}

#[tokio::test]
async fn the_same_instance_as_envoy_for_two_thousand_keys() {
    if !beside(&["envoy"]) {
        return;
    }
    for (policy, strategy) in [("RING_HASH", "consistent_hash"), ("MAGLEV", "maglev")] {
        for weights in [[1; NAMES.len()], [1, 2, 3, 1, 5, 1, 7]] {
            let backends: Vec<Backend> = NAMES.map(Backend::start).into_iter().collect();
            let instances: String = backends
                .iter()
                .zip(NAMES)
                .zip(weights)
                .map(|((backend, name), weight)| {
                    format!(
                        "      - {{ id: {name}, address: {}, weight: {weight} }}\n",
                        backend.address
                    )
                })
                .collect();
            // Envoy has no score, and on a busy machine an instance is slow now and then.
            let ours = Server::start(&format!(
                "admin: {{ listen: 127.0.0.1:0 }}
listeners: [{{ name: web, bind: 127.0.0.1:0 }}]
services:
  - name: web
    strategy: {{ name: {strategy}, key: {{ header: x-user }}, compatibility: envoy }}
    health: {{ on_score: off }}
    circuit_breaker: {{ on_slow: off, on_silence: off }}
    instances:
{instances}"
            ))
            .await;
            let addresses: Vec<_> = backends.iter().map(|one| one.address).zip(weights).collect();
            let envoy = Envoy::start(policy, &addresses, Duration::from_secs(5)).await;
            let ours = owners(ours.address("web").await).await;
            let theirs = owners(envoy.address).await;
            let same = ours.iter().zip(&theirs).filter(|(a, b)| a == b).count();
            println!("{policy}, weights {weights:?}: {same} of {KEYS} keys at the same instance");
            assert_eq!(ours, theirs, "{policy} {weights:?}: {same} of {KEYS}");
        }
    }
}

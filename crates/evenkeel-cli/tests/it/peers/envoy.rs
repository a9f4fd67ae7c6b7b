//! Envoy beside our compatible modes: the same instance for every key.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use super::beside;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::{Folder, until};

const KEYS: usize = 2000;
const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// A running Envoy, killed when dropped.
struct Envoy {
    child: Child,
    _folder: Folder,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn envoy(policy: &str, backends: &[Backend], weights: &[u32]) -> (Envoy, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let endpoints: String = backends
        .iter()
        .zip(weights)
        .map(|(backend, weight)| {
            format!(
                "          - {{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }} }}, \
                 load_balancing_weight: {weight} }}\n",
                backend.address.port()
            )
        })
        .collect();
    let config = format!(
        "static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - match: {{ prefix: / }}
                route: {{ cluster: web, hash_policy: [{{ header: {{ header_name: x-user }} }}] }}
  clusters:
  - name: web
    type: STATIC
    lb_policy: {policy}
    load_assignment:
      cluster_name: web
      endpoints:
      - lb_endpoints:
{endpoints}",
        address.port()
    );
    let folder = Folder::new();
    let path = folder.write("envoy.yaml", &config);
    let child = Command::new("envoy")
        .args([
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--log-level",
            "error",
            "-c",
        ])
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let running = Envoy {
        child,
        _folder: folder,
    };
    until("Envoy answers", || async {
        crate::support::client::get(address, "/name")
            .await
            .is_ok()
            .then_some(())
    })
    .await;
    (running, address)
}

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
            let ours = Server::start(&format!(
                "admin: {{ listen: 127.0.0.1:0 }}
listeners: [{{ name: web, bind: 127.0.0.1:0 }}]
services:
  - name: web
    strategy: {{ name: {strategy}, key: {{ header: x-user }}, compatibility: envoy }}
    instances:
{instances}"
            ))
            .await;
            let (_envoy, theirs) = envoy(policy, &backends, &weights).await;
            let (ours, theirs) = (owners(ours.address("web").await).await, owners(theirs).await);
            let same = ours.iter().zip(&theirs).filter(|(a, b)| a == b).count();
            println!("{policy}, weights {weights:?}: {same} of {KEYS} keys at the same instance");
            assert_eq!(ours, theirs, "{policy} {weights:?}: {same} of {KEYS}");
        }
    }
}

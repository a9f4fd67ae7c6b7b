//! Rings and tables of real proxies: the answers in `golden/` of the core are theirs, and ours are the same for two
//! thousand other keys.
//!
//! Nothing listens where the instances are: whom a proxy chose is known before the connection fails, at once or after
//! two milliseconds.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use evenkeel_core::Strategy;
use evenkeel_core::strategy::{ConsistentHash, Maglev, RingKind};
use evenkeel_core::testing::{candidates_of, owner};

use super::beside;
use super::proxies::{Envoy, started};
use crate::support::client::Client;
use crate::support::{Folder, Port, until};

const KEYS: usize = 2000;

/// Files of the core with what a program answered.
macro_rules! golden {
    ($program:literal) => {
        [
            golden!($program, "even"),
            golden!($program, "weighted"),
            golden!($program, "ipv6"),
            golden!($program, "many"),
            golden!($program, "heavy"),
        ]
    };
    ($program:literal, $fleet:literal) => {
        Golden::read(
            concat!($program, " ", $fleet),
            include_str!(concat!(
                "../../../../evenkeel-core/tests/it/golden/",
                $program,
                "-",
                $fleet,
                ".txt"
            )),
        )
    };
}

struct Golden {
    name: &'static str,
    instances: Vec<(SocketAddr, u32)>,
    answers: Vec<(&'static str, SocketAddr)>,
}

impl Golden {
    fn read(name: &'static str, text: &'static str) -> Self {
        let (mut instances, mut answers) = (Vec::new(), Vec::new());
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        for (left, right) in lines.filter_map(|line| line.split_once(' ')) {
            match left.parse() {
                Ok(address) => instances.push((address, right.parse().unwrap())),
                Err(_) => answers.push((left, right.parse().unwrap())),
            }
        }
        Self {
            name,
            instances,
            answers,
        }
    }

    /// Whom our picker chooses.
    fn ours(&self, strategy: &dyn Strategy, keys: &[String]) -> Vec<SocketAddr> {
        let owner = owner(strategy, &candidates_of(&self.instances).unwrap());
        let owner = |key: &String| owner(key.as_bytes()).unwrap();
        keys.iter().map(owner).collect()
    }
}

async fn ask(address: SocketAddr, keys: &[String]) -> Vec<Option<SocketAddr>> {
    let mut client = Client::connect(address).await.unwrap();
    let mut owners = Vec::new();
    for key in keys {
        let answer = client.get_with("/", ("x-user", key)).await.unwrap();
        let owner = answer.headers.get("x-owner");
        owners.push(owner.and_then(|owner| owner.to_str().ok()?.parse().ok()));
    }
    owners
}

async fn nginx(fleet: &Golden, keys: &[String]) -> Vec<SocketAddr> {
    let (folder, port) = (Folder::new(), Port::reserve());
    let address = port.address();
    let path = folder.path().display();
    let servers: String = fleet
        .instances
        .iter()
        .map(|(address, weight)| format!("server {address} weight={weight} max_fails=0;\n"))
        .collect();
    let config = folder.write(
        "nginx.conf",
        &format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log crit;
events {{ worker_connections 1024; }}
http {{
access_log off;
client_body_temp_path {path}; proxy_temp_path {path}; fastcgi_temp_path {path}; uwsgi_temp_path {path}; scgi_temp_path {path};
upstream web {{ hash $http_x_user consistent; {servers} }}
server {{ listen {address}; keepalive_requests 1000000; location / {{
proxy_pass http://web; proxy_connect_timeout 2ms; proxy_next_upstream off; add_header x-owner $upstream_addr always; }} }} }}"
        ),
    );
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder.path()).arg("-c").arg(config);
    let _running = started(command, address).await;
    ask(address, keys).await.into_iter().map(Option::unwrap).collect()
}

/// Envoy adds no field to the answers it makes itself, so its log says whom it chose.
async fn envoy(policy: &str, fleet: &Golden, keys: &[String]) -> Vec<SocketAddr> {
    let envoy = Envoy::start(policy, &fleet.instances, Duration::from_millis(2)).await;
    ask(envoy.address, keys).await;
    // One connection, so the lines are in order.
    until("all is logged", || async {
        let text = std::fs::read_to_string(&envoy.log).ok()?;
        let owners: Vec<SocketAddr> = text.lines().filter_map(|line| line.parse().ok()).collect();
        (owners.len() == keys.len()).then_some(owners)
    })
    .await
}

fn assert_same(fleet: &Golden, strategy: &dyn Strategy, keys: &[String], theirs: &[SocketAddr]) {
    let golden: Vec<SocketAddr> = fleet.answers.iter().map(|(_, owner)| *owner).collect();
    assert_eq!(
        theirs[..golden.len()],
        golden,
        "{}: the answers in the file",
        fleet.name
    );
    let ours = fleet.ours(strategy, keys);
    let same = ours.iter().zip(theirs).filter(|(a, b)| a == b).count();
    println!(
        "{}: {same} of {} keys at the same instance",
        fleet.name,
        keys.len()
    );
    assert_eq!(same, keys.len(), "{}", fleet.name);
}

/// Those of the file, then others.
fn keys(fleet: &Golden) -> Vec<String> {
    let golden = fleet.answers.iter().map(|(key, _)| (*key).to_owned());
    golden.chain((0..KEYS).map(|key| format!("key {key}"))).collect()
}

fn ring(ring: RingKind) -> ConsistentHash {
    ConsistentHash {
        ring,
        ..ConsistentHash::default()
    }
}

#[tokio::test]
async fn rings_of_nginx_by_address_family_and_weight() {
    if !beside(&["nginx"]) {
        return;
    }
    for fleet in golden!("ketama") {
        let keys = keys(&fleet);
        let theirs = nginx(&fleet, &keys).await;
        assert_same(&fleet, &ring(RingKind::Ketama), &keys, &theirs);
    }
}

#[tokio::test]
async fn rings_and_tables_of_envoy_by_address_family_and_weight() {
    if !beside(&["envoy"]) {
        return;
    }
    let maglev = Maglev {
        envoy: true,
        ..Maglev::default()
    };
    let tables = golden!("envoy-maglev").map(|fleet| ("MAGLEV", fleet, &maglev as &dyn Strategy));
    let ring = ring(RingKind::Envoy);
    let rings = golden!("envoy-ring").map(|fleet| ("RING_HASH", fleet, &ring as &dyn Strategy));
    for (policy, fleet, strategy) in rings.into_iter().chain(tables) {
        let keys = keys(&fleet);
        let theirs = envoy(policy, &fleet, &keys).await;
        assert_same(&fleet, strategy, &keys, &theirs);
    }
}

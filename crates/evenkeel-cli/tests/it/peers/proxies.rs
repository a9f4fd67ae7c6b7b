//! Other proxies that choose by a hash, with `x-user` as the key.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Folder, Port, until};

/// A running proxy, killed when dropped.
pub(super) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a proxy, and waits until it listens.
pub(super) async fn started(mut command: Command, address: SocketAddr) -> Running {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(child.spawn().unwrap());
    until("the proxy listens", || async {
        tokio::net::TcpStream::connect(address).await.ok()
    })
    .await;
    running
}

/// A running Envoy.
pub(super) struct Envoy {
    pub(super) address: SocketAddr,
    /// Has a line per request: whom it went to.
    pub(super) log: PathBuf,
    _running: Running,
    _port: Port,
    _folder: Folder,
}

impl Envoy {
    /// With this load balancing policy over `instances`, which have so long to accept.
    pub(super) async fn start(policy: &str, instances: &[(SocketAddr, u32)], patience: Duration) -> Self {
        let (folder, port) = (Folder::new(), Port::reserve());
        let address = port.address();
        let log = folder.path().join("log");
        let config = folder.write("envoy.yaml", &config(policy, instances, patience, address, &log));
        let mut command = Command::new("envoy");
        command
            .args([
                "--disable-hot-restart",
                "--concurrency",
                "1",
                "--log-level",
                "off",
            ])
            .args(["--file-flush-interval-msec", "20", "-c"])
            .arg(config);
        Self {
            _running: started(command, address).await,
            address,
            log,
            _port: port,
            _folder: folder,
        }
    }
}

fn config(
    policy: &str,
    instances: &[(SocketAddr, u32)],
    patience: Duration,
    address: SocketAddr,
    log: &std::path::Path,
) -> String {
    let endpoints: String = instances
        .iter()
        .map(|(address, weight)| {
            let (ip, port) = (address.ip(), address.port());
            format!(
                "          - {{ endpoint: {{ address: {{ socket_address: {{ address: '{ip}', port_value: {port} }} }} }}, \
                 load_balancing_weight: {weight} }}\n"
            )
        })
        .collect();
    format!(
        "static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          access_log:
          - name: file
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {}
              log_format: {{ text_format_source: {{ inline_string: \"%UPSTREAM_HOST%\\n\" }} }}
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
    connect_timeout: {:?}s
    lb_policy: {policy}
    load_assignment:
      cluster_name: web
      endpoints:
      - lb_endpoints:
{endpoints}",
        address.port(),
        log.display(),
        patience.as_secs_f64(),
    )
}

//! The proxies and their configurations, each as well set up for a sick fleet as its manual allows: checks every
//! second, ejection by failing requests, tries on other instances, one second of patience with an instance.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::bench::process::{self, Process};
use crate::bench::{folder, release_program};
use crate::repo;

/// A program under test.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Proxy {
    Evenkeel,
    /// `least_conn`, tries again after every 5xx
    Nginx,
    /// `leastconn`, redispatches connection failures
    Haproxy,
    /// `leasttime`, passive health checks, retries
    Traefik,
}

impl Proxy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Evenkeel => "evenkeel",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Traefik => "traefik",
        }
    }

    /// A command that prints its version.
    pub(super) fn version(self) -> Result<Command> {
        let mut command = Command::new(self.program()?);
        command.arg(match self {
            Self::Evenkeel => "--version",
            Self::Nginx | Self::Haproxy => "-v",
            Self::Traefik => "version",
        });
        Ok(command)
    }

    fn program(self) -> Result<PathBuf> {
        if self == Self::Evenkeel {
            return Ok(release_program("evenkeel"));
        }
        let name = self.name();
        repo::which(name)
            .with_context(|| format!("there is no `{name}`; `cargo xtask test --with-peers` installs it"))
    }
}

/// Starts `proxy` in front of `fleet`, and returns it with its address once it answers.
pub(super) fn start(
    proxy: Proxy,
    fleet: &[SocketAddr],
    strategy: Option<&str>,
) -> Result<(Process, SocketAddr)> {
    let address = process::free_address()?;
    let folder = folder().canonicalize()?;
    let write = |name: &str, text: &str| -> Result<PathBuf> {
        let file = folder.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    };
    let mut command = Command::new(proxy.program()?);
    match proxy {
        Proxy::Evenkeel => {
            let text = evenkeel(&address, &process::free_address()?, fleet, strategy);
            command
                .args(["serve", "--config"])
                .arg(write("fleet-evenkeel.yaml", &text)?);
        }
        Proxy::Nginx => {
            let file = write("fleet-nginx.conf", &nginx(&address, fleet, &folder))?;
            command.arg("-c").arg(file).args(["-e", "stderr"]);
        }
        Proxy::Haproxy => {
            let file = write("fleet-haproxy.conf", &haproxy(&address, fleet))?;
            command.args(["-db", "-f"]).arg(file);
        }
        Proxy::Traefik => {
            let services = write("fleet-traefik-services.yaml", &traefik_services(fleet))?;
            let file = write("fleet-traefik.yaml", &traefik(&address, &services))?;
            command.arg(format!("--configFile={}", file.display()));
        }
    }
    let process = Process::start(proxy.name(), process::PROXY_CORE, &command)?;
    process.wait_until_ready(&address, "/work")?;
    Ok((process, address.parse()?))
}

/// The defaults, but for checks and patience.
fn evenkeel(address: &str, admin: &str, fleet: &[SocketAddr], strategy: Option<&str>) -> String {
    let strategy = strategy.map_or_else(String::new, |name| format!("    strategy: {name}\n"));
    let mut text = format!(
        "workers: 1
admin: {{ listen: \"{admin}\" }}
listeners:
  - {{ name: fleet, bind: \"{address}\" }}
services:
  - name: fleet
{strategy}    health_check: {{ http: {{ path: /healthz }}, interval: 1s, timeout: 1s }}
    timeouts: {{ response: 1s }}
    instances:
"
    );
    for (index, instance) in fleet.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "      - {{ id: i{index}, address: \"{instance}\" }}");
    }
    text
}

fn nginx(address: &str, fleet: &[SocketAddr], folder: &Path) -> String {
    let folder = folder.display();
    let servers: String = fleet
        .iter()
        .map(|instance| format!("    server {instance} max_fails=5 fail_timeout=10s;\n"))
        .collect();
    format!(
        "worker_processes 1;
daemon off;
pid {folder}/fleet-nginx.pid;
events {{ worker_connections 12000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  upstream fleet {{
    zone fleet 256k;
    least_conn;
{servers}    keepalive 64;
  }}
  server {{
    listen {address};
    location / {{
      proxy_pass http://fleet;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_connect_timeout 1s;
      proxy_read_timeout 1s;
      proxy_next_upstream error timeout http_500 http_502 http_503 http_504;
      proxy_next_upstream_tries 3;
    }}
  }}
}}
"
    )
}

fn haproxy(address: &str, fleet: &[SocketAddr]) -> String {
    let servers: String = fleet
        .iter()
        .enumerate()
        .map(|(index, instance)| format!("  server i{index} {instance}\n"))
        .collect();
    format!(
        "global
  nbthread 1
  maxconn 8000
  no strict-limits
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 1s
  timeout client 30s
  timeout server 1s
  timeout check 1s
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response response-timeout
listen fleet
  bind {address}
  balance leastconn
  option httpchk GET /healthz
  default-server check inter 1s fall 3 rise 2 observe layer7 error-limit 5 on-error mark-down
{servers}"
    )
}

fn traefik(address: &str, services: &Path) -> String {
    format!(
        "global: {{ checkNewVersion: false, sendAnonymousUsage: false }}
log: {{ level: ERROR }}
entryPoints: {{ web: {{ address: \"{address}\" }} }}
providers: {{ file: {{ filename: \"{}\", watch: false }} }}
",
        services.display()
    )
}

fn traefik_services(fleet: &[SocketAddr]) -> String {
    let mut text = String::from(
        "http:
  routers:
    fleet: { rule: \"PathPrefix(`/`)\", service: fleet, middlewares: [again], entryPoints: [web] }
  middlewares:
    again: { retry: { attempts: 3, initialInterval: 1ms } }
  serversTransports:
    patient: { maxIdleConnsPerHost: 64, forwardingTimeouts: { dialTimeout: 1s, responseHeaderTimeout: 1s } }
  services:
    fleet:
      loadBalancer:
        strategy: leasttime
        serversTransport: patient
        healthCheck: { path: /healthz, interval: 1s, timeout: 1s }
        passiveHealthCheck: { failureWindow: 10s, maxFailedAttempts: 5 }
        servers:
",
    );
    for instance in fleet {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "          - {{ url: \"http://{instance}\" }}");
    }
    text
}

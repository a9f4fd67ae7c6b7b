//! The proxies and their configurations, each with what it needs to do the same work on one core.
//!
//! Kept connections on both sides without limits on their use, no logs, no checks. nginx takes turns, which
//! is the cheapest it can do; HAProxy and Evenkeel draw two at random. Each peer comes twice: as it passes
//! requests on by itself, and with the header fields that Evenkeel always adds (forwarding fields, request
//! id, `Via`).

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::process::{self, Process};
use super::{backend, folder, release_program};
use crate::repo;

/// A program under test.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Proxy {
    Evenkeel,
    Nginx,
    Haproxy,
    #[value(name = "nginx+fields")]
    NginxFields,
    #[value(name = "haproxy+fields")]
    HaproxyFields,
}

impl Proxy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Evenkeel => "evenkeel",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::NginxFields => "nginx+fields",
            Self::HaproxyFields => "haproxy+fields",
        }
    }

    /// A command that prints its version.
    pub(super) fn version(self) -> Result<Command> {
        let mut command = Command::new(self.program()?);
        command.arg(if self == Self::Evenkeel { "--version" } else { "-v" });
        Ok(command)
    }

    /// Whether it is the plain form of a program, of which some come twice.
    pub(super) fn is_plain(self) -> bool {
        !matches!(self, Self::NginxFields | Self::HaproxyFields)
    }

    fn program(self) -> Result<std::path::PathBuf> {
        let name = match self {
            Self::Evenkeel => return Ok(release_program("evenkeel")),
            Self::Nginx | Self::NginxFields => "nginx",
            Self::Haproxy | Self::HaproxyFields => "haproxy",
        };
        repo::which(name)
            .with_context(|| format!("there is no `{name}`; `cargo xtask test --with-peers` installs it"))
    }

    fn configuration(self, address: &str, backends: &[String], folder: &Path) -> Result<String> {
        Ok(match self {
            Self::Evenkeel => evenkeel(address, &process::free_address()?, backends),
            Self::Nginx => nginx(self.name(), address, backends, folder, ""),
            Self::NginxFields => nginx(self.name(), address, backends, folder, NGINX_FIELDS),
            Self::Haproxy => haproxy(address, backends, ""),
            Self::HaproxyFields => haproxy(address, backends, HAPROXY_FIELDS),
        })
    }
}

/// Starts `proxy` in front of `backends`, and returns it with its address once it answers.
pub(super) fn start(proxy: Proxy, backends: &[String]) -> Result<(Process, String)> {
    let address = process::free_address()?;
    let file = folder().join(format!(
        "{}.{}",
        proxy.name(),
        if proxy == Proxy::Evenkeel { "yaml" } else { "conf" }
    ));
    let folder = folder().canonicalize()?;
    let text = proxy.configuration(&address, backends, &folder)?;
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    let file = file.canonicalize()?;
    let mut command = Command::new(proxy.program()?);
    match proxy {
        Proxy::Evenkeel => command.args(["serve", "--config"]).arg(file),
        Proxy::Nginx | Proxy::NginxFields => command.arg("-c").arg(file).arg("-e").arg("stderr"),
        Proxy::Haproxy | Proxy::HaproxyFields => command.args(["-db", "-f"]).arg(file),
    };
    let process = Process::start(proxy.name(), process::PROXY_CORE, &command)?;
    process.wait_until_ready(&address, backend::SMALL)?;
    Ok((process, address))
}

fn evenkeel(address: &str, admin: &str, backends: &[String]) -> String {
    let mut text = format!(
        "workers: 1\nadmin: {{ listen: \"{admin}\" }}\n\
         listeners:\n  - {{ name: bench, bind: \"{address}\", timeouts: {{ client_idle: 1h }} }}\n\
         services:\n  - name: bench\n    strategy: power_of_two\n    instances:\n"
    );
    for (index, backend) in backends.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "      - {{ id: backend-{index}, address: \"{backend}\" }}");
    }
    text
}

const NGINX_FIELDS: &str = "
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header Via \"1.1 nginx\";";

const HAPROXY_FIELDS: &str = "
  unique-id-format %[uuid]
  unique-id-header X-Request-Id
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(Host)]
  http-request set-header Via \"1.1 haproxy\"";

fn nginx(name: &str, address: &str, backends: &[String], folder: &Path, fields: &str) -> String {
    let folder = folder.display();
    let servers: String = backends
        .iter()
        .map(|backend| format!("    server {backend};\n"))
        .collect();
    format!(
        "worker_processes 1;
daemon off;
pid {folder}/{name}.pid;
events {{ worker_connections 12000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  upstream backends {{
{servers}    keepalive 64;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    keepalive_time 1d;
  }}
  server {{
    listen {address} backlog=4096;
    location / {{
      proxy_pass http://backends;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";{fields}
      proxy_buffers 16 8k;
      proxy_max_temp_file_size 0;
    }}
  }}
}}
"
    )
}

fn haproxy(address: &str, backends: &[String], fields: &str) -> String {
    let servers: String = backends
        .iter()
        .enumerate()
        .map(|(index, backend)| format!("  server backend-{index} {backend}\n"))
        .collect();
    format!(
        "global
  nbthread 1
  maxconn 12000
  no strict-limits
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
listen bench
  bind {address} backlog 4096
  balance random(2){fields}
{servers}"
    )
}

//! nginx as a backend that ends its connections all the time.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::beside;
use crate::support::load::{Load, Paced};
use crate::support::process::Server;
use crate::support::{Folder, Port, until};

/// A running nginx, killed when dropped.
struct Nginx {
    child: Child,
    _ports: Vec<Port>,
    _folder: Folder,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One nginx with a server per setting; returns where they listen.
async fn nginx(settings: &[&str]) -> (Nginx, Vec<SocketAddr>) {
    let folder = Folder::new();
    let ports: Vec<_> = settings.iter().map(|_| Port::reserve()).collect();
    let addresses: Vec<_> = ports.iter().map(Port::address).collect();
    let servers: String = settings
        .iter()
        .zip(&addresses)
        .map(|(setting, address)| {
            format!("server {{ listen {address}; {setting}; location / {{ return 200 ok; }} }}\n")
        })
        .collect();
    let path = folder.path().display();
    // One process: it is killed as one.
    let config = folder.write(
        "nginx.conf",
        &format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;
events {{ worker_connections 1024; }}
http {{
access_log off;
client_body_temp_path {path}; proxy_temp_path {path}; fastcgi_temp_path {path}; uwsgi_temp_path {path}; scgi_temp_path {path};
{servers}}}"
        ),
    );
    let child = Command::new("nginx")
        .args([
            "-p",
            folder.path().to_str().unwrap(),
            "-c",
            config.to_str().unwrap(),
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let nginx = Nginx {
        child,
        _ports: ports,
        _folder: folder,
    };
    for address in &addresses {
        until("nginx listens", || async {
            tokio::net::TcpStream::connect(address).await.ok()
        })
        .await;
    }
    (nginx, addresses)
}

#[tokio::test]
async fn connections_that_nginx_closes_fail_no_get() {
    if !beside(&["nginx"]) {
        return;
    }
    let settings = [
        "keepalive_requests 1",
        "keepalive_requests 3",
        "keepalive_timeout 5ms",
        "keepalive_timeout 40ms",
    ];
    let (_nginx, addresses) = nginx(&settings).await;
    let instances: String = addresses
        .iter()
        .map(|a| format!("      - {{ address: {a} }}\n"))
        .collect();
    let config = format!(
        "admin: {{ listen: 127.0.0.1:0 }}
listeners: [{{ name: web, bind: 127.0.0.1:0 }}]
services:
  - name: web
    strategy: round_robin
    instances:
{instances}"
    );
    let server = Server::start(&config).await;
    let address = server.address("web").await;

    // As fast as it goes, and at a pace at which connections idle for about as long as they are kept.
    let busy = Load::start(address, 16, "/");
    busy.more(4_000).await;
    let busy = busy.stop().await;
    busy.assert_no_failure();
    for per_second in [100, 400] {
        let paced = Paced::start(address, 20, per_second, "/");
        let goal = server.metric("evenkeel_client_connections_accepted_total").await;
        assert!(goal > 0.0);
        let requests = || server.metric("evenkeel_request_duration_seconds_count{service=\"web\"}");
        let begin = requests().await;
        until("its requests are served", || async {
            (requests().await >= begin + f64::from(per_second) * 3.0).then_some(())
        })
        .await;
        let seen = paced.stop().await;
        let failures: Vec<_> = seen.iter().filter_map(|timed| timed.failure.as_ref()).collect();
        assert!(failures.is_empty(), "{failures:?}");
    }
    let stale = server
        .metric("evenkeel_retries_total{service=\"web\",reason=\"stale_connection\"}")
        .await;
    println!(
        "{} requests as fast as it goes; {stale} were sent again on a new connection",
        busy.served
    );
}

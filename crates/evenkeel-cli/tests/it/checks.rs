//! Active checks: what they find shows in the admin side, and one that hangs holds up nothing.

use std::sync::atomic::Ordering::Relaxed;

use crate::support::backend::Backend;
use crate::support::load::Load;
use crate::support::process::Server;
use crate::support::{one_service, until};

/// Checks every `interval`, which an answer may take as well; none takes so long but by design.
fn config(interval: &str, instances: &str) -> String {
    let check = format!(
        "    health_check: {{ http: {{ path: /healthz }}, interval: {interval}, timeout: {interval}, \
         unhealthy_threshold: 2, healthy_threshold: 2 }}\n"
    );
    one_service(&check, [instances.to_owned()])
}

#[tokio::test]
async fn an_instance_goes_down_and_returns_with_reason_and_since() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let server = Server::start(&config("2s", &(one.instance("web-0") + &two.instance("web-1")))).await;
    let load = Load::start(server.address("web").await, 4, "/name");
    load.more(20).await;
    let healthy = server.in_state(0, "healthy").await;

    one.state.health.store(503, Relaxed);
    let down = server.in_state(0, "down").await;
    assert!(down["reason"].as_str().unwrap().contains("503"), "{down}");
    assert_eq!(down["candidate"], false);
    assert!(down["since_seconds"].as_f64().unwrap() < 10.0, "{down}");
    assert!(
        down["since"].as_str().unwrap() > healthy["since"].as_str().unwrap(),
        "{down}"
    );
    let line = server.line("web-0 down").await;
    assert!(line.contains("503"), "{line}");
    // A request may have been picked just before.
    until("it gets nothing more", || async {
        let before = one.requests();
        load.more(20).await;
        (one.requests() == before).then_some(())
    })
    .await;

    one.state.health.store(200, Relaxed);
    let back = server.in_state(0, "healthy").await;
    assert!(
        back["since"].as_str().unwrap() > down["since"].as_str().unwrap(),
        "{back}"
    );
    let before = one.requests();
    until("it serves again", || async {
        (one.requests() > before).then_some(())
    })
    .await;
    load.stop().await.assert_no_failure();
    assert_eq!(
        server
            .metric("evenkeel_config_reloads_total{result=\"failed\"}")
            .await,
        0.0
    );
}

#[tokio::test]
async fn an_instance_that_hangs_delays_no_other_check() {
    // The kernel accepts for it; nobody ever answers.
    let hanging: Vec<_> = (0..20)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let one = Backend::start("one");
    let others: String = hanging
        .iter()
        .map(|socket| format!("      - {{ address: {} }}\n", socket.local_addr().unwrap()))
        .collect();
    let server = Server::start(&config("1s", &(one.instance("web-0") + &others))).await;
    for index in 1..=hanging.len() {
        let down = server.in_state(index, "down").await;
        assert!(down["reason"].as_str().unwrap().contains("check"), "{down}");
    }
    // The instance that answers is seen going and coming while twenty checks hang.
    one.state.health.store(500, Relaxed);
    server.in_state(0, "down").await;
    one.state.health.store(200, Relaxed);
    server.in_state(0, "healthy").await;
    let load = Load::start(server.address("web").await, 4, "/name");
    load.more(50).await;
    load.stop().await.assert_no_failure();
}

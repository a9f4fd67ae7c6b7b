//! What happens to heads on their way.

use crate::peer::{field, fields};
use crate::support::{Backend, GET, OK, Rig, Server, Setup};

/// The head that reaches the instance.
async fn forwarded(setup: impl FnOnce(&mut Setup), request: &str) -> String {
    let backend = Backend::start().await;
    let mut settings = Setup::new(&[backend.address]);
    setup(&mut settings);
    let rig = settings.start().await;
    let mut client = rig.request(request).await;
    let (mut instance, head) = backend.request().await;
    instance.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.bodiless().await.expect(204);
    head
}

fn untrusted(_: &mut Setup) {}

fn trusting(setup: &mut Setup) {
    setup.trusted_proxies = &["192.0.2.0/24", "127.0.0.0/8"];
}

#[tokio::test]
async fn fields_of_one_connection_stay_on_it() {
    let head = forwarded(
        untrusted,
        "GET /a//b/../c?d=%20e HTTP/1.1\r\nhOSt: x:80\r\nConnection: keep-alive, X-One\r\nX-One: 1\r\nx-keep: a\r\n\
         connection: x-two\r\nX-TWO: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\n\
         Upgrade: websocket\r\nHTTP2-Settings: AAA\r\nX-Keep: b\r\nCookie: c=d\r\nAuthorization: Basic e\r\n\r\n",
    )
    .await;
    assert!(
        head.starts_with(
            "GET /a//b/../c?d=%20e HTTP/1.1\r\nhOSt: x:80\r\nx-keep: a\r\nX-Keep: b\r\nCookie: c=d\r\n\
             Authorization: Basic e\r\nX-Forwarded-For: 127.0.0.1\r\n"
        ),
        "{head}"
    );
    for gone in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
        "http2-settings",
    ] {
        assert_eq!(field(&head, gone), None);
    }
}

#[tokio::test]
async fn fields_of_the_instances_connection_stay_on_it() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig.request(GET).await;
    let (mut instance, _) = backend.request().await;
    instance
        .send(
            "HTTP/1.1 299 Odd One\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
             Upgrade: h2c\r\nSet-Cookie: a=b\r\nTransfer-Encoding: chunked\r\nSet-Cookie: c=d\r\nServer: s\r\n\r\n\
             0\r\n\r\n",
        )
        .await;
    let response = client.response().await;
    assert!(
        response
            .head
            .starts_with("HTTP/1.1 299 Odd One\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nServer: s\r\nDate: "),
        "{response:?}"
    );
    assert_eq!(field(&response.head, "transfer-encoding"), Some("chunked"));
    for gone in ["connection", "keep-alive", "upgrade", "x-hop"] {
        assert_eq!(field(&response.head, gone), None);
    }
}

#[tokio::test]
async fn a_date_is_added_only_where_there_is_none() {
    let mut dates = Vec::new();
    for extra in ["", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"] {
        let backend = Backend::start().await;
        let rig = Rig::before(&backend).await;
        let mut client = rig.request(GET).await;
        let (mut instance, _) = backend.request().await;
        instance
            .send(format!("HTTP/1.1 200 OK\r\n{extra}Content-Length: 0\r\n\r\n"))
            .await;
        dates.push(field(&client.response().await.head, "date").unwrap().to_owned());
    }
    assert!(dates[0].ends_with(" GMT") && dates[0].len() == 29 && !dates[0].contains("1994"));
    assert_eq!(dates[1], "Sun, 06 Nov 1994 08:49:37 GMT");
}

#[tokio::test]
async fn what_a_stranger_says_about_itself_is_replaced() {
    let head = forwarded(
        untrusted,
        "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
         X_Forwarded_For: 6.6.6.6\r\nVia: 1.1 before\r\n\r\n",
    )
    .await;
    assert_eq!(field(&head, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(field(&head, "x-forwarded-proto"), Some("http"));
    assert_eq!(field(&head, "x-forwarded-host"), Some("x"));
    let via = fields(&head, "via");
    assert_eq!(via[0], "1.1 before");
    assert!(via[1].starts_with("1.1 evenkeel-") && via.len() == 2, "{head}");
    assert!(!head.contains("6.6.6.6") && !head.contains("evil"), "{head}");
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let head = forwarded(
        trusting,
        "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: public\r\nX-Forwarded-For: 2.2.2.2\r\nForwarded: for=1.1.1.1\r\n\r\n",
    )
    .await;
    assert_eq!(
        field(&head, "x-forwarded-for"),
        Some("1.1.1.1, 2.2.2.2, 127.0.0.1")
    );
    assert_eq!(field(&head, "x-forwarded-proto"), Some("https"));
    assert_eq!(field(&head, "x-forwarded-host"), Some("public"));
    assert_eq!(field(&head, "forwarded"), Some("for=1.1.1.1"));
}

#[tokio::test]
async fn a_request_id_is_kept_when_usable_and_made_otherwise() {
    let kept = forwarded(
        untrusted,
        "GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: a-1\r\n\r\n",
    )
    .await;
    assert_eq!(field(&kept, "x-request-id"), Some("a-1"));
    let long = format!("X-Request-Id: {}\r\n", "a".repeat(129));
    for useless in [
        "",
        "X-Request-Id: \r\n",
        "X-Request-Id: a b\r\n",
        "X-Request-Id: \"\u{e4}\"\r\n",
        &long,
    ] {
        let made = forwarded(untrusted, &format!("GET / HTTP/1.1\r\nHost: x\r\n{useless}\r\n")).await;
        let id = field(&made, "x-request-id").unwrap();
        assert!(id.len() == 36 && id.as_bytes()[14] == b'4', "{useless}: {made}");
    }
}

#[tokio::test]
async fn a_client_cannot_strip_what_the_proxy_adds() {
    let head = forwarded(
        trusting,
        "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: public\r\nX-Request-Id: a-1\r\n\
         Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Request-Id, Via\r\n\r\n",
    )
    .await;
    assert!(field(&head, "x-forwarded-for").unwrap().ends_with("127.0.0.1"));
    assert_eq!(field(&head, "x-forwarded-proto"), Some("http"), "{head}");
    assert_eq!(field(&head, "x-forwarded-host"), Some("x"), "{head}");
    assert_eq!(field(&head, "x-request-id").map(str::len), Some(36), "{head}");
    assert_eq!(fields(&head, "via").len(), 1);
}

#[tokio::test]
async fn one_request_id_reaches_the_instance() {
    let head = forwarded(
        untrusted,
        "GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: a-1\r\nX-Request-Id: b c\r\n\r\n",
    )
    .await;
    assert_eq!(fields(&head, "x-request-id"), ["a-1"]);
}

#[tokio::test]
async fn an_absolute_target_replaces_host() {
    let head = forwarded(
        untrusted,
        "GET http://real:81/p?q HTTP/1.1\r\nHost: other\r\n\r\n",
    )
    .await;
    assert!(
        head.starts_with("GET /p?q HTTP/1.1\r\nHost: real:81\r\n"),
        "{head}"
    );
    assert_eq!(field(&head, "host"), Some("real:81"));
    assert_eq!(field(&head, "x-forwarded-host"), Some("real:81"));
    let head = forwarded(untrusted, "OPTIONS http://real HTTP/1.1\r\nHost: other\r\n\r\n").await;
    assert!(head.starts_with("OPTIONS * HTTP/1.1\r\nHost: real\r\n"), "{head}");
}

#[tokio::test]
async fn trailers_are_asked_for_on_the_clients_behalf() {
    let head = forwarded(
        untrusted,
        "GET / HTTP/1.1\r\nHost: x\r\nTE: deflate;q=0.5, trailers\r\nConnection: TE\r\n\r\n",
    )
    .await;
    assert_eq!(field(&head, "te"), Some("trailers"));
    assert_eq!(field(&head, "connection"), Some("TE"));
}

#[tokio::test]
async fn bodies_keep_one_framing_field() {
    let head = forwarded(
        untrusted,
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    assert_eq!(
        (field(&head, "content-length"), field(&head, "transfer-encoding")),
        (Some("2"), None)
    );
    let head = forwarded(
        untrusted,
        "PUT / HTTP/1.1\r\nHost: x\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n",
    )
    .await;
    assert_eq!(
        (field(&head, "content-length"), field(&head, "transfer-encoding")),
        (None, Some("chunked"))
    );
}

#[tokio::test]
async fn forwards_are_counted_down_and_answered_at_zero() {
    let head = forwarded(
        untrusted,
        "OPTIONS /x HTTP/1.1\r\nHost: x\r\nMax-Forwards: 2\r\n\r\n",
    )
    .await;
    assert_eq!(field(&head, "max-forwards"), Some("1"));
    let head = forwarded(untrusted, "GET / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n").await;
    assert_eq!(field(&head, "max-forwards"), Some("0"));

    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        client
            .send("OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n")
            .await;
        client.response().await.expect(200);
    }
    client
        .send("OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n")
        .await;
    let response = client.response().await;
    assert_eq!(field(&response.expect(200).head, "connection"), Some("close"));
    client.ended().await;
    let mut client = rig
        .request("TRACE / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n")
        .await;
    client.response().await.expect(501);
    assert!(!backend.is_called());
}

#[tokio::test]
async fn a_proxy_that_is_its_own_backend_notices() {
    let mut rig = Setup::new(&[]).start().await;
    let mut setup = Setup::new(&[rig.address]);
    setup.retry_attempts = 0;
    rig.configure(&setup).await;
    let mut client = rig.request(GET).await;
    client.response().await.expect_error(502, "proxy_loop_detected");
    assert!(rig.proxy.counters().accepted() <= 6);
}

#[tokio::test]
async fn offers_to_upgrade_are_dropped_and_an_upgrade_nobody_asked_for_is_an_error() {
    let backend = Backend::start().await;
    let rig = Rig::before(&backend).await;
    let mut client = rig
        .request("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    let (mut instance, head) = backend.request().await;
    assert!(!head.to_lowercase().contains("upgrade"));
    instance
        .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    client.response().await.expect_error(502, "http_upgrade_failed");
    instance.ended().await;
    rig.settled().await;
    assert_eq!(rig.tally(), [0, 0, 1, 0]);
}

#[tokio::test]
async fn routes_look_at_host_and_path() {
    let server = Server::start(OK).await;
    let mut setup = Setup::new(&[server.address]);
    setup.listener.routes[0].host = Some("api.example.com".into());
    setup.listener.routes[0].path_prefix = Some("/v2".into());
    let rig = setup.start().await;
    for (target, host, status) in [
        ("/v2/x", "API.example.com:99", 200),
        ("http://api.example.com/v2", "other", 200),
        ("/v20", "api.example.com", 404),
        ("/v2", "example.com", 404),
    ] {
        let mut client = rig
            .request(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        client.response().await.expect(status);
    }
    assert_eq!(rig.proxy.counters().unrouted(), 2);
    assert_eq!(server.heads().len(), 2);
}

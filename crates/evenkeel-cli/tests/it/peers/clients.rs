//! Clients that people use.

use std::process::Output;

use super::{beside, config, is_here, run};
use crate::support::Folder;
use crate::support::backend::{Backend, GZIP};
use crate::support::process::{Server, text};

const UPLOAD: usize = 8 << 20;

async fn curl(arguments: &[&str]) -> Output {
    let quiet = ["--silent", "--show-error", "--max-time", "60"];
    let output = run("curl", &[&quiet, arguments].concat()).await;
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    output
}

#[tokio::test]
async fn curl_in_its_many_ways() {
    if !beside(&["curl"]) {
        return;
    }
    let backend = Backend::start("one");
    let server = Server::start(&config(&[&backend])).await;
    let url = |path: &str| format!("http://{}{path}", server.address_now("web"));
    let folder = Folder::new();
    let file = folder.path().join("body");
    std::fs::write(&file, vec![b'x'; UPLOAD]).unwrap();
    let file = file.to_str().unwrap();
    let (name, upload, gzip) = (url("/name"), url("/upload"), url("/gzip"));
    let size = UPLOAD.to_string();

    // One connection for two requests.
    let twice = curl(&["--verbose", &name, &name]).await;
    assert_eq!(text(&twice.stdout), "oneone");
    let said = text(&twice.stderr);
    assert!(said.contains("Re-using existing connection"), "{said}");

    let old = curl(&["--http1.0", "--include", &name]).await;
    let old = text(&old.stdout);
    assert!(
        old.starts_with("HTTP/1.1 200") && old.ends_with("\r\n\r\none"),
        "{old}"
    );
    assert!(!old.to_ascii_lowercase().contains("transfer-encoding"), "{old}");

    let head = text(&curl(&["--head", &name]).await.stdout);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.to_ascii_lowercase().contains("content-length: 3"), "{head}");

    let chunked = [
        "--header",
        "Transfer-Encoding: chunked",
        "--header",
        "Expect:",
        "--upload-file",
        file,
        &upload,
    ];
    assert_eq!(text(&curl(&chunked).await.stdout), size);

    // Without a relayed 100 it would wait for longer than it may take.
    let expecting = [
        "--verbose",
        "--expect100-timeout",
        "90",
        "--header",
        "Expect: 100-continue",
        "--upload-file",
        file,
        &upload,
    ];
    let expecting = curl(&expecting).await;
    assert_eq!(text(&expecting.stdout), size);
    let said = text(&expecting.stderr);
    assert!(said.contains("< HTTP/1.1 100 Continue"), "{said}");

    // Encoded bodies pass as they are.
    let encoded = curl(&["--header", "Accept-Encoding: gzip", &gzip]).await;
    assert_eq!(encoded.stdout, GZIP);
    assert_eq!(text(&curl(&["--compressed", &gzip]).await.stdout), "hello");

    let posted = curl(&["--data-binary", &format!("@{file}"), &upload]).await;
    assert_eq!(text(&posted.stdout), size);
}

#[tokio::test]
async fn wrk_sees_no_error() {
    if !beside(&["wrk"]) {
        return;
    }
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let server = Server::start(&config(&[&one, &two])).await;
    let url = format!("http://{}/name", server.address_now("web"));
    let output = run(
        "wrk",
        &[
            "--threads",
            "1",
            "--connections",
            "32",
            "--duration",
            "2s",
            "--timeout",
            "60s",
            &url,
        ],
    )
    .await;
    let report = text(&output.stdout);
    println!("{report}");
    assert!(output.status.success(), "{report}");
    assert!(report.contains("Requests/sec"), "{report}");
    for trouble in ["Socket errors", "Non-2xx"] {
        assert!(!report.contains(trouble), "{report}");
    }
    assert!(one.requests() > 0 && two.requests() > 0);
}

#[tokio::test]
async fn h2load_over_http_1_with_and_without_pipelining() {
    if !beside(&["h2load"]) {
        return;
    }
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let server = Server::start(&config(&[&one, &two])).await;
    let url = format!("http://{}/name", server.address_now("web"));
    for pipelined in ["1", "8"] {
        let output = run(
            "h2load",
            &["--h1", "-n", "6000", "-c", "32", "-m", pipelined, &url],
        )
        .await;
        let report = text(&output.stdout);
        let line = "6000 total, 6000 started, 6000 done, 6000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(report.contains(line), "{report}");
        assert!(report.contains("6000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{report}");
    }
}

const PYTHON: &str = r#"
import http.client, sys
c = http.client.HTTPConnection(sys.argv[1], timeout=60)
for _ in range(3):
    c.request("GET", "/name"); r = c.getresponse(); assert (r.status, r.read()) == (200, b"one")
c.request("POST", "/upload", body=iter([b"a" * 1000] * 100), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
r = c.getresponse(); assert (r.status, r.read()) == (200, b"100000")
c.request("HEAD", "/name"); r = c.getresponse(); assert (r.status, r.read(), r.headers["content-length"]) == (200, b"", "3")
c.request("GET", "/download/1000000"); assert len(c.getresponse().read()) == 1000000
c.request("GET", "/status/404"); r = c.getresponse(); assert (r.status, r.read()) == (404, b"one")
print("fine")
"#;

#[tokio::test]
async fn python_http_client() {
    // Not among the programs that are installed for the tests, but often there.
    if !beside(&[]) || !is_here("python3") {
        return;
    }
    let backend = Backend::start("one");
    let server = Server::start(&config(&[&backend])).await;
    let output = run("python3", &["-c", PYTHON, &server.address_now("web").to_string()]).await;
    assert_eq!(text(&output.stdout), "fine\n", "{}", text(&output.stderr));
    assert_eq!(
        server.metric("evenkeel_client_connections_accepted_total").await,
        1.0
    );
}

//! The admin token, and what is changed with it.

use std::os::unix::fs::PermissionsExt as _;

use hyper::Method;

use crate::support::Folder;
use crate::support::backend::Backend;
use crate::support::client::{Answer, Client, get};
use crate::support::process::{Server, evenkeel, text};

fn config(more: &str, instances: &str) -> String {
    format!(
        "{more}
listeners: [{{ name: web, bind: 127.0.0.1:0 }}]
services:
  - name: web
    strategy: round_robin
    instances:
{instances}"
    )
}

/// A request to the admin side, with `token` unless it is empty.
async fn ask(server: &Server, method: Method, path: &str, body: &str, token: &str) -> Answer {
    let mut client = Client::connect(server.admin().await).await.unwrap();
    let field = format!("Bearer {token}");
    let field = Some(("authorization", &*field)).filter(|_| !token.is_empty());
    client.exchange(method, path, body, field).await.unwrap()
}

#[tokio::test]
async fn a_token_is_made_at_the_start_and_an_instance_joins_with_it() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let server = Server::start(&config("admin: { listen: 127.0.0.1:0 }", &one.instance("web-0"))).await;
    let file = server.state().join("admin-token");
    let token = std::fs::read_to_string(&file).unwrap().trim_end().to_owned();
    assert_eq!(token.len(), 64);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let line = server.line("the admin API takes changes").await;
    assert!(line.contains(file.to_str().unwrap()), "{line}");

    let path = "/api/v1/services/web/instances/web-1";
    let body = format!(r#"{{"address":"{}"}}"#, two.address);
    assert_eq!(ask(&server, Method::PUT, path, &body, "").await.status, 401);
    assert_eq!(
        ask(&server, Method::PUT, path, &body, "not-the-token-of-it")
            .await
            .status,
        401
    );
    let joined = ask(&server, Method::PUT, path, &body, &token).await;
    assert_eq!(joined.status, 201, "{}", joined.body);

    // In turns: both answer.
    let web = server.address("web").await;
    let mut names = Vec::new();
    for _ in 0..4 {
        names.push(get(web, "/name").await.unwrap().body);
    }
    names.sort_unstable();
    assert_eq!(names, ["one", "one", "two", "two"]);

    // It stays over a reload, and can be told to go.
    server
        .reload(
            &config("admin: { listen: 127.0.0.1:0 }", &one.instance("web-0")),
            "ok",
        )
        .await;
    assert_eq!(ask(&server, Method::GET, path, "", "").await.status, 200);
    let drained = ask(&server, Method::POST, &format!("{path}/drain"), "", &token).await;
    assert_eq!(drained.status, 200, "{}", drained.body);
    assert_eq!(get(web, "/name").await.unwrap().body, "one");
    assert_eq!(ask(&server, Method::DELETE, path, "", &token).await.status, 204);

    // Who, what, and what came of it; and the token nowhere.
    for (words, result) in [
        ("PUT /api/v1/services/web/instances/web-1", "registered"),
        ("POST /api/v1/services/web/instances/web-1/drain", "changed"),
        ("DELETE /api/v1/services/web/instances/web-1", "changed"),
    ] {
        let lines = server.lines(words, 1).await;
        let line = lines.iter().find(|line| line.contains(result));
        assert!(
            line.is_some_and(|line| line.contains("peer=127.0.0.1:")),
            "{lines:?}"
        );
    }
    assert!(server.log().contains("refused: no token"), "{}", server.log());
    assert!(!server.log().contains(&token));
}

/// The file alone is right; what was registered makes it wrong.
#[tokio::test]
async fn a_reload_that_does_not_suit_who_is_registered_changes_nothing() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let before = config("admin: { listen: 127.0.0.1:0 }", &one.instance("web-0"));
    let server = Server::start(&before).await;
    let token = std::fs::read_to_string(server.state().join("admin-token")).unwrap();
    let path = "/api/v1/services/web/instances/web-1";
    let body = format!(r#"{{"address":"{}","weight":60000}}"#, two.address);
    let joined = ask(&server, Method::PUT, path, &body, token.trim_end()).await;
    assert_eq!(joined.status, 201, "{}", joined.body);

    let ketama = "{ name: consistent_hash, compatibility: ketama }";
    let after = before.replace("round_robin", ketama);
    let check = Folder::new();
    let file = check.write("evenkeel.yaml", &after);
    assert!(
        evenkeel(&["check", "--config", file.to_str().unwrap()])
            .status
            .success()
    );
    server.reload(&after, "failed").await;
    let line = server.line("is not used, the old one stays in force").await;
    for part in [
        "service web: strategy: consistent_hash does not suit",
        "60001",
        "1 of them",
    ] {
        assert!(server.log().contains(part), "{part}: {line}");
    }
    assert_eq!(ask(&server, Method::GET, path, "", "").await.status, 200);
    assert!(
        server
            .page("/api/v1/services/web")
            .await
            .contains("\"round_robin\"")
    );

    let heavy = after.replace("address: ", "weight: 52429, address: ");
    let file = check.write("heavy.yaml", &heavy);
    let checked = evenkeel(&["check", "--config", file.to_str().unwrap()]);
    let said = text(&checked.stderr);
    assert!(
        !checked.status.success() && said.contains("heavy.yaml:5:15"),
        "{said}"
    );
}

#[tokio::test]
async fn the_configuration_may_name_the_token_or_its_place() {
    let folder = Folder::new();
    let backend = Backend::start("one");
    let mine = folder.write("token", "a-token-of-my-own-making\n");
    let file = format!("admin: {{ listen: 127.0.0.1:0, token_file: {} }}", mine.display());
    let server = Server::start(&config(&file, &backend.instance("web-0"))).await;
    let path = "/api/v1/services/web/instances/web-0/drain";
    let drained = ask(&server, Method::POST, path, "", "a-token-of-my-own-making").await;
    assert_eq!(drained.status, 200, "{}", drained.body);
    assert!(!server.state().exists(), "nothing else is made");
    // What others can read is told.
    server.line("can be read by others").await;

    let state = folder.path().join("state/of/mine");
    let directory = format!("state_dir: {}\nadmin: {{ listen: 127.0.0.1:0 }}", state.display());
    let server = Server::start(&config(&directory, &backend.instance("web-0"))).await;
    let token = std::fs::read_to_string(state.join("admin-token")).unwrap();
    assert_eq!(
        ask(&server, Method::POST, path, "", token.trim_end())
            .await
            .status,
        200
    );
}

#[test]
fn a_token_that_cannot_be_had_ends_the_start_when_it_was_asked_for() {
    let folder = Folder::new();
    let short = folder.write("short", "hunter2\n");
    let blocked = folder.write("blocked", "a file");
    for (more, code, words) in [
        (
            format!("admin: {{ token_file: {} }}", short.display()),
            1,
            "openssl",
        ),
        (
            format!("admin: {{ token_file: {}/none }}", folder.path().display()),
            1,
            "none",
        ),
        (format!("state_dir: {}/state", blocked.display()), 3, "state_dir"),
    ] {
        let instance = "      - { address: 127.0.0.1:9 }\n";
        let more = format!("{more}\n").replace("admin: {", "admin: { listen: 127.0.0.1:0,");
        let file = folder.write("evenkeel.yaml", &config(&more, instance));
        let output = evenkeel(&[
            "serve",
            "--admin",
            "127.0.0.1:0",
            "--config",
            file.to_str().unwrap(),
        ]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{more}: {said}");
        assert!(said.contains(words), "{more}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

//! Strategies that hash, over real sockets: a user stays where they are.

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::{Folder, one_service, until};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const USERS: usize = 200;

fn config(strategy: &str, backends: &[Backend]) -> String {
    let instances = backends.iter().zip(NAMES);
    // On a busy machine an instance is slow now and then, and hands some of its users on.
    one_service(
        &format!(
            "    strategy: {strategy}\n    health: {{ on_score: off }}\n    circuit_breaker: {{ on_slow: off, on_silence: off }}\n"
        ),
        instances.map(|(backend, name)| backend.instance(name)),
    )
}

async fn owners(server: &Server) -> Vec<String> {
    let mut client = Client::connect(server.address("web").await).await.unwrap();
    let mut owners = Vec::new();
    for user in 0..USERS {
        let answer = client
            .get_with("/name", ("X-User", &format!("user-{user}")))
            .await;
        owners.push(answer.unwrap().body);
    }
    owners
}

#[tokio::test]
async fn a_user_stays_across_processes_restarts_and_the_death_of_others() {
    for name in ["consistent_hash", "maglev", "rendezvous"] {
        let mut backends: Vec<Backend> = NAMES.map(Backend::start).into_iter().collect();
        let strategy = format!("{{ name: {name}, key: {{ header: x-user }} }}");
        let config = config(&strategy, &backends);
        let (server, other) = (Server::start(&config).await, Server::start(&config).await);
        let before = owners(&server).await;
        assert_eq!(before, owners(&other).await, "{name}: two processes");
        assert!(
            NAMES.iter().all(|name| before.iter().any(|owner| owner == name)),
            "{name}"
        );
        drop(other);
        let again = Server::start(&config).await;
        assert_eq!(before, owners(&again).await, "{name}: a restart");
        drop(again);

        // Its connections are refused, and it is ejected after some of them; retries hide both.
        drop(backends.remove(1));
        let after = until("nobody is sent to the dead instance", || async {
            let after = owners(&server).await;
            (!after.iter().any(|owner| owner == "b")).then_some(after)
        })
        .await;
        let mut heirs = Vec::new();
        for (before, after) in before.iter().zip(&after) {
            if before == "b" {
                heirs.push(after.as_str());
            } else {
                assert_eq!(before, after, "{name}: another instance's user moved");
            }
        }
        heirs.sort_unstable();
        heirs.dedup();
        assert_eq!(
            heirs,
            ["a", "c", "d", "e"],
            "{name}: its users went to few of the others"
        );
    }
}

#[tokio::test]
async fn requests_without_the_key_go_by_their_source_and_are_counted() {
    let backends: Vec<Backend> = NAMES.map(Backend::start).into_iter().collect();
    let strategy = "{ name: maglev, key: { header: x-user } }";
    let server = Server::start(&config(strategy, &backends)).await;
    let mut client = Client::connect(server.address("web").await).await.unwrap();
    let first = client.get("/name").await.unwrap().body;
    for _ in 0..9 {
        assert_eq!(client.get("/name").await.unwrap().body, first);
    }
    let _ = client.get_with("/name", ("x-user", "bob")).await.unwrap();
    let absent = server.metric("evenkeel_absent_keys_total{service=\"web\"}").await;
    assert_eq!(absent, 10.0);
}

#[tokio::test]
async fn a_secret_decides_and_is_never_shown() {
    let folder = Folder::new();
    let backends: Vec<Backend> = NAMES.map(Backend::start).into_iter().collect();
    let start = |secret: &str| {
        let file = folder.write("secret", secret);
        let strategy = format!(
            "{{ name: rendezvous, key: {{ header: x-user }}, hash_secret_file: {} }}",
            file.display()
        );
        config(&strategy, &backends)
    };
    let one = Server::start(&start("0123456789abcdef0123456789abcdef\n")).await;
    let with_one = owners(&one).await;
    let two = Server::start(&start("fedcba9876543210fedcba9876543210\n")).await;
    let with_two = owners(&two).await;
    let same = with_one.iter().zip(&with_two).filter(|(a, b)| a == b).count();
    // One in five by chance, 5.7 of two hundred as its deviation.
    assert!(same < 40 + 40, "{same} of {USERS} users at the same instance");
    assert!(!one.log().contains("0123456789abcdef"));

    let config = start("short");
    one.reload(&config, "failed").await;
    let line = one.line("make it at least 16").await;
    assert!(
        line.contains("hash_secret_file") && !line.contains("short"),
        "{line}"
    );
    assert_eq!(
        owners(&one).await,
        with_one,
        "the refused reload changed something"
    );
}

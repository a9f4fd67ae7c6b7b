//! Sessions that stick to an instance.

use std::net::SocketAddr;

use evenkeel_core::InstanceId;
use evenkeel_runtime::RetryReason;

use crate::peer::{Peer, Response, field, fields};
use crate::support::{Backend, GET, Rig, Server, Setup, refusing, until};

const ANSWERS: [&str; 3] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2",
];
const SECRET: &str = "0123456789abcdef";

/// Three instances, which answer with their numbers.
async fn servers() -> [Server; 3] {
    [
        Server::start(ANSWERS[0]).await,
        Server::start(ANSWERS[1]).await,
        Server::start(ANSWERS[2]).await,
    ]
}

fn sticky(addresses: &[SocketAddr]) -> Setup {
    let mut setup = Setup::new(addresses);
    setup.sticky = Some(SECRET);
    setup
}

async fn rig(servers: &[Server]) -> Rig {
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    sticky(&addresses).start().await
}

/// The cookie that a response sets.
fn cookie(response: &Response) -> Option<String> {
    let set = field(&response.head, "set-cookie")?;
    let (pair, attributes) = set.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax");
    assert!(pair.starts_with("evenkeel=") && pair.len() == 9 + 32, "{pair}");
    Some(pair.to_owned())
}

async fn ask(client: &mut Peer, cookies: &str) -> Response {
    let text = format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookies}\r\n\r\n");
    client.send(&text).await;
    client.response().await
}

/// A session: its cookie, and its instance.
async fn begin(rig: &Rig) -> (Peer, String, String) {
    let mut client = rig.request(GET).await;
    let response = client.response().await;
    let cookie = cookie(response.expect(200)).unwrap();
    (client, cookie, response.body)
}

#[tokio::test]
async fn a_session_stays_where_it_began() {
    let servers = servers().await;
    let rig = rig(&servers).await;
    let mut homes = Vec::new();
    for _ in 0..3 {
        let (mut client, cookie, home) = begin(&rig).await;
        for n in 0..100 {
            // Among others, and on other connections.
            let cookies = ["a=1; {}", "{};b=2", "{}", "evenkeel=old; {}"][n % 4].replace("{}", &cookie);
            if n % 10 == 9 {
                client = rig.client().await;
            }
            let response = ask(&mut client, &cookies).await;
            assert_eq!(response.expect(200).body, home);
            assert_eq!(field(&response.head, "set-cookie"), None);
        }
        homes.push(home);
    }
    homes.sort_unstable();
    assert_eq!(homes, ["0", "1", "2"], "who is new goes where the strategy says");
    // Neither id nor address shows, and the instance sees the cookie.
    let (_, cookie, home) = begin(&rig).await;
    let heads = servers[home.parse::<usize>().unwrap()].heads();
    assert!(heads.iter().any(|head| head.contains(&cookie)), "{cookie}");
}

#[tokio::test]
async fn what_was_not_made_here_is_no_session() {
    let servers = servers().await;
    let rig = rig(&servers).await;
    let (mut client, good, home) = begin(&rig).await;
    let flipped = good.replace(
        &good[good.len() - 1..],
        if good.ends_with('0') { "1" } else { "0" },
    );
    for forged in [
        "evenkeel=00000000000000000000000000000000",
        "evenkeel=i-1",
        "evenkeel=",
        "evenkeel",
        &flipped,
        &good.to_uppercase(),
        &format!("{good}0"),
        &good[..good.len() - 1],
        &good.replace("evenkeel", "Evenkeel"),
        &good.replace("evenkeel", "x-evenkeel"),
    ] {
        let mut bodies = Vec::new();
        for _ in 0..3 {
            let response = ask(&mut client, forged).await;
            assert!(cookie(response.expect(200)).is_some(), "{forged}");
            bodies.push(response.body);
        }
        bodies.sort_unstable();
        assert_eq!(bodies, ["0", "1", "2"], "{forged}");
    }
    assert_eq!(ask(&mut client, &good).await.body, home);
}

#[tokio::test]
async fn a_draining_instance_keeps_its_sessions() {
    let servers = servers().await;
    let rig = rig(&servers).await;
    let (mut client, cookie, home) = begin(&rig).await;
    let id = InstanceId::new(&format!("i-{home}")).unwrap();
    rig.service().drain(&id, "an update").await.unwrap();
    for _ in 0..10 {
        let response = ask(&mut client, &cookie).await;
        assert_eq!(response.expect(200).body, home);
        assert_eq!(field(&response.head, "set-cookie"), None);
        let (_, _, other) = begin(&rig).await;
        assert_ne!(other, home, "and gets no new ones");
    }
    // When it is gone, they go elsewhere, and stay there.
    rig.service().deregister(&id).await.unwrap();
    let response = ask(&mut client, &cookie).await;
    let moved = self::cookie(response.expect(200)).unwrap();
    assert_ne!((&moved, &response.body), (&cookie, &home));
    for _ in 0..10 {
        assert_eq!(ask(&mut client, &moved).await.body, response.body);
    }
}

#[tokio::test]
async fn a_session_whose_instance_dies_begins_anew_elsewhere() {
    let servers = servers().await;
    let (_socket, dead) = refusing();
    let addresses = servers.each_ref().map(|server| server.address);
    let mut rig = sticky(&addresses).start().await;
    let (mut client, cookie, home) = begin(&rig).await;
    // The same instance, as far as clients know, but now it refuses connections.
    let mut addresses = addresses;
    addresses[home.parse::<usize>().unwrap()] = dead;
    rig.configure(&sticky(&addresses)).await;
    let response = ask(&mut client, &cookie).await;
    let moved = self::cookie(response.expect(200)).unwrap();
    assert_ne!((&moved, &response.body), (&cookie, &home));
    assert_eq!(rig.retries(RetryReason::Connect), 1);
    for _ in 0..10 {
        let again = ask(&mut client, &moved).await;
        assert_eq!(again.expect(200).body, response.body);
        assert_eq!(field(&again.head, "set-cookie"), None);
    }
    assert_eq!(rig.retries(RetryReason::Connect), 1);
}

#[tokio::test]
async fn sessions_survive_a_restart_and_a_reload_with_the_same_secret() {
    let servers = servers().await;
    let mut first = rig(&servers).await;
    let (_, cookie, home) = begin(&first).await;
    let mut addresses = servers.each_ref().map(|server| server.address).to_vec();
    first.configure(&sticky(&addresses)).await;
    assert_eq!(ask(&mut first.client().await, &cookie).await.body, home);
    drop(first);
    let mut second = sticky(&addresses).start().await;
    let mut client = second.client().await;
    for _ in 0..5 {
        assert_eq!(ask(&mut client, &cookie).await.body, home);
    }
    // Others may come and go.
    addresses.push(Server::start(ANSWERS[0]).await.address);
    second.configure(&sticky(&addresses)).await;
    assert_eq!(ask(&mut client, &cookie).await.body, home);
    // With another secret, they begin anew.
    let mut setup = sticky(&addresses[..3]);
    setup.sticky = Some("another secret, just as long");
    second.configure(&setup).await;
    let response = ask(&mut client, &cookie).await;
    assert!(self::cookie(response.expect(200)).is_some_and(|new| new != cookie));
    // And without, there are none.
    setup.sticky = None;
    second.configure(&setup).await;
    let response = ask(&mut client, &cookie).await;
    assert_eq!(field(&response.expect(200).head, "set-cookie"), None);
}

#[tokio::test]
async fn a_failure_neither_begins_nor_ends_a_session() {
    let (home, other) = (Backend::start().await, Server::start(ANSWERS[1]).await);
    let rig = sticky(&[home.address, other.address]).start().await;
    // Until it is the turn of `home`.
    let mut client = rig.request(GET).await;
    let mut instance = tokio::select! {
        (peer, _) = home.request() => peer,
        response = client.response() => {
            response.expect(200);
            client.send(GET).await;
            home.request().await.0
        }
    };
    instance
        .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    let cookie = cookie(&client.response().await).unwrap();
    let get = format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n");
    client.send(&get).await;
    instance.head().await;
    instance
        .send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        .await;
    let response = client.response().await;
    assert_eq!(response.expect(200).body, "1", "another instance answers");
    assert_eq!(field(&response.head, "set-cookie"), None, "this once");
    client.send(&get).await;
    instance.head().await;
    instance
        .send("HTTP/1.1 200 OK\r\nSet-Cookie: own=1\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(fields(&client.response().await.head, "set-cookie"), ["own=1"]);

    let failing = Server::start("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").await;
    let rig = sticky(&[failing.address]).start().await;
    let response = rig.request(GET).await.response().await;
    assert_eq!(field(&response.expect(500).head, "set-cookie"), None);
}

#[tokio::test]
async fn a_session_begins_beside_the_cookies_of_the_instance() {
    let server = Server::start(
        "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 404 No\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let rig = sticky(&[server.address]).start().await;
    let mut client = rig.request(GET).await;
    let interim = client.bodiless().await;
    assert_eq!(field(&interim.expect(103).head, "set-cookie"), None);
    let response = client.response().await;
    let set = fields(&response.expect(404).head, "set-cookie");
    assert_eq!(set[..2], ["a=1", "b=2"]);
    assert!(set.len() == 3 && set[2].starts_with("evenkeel="), "{set:?}");
    until(|| rig.tally()[0] == 0).await;
}

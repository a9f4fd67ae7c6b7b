//! What the tests are made of: the process under test, backends, clients and conditions to wait for.

pub(crate) mod backend;
pub(crate) mod client;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod raw;

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::TcpSocket;

/// Long enough for anything that happens at all, on a machine that has other work.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Asks again until there is an answer; `what` is for the message when none comes.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let asking = async {
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(DEADLINE, asking).await;
    answer.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}

/// A port of loopback that refuses connections until somebody listens there by name: bound, so that nobody gets it by
/// chance, be it as a listener or as a client.
pub(crate) struct Port(TcpSocket);

impl Port {
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Whoever is to listen asks for this as well, and then both may be bound.
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}

/// A folder of its own for a test, gone with it.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "evenkeel-it-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file of it.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A file with the listener `web` and the service `web`, these lines of its settings and these of its instances.
pub(crate) fn one_service(settings: &str, instances: impl IntoIterator<Item = String>) -> String {
    let instances: String = instances.into_iter().collect();
    format!(
        "admin: {{ listen: 127.0.0.1:0 }}
listeners: [{{ name: web, bind: 127.0.0.1:0 }}]
services:
  - name: web
{settings}    instances:
{instances}"
    )
}

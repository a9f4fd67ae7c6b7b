//! A hyper client that balances over three local servers, of which one dies and comes back.
//!
//! `cargo run -p evenkeel --example hyper_client`

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use evenkeel::{EjectionSettings, Instance, LoadBalancer, Nanos, Selection, ServiceSettings};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Requests sent in each of three parts: all well, one dead, all well again.
const REQUESTS: u32 = 300;
/// Instances tried for a request; each is a GET, so that it may be repeated.
const TRIES: usize = 3;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let summary = run().await?;
    println!("{summary}");
    Ok(())
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Summary {
    /// Requests that got a response, by part.
    pub answered: [u32; 3],
    /// Requests without one, after all tries.
    pub failed: u32,
    /// Tries after the first.
    pub retries: u32,
    /// Responses of the server that died, by part.
    pub from_mortal: [u32; 3],
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sent = self.answered.iter().sum::<u32>() + self.failed;
        writeln!(
            f,
            "{sent} requests, {} failed, {} retries",
            self.failed, self.retries
        )?;
        let [before, dead, after] = self.from_mortal;
        write!(
            f,
            "the server that died answered {before} before, {dead} while dead, {after} after its return"
        )
    }
}

/// Sends all requests, and kills and revives a server in between.
pub async fn run() -> Result<Summary, Failed> {
    let balancer = LoadBalancer::new();
    balancer
        .configure(ServiceSettings {
            // Short, so that its return can be watched.
            ejection: EjectionSettings {
                base: Nanos::from_millis(200),
                ..EjectionSettings::default()
            },
            ..ServiceSettings::new("hello")
        })
        .await?;
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    // Nobody else gets the port of the one that will be dead for a while.
    let reserved = TcpSocket::new_v4()?;
    reserved.set_reuseaddr(true)?;
    reserved.bind(any_port)?;
    let mut servers = Vec::new();
    for (id, at) in [
        ("steady-1", any_port),
        ("steady-2", any_port),
        ("mortal", reserved.local_addr()?),
    ] {
        let (address, server) = serve(id, at).await?;
        balancer
            .register_instance("hello", Instance::new(id, address)?)
            .await?;
        servers.push((address, server));
    }
    let mut events = balancer.subscribe();
    let mut summary = Summary::default();
    send_many(&balancer, 0, &mut summary).await;

    let Some((address, mortal)) = servers.pop() else {
        return Ok(summary);
    };
    mortal.abort();
    // When it has ended, so have its connections.
    let _ = mortal.await;
    send_many(&balancer, 1, &mut summary).await;

    servers.push(serve("mortal", address).await?);
    // Requests go on, and some of them find out that it works again.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while summary.from_mortal[2] == 0 && tokio::time::Instant::now() < deadline {
        send_many(&balancer, 2, &mut summary).await;
    }
    while let Ok(event) = events.try_recv() {
        println!("event: {event}");
    }
    println!("{}", balancer.explain("hello")?);
    Ok(summary)
}

async fn send_many(balancer: &LoadBalancer, part: usize, summary: &mut Summary) {
    for _ in 0..REQUESTS {
        match send(balancer, &mut summary.retries).await {
            Ok(body) => {
                summary.answered[part] += 1;
                summary.from_mortal[part] += u32::from(body == "mortal");
            }
            Err(error) => {
                summary.failed += 1;
                println!("failed: {error}");
            }
        }
    }
}

/// One request, tried on up to [`TRIES`] instances.
async fn send(balancer: &LoadBalancer, retries: &mut u32) -> Result<Bytes, Failed> {
    let mut tried = Vec::new();
    loop {
        let mut lease = balancer.select_instance("hello", &Selection::new().avoiding(&tried))?;
        tried.push(lease.slot());
        let error = match get(lease.address()).await {
            Ok(response) => {
                lease.head_arrived();
                let status = response.status().as_u16();
                match response.into_body().collect().await {
                    Ok(body) => {
                        lease.answered_with(status);
                        return Ok(body.to_bytes());
                    }
                    Err(error) => error.into(),
                }
            }
            Err(error) => error,
        };
        lease.failed();
        if tried.len() == TRIES {
            return Err(error);
        }
        *retries += 1;
    }
}

/// `GET /` on a connection of its own; a program with more to do keeps connections per instance.
async fn get(address: SocketAddr) -> Result<Response<Incoming>, Failed> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    // Drives the connection until the response is read.
    tokio::spawn(connection);
    let request = Request::get("/")
        .header("host", address.to_string())
        .body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?)
}

/// A server that answers with its name, until the task is aborted.
async fn serve(name: &'static str, address: SocketAddr) -> Result<(SocketAddr, JoinHandle<()>), Failed> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let hello = service_fn(async |_: Request<Incoming>| {
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(name)))
                });
                let http = hyper::server::conn::http1::Builder::new();
                // How a connection ended concerns only its client.
                let _ = http.serve_connection(TokioIo::new(stream), hello).await;
            });
        }
    });
    Ok((address, server))
}

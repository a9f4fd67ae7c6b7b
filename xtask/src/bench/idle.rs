//! Memory with many clients that made one request and then keep their connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

use super::proxies::{self, Proxy};
use super::table::Row;
use super::{backend, process};

/// Idle clients.
const CLIENTS: usize = 10_000;
/// For a proxy to put its buffers away.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures one proxy after the other, each freshly started.
pub(super) fn measure(proxies: &[Proxy], backends: &[String]) -> Result<Vec<Row>> {
    proxies.iter().map(|proxy| one(*proxy, backends)).collect()
}

fn one(proxy: Proxy, backends: &[String]) -> Result<Row> {
    let (running, address) = proxies::start(proxy, backends)?;
    let before = running.resident()?;
    eprintln!("  {}: opening {CLIENTS} clients ...", proxy.name());
    let mut clients = Vec::with_capacity(CLIENTS);
    for index in 0..CLIENTS {
        let mut client = TcpStream::connect(&address)
            .and_then(|client| {
                client
                    .set_read_timeout(Some(Duration::from_secs(10)))
                    .map(|()| client)
            })
            .with_context(|| format!("client {index} cannot connect to {}", proxy.name()))?;
        request(&mut client).with_context(|| format!("client {index} of {} got no answer", proxy.name()))?;
        clients.push(client);
    }
    process::pause(SETTLE);
    let cpu = running.cpu()?;
    process::pause(SETTLE);
    let idle = running.cpu()? - cpu;
    let resident = running.resident()?;
    // A proxy that dropped its clients would look small: each must still be served.
    let lost = clients
        .iter_mut()
        .filter_map(|client| request(client).err())
        .count();
    Ok(Row::of_idle(
        proxy.name(),
        before,
        resident,
        CLIENTS,
        idle.as_secs_f64() / SETTLE.as_secs_f64(),
        lost,
    ))
}

/// One request and its whole response.
fn request(client: &mut TcpStream) -> Result<()> {
    client.write_all(format!("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", backend::SMALL).as_bytes())?;
    let mut said = Vec::with_capacity(512);
    let mut buffer = [0; 512];
    loop {
        let count = client.read(&mut buffer)?;
        anyhow::ensure!(count > 0, "the connection was closed");
        said.extend_from_slice(&buffer[..count]);
        let Some(head) = said.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        anyhow::ensure!(
            said.starts_with(b"HTTP/1.1 200"),
            "not 200: {}",
            String::from_utf8_lossy(&said[..head])
        );
        if said.len() >= head + 4 + 100 {
            return Ok(());
        }
    }
}

//! Simulated instances: real sockets in front of a queue with a few workers.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::client::Random;

/// What is wrong with an instance. Checks (`/healthz`) are good but of one that hangs.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fault {
    None,
    /// Service takes so many times as long.
    Slow(f64),
    /// 500 without work.
    FailsAtOnce,
    /// 500 after the work, for this part of requests.
    Fails(f64),
    /// Nothing is answered any more.
    Hangs,
}

struct Instance {
    fault: Cell<Fault>,
    workers: Semaphore,
    service: Duration,
    random: RefCell<Random>,
}

/// The fleet; its instances end with it.
pub(super) struct Fleet {
    instances: Vec<(SocketAddr, Rc<Instance>)>,
    _tasks: JoinSet<()>,
}

impl Fleet {
    /// Starts `count` healthy instances on free ports.
    pub(super) async fn start(count: usize, workers: usize, service: Duration, seed: u64) -> Result<Self> {
        let mut instances = Vec::new();
        let mut tasks = JoinSet::new();
        for index in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let instance = Rc::new(Instance {
                fault: Cell::new(Fault::None),
                workers: Semaphore::new(workers),
                service,
                random: RefCell::new(Random::new(seed.wrapping_mul(1000) + index as u64)),
            });
            instances.push((listener.local_addr()?, Rc::clone(&instance)));
            tasks.spawn_local(accept(listener, instance));
        }
        Ok(Self {
            instances,
            _tasks: tasks,
        })
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.instances.iter().map(|(address, _)| *address).collect()
    }

    /// Gives every instance its fault.
    pub(super) fn set(&self, fault: impl Fn(usize) -> Fault) {
        for (index, (_, instance)) in self.instances.iter().enumerate() {
            instance.fault.set(fault(index));
        }
    }
}

async fn accept(listener: TcpListener, instance: Rc<Instance>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let instance = Rc::clone(&instance);
        connections.spawn_local(async move {
            // A connection that breaks is the proxy's business.
            let _ = serve(stream, &instance).await;
        });
    }
}

async fn serve(mut stream: TcpStream, instance: &Instance) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 8 << 10];
    let mut filled = 0;
    loop {
        let end = loop {
            let head = &buffer[..filled];
            if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                count => filled += count,
            }
        };
        let check = buffer[..end].split(|b| *b == b' ').nth(1) == Some(b"/healthz");
        buffer.copy_within(end..filled, 0);
        filled -= end;
        let ok = match instance.fault.get() {
            Fault::Hangs => {
                // Until the other side gives up.
                while stream.read(&mut buffer).await? > 0 {}
                return Ok(());
            }
            _ if check => true,
            Fault::FailsAtOnce => false,
            fault => instance.work(fault).await,
        };
        let status = if ok { "200 OK" } else { "500 Internal Server Error" };
        let body = "x".repeat(100);
        let response = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(response.as_bytes()).await?;
    }
}

impl Instance {
    /// Waits for a worker and its work; whether that succeeded.
    async fn work(&self, fault: Fault) -> bool {
        let Ok(_worker) = self.workers.acquire().await else {
            return false;
        };
        let (unit, chance) = {
            let mut random = self.random.borrow_mut();
            (random.exponential(), random.unit())
        };
        // As the fault is when the work begins.
        let slower = match fault {
            Fault::Slow(times) => times,
            _ => 1.0,
        };
        tokio::time::sleep(self.service.mul_f64(unit * slower)).await;
        !matches!(fault, Fault::Fails(share) if chance < share)
    }
}

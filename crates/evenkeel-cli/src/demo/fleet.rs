//! Six backends on a thread of their own, so that they take no time from the balancer they stand behind.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::runtime;
use tokio::sync::oneshot;

use super::backend::Backend;
use super::script;
use super::stage::Stage;

/// The running backends. They end when it is dropped.
pub(super) struct Fleet {
    addresses: Vec<SocketAddr>,
    /// Never sent on: the thread ends when it closes.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Fleet {
    /// Starts the backends of the script; they listen when this returns.
    pub(super) fn start(stage: &Stage, seed: u64) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        let stage = stage.clone();
        let thread = std::thread::Builder::new()
            .name("demo-fleet".to_owned())
            .spawn(move || run(&stage, seed, &ready, stopped))?;
        let addresses = started
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the thread of the backends ended at its start")))?;
        Ok(Self {
            addresses,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where they listen, `web-1` first.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

type Ready = mpsc::Sender<io::Result<Vec<SocketAddr>>>;

fn run(stage: &Stage, seed: u64, ready: &Ready, stopped: oneshot::Receiver<()>) {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        let started = start(stage, seed);
        let failed = started.is_err();
        let _ = ready.send(started);
        if !failed {
            let _ = stopped.await;
        }
    });
}

fn start(stage: &Stage, seed: u64) -> io::Result<Vec<SocketAddr>> {
    (0..script::INSTANCES)
        .map(|instance| {
            let backend = Arc::new(Backend::new(instance, stage.clone(), seed)?);
            let address = backend.address();
            let listener = backend.listen()?;
            tokio::spawn(backend.run(listener));
            Ok(address)
        })
        .collect()
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has already been shown.
            let _ = thread.join();
        }
    }
}

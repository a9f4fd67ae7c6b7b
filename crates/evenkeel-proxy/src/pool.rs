//! A worker's connections to instances: reuse in last-in-first-out order, so that few stay warm and
//! the rest reach their idle time-out.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use evenkeel_core::{Nanos, Slot};
use socket2::SockRef;
use tokio::net::TcpStream;

mod warm;

pub(crate) use warm::keep_warm;

/// An open connection; counts against its instance's limit until dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// Whether it served a request before: then its peer may have closed it meanwhile.
    pub(crate) reused: bool,
    /// How long it took to open: a round trip.
    pub(crate) round_trip: Nanos,
    open: Rc<Cell<u32>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}

/// The right to open one connection; counts against the limit while the connection is being made.
#[derive(Debug)]
pub(crate) struct Permit {
    open: Rc<Cell<u32>>,
}

impl Permit {
    fn new(open: &Rc<Cell<u32>>) -> Self {
        open.set(open.get() + 1);
        Self {
            open: Rc::clone(open),
        }
    }

    pub(crate) fn fill(self, stream: TcpStream, round_trip: Nanos) -> Connection {
        // The count goes over to the connection.
        self.open.set(self.open.get() + 1);
        Connection {
            stream,
            reused: false,
            round_trip,
            open: Rc::clone(&self.open),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}

/// What [`Pool::check_out`] found.
#[derive(Debug)]
pub(crate) enum CheckOut {
    /// An idle connection that looks alive.
    Idle(Connection),
    /// None, but one may be opened.
    Open(Permit),
    /// The instance has all the connections it may have on this worker.
    Full,
}

/// The connections of one service on one worker, by slot.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    instances: RefCell<Vec<InstancePool>>,
}

#[derive(Debug, Default)]
struct InstancePool {
    address: Option<SocketAddr>,
    idle: Vec<Idle>,
    open: Rc<Cell<u32>>,
    rest: warm::Rest,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Nanos,
    /// By a request, before.
    used: bool,
}

/// Whether an idle connection may be used, and how sure it must be that its peer has not closed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Alive as far as the event loop has heard: costs nothing, and may miss what arrived this instant.
    /// Enough when the request can be sent again.
    Heard,
    /// Alive as the kernel says: one system call. For requests that cannot be repeated.
    Asked,
    /// None: the request was lost on an idle connection before.
    Never,
}

impl Pool {
    /// A connection to the instance at `slot`, or leave to open one.
    pub(crate) fn check_out(
        &self,
        slot: Slot,
        address: SocketAddr,
        now: Nanos,
        idle_timeout: Duration,
        max_connections: u32,
        reuse: Reuse,
    ) -> CheckOut {
        let mut instances = self.instances.borrow_mut();
        let pool = Self::of(&mut instances, slot, address);
        if reuse == Reuse::Never && pool.open.get() >= max_connections {
            pool.idle.pop();
        }
        while reuse != Reuse::Never
            && let Some(Idle {
                connection, since, ..
            }) = pool.idle.pop()
        {
            if now.since(since) >= Nanos::from(idle_timeout) {
                // All below are older still.
                pool.idle.clear();
                break;
            }
            if is_alive(&connection.stream, reuse) {
                return CheckOut::Idle(connection);
            }
        }
        if pool.open.get() >= max_connections {
            return CheckOut::Full;
        }
        CheckOut::Open(Permit::new(&pool.open))
    }

    /// The connections to the instance at `slot`; none yet when it is another one than before.
    fn of(instances: &mut Vec<InstancePool>, slot: Slot, address: SocketAddr) -> &mut InstancePool {
        let index = slot.0 as usize;
        if instances.len() <= index {
            instances.resize_with(index + 1, InstancePool::default);
        }
        let pool = &mut instances[index];
        if pool.address != Some(address) {
            *pool = InstancePool {
                address: Some(address),
                ..InstancePool::default()
            };
        }
        pool
    }

    /// Whether [`Self::check_out`] would find or allow a connection to the instance at `slot`.
    pub(crate) fn has_room(&self, slot: Slot, max_connections: u32) -> bool {
        let instances = self.instances.borrow();
        instances
            .get(slot.0 as usize)
            .is_none_or(|pool| !pool.idle.is_empty() || pool.open.get() < max_connections)
    }

    /// Keeps a connection whose last response ended cleanly. Closed instead when the slot has another
    /// instance by now or enough are kept.
    pub(crate) fn check_in(&self, slot: Slot, mut connection: Connection, now: Nanos, max_idle: usize) {
        let mut instances = self.instances.borrow_mut();
        if let Some(pool) = instances.get_mut(slot.0 as usize)
            && Rc::ptr_eq(&pool.open, &connection.open)
            && pool.idle.len() < max_idle
        {
            connection.reused = true;
            pool.idle.push(Idle {
                connection,
                since: now,
                used: true,
            });
        }
    }

    /// Closes what has been idle for too long, what its peer closed, and all connections of slots for
    /// which `keep` is false. O(idle connections).
    pub(crate) fn sweep(&self, now: Nanos, idle_timeout: Duration, keep: impl Fn(Slot, SocketAddr) -> bool) {
        for (index, pool) in self.instances.borrow_mut().iter_mut().enumerate() {
            let Some(address) = pool.address else { continue };
            if keep(Slot(index as u32), address) {
                let (idle, rest) = (&mut pool.idle, &mut pool.rest);
                idle.retain(|idle| {
                    let alive = is_alive(&idle.connection.stream, Reuse::Heard);
                    rest.look(idle, alive, now);
                    alive && now.since(idle.since) < Nanos::from(idle_timeout)
                });
            } else {
                *pool = InstancePool::default();
            }
        }
    }

    /// Idle connections, for metrics and tests.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.instances.borrow().iter().map(|pool| pool.idle.len()).sum()
    }
}

/// A connection without a request must be silent: an end, a reset or any byte makes it unusable.
fn is_alive(stream: &TcpStream, reuse: Reuse) -> bool {
    // Through the event loop: a system call only when it has heard something, which it then forgets.
    let silent = matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    if !silent || reuse == Reuse::Heard {
        return silent;
    }
    let peeked = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
    matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const MINUTE: Duration = Duration::from_secs(60);

    async fn open(pool: &Pool, listener: &TcpListener, now: Nanos) -> (Connection, TcpStream) {
        let address = listener.local_addr().unwrap();
        let CheckOut::Open(permit) = pool.check_out(Slot(0), address, now, MINUTE, 4, Reuse::Heard) else {
            panic!("expected leave to open");
        };
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        (permit.fill(client.unwrap(), Nanos::ZERO), server.unwrap().0)
    }

    #[tokio::test]
    async fn reuse_is_last_in_first_out_and_expires() {
        let pool = Pool::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (a, _a) = open(&pool, &listener, Nanos::ZERO).await;
        let (b, _b) = open(&pool, &listener, Nanos::ZERO).await;
        let last = b.stream.local_addr().unwrap();
        pool.check_in(Slot(0), a, Nanos::ZERO, 8);
        pool.check_in(Slot(0), b, Nanos::from_secs(1), 8);
        let CheckOut::Idle(got) =
            pool.check_out(Slot(0), address, Nanos::from_secs(2), MINUTE, 4, Reuse::Asked)
        else {
            panic!("expected an idle connection");
        };
        assert_eq!(got.stream.local_addr().unwrap(), last);
        assert!(got.reused);
        drop(got);
        assert!(matches!(
            pool.check_out(Slot(0), address, Nanos::from_secs(61), MINUTE, 4, Reuse::Heard),
            CheckOut::Open(_)
        ));
        assert_eq!(pool.idle(), 0);
    }

    #[tokio::test]
    async fn a_connection_its_peer_closed_is_not_reused() {
        let pool = Pool::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connection, peer) = open(&pool, &listener, Nanos::ZERO).await;
        pool.check_in(Slot(0), connection, Nanos::ZERO, 8);
        drop(peer);
        assert!(matches!(
            pool.check_out(Slot(0), address, Nanos::ZERO, MINUTE, 4, Reuse::Asked),
            CheckOut::Open(_)
        ));
    }

    #[tokio::test]
    async fn the_limit_counts_open_connections_and_permits() {
        let pool = Pool::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (first, _peer) = open(&pool, &listener, Nanos::ZERO).await;
        let ask = || pool.check_out(Slot(0), address, Nanos::ZERO, MINUTE, 2, Reuse::Heard);
        let second = ask();
        assert!(matches!(second, CheckOut::Open(_)));
        assert!(matches!(ask(), CheckOut::Full));
        drop(second);
        drop(first);
        assert!(matches!(ask(), CheckOut::Open(_)));
    }

    #[tokio::test]
    async fn a_new_instance_in_the_slot_gets_none_of_the_old_connections() {
        let pool = Pool::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (connection, _peer) = open(&pool, &listener, Nanos::ZERO).await;
        pool.check_in(Slot(0), connection, Nanos::ZERO, 8);
        let other = SocketAddr::from(([127, 0, 0, 2], 1));
        let got = pool.check_out(Slot(0), other, Nanos::ZERO, MINUTE, 4, Reuse::Heard);
        assert!(matches!(got, CheckOut::Open(_)));
        assert_eq!(pool.idle(), 0);
    }
}

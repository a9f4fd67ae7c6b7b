//! Connections that are there before the requests: to the instances that a strategy names as next
//! ([`View::standby`](evenkeel_core::View::standby)), so that a failover does not pay a round trip per connection just
//! when everybody wants one.
//!
//! They lie among the idle connections and are used, and expire, like these. An instance has as many as it should when
//! that many are open for whatever reason, so traffic makes this cost nothing. Who refuses one, or closes it within
//! [`EARLY`], is left alone for [`LEAST_REST`], then twice as long each time, up to [`MOST_REST`]. That is no evidence:
//! no request was hurt, and a server that has no use for such connections may well serve requests.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_core::{Member, Nanos, Slot};
use tokio::net::TcpStream;

use super::{Connection, Idle, Permit, Pool};
use crate::worker::{Upstream, Worker};

/// A peer that closes sooner did not want the connection; later, it is the time-out of a server that keeps few.
const EARLY: Nanos = Nanos::from_secs(1);
const LEAST_REST: Nanos = Nanos::from_secs(1);
const MOST_REST: Nanos = Nanos::from_secs(60);

/// Whether an instance may be asked for a connection ahead of requests.
#[derive(Debug, Default)]
pub(super) struct Rest {
    until: Nanos,
    length: Nanos,
}

impl Rest {
    fn is_over(&self, now: Nanos) -> bool {
        // A clock that steps back ends it.
        now >= self.until || self.until.since(now) > MOST_REST
    }

    /// Something went wrong; what goes wrong at once counts once.
    fn begin(&mut self, now: Nanos) {
        if self.is_over(now) {
            self.length = (self.length + self.length).clamp(LEAST_REST, MOST_REST);
            self.until = now + self.length;
        }
    }

    /// All is as it should be. Forgets after as long again as it rested.
    fn is_fine(&mut self, now: Nanos) {
        if now >= self.until + self.length {
            self.length = Nanos::ZERO;
        }
    }

    /// An idle connection that no request has used yet is found alive or not.
    pub(super) fn look(&mut self, idle: &Idle, alive: bool, now: Nanos) {
        if !alive && !idle.used && now.since(idle.since) < EARLY {
            self.begin(now);
        }
    }
}

impl Pool {
    /// Leave to open a connection ahead of requests to the instance at `slot`, while fewer than `wanted` are open.
    fn lacks(&self, slot: Slot, address: SocketAddr, wanted: u32, now: Nanos) -> Option<Permit> {
        let mut instances = self.instances.borrow_mut();
        let pool = Self::of(&mut instances, slot, address);
        if pool.open.get() >= wanted {
            pool.rest.is_fine(now);
            return None;
        }
        pool.rest.is_over(now).then(|| Permit::new(&pool.open))
    }

    /// What `permit` allowed could not be opened.
    fn refused(&self, slot: Slot, permit: &Permit, now: Nanos) {
        let mut instances = self.instances.borrow_mut();
        if let Some(pool) = instances.get_mut(slot.0 as usize)
            && Rc::ptr_eq(&pool.open, &permit.open)
        {
            pool.rest.begin(now);
        }
    }

    /// Keeps a new connection. It may be closed by the time it is used, like one that was used before.
    fn keep(&self, slot: Slot, mut connection: Connection, now: Nanos) {
        let mut instances = self.instances.borrow_mut();
        if let Some(pool) = instances.get_mut(slot.0 as usize)
            && Rc::ptr_eq(&pool.open, &connection.open)
        {
            connection.reused = true;
            pool.idle.push(Idle {
                connection,
                since: now,
                used: false,
            });
        }
    }
}

/// Has connections opened to the instances on standby that lack some. With every tick.
pub(crate) fn keep_warm(worker: &Rc<Worker>, upstream: &Rc<Upstream>, now: Nanos) {
    let settings = &upstream.settings;
    let most = u32::try_from(settings.max_idle).unwrap_or(u32::MAX);
    let most = most.min(settings.max_connections);
    let mut reader = upstream.view.borrow_mut();
    let view = reader.view();
    view.standby(&mut |slot, wanted| {
        let Some(member) = view.candidates().member(slot) else {
            return;
        };
        let address = member.instance().address;
        while let Some(permit) = upstream.pool.lacks(slot, address, wanted.min(most), now) {
            let opening = open(
                Rc::clone(worker),
                Rc::clone(upstream),
                slot,
                Arc::clone(member),
                permit,
            );
            tokio::task::spawn_local(opening);
        }
    });
}

async fn open(worker: Rc<Worker>, upstream: Rc<Upstream>, slot: Slot, member: Arc<Member>, permit: Permit) {
    let address = member.instance().address;
    let begun = worker.read_clock();
    let connecting = tokio::time::timeout(upstream.settings.connect, TcpStream::connect(address));
    let opened = match connecting.await {
        Ok(opened) => opened.and_then(|stream| stream.set_nodelay(true).map(|()| stream)),
        Err(elapsed) => Err(elapsed.into()),
    };
    let now = worker.read_clock();
    match opened {
        Ok(stream) => {
            member.stats().distance().observe(now.since(begun));
            let connection = permit.fill(stream, now.since(begun));
            upstream.pool.keep(slot, connection, now);
        }
        Err(error) => {
            let service = upstream.settings.service.name();
            tracing::debug!(%service, %address, %error, "no connection ahead of requests");
            upstream.pool.refused(slot, &permit, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CheckOut, Reuse};
    use super::*;
    use std::time::Duration;
    use tokio::net::TcpListener;

    const SLOT: Slot = Slot(3);
    const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);
    const MINUTE: Duration = Duration::from_secs(60);

    fn ms(ms: u64) -> Nanos {
        Nanos::from_millis(ms)
    }

    #[test]
    fn as_many_as_wanted_are_open_whatever_for() {
        let pool = Pool::default();
        let lacks = |wanted| pool.lacks(SLOT, ADDRESS, wanted, Nanos::ZERO);
        let first = lacks(2).unwrap();
        let CheckOut::Open(_by_a_request) = pool.check_out(SLOT, ADDRESS, ms(0), MINUTE, 9, Reuse::Heard)
        else {
            panic!("nothing is idle");
        };
        assert!(lacks(2).is_none() && lacks(0).is_none());
        assert!(lacks(3).is_some());
        drop(first);
        assert!(lacks(2).is_some());
    }

    #[test]
    fn who_refuses_is_left_alone_for_longer_and_longer() {
        let pool = Pool::default();
        let mut now = ms(5);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            // All that fail together count once.
            let permits: Vec<Permit> = (0..3)
                .map(|_| pool.lacks(SLOT, ADDRESS, 3, now).unwrap())
                .collect();
            permits.iter().for_each(|permit| pool.refused(SLOT, permit, now));
            drop(permits);
            let pause = ms(pause * 1000);
            assert!(pool.lacks(SLOT, ADDRESS, 3, Nanos((now + pause).0 - 1)).is_none());
            now = now + pause;
            assert!(pool.lacks(SLOT, ADDRESS, 3, now).is_some(), "{pause:?}");
        }
        // A clock that steps back ends the pause.
        let permit = pool.lacks(SLOT, ADDRESS, 1, now).unwrap();
        pool.refused(SLOT, &permit, now);
        drop(permit);
        assert!(pool.lacks(SLOT, ADDRESS, 1, ms(0)).is_some());
        // As long again without trouble, and it is forgotten.
        let permit = pool.lacks(SLOT, ADDRESS, 1, now + ms(60_000)).unwrap();
        assert!(pool.lacks(SLOT, ADDRESS, 1, now + ms(120_000)).is_none());
        pool.refused(SLOT, &permit, now + ms(120_000));
        drop(permit);
        assert!(pool.lacks(SLOT, ADDRESS, 1, now + ms(121_000)).is_some());
        // Nor does another instance in its place inherit it.
        let permit = pool.lacks(SLOT, ADDRESS, 1, now + ms(121_000)).unwrap();
        pool.refused(SLOT, &permit, now + ms(121_000));
        let other = SocketAddr::from(([127, 0, 0, 1], 10));
        assert!(pool.lacks(SLOT, other, 1, now + ms(121_000)).is_some());
        pool.refused(SLOT, &permit, now + ms(121_000));
        assert!(pool.lacks(SLOT, other, 1, now + ms(121_000)).is_some());
    }

    /// A kept connection and its other end.
    async fn warm(pool: &Pool, now: Nanos) -> (TcpListener, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let permit = pool.lacks(SLOT, address, 1, now).unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        pool.keep(SLOT, permit.fill(near.unwrap(), ms(1)), now);
        (listener, far.unwrap().0)
    }

    #[tokio::test]
    async fn a_kept_connection_is_used_first_and_may_have_been_closed_meanwhile() {
        let pool = Pool::default();
        let (listener, _far) = warm(&pool, ms(0)).await;
        let address = listener.local_addr().unwrap();
        assert!(pool.lacks(SLOT, address, 1, ms(0)).is_none());
        let got = pool.check_out(SLOT, address, ms(9), MINUTE, 9, Reuse::Asked);
        let CheckOut::Idle(connection) = got else {
            panic!("one was kept");
        };
        assert!(connection.reused);
        assert!(pool.lacks(SLOT, address, 1, ms(9)).is_none(), "in use is open");
    }

    #[tokio::test]
    async fn who_closes_early_did_not_want_it_and_who_closes_late_gets_another() {
        for (lived, at_once) in [(ms(900), false), (ms(1000), true)] {
            let pool = Pool::default();
            let (listener, far) = warm(&pool, ms(0)).await;
            let address = listener.local_addr().unwrap();
            drop(far);
            while pool.idle() > 0 {
                pool.sweep(lived, MINUTE, |_, _| true);
                tokio::task::yield_now().await;
            }
            let again = |now| pool.lacks(SLOT, address, 1, now).is_some();
            assert_eq!(again(lived), at_once);
            assert!(again(lived + ms(1000)));
        }
    }
}

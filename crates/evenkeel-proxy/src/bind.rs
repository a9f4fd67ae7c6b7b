//! Listening sockets, one per worker on the same address.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel holds for a worker that is not accepting just now. Linux caps it at
/// `net.core.somaxconn` (4096 by default).
const BACKLOG: i32 = 4096;

/// A listener that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("listener {name}: cannot listen on {address}: {}", explain(.source, .address))]
pub struct BindError {
    /// The listener.
    pub name: Arc<str>,
    /// The address asked for.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

fn explain(error: &io::Error, address: &SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "the address is in use; see who has it with `ss -ltnp 'sport = :{}'`, or choose another port",
            address.port()
        ),
        io::ErrorKind::PermissionDenied => {
            format!("not permitted; ports below 1024 need CAP_NET_BIND_SERVICE ({error})")
        }
        io::ErrorKind::AddrNotAvailable => format!("{} is not an address of this machine", address.ip()),
        _ => error.to_string(),
    }
}

/// `count` sockets that share `address`; with port 0 the first one decides which port.
pub(crate) fn bind(
    name: &Arc<str>,
    address: SocketAddr,
    count: usize,
) -> Result<Vec<TcpListener>, BindError> {
    let all = || -> io::Result<Vec<TcpListener>> {
        // Sharing would let a second process of the same user take half of the connections unnoticed:
        // a socket that does not share finds out.
        drop(open(address, false)?);
        let first = open(address, true)?;
        let address = first.local_addr()?;
        let mut sockets = vec![first];
        for _ in 1..count {
            sockets.push(open(address, true)?);
        }
        Ok(sockets)
    };
    all().map_err(|source| BindError {
        name: Arc::clone(name),
        address,
        source,
    })
}

fn open(address: SocketAddr, share: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if share {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sockets_share_the_port_and_a_second_process_is_told() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let sockets = bind(&"web".into(), any, 3).unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert!(sockets.iter().all(|s| s.local_addr().unwrap() == address));
        let error = bind(&"web".into(), address, 1).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!(
            "listener web: cannot listen on {address}: the address is in use"
        )));
    }

    #[test]
    fn a_foreign_address_is_named() {
        let error = bind(&"web".into(), SocketAddr::from(([192, 0, 2, 1], 80)), 1).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("192.0.2.1 is not an address of this machine"),
            "{error}"
        );
    }
}

//! Owns the ports of loopback: which of them a process that is about to start will find free.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use super::Fault;

/// Below the range of ports for outgoing connections (from 32768 on Linux, from 49152 by RFC 6335 section 6): no connection, and no
/// listener that leaves the choice to the system, takes one of these between the look and the use, or while whoever listens there is
/// started again.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// How many this process has looked at.
static LOOKED_AT: AtomicU16 = AtomicU16::new(0);

/// An address on loopback where nobody listens; a process is given it again only after all others.
///
/// # Errors
///
/// If there is none, or no port can be had at all.
pub fn free() -> Result<SocketAddr, Fault> {
    first_free((0..COUNT).map(|_| next()))
}

/// Processes begin at places of their own, so that two that start together do not look at the same ports.
fn next() -> u16 {
    let own_start = std::process::id().wrapping_mul(211) % u32::from(COUNT);
    let looked_at = LOOKED_AT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some((n + 1) % COUNT));
    let place = own_start + u32::from(looked_at.unwrap_or_default());
    FIRST + u16::try_from(place % u32::from(COUNT)).unwrap_or_default()
}

fn first_free(ports: impl Iterator<Item = u16>) -> Result<SocketAddr, Fault> {
    let mut fault = std::io::ErrorKind::AddrInUse.into();
    for port in ports {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| listener.local_addr()) {
            Ok(address) => return Ok(address),
            Err(source) => fault = source,
        }
    }
    Err(Fault::file("a port on 127.0.0.1", fault))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_port_is_below_those_of_outgoing_connections_and_given_once() {
        let ports: BTreeSet<u16> = (0..50).map(|_| free().unwrap().port()).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| (FIRST..FIRST + COUNT).contains(port)));
    }

    #[test]
    fn a_port_where_somebody_listens_is_passed_over() {
        let (listener, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), free().unwrap());
        let held = listener.local_addr().unwrap().port();
        assert_eq!(first_free([held, other.port()].into_iter()).unwrap(), other);
        assert!(first_free([held].into_iter()).unwrap_err().to_string().contains("a port on 127.0.0.1"));
    }
}

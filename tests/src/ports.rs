//! Ports that a server can be started on, killed, and started on again.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Below the range that systems take the ports of outgoing connections from (32768 and up on Linux, 49152 and up
/// elsewhere). A port that "bind to 0" finds is in that range: while its server is down, any client's connection
/// may be given it, and the server could not come back.
const FIRST: u16 = 10_000;
const COUNT: usize = 21_000;
/// How far a node's peer port is above its HTTP port, unless it is told otherwise.
const PEER_PORT_OFFSET: u16 = 1_000;

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A port on 127.0.0.1 that nobody listens on, and that this process was not given before.
pub fn free_port() -> u16 {
    consecutive_free_ports(1)
}

/// The first of `count` such ports in a row, where the ports that `quorate dev` gives to their peers are free too.
///
/// # Panics
/// When there are none.
pub fn consecutive_free_ports(count: u16) -> u16 {
    let taken = usize::from(count);
    // Test processes that run at the same time start to look at different places.
    let offset = std::process::id() as usize * 997;
    for _ in 0..COUNT {
        let place = (offset + NEXT.fetch_add(taken, Ordering::Relaxed)) % (COUNT - taken);
        let first = FIRST + u16::try_from(place).expect("the range is one of ports");
        let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if (first..first + count).all(|port| is_free(port) && is_free(port + PEER_PORT_OFFSET)) {
            return first;
        }
    }
    panic!("no {count} consecutive free ports from {FIRST} to {}", usize::from(FIRST) + COUNT);
}

//! Ports that a server can be started on, killed, and started on again.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Below the range that systems take the ports of outgoing connections from (32768 and up on Linux, 49152 and up
/// elsewhere). A port that "bind to 0" finds is in that range: while its server is down, any client's connection
/// may be given it, and the server could not come back.
const FIRST: u16 = 10_000;
const COUNT: usize = 22_000;

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A port on 127.0.0.1 that nobody listens on, and that this process was not given before.
pub fn free_port() -> u16 {
    consecutive_free_ports(1)
}

/// The first of `count` such ports in a row.
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
        if (first..first + count).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()) {
            return first;
        }
    }
    panic!("no {count} consecutive free ports from {FIRST} to {}", usize::from(FIRST) + COUNT);
}

//! A slow link for tests: a machine in between, with a clock and sockets of its own.
#![expect(clippy::disallowed_methods, reason = "a relay is no part of the server")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// What the link carries to whoever is dialed, in bytes a second; back it is fast.
const BYTES_PER_SECOND: u32 = 1_000_000;

/// How much is passed on at once, in bytes.
const STEP_BYTES: usize = 10_000;

/// A relay, for as long as the process lives.
pub(crate) struct SlowRelay {
    /// Where to dial it.
    pub(crate) address: String,
    carried: Arc<AtomicUsize>,
}

impl SlowRelay {
    /// A relay to `address`. It takes in hardly more than it passes on: what it has no room for waits at the sender,
    /// as with a slow link.
    pub(crate) fn start(address: String) -> SlowRelay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        SockRef::from(&listener).set_recv_buffer_size(STEP_BYTES).unwrap();
        let relay =
            SlowRelay { address: listener.local_addr().unwrap().to_string(), carried: Arc::default() };
        let carried = Arc::clone(&relay.carried);
        thread::spawn(move || {
            for dialer in listener.incoming().map_while(Result::ok) {
                if let Ok(dialed) = TcpStream::connect(&address) {
                    connect([dialer, dialed], &carried);
                }
            }
        });
        relay
    }

    /// How many bytes it has passed on to whoever is dialed.
    pub(crate) fn carried_bytes(&self) -> usize {
        self.carried.load(Ordering::Relaxed)
    }
}

fn connect(ends: [TcpStream; 2], carried: &Arc<AtomicUsize>) {
    ends.iter().for_each(|end| end.set_nodelay(true).unwrap());
    let [dialer, dialed] = ends.each_ref().map(|end| end.try_clone().unwrap());
    let carried = Arc::clone(carried);
    thread::spawn(move || {
        pass_on(dialer, dialed, |count| {
            carried.fetch_add(count, Ordering::Relaxed);
            thread::sleep(Duration::from_secs(1) * u32::try_from(count).unwrap() / BYTES_PER_SECOND);
        });
    });
    let [dialer, dialed] = ends;
    thread::spawn(move || pass_on(dialed, dialer, |_| {}));
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, take_time: impl Fn(usize)) {
    let mut bytes = [0; STEP_BYTES];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        take_time(count);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    for end in [from, to] {
        let _ = end.shutdown(Shutdown::Both);
    }
}

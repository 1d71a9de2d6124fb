//! A place between the nodes where a network can be cut: each node tells its peers the address of a relay.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Whose connections come to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// Nobody's.
    #[default]
    Nobody,
    /// Those of the node with this id.
    From(String),
    /// Everybody's.
    Everybody,
}

impl Cut {
    fn concerns(&self, dialer: &str) -> bool {
        match self {
            Cut::Nobody => false,
            Cut::From(id) => id == dialer,
            Cut::Everybody => true,
        }
    }
}

/// The first message of a peer link, header and all, and where in it the dialer's id is (docs/FORMAT.md).
const HELLO_BYTES: usize = 16 + 68;
const DIALER: std::ops::Range<usize> = 16 + 36..16 + 52;

/// Passes on what is said to one node, for as long as the process lives.
#[derive(Clone, Debug)]
pub struct Relay {
    address: SocketAddr,
    cut: Arc<Mutex<Cut>>,
}

impl Relay {
    /// A relay to `node`.
    ///
    /// # Panics
    /// When the system has no port for it.
    pub fn start(node: SocketAddr) -> Relay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the system has a free port");
        let address = listener.local_addr().expect("it is bound");
        let relay = Relay { address, cut: Arc::default() };
        let cut = Arc::clone(&relay.cut);
        thread::spawn(move || {
            for dialer in listener.incoming().map_while(Result::ok) {
                let cut = Arc::clone(&cut);
                // What a connection ends with is of no interest: peers dial again.
                thread::spawn(move || drop(connect(dialer, node, &cut)));
            }
        });
        relay
    }

    /// Where to dial it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing passes on these connections, either way. As with a cable that is pulled nobody is told:
    /// what is on its way is lost, and the connections stay as they are until the ends give them up.
    pub fn cut(&self, cut: Cut) {
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = cut;
    }
}

fn connect(mut dialer: TcpStream, node: SocketAddr, cut: &Arc<Mutex<Cut>>) -> io::Result<()> {
    let mut hello = [0; HELLO_BYTES];
    dialer.read_exact(&mut hello)?;
    let id: [u8; 16] = hello[DIALER].try_into().expect("the range has 16 bytes");
    let from = format!("{:032x}", u128::from_le_bytes(id));
    let mut dialed = TcpStream::connect(node)?;
    dialer.set_nodelay(true)?;
    dialed.set_nodelay(true)?;
    let (back_from, back_to) = (dialed.try_clone()?, dialer.try_clone()?);
    if !is_cut(cut, &from) {
        dialed.write_all(&hello)?;
    }
    let (back_cut, back_name) = (Arc::clone(cut), from.clone());
    thread::spawn(move || pass_on(back_from, back_to, &back_cut, &back_name));
    pass_on(dialer, dialed, cut, &from);
    Ok(())
}

fn is_cut(cut: &Mutex<Cut>, dialer: &str) -> bool {
    cut.lock().unwrap_or_else(PoisonError::into_inner).concerns(dialer)
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, cut: &Mutex<Cut>, dialer: &str) {
    let mut buffer = vec![0; 64 << 10];
    let mut lost = false;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        // A stream with a hole in it is none: after the first loss nothing passes any more, healed or not.
        lost |= is_cut(cut, dialer);
        if !lost && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    if !lost {
        // An end that is gone tells the other one, but not through a cut.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}

//! TLS, for HTTP and between peers. What is behind each decision is in `docs/adr/0012-security.md`.
//!
//! | module | what it holds |
//! |---|---|
//! | `keyring` | the certificates, keys and CAs in force; read again on SIGHUP |
//! | `expiry` | when a certificate ends |
//! | `net` | a network whose connections are TLS ones where they have to be |
//! | `stream` | one of its connections |
//! | `accept` | the handshake with one who dialed |
//!
//! The rest of the server does not know of it: it dials peers by `Net::dial_peer` and nodes' URLs by
//! [`dial_endpoint`](crate::net::dial_endpoint), and takes what its listener gives it.

#![allow(
    clippy::disallowed_types,
    reason = "TokioIo only adapts the streams of `Net` to the traits that tokio-rustls wants, and back: no socket is made here"
)]

mod accept;
mod expiry;
mod keyring;
mod net;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use keyring::Keyring;
pub use net::{TlsListener, TlsNet};
pub use stream::TlsStream;

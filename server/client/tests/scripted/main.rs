//! The client against a server that answers byte for byte as a script says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the test's server is never simulated"
)]

mod script;
mod streams;
mod writes;

//! The Quorate server: HTTP, leader proxying, peer links and the command line.
//!
//! | module | what it holds |
//! |---|---|
//! | `runtime`, `net` | the two seams: time, tasks and randomness; the network |
//! | `real` | their real implementation: the one module that uses tokio's clock, scheduler and sockets |
//! | `handle` | how the server asks the node for something |
//! | `context` | what every part of a running server knows |
//! | `config` | the settings of a node: flags, environment, file, defaults |
//! | `shutdown` | how the parts hear that the server ends |

pub mod config;
mod context;
mod handle;
mod net;
mod real;
mod runtime;
mod shutdown;

pub use context::{Context, Identity, Limits};
pub use handle::{Answer, Handle};
pub use net::{Listener, Net};
pub use real::{RealListener, RealNet, RealRuntime};
pub use runtime::{DeadlinePassed, Either, HyperExecutor, HyperTimer, Runtime, race, random_id, timeout_at};
pub use shutdown::{Shutdown, ShutdownGuard};

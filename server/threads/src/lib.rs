//! What the threads of a server share, in every order with few interruptions.
//!
//! Files of the server are compiled here a second time, with loom's locks and atomics and models of tokio's channels
//! in the place of the real ones (`sync`). What a story does is then tried in every order in which its threads can
//! meet, each interrupted at most three times where it need not wait, and with every value that a relaxed atomic may
//! show them. The tests call the stories.
#![allow(dead_code, unreachable_pub, reason = "the server uses, and shows to others, what no story does")]

#[path = "../../src/disk_health.rs"]
mod disk_health;
#[path = "../../src/log_lines.rs"]
mod log_lines;
#[path = "../../src/peers/queue.rs"]
mod queue;
#[path = "../../src/storage_loop.rs"]
mod storage_loop;
#[path = "../../src/storage_port.rs"]
mod storage_port;
#[path = "../../src/watch.rs"]
mod watch;

mod mpsc;
mod notify;
mod oneshot;
mod orders;
pub mod queues;
pub mod storage;
mod sync;
pub mod values;

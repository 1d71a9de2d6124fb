//! The HTTP interface on real sockets: whole servers in this process, with disks in memory.
#![allow(clippy::disallowed_types, reason = "#[tokio::test] makes a runtime")]

mod backups;
mod cluster;
mod joining;
mod limits;
mod membership;
mod proxying;
mod routes;
mod watching;

//! The HTTP interface on real sockets: whole servers in this process, with disks in memory.
#![allow(clippy::disallowed_types, reason = "#[tokio::test] makes a runtime")]

mod backups;
mod cluster;
mod contract;
mod dashboard;
mod joining;
mod leases;
mod limits;
mod lists;
mod locks;
mod membership;
mod once;
mod proxying;
mod routes;
mod store;
mod txns;
mod watching;

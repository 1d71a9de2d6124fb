//! Storage from outside: what is written is found again, whatever a crash leaves and whatever rots.
#![allow(clippy::unwrap_used)]

mod backup;
mod bad_reads;
mod chain;
mod common;
mod crash;
mod damage;
mod disk_breaking;
mod disk_faults;
mod disk_model;
mod enumeration;
mod errors;
mod faults;
mod full_disk;
mod fuzz;
mod golden;
mod hints;
mod join_tokens;
mod log;
mod membership;
mod memory_disk;
mod mending;
mod model;
mod replica;
mod room;
mod rot;
mod rot_anywhere;
mod scrub;
mod snapshots;
mod survey;
mod survey_sights;
mod tail;
mod term_anew;
mod waiting;
mod workloads;

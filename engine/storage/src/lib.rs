//! Write-ahead log, term and vote, checkpoints and recovery of Quorate.
//!
//! Everything is synchronous and has one owner: [`Storage::perform`] takes work and says what came of it. There is no
//! thread, no clock and no randomness but what [`Options`] seeds. The formats are drawn byte by byte in
//! `docs/FORMAT.md`.

mod anew;
pub mod backup;
mod ballast;
mod batch;
pub mod checkpoint_files;
mod checkpoints;
pub mod data_dir;
pub mod data_json;
mod disk;
mod diverged;
mod error;
mod file_disk;
mod former;
pub mod fuzzing;
mod job;
mod layout;
pub mod lending;
mod log;
mod look;
mod memory_disk;
pub mod mending;
mod node_file;
mod options;
mod overlay;
mod places;
mod random;
mod read;
mod record;
mod recovery;
mod replay;
mod reread;
mod restoring;
mod room;
mod salvage;
mod scan;
mod scrub;
mod segment;
mod spares;
mod stable;
mod storage;
mod survey;
mod term_anew;
mod verdict;
mod versions;

pub use checkpoints::{Content, Draft};
pub use disk::{Disk, DiskFile};
pub use error::{Fatal, OpenError};
pub use file_disk::{FileDisk, give_back};
pub use job::Job;
pub use look::{Directory, InUse, Look, user_of};
pub use memory_disk::{Counters, MemoryDisk, MemoryFile, Microseconds, Operation, Pace};
pub use options::Options;
pub use overlay::{Overlay, OverlayFile};
pub use salvage::newest_members;
pub use scrub::{Finding, Scrubbed};
pub use stable::PATHS as TERM_AND_VOTE;
pub use storage::Storage;
pub use survey::{CheckpointSight, Fault, FoundLog, SegmentSight, StableSight, Survey, Surveyed};
pub use term_anew::write_term_anew;

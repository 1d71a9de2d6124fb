//! A member's storage is opened, and what can't be opened is mended, or the node comes back as another.
//!
//! | what is found | what happens |
//! |---|---|
//! | all it needs | it serves |
//! | no whole checkpoint reaches the log's beginning | one is mended ([`crate::mend`]) |
//! | the same, and nobody has what is missing | with an older checkpoint it serves, and peers fill the gap; without, it comes back |
//! | term and vote, the log, or a change of members is lost | it comes back under a new id ([`crate::comeback`]) |

use std::sync::Arc;

use quorate_node::raft::{Found, LogId};
use quorate_storage::data_dir::{DataDir, DataDirError};
use quorate_storage::mending::Mending;
use quorate_storage::{FileDisk, OpenError, Options, Storage};

use crate::comeback::Former;
use crate::config::ServeConfig;
use crate::context::Identity;
use crate::http::{Lender, Reception, WaitsFor};
use crate::mend::mend;
use crate::metrics::{DiskTimes, TimedDisk};
use crate::real::{RealRuntime, spawn_closer, spawn_storage, when_free};
use crate::runtime::Runtime;
use crate::serve::{Origin, ServeError, ServeListener, ServeNet, answering};
use crate::storage_port::{StoragePort, storage_channel};

/// The disk of a process.
type ServeDisk = TimedDisk<FileDisk, RealRuntime>;

/// What is found when a member's storage is opened.
enum Opening {
    Whole(StoragePort, Found),
    /// The log begins after this slot, and no checkpoint that is whole reaches that far.
    NeedsMending(Former, LogId),
    /// It must not go on as who it was.
    Lost(Former),
}

/// Takes the data dir, and says what is lost, when that can be told without opening the storage.
pub(crate) fn take_dir(config: &ServeConfig) -> Result<(DataDir, Option<String>), ServeError> {
    match when_free(|| DataDir::open(&config.data_dir)) {
        Err(error @ DataDirError::StateMissing { .. }) => {
            let dir = when_free(|| DataDir::open_without_state(&config.data_dir))?;
            Ok((dir, Some(error.to_string())))
        }
        opened => {
            let dir = opened?;
            if let Some(what) = dir.divergence()? {
                return Err(ServeError::Diverged { dir: dir.path().to_owned(), what });
            }
            let loss =
                dir.successor().map(|_| "its state was found to be lost at an earlier start".to_owned());
            Ok((dir, loss))
        }
    }
}

/// Opens a member's storage. If all that is missing is a checkpoint, its peers are asked for what of it is damaged.
pub(crate) async fn open_member(
    config: &ServeConfig,
    (dir, times): (&DataDir, &Arc<DiskTimes>),
    (runtime, net): (&RealRuntime, &ServeNet),
    origin: Origin,
    http: &mut Reception<ServeListener>,
) -> Result<(Origin, Option<(StoragePort, Found)>), ServeError> {
    let Origin::Member(identity) = origin else { return Ok((origin, None)) };
    let mut opening = try_to_open(config, (dir, times), runtime, identity, false)?;
    if let Opening::NeedsMending(former, base) = opening {
        let mending = Mending::new(FileDisk::new(dir.path()), base);
        let lender = Lender { gets_on: Arc::new(true.into()), ..lender(dir, &former) };
        let gets_on = Arc::clone(&lender.gets_on);
        let mended = mend(runtime, net, &former, mending, &gets_on);
        opening = match answering(runtime, http, mended, WaitsFor::Pieces(lender)).await? {
            Ok(_) => try_to_open(config, (dir, times), runtime, identity, true)?,
            // With an older checkpoint it can go on all the same, if peers have the entries in between.
            Err(missing) => match try_to_open(config, (dir, times), runtime, identity, true)? {
                Opening::NeedsMending(..) => Opening::Lost(former.without_help(&missing)),
                opening => opening,
            },
        };
    }
    match opening {
        Opening::Whole(port, found) => Ok((origin, Some((port, found)))),
        // What was mended a moment ago, and is gone again, is no ordinary rot.
        Opening::NeedsMending(former, _) | Opening::Lost(former) => {
            former.demand_others(dir)?;
            Ok((Origin::ComesBack(former), None))
        }
    }
}

fn try_to_open(
    config: &ServeConfig,
    (dir, times): (&DataDir, &Arc<DiskTimes>),
    runtime: &RealRuntime,
    identity: Identity,
    bears_gap: bool,
) -> Result<Opening, ServeError> {
    let without = |loss: String| Former::find(dir, identity, loss, &config.join);
    let (storage, found) = match try_storage(config, (dir, times), runtime) {
        Ok(opened) => opened,
        Err(ServeError::Storage(error)) if error.costs_the_id() => {
            let former = without(error.to_string());
            return Ok(match error {
                OpenError::CheckpointLost { base, .. } if !former.endpoints().is_empty() => {
                    Opening::NeedsMending(former, base)
                }
                _ => Opening::Lost(former),
            });
        }
        Err(error) => return Err(error),
    };
    if let Some(base) = storage.behind_gap().filter(|_| !bears_gap) {
        let loss = format!("the log begins after {base}, and no whole checkpoint reaches that far");
        return Ok(Opening::NeedsMending(without(loss), base));
    }
    Ok(Opening::Whole(run_storage(config, dir, runtime, storage)?, found))
}

/// What is lent of the node's files before it serves.
pub(crate) fn lender(dir: &DataDir, former: &Former) -> Lender {
    let set_aside = dir.former_place().filter(|place| place.exists());
    let place = set_aside.unwrap_or_else(|| dir.path().to_owned());
    Lender { identity: former.identity, place, gets_on: Arc::default() }
}

pub(crate) fn storage_options(config: &ServeConfig, runtime: &RealRuntime) -> Options {
    let (segment_bytes, keep_snapshots) = (config.segment_bytes, config.keep_snapshots);
    Options { segment_bytes, keep_snapshots, ..Options::new(runtime.random()) }
}

pub(crate) fn open_storage(
    config: &ServeConfig,
    (dir, times): (&DataDir, &Arc<DiskTimes>),
    runtime: &RealRuntime,
) -> Result<(StoragePort, Found), ServeError> {
    let (storage, found) = try_storage(config, (dir, times), runtime)?;
    Ok((run_storage(config, dir, runtime, storage)?, found))
}

fn try_storage(
    config: &ServeConfig,
    (dir, times): (&DataDir, &Arc<DiskTimes>),
    runtime: &RealRuntime,
) -> Result<(Storage<ServeDisk>, Found), ServeError> {
    let disk = FileDisk::new(dir.path()).closing(spawn_closer().map_err(ServeError::Process)?);
    let disk = TimedDisk::new(disk, *runtime, Arc::clone(times));
    Ok(Storage::open(disk, storage_options(config, runtime))?)
}

fn run_storage(
    config: &ServeConfig,
    dir: &DataDir,
    runtime: &RealRuntime,
    storage: Storage<ServeDisk>,
) -> Result<StoragePort, ServeError> {
    let (port, end) = storage_channel(&dir.path().display().to_string(), config.scrub_bytes_per_second);
    spawn_storage(storage, end, *runtime).map_err(ServeError::Process)?;
    Ok(port)
}

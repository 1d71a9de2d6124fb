//! What can still be told of the members by a data dir that can't be opened.
//!
//! A node that has lost its term and vote, or its log, must not go on as the node it was. Whom it may ask to take it in
//! again is another matter: every readable copy of a configuration helps. The one found here may be an old one, or one
//! that was never committed, so it serves to find somebody to ask, and never to decide anything.

use quorate_raft::{LogId, Members};

use crate::checkpoints::Checkpoints;
use crate::disk::Disk;
use crate::error::Fatal;
use crate::options::Options;
use crate::overlay::Overlay;
use crate::recovery::{list, read_header, read_whole};
use crate::replay::read_members;
use crate::reread::settled;
use crate::scan::{Item, scan};
use crate::segment::LogFile;

/// The newest configuration that can be read in a data dir, and the entry that set it. Changes nothing.
pub fn newest_members<D: Disk>(disk: D) -> Option<(LogId, Members)> {
    let mut found = in_log(&disk).unwrap_or_default();
    if let Ok(checkpoints) = Checkpoints::open(&Overlay::new(disk), &Options::new(0)) {
        found.extend(checkpoints.newest().map(|meta| (meta.members_at, meta.members.clone())));
    }
    found.retain(|(_, members)| members.fault().is_none());
    found.into_iter().max_by_key(|(id, _)| *id)
}

/// Those that segment headers repeat, and those of sound records.
fn in_log<D: Disk>(disk: &D) -> Result<Vec<(LogId, Members)>, Fatal> {
    let mut found = Vec::new();
    for file in list(disk)? {
        let LogFile::Segment(number) = file else { continue };
        let Ok(open) = disk.open(&file.path()) else { continue };
        let Some(header) = settled(|| read_header(&open, number), Option::is_some) else { continue };
        let content = read_whole(&open, header.bytes);
        for record in scan(&content, header.id, header.records_start()).items.iter().filter_map(Item::record)
        {
            found.extend(read_members(record, &content).map(|members| (record.header.id, members)));
        }
        found.push((header.members_at, header.members));
    }
    Ok(found)
}

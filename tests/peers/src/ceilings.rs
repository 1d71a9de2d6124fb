//! What the disk allows: blocks that are written and synced, one after the other.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::results::{Latencies, Syncs};

const BLOCK: [u8; 4096] = [b'x'; 4096];
/// The size of the file that is there before, as large as a segment of Quorate's log.
const FILLED_BYTES: usize = 16 << 20;

/// Each block at the end of a file that grows by it; and each into a file that was filled with zeros before.
pub(crate) fn measure(folder: &Path, time: Duration) -> Result<Vec<Syncs>> {
    let growing = File::create(folder.join("growing"))?;
    let mut filled = File::create(folder.join("filled"))?;
    filled.write_all(&vec![0; FILLED_BYTES])?;
    filled.sync_all()?;
    Ok(vec![
        sync_blocks("at the end of a file that grows", growing, time, usize::MAX)?,
        sync_blocks("into a file that was filled with zeros", filled, time, FILLED_BYTES / BLOCK.len())?,
    ])
}

/// Goes back to the beginning after so many blocks.
fn sync_blocks(what: &str, mut file: File, time: Duration, blocks: usize) -> Result<Syncs> {
    let began = Instant::now();
    let mut times_us = Vec::new();
    while began.elapsed() < time {
        if times_us.len() % blocks == 0 {
            file.seek(SeekFrom::Start(0))?;
        }
        let started = Instant::now();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        times_us.push(u32::try_from(started.elapsed().as_micros())?);
    }
    let per_second = times_us.len() as f64 / began.elapsed().as_secs_f64();
    Ok(Syncs { what: what.to_owned(), per_second, latencies: Latencies::of(times_us) })
}

//! What a host decides for storage.

/// Settings of a [`crate::Storage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The size of a log segment, in bytes; a multiple of 4 KiB, at least 16 KiB. A record that is larger gets a
    /// segment of its own.
    ///
    /// 16 MiB: a small segment means more file operations (five syncs each), a large one means that more is read at
    /// a start and less is given back at a compaction; at 10 MB/s of writes this is one segment in 1.6 s, and
    /// filling the next one with zeros in the background takes a tenth of that.
    pub segment_bytes: u32,
    /// How many checkpoints are kept.
    pub keep_snapshots: usize,
    /// How many zero-filled segments are kept ready. The last two are the reserve of a full disk: writes that need
    /// space are refused before they are touched. With fewer than three every such write is refused when the disk is
    /// full.
    pub spare_segments: usize,
    /// How much of a spare segment or of the ballast is written, or read of what is at rest, in one call of
    /// [`crate::Storage::perform`], in bytes: what a log write may have to wait for.
    pub slice_bytes: usize,
    /// The same for checkpoints and merges. Their rows are gathered from all over the memory, so that a byte of them
    /// takes some four times as long as one of zeros. The more checkpoints wait behind one, the larger its slices.
    pub checkpoint_slice_bytes: usize,
    /// Seeds the ids of segments. From the system's generator in production: whoever knows it can choose values
    /// that read like records.
    pub seed: u64,
}

impl Options {
    /// The usual settings.
    pub fn new(seed: u64) -> Options {
        Options {
            segment_bytes: 16 << 20,
            keep_snapshots: 5,
            spare_segments: 3,
            slice_bytes: 256 << 10,
            checkpoint_slice_bytes: 64 << 10,
            seed,
        }
    }

    /// With slices of so many bytes, of whatever kind.
    #[must_use]
    pub fn in_slices(self, bytes: usize) -> Options {
        Options { slice_bytes: bytes, checkpoint_slice_bytes: bytes, ..self }
    }
}

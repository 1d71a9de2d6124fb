//! Fixed-size numbers at fixed places: how headers are read and written, all of them little-endian. And zeros, what
//! stands where nothing is.

use crate::disk::DiskFile;

/// Puts numbers one after the other.
pub(crate) struct Packer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Packer<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Packer { bytes, at: 0 }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        self
    }

    pub(crate) fn u8(&mut self, number: u8) -> &mut Self {
        self.put(&[number])
    }

    pub(crate) fn u32(&mut self, number: u32) -> &mut Self {
        self.put(&number.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, number: u64) -> &mut Self {
        self.put(&number.to_le_bytes())
    }
}

/// Takes numbers one after the other. The caller has checked that there are enough bytes.
pub(crate) struct Unpacker<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Unpacker<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Unpacker { bytes, at: 0 }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        array
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}

/// A disk offset as a position in a buffer that holds the whole file.
pub(crate) fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("files are read whole only when they fit into memory")
}

/// A length as the format stores it.
pub(crate) fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("nothing in the log is as large as 4 GiB")
}

/// The first multiple of `unit` at or after `number`.
pub(crate) fn round_up(number: u32, unit: u32) -> u32 {
    number.div_ceil(unit).saturating_mul(unit)
}

/// Whether every byte is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_le_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

/// Zeros to write.
pub(crate) static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// Writes `count` bytes of zeros.
pub(crate) fn write_zeros<F: DiskFile>(file: &F, from: u64, count: u64) -> std::io::Result<()> {
    let mut done = 0;
    while done < count {
        let chunk = (count - done).min(ZEROS.len() as u64);
        file.write_at(&ZEROS[..position(chunk)], from + done)?;
        done += chunk;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Disk, MemoryDisk};

    #[test]
    fn as_many_zeros_are_written_as_are_asked_for() {
        for count in [0, 5, 1 << 20, (3 << 20) + 5] {
            let disk = MemoryDisk::new();
            let file = disk.create("zeros").unwrap();
            write_zeros(&file, 10, count).unwrap();
            assert_eq!(disk.len("zeros"), Some(if count == 0 { 0 } else { 10 + count }), "{count}");
        }
    }
}

//! The bytes of a file.

use std::ops::Range;
use std::sync::Arc;

use crate::layout::{is_zero, position};

const PAGE: usize = 4096;

/// Bytes in pages. What is zero takes no memory, and clones share their pages until they change: logs are zeros for the
/// most part, and a simulation duplicates whole disks to see what would be found on them.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    /// None is a page of zeros. Behind the end of the file all bytes are zero.
    pages: Vec<Option<Arc<[u8; PAGE]>>>,
    length: usize,
}

/// The parts of a range that lie in different pages: the page, the range within it.
fn parts(range: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        (at < range.end).then(|| {
            let (page, from) = (at / PAGE, at % PAGE);
            let to = PAGE.min(from + range.end - at);
            at += to - from;
            (page, from..to)
        })
    })
}

impl Image {
    /// The length of the file, in bytes.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Writes at `offset`; a gap before it is filled with zeros.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let start = position(offset);
        let end = start + bytes.len();
        self.length = self.length.max(end);
        self.pages.resize(self.length.div_ceil(PAGE), None);
        let mut rest = bytes;
        for (page, part) in parts(start..end) {
            let (now, later) = rest.split_at(part.len());
            rest = later;
            if (part.len() == PAGE || self.pages[page].is_none()) && is_zero(now) {
                self.pages[page] = None;
            } else {
                self.page(page)[part].copy_from_slice(now);
            }
        }
    }

    fn page(&mut self, page: usize) -> &mut [u8; PAGE] {
        Arc::make_mut(self.pages[page].get_or_insert_with(|| Arc::new([0; PAGE])))
    }

    /// Takes away what is behind the first `length` bytes.
    pub(super) fn truncate(&mut self, length: usize) {
        if length < self.length {
            self.length = length;
            self.pages.truncate(length.div_ceil(PAGE));
            if !length.is_multiple_of(PAGE) && self.pages[length / PAGE].is_some() {
                self.page(length / PAGE)[length % PAGE..].fill(0);
            }
        }
    }

    /// # Panics
    /// When the file ends before.
    pub(super) fn read(&self, offset: usize, buffer: &mut [u8]) {
        assert!(offset + buffer.len() <= self.length, "a read behind the end, at {offset}");
        let mut rest = buffer;
        for (page, part) in parts(offset..offset + rest.len()) {
            let (now, later) = rest.split_at_mut(part.len());
            rest = later;
            match &self.pages[page] {
                Some(page) => now.copy_from_slice(&page[part]),
                None => now.fill(0),
            }
        }
    }

    /// A copy of these bytes, as far as there are any.
    pub(super) fn copy(&self, range: Range<usize>) -> Vec<u8> {
        let (from, to) = (range.start.min(self.length), range.end.min(self.length));
        let mut bytes = vec![0; to - from];
        self.read(from, &mut bytes);
        bytes
    }

    /// A copy of all bytes.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        self.copy(0..self.length)
    }

    /// Changes the bytes of `range`, as far as there are any.
    pub(super) fn rot(&mut self, range: &Range<u64>, change: &mut impl FnMut(u64, &mut u8)) {
        for at in range.start..range.end.min(self.length as u64) {
            let place = position(at);
            change(at, &mut self.page(place / PAGE)[place % PAGE]);
        }
    }
}

impl From<Vec<u8>> for Image {
    fn from(bytes: Vec<u8>) -> Image {
        let mut image = Image::default();
        image.write(0, &bytes);
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Whatever is done to it, it reads as a plain vector does to which the same is done.
    #[test]
    fn it_is_a_vector_of_bytes() {
        let mut random = Random::new(7);
        let mut below = |limit: usize| usize::try_from(random.next() % limit as u64).unwrap();
        for _ in 0..200 {
            let (mut image, mut plain) = (Image::default(), Vec::new());
            let mut shared = Vec::new();
            for _ in 0..30 {
                let (at, count) = (below(3 * PAGE), below(2 * PAGE + 2));
                match below(6) {
                    0 => {
                        image.truncate(at);
                        plain.truncate(at);
                    }
                    1 => {
                        let range = at as u64..(at + count % 9) as u64;
                        image.rot(&range, &mut |at, byte| *byte ^= 1 + u8::try_from(at % 7).unwrap());
                        let rotten = plain.iter_mut().enumerate().skip(at).take(count % 9);
                        rotten.for_each(|(at, byte)| *byte ^= 1 + u8::try_from(at % 7).unwrap());
                    }
                    2 => shared.push((image.clone(), plain.clone())),
                    kind => {
                        let byte = if kind == 3 { 0 } else { u8::try_from(below(256)).unwrap() };
                        image.write(at as u64, &vec![byte; count]);
                        plain.resize(plain.len().max(at + count), 0);
                        plain[at..at + count].fill(byte);
                    }
                }
                assert_eq!((image.len(), image.to_vec()), (plain.len(), plain.clone()));
                let (from, to) = (at.min(plain.len()), (at + count).min(plain.len()));
                assert_eq!(image.copy(at..at + count), plain[from..to]);
            }
            for (image, plain) in shared {
                assert_eq!(image.to_vec(), plain, "what a clone shares does not change with it");
            }
        }
    }

    #[test]
    fn zeros_take_no_memory() {
        let mut image = Image::default();
        image.write(0, &[1; 3 * PAGE]);
        image.write(10, &[0; 3 * PAGE]);
        assert_eq!(image.pages.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false, false]);
        image.write(0, &[0; PAGE]);
        assert!(image.pages[0].is_none());
    }
}

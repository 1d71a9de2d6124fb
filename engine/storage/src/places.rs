//! Where each slot's payload is: log index to segment and offset, eight bytes a slot.

use std::collections::VecDeque;

use quorate_raft::Index;

use crate::segment::SegmentNumber;

/// A record's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: SegmentNumber,
    pub(crate) offset: u32,
}

impl Place {
    /// Of a slot whose record is lost: no segment has number zero.
    pub(crate) const LOST: Place = Place { segment: SegmentNumber(0), offset: 0 };
}

/// The places of the slots after `base`, without a gap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    base: Index,
    places: VecDeque<Place>,
}

impl Places {
    pub(crate) fn new(base: Index) -> Places {
        Places { base, places: VecDeque::new() }
    }

    fn position(&self, index: Index) -> Option<usize> {
        usize::try_from(index.0.checked_sub(self.base.0 + 1)?).ok()
    }

    pub(crate) fn push(&mut self, place: Place) {
        self.places.push_back(place);
    }

    pub(crate) fn at(&self, index: Index) -> Option<Place> {
        self.places.get(self.position(index)?).copied()
    }

    /// Moves a slot to another place. Nothing happens when there is no such slot.
    pub(crate) fn set(&mut self, index: Index, place: Place) {
        let slot = self.position(index).and_then(|position| self.places.get_mut(position));
        if let Some(slot) = slot {
            *slot = place;
        }
    }

    /// Drops the slots from `from` on.
    pub(crate) fn truncate(&mut self, from: Index) {
        self.places.truncate(self.position(from).unwrap_or(0));
    }

    /// Drops the slots up to and with `to`.
    pub(crate) fn compact(&mut self, to: Index) {
        if to > self.base {
            let count = self.position(to.next()).unwrap_or(usize::MAX);
            self.places.drain(..count.min(self.places.len()));
            self.base = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_keep_their_places() {
        let place = |offset| Place { segment: SegmentNumber(1), offset };
        let mut places = Places::new(Index(10));
        for offset in 11..=20 {
            places.push(place(offset));
        }
        places.truncate(Index(19));
        places.compact(Index(12));
        places.compact(Index(5));
        places.set(Index(15), place(99));
        places.set(Index(30), place(99));
        assert_eq!(places.at(Index(12)), None);
        assert_eq!(places.at(Index(13)), Some(place(13)));
        assert_eq!(places.at(Index(15)), Some(place(99)));
        assert_eq!(places.at(Index(18)), Some(place(18)));
        assert_eq!(places.at(Index(19)), None);
        assert_eq!(places.at(Index(0)), None);
    }
}

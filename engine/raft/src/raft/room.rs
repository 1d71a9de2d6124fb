//! Room in the log: what does not fit is neither proposed nor accepted.
//!
//! Storage says what is left behind everything that it has written; what was issued since is counted here. Entries go
//! into the log one after the other, and one that does not fit into the rest of a segment begins the next. That order
//! is monotone: with larger entries the end never lies before the end with smaller ones. So each is counted with the
//! most that it can take, and what fits here fits there. `docs/adr/0006-full-disk.md` has the whole argument.

use super::{Raft, RoleState};
use crate::{Entry, Event, Index, Members, NodeId, Payload, Room, Tally, WriteId, tally};
use alloc::collections::VecDeque;
use serde::{Deserialize, Serialize};

/// So many segments are left to entries that free space or that the cluster needs: a change of members takes one, a
/// joint one two.
const RESERVED_SEGMENTS: u32 = 2;

/// What an entry takes beside its payload, at most: a record's header, padding to a sector and one for a mark.
const OVERHEAD_BYTES: u64 = 1280;

/// How much of the room is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Account {
    /// What is left behind all that was issued; `None` when there is as much as anybody wants.
    left: Option<Room>,
    /// What was issued and is not written.
    on_its_way: VecDeque<(WriteId, Need)>,
    /// Leadership was handed over for want of room, once until there is some.
    handed_over: bool,
    /// A configuration with join tokens is in the log already, or was.
    has_tokens: bool,
}

/// What an entry takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Need {
    bytes: u64,
    /// A segment may be begun for it: in an old log the first configuration with join tokens stands in one that says
    /// so. Which version the log is of is not known here.
    opens: bool,
    /// A segment is begun behind it.
    closes: bool,
}

impl Need {
    /// `has_tokens`: there was a configuration with join tokens before.
    fn of(payload: &Payload, has_tokens: bool) -> Need {
        let (bytes, brings_tokens) = match payload {
            Payload::Noop => (0, false),
            Payload::Command(command) => (command.len() as u64, false),
            Payload::Members(members) => {
                /// Ids, roles and lengths.
                const MEMBER_BYTES: usize = 128;
                /// A hash, an end, and who spent it.
                const TOKEN_BYTES: usize = 64;
                let texts = members.contacts.values();
                let texts = texts.map(|of| of.address.len() + of.url.len() + of.name.len() + MEMBER_BYTES);
                let bytes = texts.sum::<usize>() + TOKEN_BYTES * members.tokens.len();
                (bytes as u64, !members.tokens.is_empty())
            }
        };
        Need {
            bytes: bytes + OVERHEAD_BYTES,
            opens: brings_tokens && !has_tokens,
            closes: matches!(payload, Payload::Members(_)),
        }
    }
}

/// The room behind an entry; none when it does not fit.
fn place(room: Room, need: Need) -> Option<Room> {
    let mut room = room;
    if need.opens || need.bytes > room.rest_bytes {
        room = begin_segment(room)?;
    }
    room.rest_bytes = room.rest_bytes.checked_sub(need.bytes)?;
    if need.closes { begin_segment(room) } else { Some(room) }
}

fn begin_segment(room: Room) -> Option<Room> {
    let spare_segments = room.spare_segments.checked_sub(1)?;
    Some(Room { spare_segments, rest_bytes: room.segment_bytes, ..room })
}

/// Nothing fits.
fn exhausted(room: Room) -> Room {
    Room { spare_segments: 0, rest_bytes: 0, ..room }
}

impl Account {
    /// Of a log in whose configuration these are the members.
    pub(super) fn of(members: &Members) -> Account {
        Account { has_tokens: !members.tokens.is_empty(), ..Account::default() }
    }

    fn need(&self, payload: &Payload) -> Need {
        Need::of(payload, self.has_tokens)
    }

    /// An entry is issued with this write.
    pub(super) fn issue(&mut self, write: WriteId, payload: &Payload) {
        let need = self.need(payload);
        self.has_tokens |= need.opens;
        self.on_its_way.push_back((write, need));
        self.left = self.left.map(|room| place(room, need).unwrap_or(exhausted(room)));
    }

    /// Everything up to this write is on the disk.
    pub(super) fn written(&mut self, write: WriteId) {
        while self.on_its_way.pop_front_if(|(issued, _)| *issued <= write).is_some() {}
    }

    /// Storage says what is left behind all that is written. True when that it is bounded, or not, is news.
    fn reported(&mut self, room: Option<Room>) -> bool {
        let news = room.is_some() != self.left.is_some();
        let needs = self.on_its_way.iter().map(|(_, need)| *need);
        self.left =
            room.map(|room| needs.fold(room, |room, need| place(room, need).unwrap_or(exhausted(room))));
        self.handed_over &= self.left.is_some();
        news
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.left.is_some()
    }

    /// Whether an entry fits, from the reserve if need be.
    pub(super) fn fits(&self, payload: &Payload) -> bool {
        self.left.is_none_or(|room| place(room, self.need(payload)).is_some())
    }

    /// Whether nothing is left but the reserve: not even the smallest command fits before it.
    pub(super) fn is_down_to_reserve(&self) -> bool {
        !self.fits_before_reserve(&Payload::Noop)
    }

    /// Whether an entry fits and leaves the reserve alone.
    fn fits_before_reserve(&self, payload: &Payload) -> bool {
        self.left.is_none_or(|room| {
            let left = place(room, self.need(payload)).filter(|_| !room.is_reserved);
            left.is_some_and(|left| left.spare_segments >= RESERVED_SEGMENTS)
        })
    }
}

impl Raft {
    /// What is left of the log's room behind all that was issued; `None` when there is as much as anybody wants.
    pub fn room(&self) -> Option<Room> {
        self.room.left
    }

    pub(super) fn room_reported(&mut self, room: Option<Room>) {
        if self.room.reported(room) {
            self.event(if room.is_some() { Event::ShortOfRoom } else { Event::RoomAgain });
        }
    }

    /// Whether a command may be proposed. One that frees space may take from the reserve.
    pub(super) fn has_room_for(&self, payload: &Payload, frees_space: bool) -> bool {
        if frees_space { self.room.fits(payload) } else { self.room.fits_before_reserve(payload) }
    }

    /// Whether commands are refused now that do not free space, however small.
    pub fn refuses_what_needs_room(&self) -> bool {
        !self.has_room_for(&Payload::Noop, false) || self.too_few_have_room()
    }

    /// Whether what needs space could not be committed, because too many voters have no room left but their reserve. It
    /// would be taken by nobody, or by their reserves, and then nothing would be left to delete with.
    pub(super) fn too_few_have_room(&self) -> bool {
        let RoleState::Leader(leader) = &self.role else { return false };
        let members = self.membership.current();
        let heard = |id: NodeId| leader.peers.get(&id).filter(|peer| self.hears(peer));
        let is_full = |id: &NodeId| heard(*id).is_some_and(|peer| peer.full);
        // Where nobody is full, those who are missing may be back soon.
        if !members.voters.iter().chain(&members.outgoing).any(is_full) {
            return false;
        }
        let takes = |id| id == self.config.id || heard(id).is_some_and(|peer| !peer.full);
        tally(members, |id| Some(takes(id))) != Tally::Won
    }

    /// A proposal was refused here. Somebody else may have room; if nobody has, leadership comes back, and stays.
    pub(super) fn hand_over_for_room(&mut self) {
        if !core::mem::replace(&mut self.room.handed_over, true) {
            // Without a successor it stays here; what was refused is refused all the same.
            let _ = self.transfer(self.now, None);
        }
    }

    /// The lowest index that those who keep up still need from the log, when it is to keep no more than that.
    pub(super) fn lowest_supplied(&self) -> Index {
        let RoleState::Leader(leader) = &self.role else { return Index(u64::MAX) };
        let supplied = leader.peers.values().filter(|peer| self.hears(peer) && peer.keeps_up());
        supplied.map(|peer| peer.matched).min().unwrap_or(Index(u64::MAX))
    }

    /// How many of these entries, which follow the log's end or are in it, can be taken.
    pub(super) fn room_for(&self, entries: &[Entry]) -> usize {
        let Some(mut room) = self.room.left else { return entries.len() };
        let base = self.log.terms().base().index;
        let is_new = |entry: &Entry| entry.id.index > base && !self.log.terms().holds(entry.id);
        for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| is_new(entry)) {
            match place(room, self.room.need(&entry.payload)) {
                Some(left) => room = left,
                None => return at,
            }
        }
        entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room {
        rest_bytes: 3000,
        spare_segments: 3,
        segment_bytes: 11_000,
        newest_segment: 7,
        is_reserved: false,
    };

    fn command(bytes: usize) -> Payload {
        Payload::Command(alloc::vec![0; bytes].into())
    }

    #[test]
    fn the_reserve_is_for_those_who_free_space() {
        let mut account = Account::default();
        assert!(account.fits_before_reserve(&command(1 << 30)), "nothing is bounded before it is said");
        assert!(account.reported(Some(ROOM)));
        assert!(account.fits_before_reserve(&command(8000)), "into the third spare");
        account.issue(WriteId(1), &command(8000));
        assert!(!account.fits_before_reserve(&command(8000)));
        assert!(account.fits(&command(8000)));
        assert!(account.fits(&Payload::Members(Members::default().into())));
        account.issue(WriteId(2), &command(8000));
        account.issue(WriteId(3), &command(8000));
        assert!(!account.fits(&command(8000)) && account.fits(&Payload::Noop));
        assert!(
            !account.fits(&Payload::Members(Members::default().into())),
            "there is no segment left to begin behind it"
        );
    }

    #[test]
    fn what_is_on_its_way_counts_until_it_is_written() {
        let mut account = Account::default();
        account.issue(WriteId(1), &command(8000));
        account.issue(WriteId(2), &command(8000));
        account.reported(Some(ROOM));
        assert_eq!(account.left.map(|room| room.spare_segments), Some(1));
        account.written(WriteId(1));
        account.reported(Some(ROOM));
        assert_eq!(account.left.map(|room| room.spare_segments), Some(2));
        assert!(account.reported(None));
        assert!(account.fits_before_reserve(&command(1 << 30)));
    }

    #[test]
    fn without_space_for_a_checkpoint_all_is_reserved() {
        let mut account = Account::default();
        account.reported(Some(Room { is_reserved: true, ..ROOM }));
        assert!(!account.fits_before_reserve(&Payload::Noop) && account.fits(&command(8000)));
    }

    #[test]
    fn more_than_fits_leaves_nothing() {
        let mut account = Account::default();
        (1..=9).for_each(|write| account.issue(WriteId(write), &command(8000)));
        account.reported(Some(ROOM));
        assert!(!account.fits(&Payload::Noop));
    }

    /// What is larger than a segment is taken by nobody; if it was issued all the same, nothing may follow.
    #[test]
    fn more_than_a_segment_leaves_nothing_though_spares_are_left() {
        let mut account = Account::default();
        account.reported(Some(ROOM));
        account.issue(WriteId(1), &command(20_000));
        assert!(!account.fits(&Payload::Noop));
    }

    #[test]
    fn an_entry_that_fills_a_segment_exactly_begins_no_other() {
        let need = Need::of(&command(100), false);
        let left = |rest_bytes| place(Room { rest_bytes, ..ROOM }, need).map(|room| room.spare_segments);
        assert_eq!((left(need.bytes), left(need.bytes - 1)), (Some(3), Some(2)));
        assert!(need.bytes > 100 && Need::of(&Payload::Noop, false).bytes == need.bytes - 100);
    }

    /// Each byte of an address, of a URL and of a name counts once.
    #[test]
    fn a_configuration_needs_room_for_all_its_contacts() {
        let bytes = |address: &str, url: &str, name: &str| {
            let contact = crate::Contact { address: address.into(), url: url.into(), name: name.into() };
            Need::of(&Payload::Members(Members::founder(NodeId(1), contact).into()), false).bytes
        };
        let plain = bytes("abc", "abcde", "abcdefg");
        for longer in [
            bytes("abc+", "abcde", "abcdefg"),
            bytes("abc", "abcde+", "abcdefg"),
            bytes("abc", "abcde", "abcdefg+"),
        ] {
            assert_eq!(longer, plain + 1);
        }
        assert!(plain > bytes("", "", ""));
    }

    /// The first with tokens may stand in a segment of its own, and those after it are as others.
    #[test]
    fn the_first_tokens_take_a_segment_more() {
        let plain = Members::founder(NodeId(1), crate::Contact::default());
        let with = plain.with_token(crate::TokenHash([1; 32]), 1, 0).expect("there is room");
        let (plain, with) = (Payload::Members(plain.into()), Payload::Members(with.into()));
        let mut account = Account::default();
        account.reported(Some(ROOM));
        let spares = |account: &Account| account.left.map(|room| room.spare_segments);
        account.issue(WriteId(1), &plain);
        assert_eq!(spares(&account), Some(2));
        account.issue(WriteId(2), &with);
        assert_eq!(spares(&account), Some(0));
        account.written(WriteId(2));
        account.reported(Some(ROOM));
        account.issue(WriteId(3), &with);
        assert_eq!(spares(&account), Some(2));
        let bytes = |payload| Need::of(payload, true).bytes;
        assert_eq!(bytes(&with), bytes(&plain) + 64);
        let Payload::Members(members) = &with else { panic!("it is one") };
        let mut account = Account::of(members);
        account.reported(Some(ROOM));
        account.issue(WriteId(4), &with);
        assert_eq!(spares(&account), Some(2));
    }

    #[test]
    fn that_room_is_bounded_is_news_once() {
        let mut account = Account::default();
        assert!(!account.reported(None));
        assert_eq!((account.reported(Some(ROOM)), account.reported(Some(ROOM))), (true, false));
        assert_eq!((account.reported(None), account.reported(None)), (true, false));
    }
}

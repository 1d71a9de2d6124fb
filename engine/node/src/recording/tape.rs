//! The memory of a ring: what happened as bytes, of which the long byte strings are shared with the node.
//!
//! To copy a short byte string costs less than to count who has it. A long one stays where it is, and is counted as if
//! the ring alone had it: once it is overwritten and sent, the ring alone does. Each is an allocation of its own, so
//! nothing else stays alive along with it.

use super::events::{write_input, write_turned};
use crate::Input;
use quorate_raft::Time;
use std::collections::VecDeque;
use std::sync::Arc;

/// From so many bytes on a byte string is shared.
pub(super) const SHARED_FROM: usize = 2 << 10;

/// What is counted for a shared byte string besides its own bytes and its row: the two counts before them, and what an
/// allocator keeps of its own.
const ALLOCATION_BYTES: usize = 32;

/// A row of a queue of byte strings.
const ROW_BYTES: usize = size_of::<Arc<[u8]>>();

/// A part of a tape: what fits into one allocation, and what is shared between its bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    shared: Shared,
}

/// Byte strings that belong between a chunk's own bytes, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    /// How many of the chunk's bytes come before each of them.
    strings: Vec<(usize, Arc<[u8]>)>,
    /// How long they are, all together.
    bytes: usize,
}

impl Shared {
    /// Has these bytes stand behind the first `at` of the chunk's own.
    pub(super) fn insert(&mut self, at: usize, bytes: &Arc<[u8]>) {
        self.bytes += bytes.len();
        self.strings.push((at, Arc::clone(bytes)));
    }

    fn weight(&self) -> usize {
        self.bytes
            + self.strings.len() * ALLOCATION_BYTES
            + self.strings.capacity() * size_of::<(usize, Arc<[u8]>)>()
    }
}

impl Chunk {
    fn new(memory: Vec<u8>) -> Chunk {
        Chunk { bytes: memory, shared: Shared::default() }
    }

    /// Its own bytes, and what belongs between them: both to be appended to.
    pub(super) fn parts(&mut self) -> (&mut Vec<u8>, &mut Shared) {
        (&mut self.bytes, &mut self.shared)
    }

    /// What it says is so many bytes long.
    pub(super) fn length(&self) -> usize {
        self.bytes.len() + self.shared.bytes
    }

    /// How much memory it holds, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.bytes.capacity() + self.shared.weight()
    }

    /// All that it says, in order.
    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let places = || self.shared.strings.iter().map(|(at, _)| *at);
        let begins = std::iter::once(0).chain(places());
        let ends = places().chain(std::iter::once(self.bytes.len()));
        let own = begins.zip(ends).map(|(begin, end)| &self.bytes[begin..end]);
        let shared = self.shared.strings.iter().map(|(_, string)| &**string);
        let pairs = own.zip(shared.chain(std::iter::once([].as_slice())));
        pairs.flat_map(|(own, shared)| [own, shared]).filter(|slice| !slice.is_empty())
    }
}

/// What was forgotten, to be used again: fresh memory has to be brought in by the system page by page, which costs more
/// than what is written to it. So byte strings are let go one by one, as others come: an allocator gives the next one
/// the place of the last, and many at once it would give back to the system.
#[derive(Debug)]
pub(super) struct Memory {
    chunk_bytes: usize,
    /// A chunk with less left is full: most events are shorter.
    margin_bytes: usize,
    /// For chunks.
    spare: Vec<Vec<u8>>,
    /// The oldest first.
    forgotten: VecDeque<Arc<[u8]>>,
    forgotten_bytes: usize,
}

impl Memory {
    /// That gives chunks of so many bytes.
    pub(super) fn new(chunk_bytes: usize) -> Memory {
        // What is copied of an input is mostly no longer than one string that is not shared.
        let margin_bytes = (chunk_bytes / 8).max((2 * SHARED_FROM).min(chunk_bytes / 2));
        let (spare, forgotten) = (Vec::new(), VecDeque::new());
        Memory { chunk_bytes, margin_bytes, spare, forgotten, forgotten_bytes: 0 }
    }

    /// How much there is, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.spare.len() * self.chunk_bytes + self.forgotten_bytes + self.forgotten.capacity() * ROW_BYTES
    }

    /// Lets go of some; nothing when there is none.
    pub(super) fn release(&mut self) -> Option<()> {
        if let Some(string) = self.forgotten.pop_front() {
            self.forgotten_bytes -= string.len() + ALLOCATION_BYTES;
            return Some(());
        }
        // Whoever has none left holds nothing for them either.
        if self.forgotten.capacity() > 0 && self.spare.is_empty() {
            self.forgotten = VecDeque::new();
            return Some(());
        }
        self.spare.pop().map(drop)
    }

    fn take(&mut self) -> Chunk {
        Chunk::new(self.spare.pop().unwrap_or_else(|| Vec::with_capacity(self.chunk_bytes)))
    }

    fn give_back(&mut self, chunk: Chunk) {
        let Shared { strings, bytes } = chunk.shared;
        self.forgotten_bytes += bytes + strings.len() * ALLOCATION_BYTES;
        self.forgotten.extend(strings.into_iter().map(|(_, string)| string));
        let mut memory = chunk.bytes;
        if memory.capacity() == self.chunk_bytes {
            memory.clear();
            self.spare.push(memory);
        }
    }
}

/// What happened since some moment.
#[derive(Clone, Debug)]
pub(super) struct Tape {
    full: Vec<Arc<Chunk>>,
    full_weight: usize,
    last: Chunk,
}

impl Tape {
    pub(super) fn new(memory: &mut Memory) -> Tape {
        Tape { full: Vec::new(), full_weight: 0, last: memory.take() }
    }

    /// Takes an input, and says whether it holds more memory than before.
    pub(super) fn input(&mut self, memory: &mut Memory, now: Time, input: &Input) -> bool {
        let is_new = self.make_room(memory);
        let before = (self.last.bytes.capacity(), self.last.shared.bytes);
        write_input(&mut self.last, now, input);
        is_new || before != (self.last.bytes.capacity(), self.last.shared.bytes)
    }

    pub(super) fn turned(&mut self, memory: &mut Memory, fingerprint: u64) {
        self.make_room(memory);
        write_turned(&mut self.last, fingerprint);
    }

    /// Begins a new chunk when that is needed, and says whether it was.
    #[inline]
    fn make_room(&mut self, memory: &mut Memory) -> bool {
        let capacity = self.last.bytes.capacity();
        let has_grown = capacity > memory.chunk_bytes;
        let is_full = has_grown || capacity - self.last.bytes.len() < memory.margin_bytes;
        if is_full {
            let mut full = std::mem::replace(&mut self.last, memory.take());
            if has_grown {
                full.bytes.shrink_to_fit();
            }
            self.full_weight += full.weight();
            self.full.push(Arc::new(full));
        }
        is_full
    }

    /// How much memory it holds, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.full_weight + self.full.capacity() * size_of::<Arc<Chunk>>() + self.last.weight()
    }

    /// All that it says, in order.
    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let full = self.full.iter().map(|chunk| &**chunk);
        full.chain(std::iter::once(&self.last)).flat_map(Chunk::slices)
    }

    /// Forgets it, and keeps its memory.
    pub(super) fn forget(self, memory: &mut Memory) {
        // What somebody is still saving goes when that is done.
        let unshared = self.full.into_iter().filter_map(|chunk| Arc::try_unwrap(chunk).ok());
        unshared.chain(std::iter::once(self.last)).for_each(|chunk| memory.give_back(chunk));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::events::{Event, read};
    use crate::{Request, RequestId};
    use quorate_kv::{Action, Op, Put, Txn};
    use quorate_raft::{Done, Entry, Envelope, LogId, Message, NodeId, Payload, Reader};

    const CHUNK: usize = 16 << 10;

    fn value(number: u8, length: usize) -> Arc<[u8]> {
        vec![number; length].into()
    }

    fn put(value: Arc<[u8]>) -> Put {
        Put::for_good(b"key".as_slice().into(), value)
    }

    fn request(action: Action) -> Input {
        Input::Request { id: RequestId(1), request: Request::write(action) }
    }

    fn entries(values: impl IntoIterator<Item = Arc<[u8]>>) -> Vec<Entry> {
        let entry = |(index, value)| Entry { id: LogId::new(1, index), payload: Payload::Command(value) };
        (1..).zip(values).map(entry).collect()
    }

    fn append(entries: Vec<Entry>) -> Input {
        let message = Message::Append { prev: LogId::ZERO, entries, commit: quorate_raft::Index(0) };
        Input::Message(Envelope { from: NodeId(1), to: NodeId(2), term: quorate_raft::Term(1), message })
    }

    /// Of short and long byte strings in all places where long ones are looked for, and in others.
    fn inputs() -> Vec<Input> {
        let lengths = [0, 1, 100, SHARED_FROM - 1, SHARED_FROM, 3 * CHUNK];
        let mut inputs: Vec<Input> =
            lengths.iter().map(|length| request(Action::Put(put(value(1, *length))))).collect();
        let values = || lengths.iter().map(|length| value(2, *length));
        let load = quorate_raft::Load {
            reader: Reader::Apply,
            first: quorate_raft::Index(1),
            last: quorate_raft::Index(6),
            bytes: 9,
        };
        inputs.push(append(entries(values())));
        inputs.push(Input::Done(Done::Loaded { load, entries: entries(values()) }));
        let ops = || values().map(|value| Op::Put(put(value))).collect();
        inputs.push(request(Action::Txn(Txn { success: ops(), failure: ops(), ..Txn::default() })));
        let pairs = values().map(|value| (Arc::clone(&value), value)).collect();
        inputs.push(request(Action::Import { entries: pairs }));
        inputs.push(Input::Timeout);
        inputs
    }

    #[test]
    fn it_says_what_was_written_wherever_it_was_cut_and_shared() {
        let mut memory = Memory::new(CHUNK);
        let mut tape = Tape::new(&mut memory);
        // The long ones that are copied make their chunk grow, and what follows fits into that.
        let short = vec![request(Action::Put(put(value(1, 100)))); 100];
        let all = [short, inputs(), inputs(), inputs()].concat();
        for (number, input) in all.iter().enumerate() {
            tape.input(&mut memory, Time(number as u64), input);
            tape.turned(&mut memory, number as u64);
        }
        let shared = |chunk: &Chunk| chunk.shared.strings.len();
        let shared = tape.full.iter().map(|chunk| shared(chunk)).sum::<usize>() + shared(&tape.last);
        assert_eq!(shared, 30, "two of each list and of the puts, each time");
        assert!(tape.full.len() > 2, "{} chunks", tape.full.len());
        let bytes: Vec<u8> = tape.slices().flatten().copied().collect();
        let mut left = bytes.as_slice();
        for (number, input) in all.into_iter().enumerate() {
            let time = Time(number as u64);
            assert_eq!(read(&mut left), Ok(Some(Event::Input(time, Box::new(input)))));
            assert_eq!(read(&mut left), Ok(Some(Event::Turned(number as u64))));
        }
        assert_eq!(read(&mut left), Ok(None));
    }

    /// So what is counted is what would be given back: all of it, and nothing besides.
    #[test]
    fn long_byte_strings_are_shared_and_counted_and_let_go() {
        let mut memory = Memory::new(CHUNK);
        let mut tape = Tape::new(&mut memory);
        let (short, long) = (value(1, SHARED_FROM - 1), value(2, 100 << 10));
        let before = tape.weight();
        tape.input(&mut memory, Time(1), &append(entries([Arc::clone(&short), Arc::clone(&long)])));
        assert_eq!((Arc::strong_count(&short), Arc::strong_count(&long)), (1, 2));
        let grown = tape.weight() - before;
        assert!((100 << 10..104 << 10).contains(&grown), "{grown}");
        tape.input(&mut memory, Time(1), &request(Action::Put(put(Arc::clone(&long)))));
        assert!(tape.weight() - before > 200 << 10, "each mention counts");
        tape.forget(&mut memory);
        assert!(memory.weight() > 200 << 10, "they are let go one by one");
        assert_eq!(Arc::strong_count(&long), 3);
        assert_eq!((memory.release(), Arc::strong_count(&long)), (Some(()), 2));
        while memory.release().is_some() {}
        assert_eq!((memory.weight(), Arc::strong_count(&long)), (0, 1));
    }

    #[test]
    fn a_long_string_that_is_copied_keeps_none_behind_it_from_being_shared() {
        let mut memory = Memory::new(CHUNK);
        let mut tape = Tape::new(&mut memory);
        let (key, value) = (value(1, SHARED_FROM), value(2, SHARED_FROM));
        let put = || Op::Put(Put::for_good(Arc::clone(&key), Arc::clone(&value)));
        let input = request(Action::Txn(Txn { success: vec![put(), put()], ..Txn::default() }));
        tape.input(&mut memory, Time(1), &input);
        assert_eq!((Arc::strong_count(&key), Arc::strong_count(&value)), (3, 5));
    }

    #[test]
    fn memory_is_used_again_unless_somebody_still_reads_it() {
        let mut memory = Memory::new(CHUNK);
        let mut tape = Tape::new(&mut memory);
        let filled = |tape: &mut Tape, memory: &mut Memory| {
            while tape.full.len() < 3 {
                tape.input(memory, Time(1), &request(Action::Put(put(value(1, 100)))));
            }
        };
        filled(&mut tape, &mut memory);
        assert_eq!(tape.full_weight, 3 * CHUNK);
        tape.forget(&mut memory);
        assert_eq!(memory.weight(), 4 * CHUNK);
        let mut tape = Tape::new(&mut memory);
        filled(&mut tape, &mut memory);
        assert_eq!(memory.weight(), 0);
        let length = |tape: &Tape| tape.slices().map(<[u8]>::len).sum::<usize>();
        let (reader, expected) = (tape.clone(), length(&tape));
        tape.forget(&mut memory);
        assert_eq!(memory.weight(), CHUNK);
        assert!(memory.release().is_some() && memory.release().is_none());
        assert_eq!(length(&reader), expected);
    }
}

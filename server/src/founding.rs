//! How a cluster begins: with one entry that says who belongs to it.
//!
//! A founder writes its own membership as entry 1 of term 1, and after it the content of a `data.json` when there is
//! one, all in one batch, through the same storage as every later entry. No leader ever proposed them; that is sound
//! because there is nobody else yet who could have voted in term 1, and the founder, starting as a follower of term 1,
//! can only lead a later one.
//!
//! Each step is durable before the next, and `node.toml` names the cluster last:
//!
//! 1. `node.toml` with the node's id
//! 2. the first entries, in the log
//! 3. `data.json` becomes `data.json.imported`
//! 4. `node.toml` with the ids of the cluster and its history
//!
//! Until the fourth, nobody has seen the cluster, so after a crash between any two the whole is simply done again, over
//! what is there.

use std::sync::Arc;

use quorate_node::kv::Command;
use quorate_node::raft::{
    Contact, Entry, HardState, Index, Job, LogId, Members, NodeId, Payload, Term, Write, WriteId,
};
use quorate_node::wire::entry::{CommandTooLarge, encode_command};
use quorate_storage::{Disk, Fatal, Storage};

/// How many bytes of keys and values go into one entry of the first content. An entry is the unit in which the log is
/// sent, so a large file becomes many.
const IMPORT_BYTES: usize = 1 << 20;

/// Keys and values, as a `data.json` brings them.
pub type Pairs = Vec<(Arc<[u8]>, Arc<[u8]>)>;

/// The entries a cluster begins with.
///
/// # Errors
/// When a key and its value are together too large for one entry.
pub fn first_entries(node: NodeId, contact: Contact, content: Pairs) -> Result<Vec<Entry>, CommandTooLarge> {
    let mut payloads = vec![Payload::Members(Box::new(Members::founder(node, contact)))];
    for entries in pieces(content) {
        payloads.push(Payload::Command(encode_command(&Command::Import { entries })?.into()));
    }
    let ids = (1..).map(|index| LogId::new(1, index));
    Ok(ids.zip(payloads).map(|(id, payload)| Entry { id, payload }).collect())
}

/// Makes `entries` the log, durably, in place of anything that an interrupted founding has left there.
///
/// # Errors
/// What the disk says: the process must end.
pub fn write_first<D: Disk>(
    storage: &mut Storage<D>,
    is_empty: bool,
    entries: Vec<Entry>,
) -> Result<(), Fatal> {
    let write = Write {
        id: WriteId(1),
        hard: Some(HardState { term: Term(1), vote: None }),
        commit_hint: Index(0),
        install: None,
        truncate_from: (!is_empty).then_some(Index(1)),
        append: entries,
        compact_to: None,
        repair: Vec::new(),
    };
    storage.perform(vec![Job::Write(write).into()])?;
    Ok(())
}

/// Parts the content so that each piece holds about [`IMPORT_BYTES`].
fn pieces(content: Pairs) -> Vec<Pairs> {
    let mut pieces: Vec<Pairs> = Vec::new();
    let mut bytes = IMPORT_BYTES;
    for (key, value) in content {
        let weight = key.len() + value.len();
        match pieces.last_mut() {
            Some(piece) if bytes + weight <= IMPORT_BYTES => {
                bytes += weight;
                piece.push((key, value));
            }
            _ => {
                bytes = weight;
                pieces.push(vec![(key, value)]);
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_node::kv::Kv;
    use quorate_node::wire::entry::decode_command;
    use quorate_storage::{MemoryDisk, Options};

    fn pair(key: &str, bytes: usize) -> (Arc<[u8]>, Arc<[u8]>) {
        (key.as_bytes().into(), vec![7; bytes].into())
    }

    #[test]
    fn content_is_parted_and_nothing_of_it_is_lost() {
        let sizes = [10, IMPORT_BYTES, 10, IMPORT_BYTES / 2, IMPORT_BYTES / 3, IMPORT_BYTES / 3];
        let content: Pairs =
            sizes.iter().zip(["a", "b", "c", "d", "e", "f"]).map(|(n, k)| pair(k, *n)).collect();
        let counts: Vec<usize> = pieces(content.clone()).iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 1, 3, 1]);
        assert!(pieces(Vec::new()).is_empty());

        let entries = first_entries(NodeId(1), Contact::default(), content).unwrap();
        assert!(matches!(&entries[0].payload, Payload::Members(members) if members.is_voter(NodeId(1))));
        let mut kv = Kv::new();
        for entry in &entries[1..] {
            let Payload::Command(command) = &entry.payload else { panic!("{entry:?}") };
            kv.apply(&decode_command(command).unwrap());
        }
        assert_eq!(kv.len(), 6);
        assert_eq!(kv.get(b"b").map(|entry| entry.value.len()), Some(IMPORT_BYTES));
    }

    #[test]
    fn founding_again_takes_the_place_of_an_interrupted_founding() {
        let disk = MemoryDisk::new();
        for (round, name) in ["interrupted", "whole"].into_iter().enumerate() {
            let (mut storage, found) = Storage::open(disk.clone(), Options::new(1)).unwrap();
            assert_eq!(found.members.is_empty(), round == 0);
            let contact = Contact { name: name.to_owned(), ..Contact::default() };
            let entries = first_entries(NodeId(1), contact, vec![pair("a", 10)]).unwrap();
            write_first(&mut storage, found.terms.last() == LogId::ZERO, entries).unwrap();
        }
        let (_, found) = Storage::open(disk, Options::new(1)).unwrap();
        assert_eq!((found.hard.term, found.terms.last()), (Term(1), LogId::new(1, 2)));
        let [Entry { payload: Payload::Members(members), .. }] = &found.members[..] else {
            panic!("{found:?}")
        };
        assert_eq!(members.contacts[&NodeId(1)].name, "whole");
    }
}

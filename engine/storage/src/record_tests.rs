//! Tests of records: headers of each form, written and read back, damaged and forged.

use super::*;

fn header() -> Header {
    Header {
        form: Form::Whole,
        payload_checksum: 1,
        length: 300,
        offset: 512,
        segment: 0x0123_4567_89ab_cdef,
        batch: 7,
        id: LogId::new(3, 9),
        commit_hint: Index(8),
        members_index: Index(2),
        previous: Identity {
            id: LogId::new(2, 8),
            length: 5,
            checksum: 6,
            offset: 128,
            kind: Some(Kind::Members),
            flags: FLAG_LAST,
        },
        kind: Kind::Command,
        flags: FLAG_LAST,
    }
}

/// Two short ones, the second behind the first, and that behind a whole one of a command.
fn short_headers() -> [Header; 2] {
    let before = Header { kind: Kind::Command, flags: 0, commit_hint: Index(0), ..header() };
    let behind = |before: &Header, flags| {
        let mut behind = Header {
            offset: before.padded_end(),
            id: LogId { index: before.id.index.next(), ..before.id },
            previous: before.identity(77),
            ..*before
        };
        behind.form = behind.shortest_form(before);
        Header { flags, ..behind }
    };
    let first = behind(&before, 0);
    [first, behind(&first, FLAG_LAST)]
}

fn all_headers() -> [Header; 3] {
    let [first, second] = short_headers();
    [header(), first, second]
}

fn encoded(header: &Header) -> Vec<u8> {
    let mut bytes = vec![0; header.form.bytes() as usize];
    header.encode_into(&mut bytes);
    bytes
}

#[test]
fn a_header_is_read_as_written_and_only_at_its_place() {
    for (header, size) in all_headers().iter().zip([96, 56, 56]) {
        let bytes = encoded(header);
        assert_eq!(bytes.len(), size);
        let (read, checksum) = Header::decode(&bytes, header.segment, header.offset).unwrap();
        assert_eq!(read, *header);
        assert_eq!(bytes[..4], checksum.to_le_bytes());
        for offset in [header.offset - 16, header.offset + 16] {
            assert_eq!(Header::decode(&bytes, header.segment, offset), None, "a misdirected write");
        }
        assert_eq!(
            Header::decode(&bytes, header.segment + 1, header.offset),
            None,
            "another use of the file"
        );
        for missing in 0..size {
            assert_eq!(Header::decode(&bytes[..missing], header.segment, header.offset), None);
        }
    }
}

#[test]
fn no_flipped_bit_passes() {
    for header in all_headers() {
        let bytes = encoded(&header);
        for bit in 0..bytes.len() * 8 {
            // With a payload behind it, so that one which seems to be whole has as many bytes.
            let mut rotten = [&bytes[..], &[7; 100]].concat();
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&rotten, header.segment, header.offset), None, "bit {bit}");
        }
    }
}

#[test]
fn a_short_header_is_for_a_command_right_behind_one_of_its_term() {
    let [before, header] = short_headers();
    let header = Header { flags: 0, ..header };
    assert_eq!((before.form, header.form), (Form::BehindWhole, Form::BehindShort));
    let id = |term, index| LogId::new(term, index);
    let (most, back) = (u64::from(u32::MAX), Index(u64::from(u32::MAX)));
    let whole = [
        (before, Header { id: id(3, 12), ..header }),
        (before, Header { id: id(3, 10), ..header }),
        (before, Header { id: id(4, 11), ..header }),
        (before, Header { kind: Kind::Noop, ..header }),
        (before, Header { flags: FLAG_REPAIR, ..header }),
        (before, Header { members_index: Index(12), ..header }),
        (before, Header { batch: 1 << 56, ..header }),
        (Header { kind: Kind::Truncate, ..before }, header),
        (Header { kind: Kind::Members, ..before }, header),
        (Header { flags: FLAG_REPAIR, ..before }, header),
        (Header { id: id(most + 1, 10), ..before }, Header { id: id(most + 1, 11), ..header }),
        (Header { id: id(3, back.0 + 2), ..before }, Header { id: id(3, back.0 + 3), ..header }),
    ];
    for (before, header) in whole {
        assert_eq!(header.shortest_form(&before), Form::Whole, "{header:?} behind {before:?}");
    }
    let short = [
        (before, Header { batch: (1 << 56) - 1, ..header }),
        (before, Header { members_index: Index(11), ..header }),
        (Header { id: id(most, 10), ..before }, Header { id: id(most, 11), ..header }),
        (Header { id: id(3, back.0 + 1), ..before }, Header { id: id(3, back.0 + 2), ..header }),
    ];
    for (before, header) in short {
        assert_eq!(header.shortest_form(&before), Form::BehindShort);
        let read = Header::decode(&encoded(&header), header.segment, header.offset).unwrap().0;
        assert_eq!((read.id, read.batch), (header.id, header.batch));
        assert_eq!(read.members_index, header.members_index);
    }
}

/// Where it is not known which header is lost, a whole one is looked for.
#[test]
fn a_record_with_a_short_header_reaches_each_sector_that_a_whole_one_would() {
    let [before, header] = short_headers();
    let mut forms = [0, 0];
    for offset in (512..1536).step_by(16) {
        for length in 1..200 {
            let header = Header { offset, length, flags: 0, ..header };
            let form = header.shortest_form(&before);
            let last = |bytes: u32| (offset + bytes - 1) / SECTOR_BYTES;
            if form == Form::Whole {
                assert!(last(56 + length) < last(96), "{length} bytes at {offset}");
            } else {
                assert!(last(56 + length) >= last(96), "{length} bytes at {offset}");
            }
            forms[usize::from(form == Form::Whole)] += 1;
        }
    }
    assert!(forms[0] > 10_000 && forms[1] > 10, "{forms:?}");
}

#[test]
fn a_short_header_that_says_what_can_not_be_is_none() {
    let [_, good] = short_headers();
    let forged = |at: usize, number: u64| {
        let mut bytes = encoded(&good);
        let width = if at == 24 { 8 } else { 4 };
        bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
        let checksum = crc32c::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        Header::decode(&bytes, good.segment, good.offset)
    };
    assert_eq!(forged(24, 0), None, "nothing is before slot 0");
    assert_eq!(forged(36, 12), None, "the membership is of a slot before the first");
    assert_eq!(forged(40, 1 << 20), None, "the record before begins before the file");
    assert_eq!(forged(40, u64::from(u32::MAX)), None);
    assert!(forged(36, 11).is_some());
}

#[test]
fn a_mask_undoes_itself_wherever_it_begins() {
    let plain: Vec<u8> = (0..50).collect();
    for offset in 0..20 {
        let mut bytes = plain.clone();
        mask(&mut bytes, 0x0123_4567_89ab_cdef, offset);
        assert_ne!(bytes, plain);
        // Unmasked in two pieces, as a reader may do.
        let (first, second) = bytes.split_at_mut(13);
        mask(first, 0x0123_4567_89ab_cdef, offset);
        mask(second, 0x0123_4567_89ab_cdef, offset + 13);
        assert_eq!(bytes, plain);
    }
}
#[test]
fn only_entries_fill_slots() {
    for kind in [Kind::Noop, Kind::Command, Kind::Members] {
        assert!(kind.is_slot(), "{kind:?}");
    }
    for kind in [Kind::Truncate, Kind::Mark] {
        assert!(!kind.is_slot(), "{kind:?}");
    }
}

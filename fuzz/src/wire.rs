//! Everything that arrives on a peer link, and the payloads of the log.

use quorate_raft::{Entry, Envelope, LogId, Payload};
use quorate_wire::entry::{decode_command, decode_payload, encode_command, encode_entry};
use quorate_wire::frame::encode_frame;
use quorate_wire::recording::{self, Kind, RecordingDecoder, RecordingError};
use quorate_wire::{Answer, FrameDecoder, FrameError, FrameKind, Hello, codec};

/// Reads the data as each thing that `quorate-wire` decodes. Checksums would keep a fuzzer out of the
/// payloads, so these are decoded bare as well.
pub fn wire_decode(data: &[u8]) {
    stream(data);
    framed(data);
    handshake(data);
    message(data);
    payload(data);
}

/// The same frames and the same end, however the stream is cut.
fn stream(data: &[u8]) {
    let piece = data.last().map_or(1, |last| usize::from(*last) + 1);
    let (whole, cut) = (frames(data, data.len().max(1)), frames(data, piece));
    assert_eq!(whole, cut, "in pieces of {piece}");
    for (kind, payload) in whole.0 {
        match kind {
            FrameKind::Hello | FrameKind::Answer => handshake(&payload),
            FrameKind::Envelope => message(&payload),
            // Together they are a message, and read as one.
            FrameKind::Piece | FrameKind::LastPiece => {}
        }
    }
}

type Frames = (Vec<(FrameKind, Vec<u8>)>, Result<(), FrameError>);

fn frames(data: &[u8], piece: usize) -> Frames {
    let mut decoder = FrameDecoder::new();
    let mut found = Vec::new();
    for piece in data.chunks(piece) {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => found.push((frame.kind, frame.payload.to_vec())),
                Ok(None) => break,
                Err(error) => return (found, Err(error)),
            }
        }
    }
    (found, Ok(()))
}

/// Any payload comes out of a frame as it went in.
fn framed(data: &[u8]) {
    let mut bytes = Vec::new();
    encode_frame(FrameKind::Envelope, data, &mut bytes);
    assert_eq!(frames(&bytes, bytes.len()), (vec![(FrameKind::Envelope, data.to_vec())], Ok(())));
}

/// A handshake has one encoding.
fn handshake(data: &[u8]) {
    if let Ok(hello) = Hello::decode(data) {
        assert_eq!(hello.encode(), data);
    }
    if let Ok(answer) = Answer::decode(data) {
        assert_eq!(answer.encode(), data);
    }
}

/// A message means the same when it is sent on. Its bytes may differ: a set may arrive out of order.
fn message(data: &[u8]) {
    if let Ok(envelope) = codec::decode::<Envelope>(data) {
        assert_eq!(codec::decode(&codec::encode(&envelope)), Ok(envelope));
    }
}

fn payload(data: &[u8]) {
    if let Ok(payload) = decode_payload(data) {
        let entry = Entry { id: LogId::ZERO, payload };
        assert_eq!(decode_payload(&encode_entry(&entry)).as_ref(), Ok(&entry.payload));
        if let Payload::Command(bytes) = entry.payload {
            command(&bytes);
        }
    }
    command(data);
}

/// A command has one encoding.
fn command(data: &[u8]) {
    if let Ok(command) = decode_command(data) {
        assert_eq!(encode_command(&command).as_deref(), Ok(data));
    }
}

/// Reads the data as a recording: the same pieces and the same end, however it is cut, and a recording that is whole is
/// written as it was read. Checksums would keep a fuzzer out of the order of pieces, so the data is framed as well: a
/// byte for the kind, one for the length.
pub fn recording_decode(data: &[u8]) {
    recorded(data);
    let mut file = recording::header();
    let mut rest = data;
    while let [number, length, after @ ..] = rest {
        let (payload, after) = after.split_at(after.len().min(usize::from(*length)));
        let kinds = [Kind::Head, Kind::Base, Kind::Entries, Kind::Checkpoint, Kind::Events, Kind::End];
        write_piece(&mut file, kinds[usize::from(*number) % kinds.len()], payload);
        rest = after;
    }
    recorded(&file);
}

fn recorded(file: &[u8]) {
    let piece = file.last().map_or(1, |last| usize::from(*last) + 1);
    let (whole, cut) = (pieces(file, file.len().max(1)), pieces(file, piece));
    assert_eq!(whole, cut, "in pieces of {piece}");
    if let (pieces, Ok(())) = whole {
        let mut written = recording::header();
        pieces.iter().for_each(|(kind, payload)| write_piece(&mut written, *kind, payload));
        assert_eq!(written, file);
    }
}

fn write_piece(file: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    file.extend_from_slice(&recording::piece_head(kind, payload));
    file.extend_from_slice(payload);
}

type Pieces = (Vec<(Kind, Vec<u8>)>, Result<(), RecordingError>);

fn pieces(file: &[u8], piece: usize) -> Pieces {
    let mut decoder = RecordingDecoder::new();
    let mut found = Vec::new();
    for bytes in file.chunks(piece) {
        decoder.push(bytes);
        loop {
            match decoder.next_piece() {
                Ok(Some((kind, payload))) => found.push((kind, payload.to_vec())),
                Ok(None) => break,
                Err(error) => return (found, Err(error)),
            }
        }
    }
    let end = decoder.finish();
    (found, end)
}

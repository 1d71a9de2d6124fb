//! Messages between servers.

use quorate_node::raft::Envelope;
use quorate_node::wire::FrameDecoder;
use quorate_node::wire::frame::encode_envelope;

use super::CoreStack;
use super::queue::What;
use crate::identity::machine_of;
use crate::plan::{Host, Link};
use crate::tap::host_of;

/// A message that waits for its link.
#[derive(Debug)]
pub(crate) struct Held {
    link: Link,
    envelope: Box<Envelope>,
}

impl CoreStack {
    pub(super) fn send(&mut self, from: Host, envelope: Envelope) {
        let to = machine_of(host_of(envelope.to.0));
        let fate =
            self.world.net.message(self.now, (from, to), bytes(&envelope), &mut self.world.judge.fired);
        let envelope = Box::new(envelope);
        if fate.held {
            self.held.push(Held { link: (from, to), envelope });
            return;
        }
        if fate.corrupt {
            refused_by_the_decoder(&envelope);
            return;
        }
        if let Some(at) = fate.again {
            self.queue.at_host(at, to, What::Deliver(envelope.clone()));
        }
        if let Some(at) = fate.arrives {
            self.queue.at_host(at, to, What::Deliver(envelope));
        }
    }

    /// Sends what waited for links that are free now.
    pub(super) fn release_held(&mut self) {
        for held in std::mem::take(&mut self.held) {
            if self.world.net.clogged(held.link.0, held.link.1).is_some() {
                self.held.push(held);
            } else {
                self.send(held.link.0, *held.envelope);
            }
        }
    }

    /// Connections break: what is held on them is lost, and both ends notice.
    pub(super) fn reset(&mut self, links: &[Link]) {
        self.held.retain(|held| !links.contains(&held.link));
        for (from, to) in links {
            if self.lives.contains_key(from) {
                self.world.fired().note("reset");
                self.link_broke(*from, *to);
            }
        }
    }
}

/// About how many bytes a message takes.
fn bytes(envelope: &Envelope) -> usize {
    use quorate_node::raft::{Message, Payload};
    let content = match &envelope.message {
        Message::Append { entries, .. } | Message::Tell { entries, .. } => entries
            .iter()
            .map(|entry| match &entry.payload {
                Payload::Command(bytes) => bytes.len() + 20,
                _ => 100,
            })
            .sum(),
        Message::Snapshot { chunk, .. } => chunk.data.len(),
        _ => 0,
    };
    60 + content
}

/// A frame with a flipped bit is never taken for another message.
fn refused_by_the_decoder(envelope: &Envelope) {
    let mut frame = Vec::new();
    encode_envelope(envelope, &mut frame);
    // Which bit it is follows from the message, so that no generator is needed.
    let bit = crate::observe::digest(&frame) % (frame.len() as u64 * 8);
    let byte = usize::try_from(bit / 8).expect("a frame fits into memory");
    frame[byte] ^= 1 << (bit % 8);
    let mut decoder = FrameDecoder::new();
    decoder.push(&frame);
    let taken = decoder.next_frame();
    assert!(!matches!(taken, Ok(Some(_))), "a frame with bit {bit} flipped was taken for sound");
}

//! The same inputs once more.

use super::events::{self, Event};
use super::fingerprint::Fingerprint;
use super::rebuild::BadRecording;
use super::recorder::End;
use crate::{Input, Node, Output};
use quorate_raft::Time;

/// What happens in a replay, in order.
#[derive(Debug)]
pub enum Step<'a> {
    /// The node is about to take this.
    Input(&'a Input),
    /// The node asks for this.
    Output(&'a Output),
    /// It has nothing more to say.
    Turned(&'a Node),
}

/// A replay that went to its end as it was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// How many inputs there were.
    pub inputs: u64,
    /// How many times the node was polled until it had nothing more to say.
    pub turns: u64,
}

/// A replay that did something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Diverged {
    /// What the node said or came to after an input.
    #[error(
        "the replay differs from the recording after input {input} of it, at {at}: the fingerprint of what the node said \
         and came to is {found:016x}, and was {expected:016x}"
    )]
    Turn {
        /// The number of the last input before, from 1.
        input: u64,
        /// Its time.
        at: Time,
        /// The recorded fingerprint.
        expected: u64,
        /// The replay's.
        found: u64,
    },
    /// Where it ended.
    #[error("the replay ends at {found}, and the recording at {expected}")]
    End {
        /// How the recorded node stood.
        expected: String,
        /// How the replayed one does.
        found: String,
    },
    /// The recording can't be read any further.
    #[error(transparent)]
    Unreadable(#[from] BadRecording),
}

/// Gives the node all inputs of a recording, and compares what it does with what is written there.
///
/// # Errors
/// [`Diverged`].
///
/// # Panics
/// When the node does, as it may have where the recording was taken.
pub fn replay(
    node: &mut Node,
    events: &[u8],
    end: &End,
    mut see: impl FnMut(Time, Step<'_>),
) -> Result<Replayed, Diverged> {
    let mut left = events;
    let mut replayed = Replayed { inputs: 0, turns: 0 };
    let (mut fingerprint, mut at) = (Fingerprint::default(), node.now());
    while let Some(event) =
        events::read(&mut left).map_err(|what| BadRecording::malformed("its inputs", &what))?
    {
        match event {
            Event::Input(now, input) => {
                at = now;
                replayed.inputs += 1;
                see(at, Step::Input(&input));
                node.handle(now, *input);
            }
            Event::Turned(expected) => {
                while let Some(output) = node.poll() {
                    see(at, Step::Output(&output));
                    fingerprint.output(&output);
                }
                see(at, Step::Turned(node));
                replayed.turns += 1;
                let found = fingerprint.turned(node);
                if found != expected {
                    return Err(Diverged::Turn { input: replayed.inputs, at, expected, found });
                }
            }
        }
    }
    let found = End {
        at: node.now(),
        inputs: end.inputs,
        applied: node.raft().applied(),
        revision: node.kv().revision(),
        state_hash: node.kv().state_hash(),
    };
    if found != *end {
        return Err(Diverged::End { expected: described(end), found: described(&found) });
    }
    Ok(replayed)
}

fn described(end: &End) -> String {
    let End { at, applied, revision, state_hash, .. } = end;
    format!("{at}, applied {applied}, revision {revision}, state hash {state_hash:016x}")
}

//! A core that was written down and read again goes on as if that had never happened, whatever it is fed with.

use crate::cases;
use crate::one_core::{World, step};
use proptest::collection::vec;
use proptest::prelude::*;
use quorate_raft::{Index, Message, Output, Payload};

/// Peers may be sent zeros for commands that were applied: of those only the length is kept.
fn without_commands(output: &Output) -> Output {
    let mut output = output.clone();
    if let Output::Send(envelope) = &mut output
        && let Message::Append { entries, .. } | Message::Tell { entries, .. } = &mut envelope.message
    {
        for entry in entries {
            if let Payload::Command(bytes) = &mut entry.payload {
                *bytes = vec![0; bytes.len()].into();
            }
        }
    }
    output
}

/// What it put out. What it applies and writes is there to the last byte.
fn said(world: &World) -> Vec<Output> {
    world.said.iter().map(without_commands).collect()
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_core_that_is_written_down_at_every_step_does_the_same(
        steps in vec((step(), 0..6_u64, 0..300_usize), 1..150),
    ) {
        let (mut one, mut other) = (World::new(), World::new());
        for (step, back, most_bytes) in steps {
            let wanted_above = Index(other.raft.applied().index.0.saturating_sub(back));
            let outline = other.raft.outline(wanted_above, most_bytes);
            prop_assert_eq!(outline.members(), one.raft.status().members);
            other.raft = outline.into_core().unwrap();
            one.perform(step);
            other.perform(step);
            prop_assert_eq!(said(&one), said(&other), "{:?}", step);
            prop_assert_eq!(one.raft.deadline(), other.raft.deadline());
            prop_assert_eq!(format!("{:?}", one.raft.status()), format!("{:?}", other.raft.status()));
        }
    }
}

//! Rules taken away, one at a time, from outside of the core: by what a host reports of its disk, and by what a
//! network makes of messages. Each must let something be lost; what none of these can show is in `sim/zoo`.

use crate::host::Host;
use quorate_raft::{Envelope, Held, LogId, Message};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lie {
    /// All rules hold.
    None,
    /// Damage is taken for the end of the log.
    DamageIsTheEnd,
    /// A tail whose terms are lost is taken for the end of the log (rule 3).
    LostTailIsTheEnd,
    /// A damaged slot takes any entry that another node has at its index (rule 1).
    AnyCopyFits,
    /// Who lost its own copy says that it never had one (rule 5).
    DamagedSaysNever,
    /// Who does not know says that it never had one (rules 5 and 6).
    UnknownSaysNever,
    /// Who compacted the slot says that it never had one (rule 5).
    CompactedSaysNever,
    /// "Never" is said in a term that is not durable (rule 5).
    TermIsNotDurable,
    /// "Never" is said without entering the term of the question (rule 5).
    TermIsNotEntered,
}

impl Lie {
    /// What becomes of a message on its way to a node.
    pub(crate) fn twist(self, mut envelope: Envelope, to: &Host) -> Envelope {
        let status = to.core.status();
        match &mut envelope.message {
            Message::Ask { .. } if self == Lie::TermIsNotEntered => {
                envelope.term = envelope.term.min(status.term);
            }
            Message::Tell { entries, committed, report, .. } => {
                if let Some(report) = report {
                    let hides = match self {
                        Lie::DamagedSaysNever => report.held == Held::Damaged,
                        Lie::UnknownSaysNever => report.held == Held::Unknown,
                        Lie::CompactedSaysNever => report.held == Held::InSnapshot,
                        _ => false,
                    };
                    if hides {
                        report.held = Held::Never;
                        *committed = LogId::ZERO;
                    }
                    if self == Lie::TermIsNotEntered && report.held == Held::Never {
                        envelope.term = envelope.term.max(status.term);
                    }
                }
                if self == Lie::AnyCopyFits {
                    for entry in entries {
                        entry.id = to.disk.entry(entry.id.index).map_or(entry.id, |lost| lost.id);
                    }
                }
            }
            _ => {}
        }
        envelope
    }
}

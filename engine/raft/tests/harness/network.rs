//! Messages on their way, in the order in which they were sent, until a script says what becomes of them.

use super::trace::kind;
use quorate_raft::{Envelope, NodeId};
use std::collections::BTreeSet;

/// What is on its way, and which links are cut.
#[derive(Default)]
pub(crate) struct Network {
    pub(crate) queue: Vec<Envelope>,
    cut: BTreeSet<(NodeId, NodeId)>,
}

/// Which messages a command means: `1->2`, `*->2`, `Append`, `first`, `last`, in any mixture.
#[derive(Default)]
pub(crate) struct Selector {
    from: Option<NodeId>,
    to: Option<NodeId>,
    kind: Option<String>,
    pick: Option<Pick>,
}

#[derive(Clone, Copy)]
enum Pick {
    First,
    Last,
}

impl Selector {
    pub(crate) fn parse(words: &[&str]) -> Self {
        let mut selector = Selector::default();
        for word in words {
            match *word {
                "first" => selector.pick = Some(Pick::First),
                "last" => selector.pick = Some(Pick::Last),
                _ => match word.split_once("->") {
                    Some((from, to)) => {
                        selector.from = end(from);
                        selector.to = end(to);
                    }
                    None => selector.kind = Some((*word).to_owned()),
                },
            }
        }
        selector
    }

    fn matches(&self, envelope: &Envelope) -> bool {
        self.from.is_none_or(|id| id == envelope.from)
            && self.to.is_none_or(|id| id == envelope.to)
            && self.kind.as_ref().is_none_or(|wanted| wanted == kind(&envelope.message))
    }
}

fn end(word: &str) -> Option<NodeId> {
    (word != "*").then(|| NodeId(word.parse().unwrap_or_else(|_| panic!("{word:?} is no node"))))
}

impl Network {
    /// False when the link is cut.
    pub(crate) fn carries(&self, from: NodeId, to: NodeId) -> bool {
        !self.cut.contains(&(from, to))
    }

    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    /// Takes what the selector means off the queue.
    ///
    /// # Panics
    /// When there is none: a script that means a message that does not exist is wrong.
    pub(crate) fn take(&mut self, selector: &Selector) -> Vec<Envelope> {
        let places = self.places(selector);
        let taken = places.iter().map(|at| self.queue[*at].clone()).collect();
        let mut at = 0;
        self.queue.retain(|_| {
            at += 1;
            !places.contains(&(at - 1))
        });
        taken
    }

    /// Puts a copy of what the selector means at the end of the queue.
    pub(crate) fn duplicate(&mut self, selector: &Selector) {
        let copies: Vec<Envelope> =
            self.places(selector).into_iter().map(|at| self.queue[at].clone()).collect();
        self.queue.extend(copies);
    }

    /// Reverses what the selector means, in the places it has.
    pub(crate) fn reorder(&mut self, selector: &Selector) {
        let places = self.places(selector);
        for (front, back) in places.iter().zip(places.iter().rev()).take(places.len() / 2) {
            self.queue.swap(*front, *back);
        }
    }

    fn places(&self, selector: &Selector) -> Vec<usize> {
        let all = self.queue.iter().enumerate().filter(|(_, envelope)| selector.matches(envelope));
        let mut places: Vec<usize> = all.map(|(at, _)| at).collect();
        assert!(!places.is_empty(), "no such message is on its way");
        match selector.pick {
            Some(Pick::First) => places.truncate(1),
            Some(Pick::Last) => drop(places.drain(..places.len() - 1)),
            None => {}
        }
        places
    }
}

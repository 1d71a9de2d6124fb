//! Where the searches begin: clusters in which something has been lost already, brought there step by step by the
//! same cores.

use crate::cluster::{Budget, Cluster};
use crate::host::{Happening, Harm};
use crate::lies::Lie;
use quorate_raft::{Contact, Envelope, Index, Learner, Message, NodeId, Term};

/// A beginning, and how far to look from there.
#[derive(Clone, Copy)]
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) begin: fn(Lie) -> Cluster,
    pub(crate) budget: Budget,
    /// Steps, at most.
    pub(crate) steps: u8,
    /// Steps, at most, of the search in full.
    pub(crate) steps_in_full: u8,
}

pub(crate) const NOTHING: Budget = Budget {
    timeouts: 0,
    restarts: 0,
    harms: 0,
    proposals: 0,
    changes: 0,
    duplicates: 0,
    one_way: 0,
    highest_term: 6,
};

/// Every copy of two slots that were never committed is lost: nobody may run, and nobody is voted for.
pub(crate) const NOBODY_MAY_RUN: Story = Story {
    name: "nobody may run",
    begin: |lie| {
        let mut cluster = two_tails(lie);
        cluster.restart(0, Harm::Damage(Index(2)));
        cluster.restart(1, Harm::Damage(Index(2)));
        cluster.lose(|_| false);
        cluster
    },
    budget: Budget { timeouts: 3, restarts: 1, ..NOTHING },
    steps: 7,
    steps_in_full: 14,
};

/// A slot is committed on two of three, and one of them loses its copy.
pub(crate) const ONE_COPY_IS_LOST: Story = Story {
    name: "one copy is lost",
    begin: |lie| {
        let mut cluster = committed_on_two(lie);
        cluster.restart(0, Harm::Damage(Index(2)));
        cluster.lose(|_| false);
        cluster
    },
    budget: Budget { timeouts: 2, restarts: 1, harms: 1, ..NOTHING },
    steps: 6,
    steps_in_full: 11,
};

/// A slot is committed on two of three, and both lose their copies.
pub(crate) const BOTH_COPIES_ARE_LOST: Story = Story {
    name: "both copies are lost",
    begin: |lie| {
        let mut cluster = committed_on_two(lie);
        cluster.restart(0, Harm::Damage(Index(2)));
        cluster.restart(1, Harm::Damage(Index(2)));
        cluster.lose(|_| false);
        cluster
    },
    budget: Budget { timeouts: 2, restarts: 1, one_way: 1, ..NOTHING },
    steps: 8,
    steps_in_full: 14,
};

/// A slot is committed on two of three; one loses the payload, the other its whole tail.
pub(crate) const A_TAIL_IS_LOST: Story = Story {
    name: "a tail is lost",
    begin: |lie| {
        let mut cluster = committed_on_two(lie);
        cluster.restart(0, Harm::Damage(Index(2)));
        cluster.restart(1, Harm::LoseTail(Index(2)));
        cluster.lose(|_| false);
        cluster
    },
    budget: Budget { timeouts: 3, restarts: 1, one_way: 1, ..NOTHING },
    steps: 8,
    steps_in_full: 14,
};

/// A slot is committed on two of three; one of them compacts it away, the other loses its copy.
pub(crate) const THE_OTHER_COMPACTED_IT: Story = Story {
    name: "the other compacted it",
    begin: |lie| {
        let mut cluster = committed_on_two(lie);
        cluster.happens(0, Happening::Checkpoints);
        cluster.restart(0, Harm::None);
        cluster.restart(1, Harm::Damage(Index(2)));
        cluster.lose(|_| false);
        cluster.timeout(1);
        cluster
    },
    budget: Budget { timeouts: 2, restarts: 1, ..NOTHING },
    steps: 7,
    steps_in_full: 14,
};

/// An entry is damaged for which another node has a different one at the same index.
pub(crate) const ANOTHER_ENTRY_STANDS_THERE: Story = Story {
    name: "another entry stands there",
    begin: |lie| {
        let mut cluster = Cluster::new(3, 3, lie);
        cluster.elect(1, &[0, 1, 2]);
        cluster.lose(|_| false);
        cluster.propose(1);
        cluster.lose(|_| false);
        cluster.elect(0, &[0, 2]);
        cluster.propose(0);
        cluster.deliver(&[0, 2], |_| true);
        cluster.lose(|_| false);
        cluster.restart(0, Harm::Damage(Index(3)));
        cluster.lose(|_| false);
        cluster
    },
    budget: Budget { timeouts: 2, restarts: 1, one_way: 1, ..NOTHING },
    steps: 7,
    steps_in_full: 14,
};

/// A leader is at work, and everything may go wrong: crashes before anything is durable, and damage.
pub(crate) const AT_WORK: Story = Story {
    name: "at work",
    begin: |lie| {
        let mut cluster = Cluster::new(3, 3, lie);
        cluster.elect(0, &[0, 1, 2]);
        cluster.defer_writes();
        cluster.in_order = false;
        cluster
    },
    budget: Budget {
        timeouts: 1,
        restarts: 2,
        harms: 2,
        proposals: 1,
        duplicates: 1,
        highest_term: 4,
        ..NOTHING
    },
    steps: 5,
    steps_in_full: 7,
};

/// A leader's own copy of an entry rots that is still on its way to the others, one of which said that it never had it.
pub(crate) const A_LEADER_FINDS_DAMAGE: Story = Story {
    name: "a leader finds damage",
    begin: |lie| {
        let mut cluster = committed_on_two(lie);
        cluster.propose(0);
        cluster.happens(0, Happening::Rots(Index(3)));
        cluster.deliver(&[0, 2], |envelope| {
            matches!(envelope.message, Message::Ask { .. } | Message::Tell { .. })
        });
        cluster.in_order = false;
        cluster
    },
    budget: Budget { timeouts: 1, restarts: 1, proposals: 1, duplicates: 1, ..NOTHING },
    steps: 6,
    steps_in_full: 10,
};

/// A leader of five has its entry on one other node, which loses it and asks the rest; the append is still on its way
/// to one of them. The rest said already that they never had it; now they are asked in a new term.
pub(crate) const AN_APPEND_IS_ON_ITS_WAY: Story = Story {
    name: "an append is on its way",
    begin: |lie| {
        let mut cluster = Cluster::new(5, 5, lie);
        cluster.elect(4, &[0, 1, 2, 3, 4]);
        cluster.deliver(&[0, 4], |_| true);
        cluster.lose(|envelope| envelope.from == NodeId(5) && envelope.to == NodeId(2));
        cluster.restart(0, Harm::Damage(Index(2)));
        cluster.lose(|envelope| envelope.from == NodeId(5));
        cluster.timeout(0);
        cluster.deliver(&[0, 1, 2, 3], |envelope| envelope.term == Term(2) && envelope.from != NodeId(5));
        cluster.lose(|envelope| envelope.to != NodeId(5));
        cluster.deliver(&[0, 3], |_| true);
        cluster
    },
    budget: Budget { timeouts: 1, restarts: 1, highest_term: 4, ..NOTHING },
    steps: 8,
    steps_in_full: 14,
};

/// One of two voters has its entry on a third node, which it made a voter right after the entry: by three voters that
/// is a majority. It loses its copy, and with the new voter away only the second voter answers, who never had it.
pub(crate) const A_VOTER_WAS_ADDED_ABOVE: Story = Story {
    name: "a voter was added above",
    begin: |lie| {
        let mut cluster = Cluster::new(2, 3, lie);
        cluster.elect(0, &[0, 1]);
        cluster.deliver(&[0, 1], |_| true);
        cluster.add_learner(0, NodeId(3), Learner::Joining);
        cluster.deliver(&[0, 1], |_| true);
        // The entry goes to the newcomer alone, and promotes it; the next acknowledgement commits it.
        cluster.propose(0);
        cluster.deliver(&[0, 2], |_| true);
        cluster.lose(|_| false);
        cluster.restart(0, Harm::Damage(Index(4)));
        cluster.lose(|_| false);
        cluster
    },
    budget: Budget { timeouts: 3, ..NOTHING },
    steps: 9,
    steps_in_full: 16,
};

fn is_about_votes(envelope: &Envelope) -> bool {
    matches!(envelope.message, Message::Vote { .. } | Message::VoteReply { .. })
}

impl Cluster {
    /// `at` is elected by `among`.
    pub(crate) fn elect(&mut self, at: usize, among: &[usize]) {
        self.timeout(at);
        self.deliver(among, is_about_votes);
        assert!(self.nodes[at].leads, "node {} is not elected", at + 1);
    }

    /// The leader appends a configuration with one more learner.
    pub(crate) fn add_learner(&mut self, at: usize, id: NodeId, learner: Learner) {
        let members = self.nodes[at].host.core.status().members;
        let target = members.with_learner(id, learner, Contact::default());
        self.happens(at, Happening::Changes(target));
        let members = self.nodes[at].host.core.status().members;
        assert!(members.contains(id), "the leader does not take the learner");
    }
}

/// Node 1 led term 2 and node 2 term 3; what each appended, no other node has.
fn two_tails(lie: Lie) -> Cluster {
    let mut cluster = Cluster::new(3, 3, lie);
    cluster.elect(0, &[0, 1, 2]);
    cluster.lose(|_| false);
    cluster.elect(1, &[1, 2]);
    cluster.lose(|_| false);
    cluster
}

/// Node 1 led term 2, and its entry is committed with node 2.
fn committed_on_two(lie: Lie) -> Cluster {
    let mut cluster = Cluster::new(3, 3, lie);
    cluster.elect(0, &[0, 1, 2]);
    cluster.deliver(&[0, 1], |_| true);
    cluster.lose(|_| false);
    cluster
}

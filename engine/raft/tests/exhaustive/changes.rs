//! Beginnings at work: a healthy cluster with nothing in its logs, changes of the members from their beginning to
//! their end, and slots that are lost in the middle of a joint one.

use crate::cluster::{Budget, Cluster};
use crate::host::Harm;
use crate::lies::Lie;
use crate::stories::{NOTHING, Story};
use quorate_raft::{Index, Learner, NodeId};

/// Three nodes that hold the same first entry, and nobody leads: elections, and what a leader then does, with messages
/// in any order, lost and twice, and crashes.
pub(crate) const NOBODY_LEADS_YET: Story = Story {
    name: "nobody leads yet",
    begin: |lie| {
        let mut cluster = Cluster::new(3, 3, lie);
        cluster.in_order = false;
        cluster
    },
    budget: Budget { timeouts: 3, restarts: 1, proposals: 1, duplicates: 1, highest_term: 4, ..NOTHING },
    steps: 6,
    steps_in_full: 9,
};

/// The same, and what is written is durable later or never.
pub(crate) const NOBODY_LEADS_YET_AND_DISKS_ARE_SLOW: Story = Story {
    name: "nobody leads yet, and disks are slow",
    begin: |lie| {
        let mut cluster = Cluster::new(3, 3, lie);
        cluster.in_order = false;
        cluster.defer_writes();
        cluster
    },
    budget: Budget { timeouts: 2, restarts: 2, proposals: 1, duplicates: 1, highest_term: 3, ..NOTHING },
    steps: 7,
    steps_in_full: 10,
};

/// A learner becomes a voter, in one step.
pub(crate) const A_VOTER_IS_ADDED: Story = Story {
    name: "a voter is added",
    begin: |lie| {
        let mut cluster = two_and_a_learner(lie);
        cluster.wish = |_| &[1, 2, 3];
        cluster.in_order = false;
        cluster
    },
    budget: Budget { timeouts: 2, restarts: 1, proposals: 1, changes: 1, duplicates: 1, ..NOTHING },
    steps: 6,
    steps_in_full: 9,
};

/// Of two voters one, the leader, gives way to a learner: a joint change, which has just begun.
pub(crate) const A_VOTER_IS_REPLACED: Story = Story {
    name: "a voter is replaced",
    begin: |lie| {
        let mut cluster = two_and_a_learner(lie);
        cluster.wish = |_| &[2, 3];
        cluster.change(0);
        cluster.in_order = false;
        cluster
    },
    budget: Budget { timeouts: 2, restarts: 1, proposals: 1, duplicates: 1, ..NOTHING },
    steps: 8,
    steps_in_full: 10,
};

/// Of three voters two are removed at once: a joint change. What is written is durable later or never.
pub(crate) const TWO_VOTERS_ARE_REMOVED: Story = Story {
    name: "two voters are removed",
    begin: |lie| {
        let mut cluster = Cluster::new(3, 3, lie);
        cluster.elect(0, &[0, 1, 2]);
        cluster.deliver(&[0, 1, 2], |_| true);
        cluster.wish = |_| &[1];
        cluster.defer_writes();
        cluster.in_order = false;
        cluster
    },
    budget: Budget {
        timeouts: 2,
        restarts: 1,
        proposals: 0,
        changes: 1,
        duplicates: 1,
        highest_term: 4,
        ..NOTHING
    },
    steps: 7,
    steps_in_full: 9,
};

/// Of four voters, two lead in turn, and each is to remove the other. The first was told to before it had committed
/// anything; the second has just been elected by all others.
pub(crate) const TWO_LEADERS_REMOVE_EACH_OTHER: Story = Story {
    name: "two leaders remove each other",
    begin: |lie| {
        let mut cluster = four_and_their_leader(lie);
        two_lead_in_turn(&mut cluster);
        cluster
    },
    budget: Budget { timeouts: 2, restarts: 1, changes: 1, one_way: 1, ..NOTHING },
    steps: 6,
    steps_in_full: 9,
};

/// As before, but the first leader was settled, and what it had appended for itself alone was truncated by the second.
pub(crate) const A_CHANGE_WAS_TAKEN_BACK: Story = Story {
    name: "a change was taken back",
    begin: |lie| {
        let mut cluster = four_and_their_leader(lie);
        cluster.deliver(&[0, 1, 2, 3], |_| true);
        two_lead_in_turn(&mut cluster);
        cluster.deliver(&[0, 1, 2, 3], |_| true);
        cluster
    },
    budget: Budget { timeouts: 2, restarts: 1, changes: 1, one_way: 1, ..NOTHING },
    steps: 6,
    steps_in_full: 9,
};

/// A leader of four has begun to remove itself.
pub(crate) const A_LEADER_REMOVES_ITSELF: Story = Story {
    name: "a leader removes itself",
    begin: |lie| {
        let mut cluster = Cluster::new(4, 4, lie);
        cluster.elect(0, &[0, 1, 2, 3]);
        cluster.deliver(&[0, 1, 2, 3], |_| true);
        cluster.wish = |_| &[2, 3, 4];
        cluster.change(0);
        cluster
    },
    budget: Budget { timeouts: 2, restarts: 1, proposals: 1, one_way: 1, ..NOTHING },
    steps: 5,
    steps_in_full: 9,
};

/// In a joint change an entry is committed by a bare majority of both halves, and one of these loses its copy.
pub(crate) const A_COPY_IS_LOST_IN_A_JOINT_CHANGE: Story = Story {
    name: "a copy is lost in a joint change",
    begin: |lie| {
        let mut cluster = committed_in_a_joint_change(lie);
        cluster.restart(2, Harm::Damage(Index(5)));
        cluster.lose(|_| false);
        cluster
    },
    budget: Budget { timeouts: 2, restarts: 1, harms: 1, one_way: 1, ..NOTHING },
    steps: 4,
    steps_in_full: 6,
};

/// The same, and one of these loses its tail from the joint configuration on, so that it counts by the one before.
pub(crate) const A_TAIL_IS_LOST_IN_A_JOINT_CHANGE: Story = Story {
    name: "a tail is lost in a joint change",
    begin: |lie| {
        let mut cluster = committed_in_a_joint_change(lie);
        cluster.restart(2, Harm::LoseTail(Index(4)));
        cluster.lose(|_| false);
        cluster
    },
    budget: Budget { timeouts: 2, restarts: 1, harms: 1, one_way: 1, ..NOTHING },
    steps: 4,
    steps_in_full: 7,
};

/// In a joint change the leader alone has an entry, and loses it: nobody else ever had it. The others have said what
/// they would say, and are asked in a new term; they are a majority of both halves, and the entry is given up.
pub(crate) const NOBODY_HAS_IT_IN_A_JOINT_CHANGE: Story = Story {
    name: "nobody has it in a joint change",
    begin: |lie| {
        let mut cluster = in_a_joint_change(lie);
        cluster.propose(0);
        cluster.lose(|_| false);
        cluster.restart(0, Harm::Damage(Index(5)));
        cluster.ask_in_a_new_term(0, &[0, 1, 2, 3]);
        cluster
    },
    budget: Budget { timeouts: 3, restarts: 1, one_way: 1, ..NOTHING },
    steps: 5,
    steps_in_full: 7,
};

/// A joint change ended right above an entry that nodes 1 and 4 have: by the voters of the new half that is a
/// majority, and the entry is committed. Node 4 loses its copy, and hears from 2 and 3, a majority of the old half,
/// that they never had it.
pub(crate) const A_JOINT_CHANGE_ENDED_ABOVE: Story = Story {
    name: "a joint change ended above",
    begin: |lie| {
        let mut cluster = before_a_joint_change(lie);
        cluster.change(0);
        // All have the joint configuration, but only node 4 has said so when the entry follows, and goes to it alone.
        cluster.deliver(&[0, 1, 2, 3], |envelope| envelope.to != NodeId(1));
        cluster.deliver(&[0, 3], |_| true);
        cluster.propose(0);
        cluster.deliver(&[0, 3], |_| true);
        cluster.lose(|envelope| envelope.to == NodeId(1));
        // The answer of node 3 commits the joint configuration. The one that follows goes to 4 alone, too.
        cluster.deliver(&[0, 2], |envelope| envelope.to == NodeId(1));
        cluster.deliver(&[0, 3], |_| true);
        assert!(cluster.has_changed(), "the joint change has not come to its end: {cluster:?}");
        cluster.lose(|_| false);
        cluster.restart(3, Harm::Damage(Index(5)));
        cluster.lose(|_| false);
        cluster.timeout(3);
        cluster.deliver(&[1, 2, 3], |_| true);
        cluster
    },
    budget: Budget { timeouts: 2, restarts: 1, one_way: 1, ..NOTHING },
    steps: 6,
    steps_in_full: 9,
};

/// The joint configuration itself is lost, by its leader and by the only other node that has it. It is not above
/// itself: a majority of the old voters never had it, has said so, and is asked in a new term.
pub(crate) const A_JOINT_CONFIGURATION_IS_LOST: Story = Story {
    name: "a joint configuration is lost",
    begin: |lie| {
        let mut cluster = before_a_joint_change(lie);
        cluster.change(0);
        cluster.deliver(&[0, 3], |_| true);
        cluster.lose(|_| false);
        cluster.restart(3, Harm::Damage(Index(4)));
        cluster.restart(0, Harm::Damage(Index(4)));
        cluster.ask_in_a_new_term(0, &[0, 1, 2]);
        cluster
    },
    budget: Budget { timeouts: 3, restarts: 1, one_way: 1, ..NOTHING },
    steps: 5,
    steps_in_full: 7,
};

impl Cluster {
    /// `at`, which has lost a slot, asks the others of `among`; what they say brings it to a new term, and it asks
    /// again.
    fn ask_in_a_new_term(&mut self, at: usize, among: &[usize]) {
        self.lose(|_| false);
        let term = self.nodes[at].term;
        self.timeout(at);
        self.deliver(among, |envelope| envelope.term <= term);
        assert!(self.nodes[at].term > term, "node {} has not entered a new term", at + 1);
    }
}

/// Four voters, of whom the first has just been elected. It would remove the second, and the second it.
fn four_and_their_leader(lie: Lie) -> Cluster {
    let mut cluster = Cluster::new(4, 4, lie);
    cluster.wish = |leader| if leader == NodeId(1) { &[1, 3, 4] } else { &[2, 3, 4] };
    cluster.elect(0, &[0, 1, 2, 3]);
    cluster
}

/// What the first appends to remove the second reaches nobody, and the second is elected by all others.
fn two_lead_in_turn(cluster: &mut Cluster) {
    cluster.change(0);
    cluster.lose(|_| false);
    cluster.elect(1, &[1, 2, 3]);
}

/// Node 1 leads, 2 votes too, and 3 is a learner that has caught up. Nothing is on its way.
fn two_and_a_learner(lie: Lie) -> Cluster {
    let mut cluster = Cluster::new(2, 3, lie);
    cluster.elect(0, &[0, 1]);
    cluster.deliver(&[0, 1], |_| true);
    cluster.add_learner(0, NodeId(3), Learner::Standing);
    cluster.deliver(&[0, 1, 2], |_| true);
    cluster
}

/// Node 1 leads, 2 and 3 vote too, and 4 is a learner that has caught up and is to take the place of 3. Nothing is on
/// its way.
fn before_a_joint_change(lie: Lie) -> Cluster {
    let mut cluster = Cluster::new(3, 4, lie);
    cluster.elect(0, &[0, 1, 2]);
    cluster.deliver(&[0, 1, 2], |_| true);
    cluster.add_learner(0, NodeId(4), Learner::Standing);
    cluster.deliver(&[0, 1, 2, 3], |_| true);
    cluster.wish = |_| &[1, 2, 4];
    cluster
}

/// The joint configuration is in slot 4, at all but node 2, and not committed as far as anybody knows.
fn in_a_joint_change(lie: Lie) -> Cluster {
    let mut cluster = before_a_joint_change(lie);
    cluster.change(0);
    cluster.deliver(&[0, 2, 3], |envelope| envelope.to != NodeId(1));
    cluster.lose(|_| false);
    cluster
}

/// In slot 5 is an entry that nodes 1, 3 and 4 have, and that is committed.
fn committed_in_a_joint_change(lie: Lie) -> Cluster {
    let mut cluster = in_a_joint_change(lie);
    cluster.propose(0);
    cluster.deliver(&[0, 2, 3], |_| true);
    cluster.lose(|_| false);
    cluster
}

//! Leadership and the log.

use quorate_node::raft::{PeerState, Role};

use super::{Row, counter, gauge, histogram};

const ROLES: [(Role, &str); 4] = [
    (Role::Leader, "leader"),
    (Role::Follower, "follower"),
    (Role::Candidate, "candidate"),
    (Role::Learner, "learner"),
];

const STATES: [(PeerState, &str); 4] = [
    (PeerState::Probe, "probe"),
    (PeerState::Pipeline, "pipeline"),
    (PeerState::Snapshot, "snapshot"),
    (PeerState::Down, "down"),
];

pub(super) const ROWS: &[Row] = &[
        gauge("quorate_raft_role", "1 for the role that this node has, 0 for the others.", |scrape, to| {
            for (role, name) in ROLES {
                to.put_for(&[name], scrape.figures.view.role == role);
            }
        })
        .by(&["role"]),
        gauge(
            "quorate_raft_is_leader",
            "1 when this node leads. In a healthy cluster the sum over all nodes is 1.",
            |scrape, to| to.put(scrape.leads()),
        ),
        gauge("quorate_raft_has_leader", "1 when this node knows a leader, which may be itself.", |scrape, to| {
            to.put(scrape.figures.view.leader.is_some());
        }),
        gauge("quorate_raft_term", "The term.", |scrape, to| to.put(scrape.figures.view.term.0)),
        gauge("quorate_raft_last_index", "The last entry of this node's log.", |scrape, to| {
            to.put(scrape.figures.view.last.index.0);
        }),
        gauge("quorate_raft_commit_index", "The last entry that this node knows to be committed.", |scrape, to| {
            to.put(scrape.figures.view.commit.0);
        }),
        gauge("quorate_raft_applied_index", "The last entry that this node has applied.", |scrape, to| {
            to.put(scrape.figures.view.applied.0);
        }),
        gauge(
            "quorate_raft_checkpoint_index",
            "The last entry that the newest durable checkpoint covers.",
            |scrape, to| to.put(scrape.figures.view.snapshot.index.0),
        ),
        gauge("quorate_raft_damaged_slots", "Log slots whose entry is damaged or unknown here.", |scrape, to| {
            to.put(scrape.figures.view.damaged);
        }),
        gauge("quorate_raft_members", "Members of the cluster, as this node knows them.", |scrape, to| {
            let members = &scrape.figures.view.members;
            to.put_for(&["voter"], members.ids().filter(|id| members.is_voter(*id)).count());
            to.put_for(&["learner"], members.ids().filter(|id| !members.is_voter(*id)).count());
        })
        .by(&["role"]),
        gauge(
            "quorate_raft_failures_tolerated",
            "On the leader: how many voters may still fail before no majority is left. During a change of members, of the \
             weaker half.",
            |scrape, to| {
                if let Some(spare) = scrape.failures_tolerated() {
                    to.put(spare);
                }
            },
        ),
        gauge(
            "quorate_raft_peer_lag_entries",
            "On the leader: how many entries of its log a peer is not known to have.",
            |scrape, to| {
                let view = &scrape.figures.view;
                for peer in &view.peers {
                    to.put_for(&[&peer.id.to_string()], view.last.index.0.saturating_sub(peer.matched.0));
                }
            },
        )
        .by(&["peer"]),
        gauge(
            "quorate_raft_peer_state",
            "On the leader: 1 for how it supplies a peer, 0 for the other ways. A peer is `down` that was not heard for an \
             election timeout.",
            |scrape, to| {
                for peer in &scrape.figures.view.peers {
                    for (state, name) in STATES {
                        to.put_for(&[&peer.id.to_string(), name], peer.state == state);
                    }
                }
            },
        )
        .by(&["peer", "state"]),
        counter("quorate_raft_elections_total", "How often this node ran for leader.", |scrape, to| {
            to.put(&scrape.metrics.node.elections);
        }),
        counter(
            "quorate_raft_leader_changes_total",
            "How often this node came to know a leader of a term, itself or another.",
            |scrape, to| to.put(&scrape.metrics.node.leader_changes),
        ),
        counter("quorate_raft_step_downs_total", "How often this node stopped leading.", |scrape, to| {
            to.put(&scrape.metrics.node.step_downs);
        }),
        gauge("quorate_raft_proposals_pending", "Requests that wait for their entry to be committed.", |scrape, to| {
            to.put(scrape.figures.proposals);
        }),
        counter("quorate_raft_appended_entries_total", "Entries given to this node's log.", |scrape, to| {
            to.put(&scrape.metrics.node.appended);
        }),
        counter(
            "quorate_raft_appended_bytes_total",
            "The size of those entries, with 32 bytes for each besides its content.",
            |scrape, to| to.put(&scrape.metrics.node.appended_bytes),
        ),
        histogram(
            "quorate_raft_persist_duration_seconds",
            "From when entries, a term or a vote were given to the storage to when they were durable here.",
            |scrape, to| to.put(&scrape.metrics.node.persist),
        ),
        histogram(
            "quorate_raft_replication_duration_seconds",
            "On the leader: from appending a batch of entries to its log to their commit.",
            |scrape, to| to.put(&scrape.metrics.node.replication),
        ),
        histogram(
            "quorate_raft_apply_duration_seconds",
            "How long applying a batch of committed entries to the store took.",
            |scrape, to| to.put(&scrape.metrics.node.apply),
        ),
];

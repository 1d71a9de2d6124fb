//! What a host does with the outputs of its core, and what is looked at afterwards.

use crate::disk::Part;
use crate::node::Work;
use crate::world::{Event, What, World};
use quorate_raft::{
    CampaignCause, Done, Event as Said, Input, Job, LogId, Members, Message, NodeId, Output, Payload,
    PeerState, StepDownCause, Term, Write,
};

impl World {
    pub(crate) fn perform(&mut self, at: usize, output: Output) {
        match output {
            Output::Send(envelope) => {
                self.check_message(at, &envelope);
                self.sent += 1;
                for delay in self.network.route(envelope.from, envelope.to) {
                    self.schedule(delay, Event::Deliver(envelope.clone()));
                }
                if let Some(old) = self.network.replayed(&envelope) {
                    self.schedule(1, Event::Deliver(old));
                }
                if let Message::Append { entries, .. } = &envelope.message {
                    assert!(
                        entries.len() < 2 || self.plan.config.append_bytes > 1,
                        "an append beyond its bound"
                    );
                }
            }
            Output::Job(Job::Write(write)) => self.issue(at, write),
            Output::Job(job) => {
                if let Job::Load(load) = &job {
                    let end = self.nodes[at].disk.slots.last().index;
                    assert!(load.last <= end && load.first <= load.last, "loads {load:?}, durable is {end}");
                }
                let after = self.disks.below(self.plan.write_time.1) + 1;
                self.schedule_at(at, after, What::Job(job));
            }
            Output::Apply(entries) => {
                let durable = self.nodes[at].disk.slots.last().index;
                let ahead = entries.iter().any(|entry| entry.id.index > durable);
                assert!(!ahead, "hands over what is not durable here: {durable} is");
                self.queue_work(at, Work::Apply(entries));
            }
            Output::Install(meta) => self.queue_work(at, Work::Install(*meta)),
            Output::Read(ids) => {
                let life = self.nodes[at].life.as_mut().unwrap();
                for id in ids {
                    let wanted = life.reads.remove(&id).expect("a read that was asked for, served once");
                    let applied = life.machine.applied;
                    self.counts.reads += 1;
                    assert!(
                        applied >= wanted,
                        "a stale read: {applied} is applied, {wanted} was written before"
                    );
                }
            }
            Output::Event(said) => self.said(at, &said),
        }
    }

    fn queue_work(&mut self, at: usize, work: Work) {
        self.nodes[at].life.as_mut().unwrap().work.push_back(work);
        self.work(at);
    }

    fn said(&mut self, at: usize, said: &Said) {
        self.trace(|| format!("n{} ! {said:?}", at + 1));
        match said {
            Said::BecameLeader { .. } => self.counts.elections += 1,
            Said::Campaign { cause, .. } => {
                self.counts.transfers += u64::from(*cause == CampaignCause::Transfer);
                let status = self.nodes[at].life.as_ref().unwrap().core.status();
                let open = status.members_at.index > status.commit;
                assert!(status.members.is_voter(status.id) || open, "runs for a cluster that it left");
            }
            Said::SteppedDown { cause: StepDownCause::Removed, .. } => self.counts.removed_leaders += 1,
            Said::Repaired { .. } => self.counts.repairs += 1,
            Said::GaveUp { slot } => {
                self.counts.given_up += 1;
                assert_ne!(self.checks.committed_at(slot.index), Some(*slot), "gives up what is committed");
                self.nodes[at].life.as_mut().unwrap().gives_up = Some(slot.index);
            }
            _ => {}
        }
        assert!(!matches!(said, Said::Nonsense { .. }), "nobody talks nonsense here: {said:?}");
    }

    fn issue(&mut self, at: usize, write: Write) {
        self.trace(|| format!("n{} {write:?}", at + 1));
        let node = &mut self.nodes[at];
        let leads = node.life.as_ref().unwrap().core.leader() == Some(node.id);
        let life = node.life.as_mut().unwrap();
        if let Some(meta) = &write.install {
            life.slots.install(meta.last);
        }
        let replaced = write.append.first().map(|entry| entry.id.index);
        let gives_up = life.gives_up.take();
        assert!(
            write.truncate_from == replaced.or(gives_up) || write.truncate_from.is_none(),
            "truncates {write:?} without what takes its place"
        );
        let mut prev = write.append.first().map(|entry| life.slots.id(entry.id.index.previous()));
        assert!(
            write.truncate_from.is_none_or(|from| from > life.seen.commit),
            "truncates what is committed"
        );
        let mut changed_at = life.members_in_log().map_or(LogId::ZERO, |(at, _)| at);
        life.slots.apply_batch(&write);
        for entry in &write.append {
            let before = prev.flatten().expect("an entry follows one that is there");
            self.checks.appended(before, entry);
            if let Payload::Members(members) = &entry.payload {
                if leads && entry.id.term == life.core.status().term {
                    self.checks.reconfigures(changed_at, entry.id);
                    self.counts.joint_changes += u64::from(members.is_joint());
                    self.counts.promotions += u64::from(members.voters.len() as u64 > self.plan.founders);
                }
                changed_at = entry.id;
            }
            prev = Some(Some(entry.id));
        }
        self.counts.truncations += u64::from(write.truncate_from.is_some());
        self.counts.compactions += u64::from(write.compact_to.is_some());
        if let Some(to) = write.compact_to {
            life.slots.compact(to);
        }
        life.writes.push_back(write);
        self.begin_writes(at);
    }

    /// Everything queued goes to disk together: group commit.
    fn begin_writes(&mut self, at: usize) {
        let stalled_until = self.nodes[at].stalled_until;
        let life = self.nodes[at].life.as_mut().unwrap();
        if life.writing > 0 || life.writes.is_empty() {
            return;
        }
        life.writing = 1 + self.disks.index(life.writes.len());
        let (low, high) = self.plan.write_time;
        let after = self.disks.between(low, high) + stalled_until.saturating_sub(self.now);
        self.schedule_at(at, after, What::WritesDone);
    }

    pub(crate) fn writes_done(&mut self, at: usize) {
        if self.nodes[at].stalled_until > self.now {
            let left = self.nodes[at].stalled_until - self.now;
            return self.schedule_at(at, left, What::WritesDone);
        }
        let node = &mut self.nodes[at];
        let life = node.life.as_mut().unwrap();
        let mut last = None;
        for write in life.writes.drain(..std::mem::take(&mut life.writing)) {
            node.disk.perform(&write, Part::All);
            last = Some(write.id);
        }
        self.begin_writes(at);
        if let Some(id) = last {
            self.trace(|| format!("n{} has written {id}", at + 1));
            self.feed(at, Input::Done(Done::Written(id)));
        }
    }

    pub(crate) fn do_job(&mut self, at: usize, job: Job) {
        let disk = &mut self.nodes[at].disk;
        match job {
            Job::Write(_) => unreachable!("writes have a queue of their own"),
            Job::Load(load) => {
                let (entries, damaged) = disk.load(load);
                self.feed(at, Input::Done(Done::Loaded { load, entries }));
                if let Some(slot) = damaged {
                    self.feed(at, Input::Done(Done::Damaged(slot)));
                }
            }
            Job::LoadSnapshot(load) => {
                let chunk = disk.load_snapshot(load);
                self.feed(at, Input::Done(Done::SnapshotLoaded { load, chunk }));
            }
            Job::StoreSnapshot(store) => {
                let meta = store.meta.clone();
                let (next, complete) = disk.store_snapshot(store);
                self.feed(at, Input::Done(Done::SnapshotStored { meta, next, complete }));
            }
        }
    }

    /// The term a node leads, and with whom.
    pub(crate) fn office(&self, at: usize) -> Option<(Term, Members)> {
        let node = &self.nodes[at];
        let core = &node.life.as_ref()?.core;
        let status = core.status();
        (core.leader() == Some(node.id)).then(|| (status.term, status.members.clone()))
    }

    /// A leader's commit is looked at after every input: it may be deposed by the same one, and the
    /// configuration that counts is the one before it, since a commit may bring on the next change.
    pub(crate) fn observe_leader(&mut self, at: usize, before: Option<(Term, Members)>) {
        if let (Some((term, _)), Some(life)) = (self.office(at), &self.nodes[at].life) {
            self.checks.elected(term, self.nodes[at].id, self.nodes[at].lives, &life.slots);
        }
        let (Some((term, members)), Some(life)) = (before, &self.nodes[at].life) else { return };
        let commit = life.core.status().commit;
        let holds = |id: NodeId, slot| self.nodes[usize::try_from(id.0 - 1).unwrap()].disk.holds(slot);
        self.checks.leader_commits(term, &life.slots, &members, commit, holds);
        self.check_matched(at);
        self.check_heard(at);
    }

    /// What a leader takes a peer to hold is durable there, unless the peer has moved on to a later term.
    fn check_matched(&self, at: usize) {
        let Some((term, _)) = self.office(at) else { return };
        let life = self.nodes[at].life.as_ref().unwrap();
        for peer in life.core.peers() {
            let disk = &self.nodes[self.position(peer.id)].disk;
            if let Some(id) = life.slots.id(peer.matched).filter(|id| id.index.0 > 0)
                && disk.hard.term <= term
            {
                assert!(disk.holds(id), "n{} takes {} to hold {id}", at + 1, peer.id);
            }
        }
    }

    /// Who still leads after an input hears a majority (thesis §6.2).
    fn check_heard(&self, at: usize) {
        let Some((term, members)) = self.office(at) else { return };
        let core = &self.nodes[at].life.as_ref().unwrap().core;
        let silent = |id: &NodeId| core.peers().any(|peer| peer.id == *id && peer.state == PeerState::Down);
        let lost = members.voters.iter().filter(|id| silent(id)).count();
        assert!(2 * lost < members.voters.len(), "leads term {term}, and {lost} of {members:?} are silent");
    }

    /// Looks at a node that has just been polled dry.
    pub(crate) fn observe(&mut self, at: usize) {
        self.nodes[at].forget_ghosts();
        let node = &mut self.nodes[at];
        let Some(life) = node.life.as_mut() else { return };
        let status = life.core.status();
        let mut seen = life.seen;
        assert!(status.term >= seen.term.max(node.disk.hard.term), "the term goes back to {}", status.term);
        assert!(status.commit >= seen.commit, "the commit goes back to {}", status.commit);
        assert!(status.applied.index >= seen.applied, "applied goes back to {}", status.applied);
        assert_eq!(status.last, life.slots.last(), "the end of the log is not what was written");
        self.checks.knows_commit(&life.slots, seen.commit, status.commit);
        match life.members_in_log() {
            Some((set_at, members)) => {
                assert_eq!((status.members_at, status.members), (set_at, members), "another configuration");
            }
            None => {
                let known =
                    node.disk.snapshots.values().any(|(meta, _)| meta.members_at == status.members_at);
                assert!(
                    known || status.members.count() == 0,
                    "a configuration from nowhere: {}",
                    status.members_at
                );
            }
        }
        seen.term = status.term;
        seen.commit = status.commit;
        seen.applied = status.applied.index;
        life.seen = seen;
    }
}

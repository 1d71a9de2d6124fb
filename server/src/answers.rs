//! Who waits for what, and until when.

use std::collections::{BTreeMap, BTreeSet};

use quorate_node::RequestId;
use quorate_node::raft::Time;
use tokio::sync::oneshot;

use crate::handle::Answer;

/// The requests that wait for the node's reply. One timer of the driver's serves all their deadlines: a timer for
/// each would cost more than the request.
///
/// Invariant: `deadlines` and `waiting` name the same requests.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    waiting: BTreeMap<RequestId, Waiting>,
    deadlines: BTreeSet<(Time, RequestId)>,
    issued: u64,
}

#[derive(Debug)]
struct Waiting {
    deadline: Time,
    answer: oneshot::Sender<Answer>,
}

impl Answers {
    /// Takes up a request and names it.
    pub(crate) fn expect(&mut self, deadline: Time, answer: oneshot::Sender<Answer>) -> RequestId {
        self.issued += 1;
        let id = RequestId(self.issued);
        self.waiting.insert(id, Waiting { deadline, answer });
        self.deadlines.insert((deadline, id));
        id
    }

    /// Answers a request. One that nobody waits for any more (its deadline passed) is no mistake.
    pub(crate) fn give(&mut self, id: RequestId, answer: Answer) {
        if let Some(waiting) = self.waiting.remove(&id) {
            self.deadlines.remove(&(waiting.deadline, id));
            // The caller may have gone away; then nobody wants to know.
            let _ = waiting.answer.send(answer);
        }
    }

    /// The requests whose deadlines are not after `now`, in the order of those.
    pub(crate) fn overdue(&self, now: Time) -> Vec<RequestId> {
        self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now).map(|(_, id)| *id).collect()
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.waiting.len()
    }

    /// The earliest deadline.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_answered_once_and_the_late_ones_in_order() {
        let mut answers = Answers::default();
        let (first_sender, mut first) = oneshot::channel();
        let (second_sender, mut second) = oneshot::channel();
        let late = answers.expect(Time(20), first_sender);
        let early = answers.expect(Time(10), second_sender);
        assert_ne!(late, early);
        assert_eq!((answers.deadline(), answers.count()), (Some(Time(10)), 2));

        assert_eq!(answers.overdue(Time(9)), []);
        assert_eq!(answers.overdue(Time(20)), [early, late]);
        assert_eq!(answers.overdue(Time(10)), [early]);
        answers.give(early, Answer::DeadlinePassed);
        assert!(matches!(second.try_recv(), Ok(Answer::DeadlinePassed)));
        assert_eq!(answers.overdue(Time(10)), []);

        answers.give(late, Answer::Stopped);
        assert!(matches!(first.try_recv(), Ok(Answer::Stopped)));
        assert_eq!(answers.deadline(), None);
        answers.give(late, Answer::Stopped);
        assert_eq!(answers.overdue(Time(100)), []);
    }

    #[test]
    fn a_dropped_line_reads_as_abandoned() {
        let mut answers = Answers::default();
        let (sender, mut receiver) = oneshot::channel();
        answers.expect(Time(1), sender);
        drop(answers);
        assert!(receiver.try_recv().is_err());
    }
}

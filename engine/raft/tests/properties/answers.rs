//! What a core says to whoever asks it something, and how it puts a refusal.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_raft::{
    ChangeError, Config, Contact, Digest, Done, Entry, Envelope, Event, Found, HardState, Index, Input, Job,
    LogId, Members, Message, NodeId, OpenError, Output, Payload, ProposeError, Raft, ReadError, Term,
    TermRuns, Time, TransferError,
};

const ME: NodeId = NodeId(1);

fn founding() -> Entry {
    let members = Members::founder(ME, Contact::default());
    Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members)) }
}

/// Leads alone in term 2, with all committed.
fn leader(config: Config) -> Raft {
    let mut terms = TermRuns::new(LogId::ZERO);
    terms.push(LogId::new(1, 1));
    let found = Found {
        hard: HardState { term: Term(1), vote: None },
        terms,
        members: vec![founding()],
        ..Found::default()
    };
    let mut raft = Raft::open(config, found, Time(0)).unwrap();
    assert_eq!((raft.leads_in(), raft.applied()), (None, LogId::ZERO));
    for second in 0..5 {
        raft.handle(Time(second * 1_000_000), Input::Timeout);
        while let Some(output) = raft.poll() {
            match output {
                Output::Job(Job::Write(write)) => raft.handle(Time(0), Input::Done(Done::Written(write.id))),
                Output::Apply(entries) => {
                    let last = entries.last().unwrap().id.index;
                    raft.handle(Time(0), Input::Applied(last));
                }
                Output::Job(Job::Load(load)) => {
                    let loaded = Done::Loaded { load, entries: vec![founding()] };
                    raft.handle(Time(0), Input::Done(loaded));
                }
                _ => {}
            }
        }
    }
    raft
}

#[test]
fn a_leader_says_in_which_term_it_leads() {
    let raft = leader(Config::new(ME, 1));
    assert_eq!(raft.leads_in(), Some(Term(2)));
    assert_eq!(raft.applied(), LogId::new(2, 2), "the entry that began it");
}

#[test]
fn proposals_are_taken_up_to_the_window() {
    let mut raft = leader(Config { uncommitted_bytes: 200, ..Config::new(ME, 1) });
    let mut propose = |bytes: usize| raft.propose(Time(0), vec![0; bytes].into()).map(|_| ());
    // Each weighs 32 bytes more than it has.
    assert_eq!(propose(68), Ok(()), "100 bytes");
    assert_eq!(propose(101), Err(ProposeError::Full));
    assert_eq!(propose(100), Ok(()), "the window is exactly full then, but for what the entry itself weighs");
    assert_eq!(propose(0), Err(ProposeError::Full));
    let mut raft = leader(Config { uncommitted_bytes: 200, ..Config::new(ME, 1) });
    assert!(raft.propose(Time(0), vec![0; 10_000].into()).is_ok(), "one is always taken");
}

#[test]
fn a_message_for_somebody_else_is_reported() {
    let mut raft = leader(Config::new(ME, 1));
    let term = raft.leads_in().unwrap();
    let message = Message::Heartbeat { round: 1, commit: Index(0) };
    raft.handle(Time(0), Input::Message(Envelope { from: NodeId(2), to: NodeId(3), term, message }));
    let said: Vec<Output> = std::iter::from_fn(|| raft.poll()).collect();
    assert!(matches!(&said[..], [Output::Event(Event::Nonsense { from: Some(NodeId(2)), .. })]), "{said:?}");
}

/// Each refusal is put in words of its own, and names what it is about.
#[test]
fn no_two_refusals_read_alike() {
    let other = NodeId(0xabc);
    let proposals = [
        ProposeError::NotLeader(Some(other)),
        ProposeError::NotLeader(None),
        ProposeError::Full,
        ProposeError::NoRoom,
        ProposeError::Transferring,
    ];
    let changes = [
        ChangeError::NotSettled,
        ChangeError::InProgress,
        ChangeError::Invalid("it has no voter"),
        ChangeError::NotMember(other),
        ChangeError::NotCaughtUp(other),
        ChangeError::WouldLoseQuorum,
        ChangeError::NoRoom,
    ];
    let transfers = [
        TransferError::NotMember(other),
        TransferError::NotVoter(other),
        TransferError::NotCaughtUp(other),
        TransferError::Nobody,
        TransferError::InProgress(other),
    ];
    let opens = [
        OpenError::Gap { snapshot: LogId::new(2, 7), base: LogId::new(2, 9) },
        OpenError::BadMembers { at: LogId::new(2, 7), fault: "it has no voter" },
    ];
    let mut texts: Vec<String> = proposals.iter().map(ToString::to_string).collect();
    texts.extend(changes.iter().map(ToString::to_string));
    texts.extend(transfers.iter().map(ToString::to_string));
    texts.extend(opens.iter().map(ToString::to_string));
    texts.push(ReadError::Full.to_string());
    let distinct: BTreeSet<&String> = texts.iter().collect();
    assert_eq!(distinct.len(), texts.len(), "{texts:#?}");
    assert!(texts.iter().all(|text| text.len() > 10), "{texts:#?}");

    let named = [&texts[0], &texts[8], &texts[9], &texts[12], &texts[13], &texts[14], &texts[16]];
    assert!(named.iter().all(|text| text.contains("abc")), "{named:#?}");
    assert!(texts[7].contains("it has no voter") && texts[18].contains("it has no voter"), "{texts:#?}");
    assert!(
        texts[17].contains("2/9") && texts[17].contains("2/7") && texts[18].contains("2/7"),
        "{texts:#?}"
    );
    // Who does not lead says the same whatever it is asked.
    for leader in [None, Some(other)] {
        let text = ProposeError::NotLeader(leader).to_string();
        assert_eq!(ChangeError::NotLeader(leader).to_string(), text);
        assert_eq!(TransferError::NotLeader(leader).to_string(), text);
    }
}

#[test]
fn times_and_digests_are_plain() {
    assert_eq!(Time(12_000_034).to_string(), "12.000034s");
    assert_eq!(Time(5_000_000) - Duration::from_secs(2), Time(3_000_000));
    assert_eq!(Time(5) - Duration::from_secs(2), Time(0), "there is nothing before the beginning");
    let mut digest = Digest::default();
    (digest.0[0], digest.0[31]) = (0x0a, 0xf1);
    let text = format!("0a{}f1", "00".repeat(30));
    assert_eq!((digest.to_string(), format!("{digest:?}")), (text.clone(), text));
}

#[test]
fn only_what_was_handed_over_is_applied() {
    let mut raft = leader(Config::new(ME, 1));
    let mut says = |index| {
        raft.handle(Time(0), Input::Applied(Index(index)));
        std::iter::from_fn(|| raft.poll()).collect::<Vec<Output>>()
    };
    assert_eq!(says(2), [], "it says again what is so already");
    for index in [1, 3] {
        let said = says(index);
        assert!(
            matches!(&said[..], [Output::Event(Event::Nonsense { from: None, .. })]),
            "{index}: {said:?}"
        );
    }
    assert_eq!(raft.applied(), LogId::new(2, 2));
}

//! Who is there, and is it who was meant?
//!
//! The frames are `quorate_wire::hello`'s; here they are exchanged and judged.

use std::io;

use hyper::rt::{Read, Write};
use quorate_node::raft::{NodeId, Time};
use quorate_node::wire::frame::{FrameDecoder, FrameError, FrameKind, MAX_PAYLOAD_BYTES, encode_frame};
use quorate_node::wire::hello::{self, Answer, Hello, HelloError, Purpose, Verdict};

use super::Local;
use crate::context::Identity;
use crate::net::{Net, read_some, write_all};
use crate::runtime::{Runtime, timeout_at};

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other side closed the connection, without a word of why.
    #[error("the other side closed the connection during the handshake")]
    Closed,
    /// What came is no frame.
    #[error("{}", frame_trouble(.0))]
    Frame(#[from] FrameError),
    /// A frame came that does not belong into a handshake.
    #[error("a frame of kind {0:?} in place of the handshake")]
    OutOfPlace(FrameKind),
    /// The frame holds no answer.
    #[error("{0}")]
    Answer(#[from] HelloError),
    /// The other side says no.
    #[error("node {} refused the connection: {}", .0.node, reason(.0))]
    Refused(Answer),
    /// The other side had taken too long.
    #[error("no answer in time")]
    Late,
    /// Frames that belong to no cluster were asked for.
    #[error("this node belongs to no cluster yet")]
    NoCluster,
}

fn frame_trouble(error: &FrameError) -> String {
    match error {
        // A record of the handshake, of a version 3.x (RFC 8446, section 5.1).
        FrameError::NotAFrame { found: [22, 3] } => {
            "the other side speaks TLS, and this node does not: give it --peer-tls-cert as well, or to none"
                .to_owned()
        }
        other => other.to_string(),
    }
}

fn reason(answer: &Answer) -> String {
    match answer {
        Answer { verdict: Verdict::Cluster, cluster: None, .. } => "it is still joining".to_owned(),
        Answer { verdict: Verdict::History, history: Some(history), .. } => format!(
            "it follows another history of the cluster, {history}: the cluster was recovered or restored, and one of \
             the two nodes was left behind; that one has to join again with an empty data dir"
        ),
        Answer { verdict, .. } => verdict.to_string(),
    }
}

/// Dials `address`, says hello to `peer`, and returns the connection with what was already read from it.
pub(super) async fn call<R: Runtime, N: Net>(
    runtime: &R,
    net: &N,
    local: &Local,
    call: &Call<'_>,
) -> Result<(N::Stream, FrameDecoder), HandshakeError> {
    let Identity { node, cluster, history } = *local.identity().ok_or(HandshakeError::NoCluster)?;
    let hello = Hello { purpose: call.purpose, cluster, history, from: node, to: call.peer };
    let exchange = async {
        let mut stream = net.dial_peer(call.address).await?;
        let mut bytes = Vec::new();
        encode_frame(FrameKind::Hello, &hello.encode(), &mut bytes);
        write_all(&mut stream, &bytes).await?;
        let mut decoder = FrameDecoder::with_limit(hello::MAX_BYTES);
        let payload = first_frame(&mut stream, &mut decoder, FrameKind::Answer).await?;
        let answer = Answer::decode(&payload)?;
        if answer.verdict != Verdict::Accepted {
            return Err(HandshakeError::Refused(answer));
        }
        if answer.node != call.peer {
            return Err(HandshakeError::Refused(Answer { verdict: Verdict::Node, ..answer }));
        }
        if answer.history.is_some_and(|theirs| theirs != history) {
            return Err(HandshakeError::Refused(Answer { verdict: Verdict::History, ..answer }));
        }
        decoder.set_limit(MAX_PAYLOAD_BYTES);
        Ok((stream, decoder))
    };
    timeout_at(runtime, call.deadline, exchange).await.unwrap_or(Err(HandshakeError::Late))
}

/// Whom to dial, and what for.
pub(super) struct Call<'a> {
    pub(super) purpose: Purpose,
    pub(super) peer: NodeId,
    pub(super) address: &'a str,
    pub(super) deadline: Time,
}

/// Reads the hello of one who dialed and answers it. The hello is returned only when it was accepted.
pub(super) async fn welcome<S: Read + Write + Unpin>(
    stream: &mut S,
    local: &Local,
) -> Result<(Hello, FrameDecoder), Unwelcome> {
    let mut decoder = FrameDecoder::with_limit(hello::MAX_BYTES);
    let payload = first_frame(stream, &mut decoder, FrameKind::Hello).await?;
    let hello = Hello::decode(&payload);
    let answer = answer(local, judge(local, &hello));
    let mut bytes = Vec::new();
    encode_frame(FrameKind::Answer, &answer.encode(), &mut bytes);
    write_all(stream, &bytes).await.map_err(HandshakeError::Io)?;
    match hello {
        Ok(hello) if answer.verdict == Verdict::Accepted => {
            decoder.set_limit(MAX_PAYLOAD_BYTES);
            Ok((hello, decoder))
        }
        Ok(hello) => Err(Unwelcome::Refused { hello, answer }),
        Err(error) => Err(Unwelcome::Failed(error.into())),
    }
}

/// What this node answers.
pub(super) fn answer(local: &Local, verdict: Verdict) -> Answer {
    let identity = local.identity();
    Answer {
        verdict,
        cluster: identity.map(|identity| identity.cluster),
        history: identity.map(|identity| identity.history),
        node: local.node,
    }
}

/// Why one who dialed was not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwelcome {
    /// The hello was understood, and refused.
    #[error(
        "node {} of cluster {} and history {} was told: {}",
        hello.from, hello.cluster, hello.history, reason(answer)
    )]
    Refused {
        /// The hello.
        hello: Hello,
        /// What was answered.
        answer: Answer,
    },
    /// There was no hello.
    #[error("{0}")]
    Failed(#[from] HandshakeError),
}

/// What to answer. A probe is let in by a node that still waits to join: that is what probes are for.
fn judge(local: &Local, hello: &Result<Hello, HelloError>) -> Verdict {
    let hello = match hello {
        Ok(hello) => hello,
        Err(HelloError::UnknownVersion { .. }) => return Verdict::Version,
        Err(_) => return Verdict::Malformed,
    };
    let is_ours = match local.identity() {
        Some(identity) => identity.cluster == hello.cluster,
        None => hello.purpose == Purpose::Probe,
    };
    if hello.to != local.node {
        Verdict::Node
    } else if hello.from == local.node {
        Verdict::Dialer
    } else if !is_ours {
        Verdict::Cluster
    } else if local.identity().is_some_and(|identity| identity.history != hello.history) {
        // A member of before a recovery. It has the right cluster id, and must neither vote here nor be given entries:
        // at the same index and term its log may hold others.
        Verdict::History
    } else {
        Verdict::Accepted
    }
}

async fn first_frame<S: Read + Unpin>(
    stream: &mut S,
    decoder: &mut FrameDecoder,
    wanted: FrameKind,
) -> Result<Vec<u8>, HandshakeError> {
    let mut bytes = [0; 512];
    loop {
        if let Some(frame) = decoder.next_frame()? {
            if frame.kind != wanted {
                return Err(HandshakeError::OutOfPlace(frame.kind));
            }
            return Ok(frame.payload.to_vec());
        }
        let count = read_some(stream, &mut bytes).await?;
        if count == 0 {
            return Err(HandshakeError::Closed);
        }
        decoder.push(&bytes[..count]);
    }
}

/// Why a node could not be shown to be where it says.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nobody answered there, or nobody who speaks the peer protocol.
    #[error("{reason}")]
    Unreachable {
        /// What happened.
        reason: String,
    },
    /// Somebody else answered.
    #[error("node {seen} answers there")]
    WrongNode {
        /// Who answered.
        seen: NodeId,
    },
    /// The right node answered, and does not want to belong to this cluster.
    #[error("{reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
}

/// Dials `address` and checks that `peer` answers there.
pub(crate) async fn probe<R: Runtime, N: Net>(
    runtime: &R,
    net: &N,
    local: &Local,
    peer: NodeId,
    address: &str,
    deadline: Time,
) -> Result<(), ProbeError> {
    let wanted = Call { purpose: Purpose::Probe, peer, address, deadline };
    match call(runtime, net, local, &wanted).await {
        Ok(_) => Ok(()),
        Err(HandshakeError::Refused(answer)) if answer.node != peer => {
            Err(ProbeError::WrongNode { seen: answer.node })
        }
        Err(error @ HandshakeError::Refused(_)) => Err(ProbeError::Refused { reason: error.to_string() }),
        Err(error) => Err(ProbeError::Unreachable { reason: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_node::wire::{ClusterId, HistoryId};

    const US: NodeId = NodeId(1);
    const THEM: NodeId = NodeId(2);
    const OURS: ClusterId = ClusterId(10);
    const OTHER: ClusterId = ClusterId(11);
    const NOW: HistoryId = HistoryId(20);
    const BEFORE: HistoryId = HistoryId(21);

    fn member() -> Local {
        Local::member(Identity { node: US, cluster: OURS, history: NOW })
    }

    #[test]
    fn only_one_who_means_this_node_its_cluster_and_its_history_is_let_in() {
        use Purpose::{Peer, Probe};
        use Verdict::{Accepted, Cluster, Dialer, History, Node};
        let table = [
            // purpose, their cluster, their history, from, to, verdict of a member, of one that waits to join
            (Peer, OURS, NOW, THEM, US, Accepted, Cluster),
            (Probe, OURS, NOW, THEM, US, Accepted, Accepted),
            (Peer, OTHER, NOW, THEM, US, Cluster, Cluster),
            (Probe, OTHER, NOW, THEM, US, Cluster, Accepted),
            (Peer, OURS, BEFORE, THEM, US, History, Cluster),
            (Probe, OURS, BEFORE, THEM, US, History, Accepted),
            (Peer, OTHER, BEFORE, THEM, US, Cluster, Cluster),
            (Peer, OURS, NOW, THEM, NodeId(3), Node, Node),
            (Probe, OTHER, BEFORE, THEM, NodeId(3), Node, Node),
            (Peer, OURS, NOW, US, US, Dialer, Dialer),
        ];
        for (purpose, cluster, history, from, to, verdict, verdict_of_joiner) in table {
            let hello = Hello { purpose, cluster, history, from, to };
            assert_eq!(judge(&member(), &Ok(hello)), verdict, "{hello:?}");
            assert_eq!(judge(&Local::joining(US), &Ok(hello)), verdict_of_joiner, "joining: {hello:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_answered_all_the_same() {
        let local = member();
        assert_eq!(judge(&local, &Hello::decode(&[2, 0])), Verdict::Version);
        assert_eq!(judge(&local, &Hello::decode(&[1, 0, 9])), Verdict::Malformed);
        let said = answer(&local, Verdict::Version);
        assert_eq!((said.node, said.cluster, said.history), (US, Some(OURS), Some(NOW)));
    }
}

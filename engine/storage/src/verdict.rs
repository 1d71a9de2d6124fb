//! The decision table: what becomes of the last batch at recovery.
//!
//! One batch is in flight at a time: batch k+1 is written after batch k is synced. So only the *last* batch can be
//! torn, and a torn batch shows exactly two kinds of sectors: right ones, and zeros where nothing arrived (segments
//! are zero-filled before use, and no written sector reads as zeros). It was never acknowledged. Everything that
//! looks otherwise was damaged later, and damage is never cut away: it would be the silent loss of an acknowledged
//! write.
//!
//! The rows, first match wins. "Proof" is anything that shows that the batch was synced: a mark, a valid record of a
//! later batch, a later segment, or a batch number in the term and vote files that is not below it.
//!
//! | tail | proof | verdict | why |
//! |---|---|---|---|
//! | anything | the next segment links to what comes before the tail | superseded | an earlier recovery gave the tail up, reported it, and the log went on without it |
//! | whole | any | keep | every check holds; whether it was acknowledged does not matter: a node may know more than it said |
//! | nothing | no | end | the normal end of a log |
//! | nothing | yes | damage | something synced stood here |
//! | unwritten | no | cut | a torn batch: all that fails is explained by sectors that never reached the disk |
//! | unwritten | yes | damage | a synced batch has no such sectors: they were zeroed later |
//! | rotten | any | damage | something fails although all its sectors were written: no crash does that |
//!
//! What can't be told apart: a last batch that was synced, without proof, and of which a whole sector turned to zeros
//! afterwards, looks like a torn one and is cut. The mark that an idle log writes closes that window, and so do the
//! next batch and the next change of term or vote.

/// How the records after the last proven batch read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Zeros to the end of the segment.
    Nothing,
    /// One batch, every check holds, zeros after it.
    Whole,
    /// Something fails, and all of it is explained by sectors of zeros.
    Unwritten,
    /// Something fails that spans no sector of zeros.
    Rotten,
}

/// What follows the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextSegment {
    /// It is the last.
    None,
    /// A segment that links to the last record before the tail.
    LinksBeforeTail,
    /// A segment that links to something else.
    LinksElsewhere,
}

/// All that the verdict depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) tail: Tail,
    /// A mark of this batch was read.
    pub(crate) marked: bool,
    /// A valid record of a later batch was read.
    pub(crate) followed: bool,
    pub(crate) next_segment: NextSegment,
    /// The term and vote files say that this batch was synced.
    pub(crate) acknowledged: bool,
}

/// What to do with the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The log ends before it, as it should.
    End,
    /// It is part of the log.
    Keep,
    /// It was never synced: zero it and go on before it.
    Cut,
    /// It was synced and is damaged: keep what can be known of it.
    Damage,
    /// It was given up before.
    Superseded,
}

/// The table.
pub(crate) fn decide(evidence: Evidence) -> Verdict {
    let next = evidence.next_segment;
    let proof = evidence.marked || evidence.followed || evidence.acknowledged || next != NextSegment::None;
    match (evidence.tail, proof) {
        _ if next == NextSegment::LinksBeforeTail => Verdict::Superseded,
        (Tail::Whole, _) => Verdict::Keep,
        (Tail::Nothing, false) => Verdict::End,
        (Tail::Unwritten, false) => Verdict::Cut,
        (Tail::Nothing | Tail::Unwritten, true) | (Tail::Rotten, _) => Verdict::Damage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAILS: [Tail; 4] = [Tail::Nothing, Tail::Whole, Tail::Unwritten, Tail::Rotten];
    const NEXT: [NextSegment; 3] =
        [NextSegment::None, NextSegment::LinksBeforeTail, NextSegment::LinksElsewhere];

    /// All 96 combinations, against the rules of design.md in their own words.
    #[test]
    fn every_row_obeys_the_rules() {
        let mut seen = 0;
        for tail in TAILS {
            for next_segment in NEXT {
                for bits in 0..8 {
                    let (marked, followed, acknowledged) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
                    let evidence = Evidence { tail, marked, followed, next_segment, acknowledged };
                    let verdict = decide(evidence);
                    seen += 1;
                    let last = !followed && next_segment == NextSegment::None;
                    let explained = matches!(tail, Tail::Unwritten);
                    assert_eq!(
                        verdict == Verdict::Cut,
                        last && !marked && !acknowledged && explained,
                        "cut only the last batch, unmarked, followed by nothing, all bad sectors zero: {evidence:?}"
                    );
                    if next_segment != NextSegment::LinksBeforeTail {
                        assert_eq!(verdict == Verdict::Keep, tail == Tail::Whole, "{evidence:?}");
                        assert_eq!(
                            verdict == Verdict::End,
                            tail == Tail::Nothing && last && !marked && !acknowledged,
                            "{evidence:?}"
                        );
                    } else {
                        assert_eq!(verdict, Verdict::Superseded, "{evidence:?}");
                    }
                }
            }
        }
        assert_eq!(seen, 96);
    }
}

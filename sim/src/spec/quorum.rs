//! Majorities (thesis §3.4, §4.3), counted anew: the specification does not believe the core's arithmetic.

use quorate_node::raft::trace::Configuration;

/// Whether those who say yes are a majority of the voters, and in a joint configuration of those before too.
pub(super) fn agrees(configuration: &Configuration, yes: impl Fn(u128) -> bool) -> bool {
    let majority = |half: &[u128]| half.iter().filter(|id| yes(**id)).count() * 2 > half.len();
    let Configuration { voters, outgoing, .. } = configuration;
    majority(voters) && (outgoing.is_empty() || majority(outgoing))
}

pub(super) fn is_voter(configuration: &Configuration, id: u128) -> bool {
    configuration.voters.contains(&id) || configuration.outgoing.contains(&id)
}

/// Whether a leader may put `next` in the place of `current` (thesis §4.1: one voter at a time; §4.3: else a joint
/// configuration comes between).
pub(super) fn may_follow(current: &Configuration, next: &Configuration) -> bool {
    if !current.outgoing.is_empty() {
        return next.voters == current.voters && next.outgoing.is_empty();
    }
    let lacks = |of: &Configuration, from: &Configuration| {
        of.voters.iter().filter(|id| !from.voters.contains(id)).count()
    };
    let apart = lacks(current, next) + lacks(next, current);
    if next.outgoing.is_empty() { apart <= 1 } else { next.outgoing == current.voters }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(voters: &[u128], outgoing: &[u128]) -> Configuration {
        Configuration { voters: voters.to_vec(), outgoing: outgoing.to_vec(), learners: Vec::new() }
    }

    #[test]
    fn a_majority_is_more_than_half_of_each_half() {
        let among = |yes: &'static [u128]| move |id| yes.contains(&id);
        assert!(agrees(&configuration(&[1, 2, 3], &[]), among(&[1, 3])));
        assert!(!agrees(&configuration(&[1, 2, 3, 4], &[]), among(&[1, 3])));
        assert!(!agrees(&configuration(&[], &[]), among(&[1])));
        assert!(!agrees(&configuration(&[1, 2, 3], &[4]), among(&[1, 3])));
        assert!(!agrees(&configuration(&[1, 2, 3], &[1, 4, 5]), among(&[1, 4])));
        assert!(agrees(&configuration(&[1, 2, 3], &[1, 4, 5]), among(&[1, 2, 5])));
    }

    #[test]
    fn voters_change_one_by_one_or_by_way_of_both() {
        let three = configuration(&[1, 2, 3], &[]);
        assert!(may_follow(&three, &configuration(&[1, 2, 3, 4], &[])));
        assert!(may_follow(&three, &configuration(&[1, 2], &[])));
        assert!(!may_follow(&three, &configuration(&[1, 2, 4], &[])));
        let joint = configuration(&[1, 2, 4], &[1, 2, 3]);
        assert!(may_follow(&three, &joint));
        assert!(!may_follow(&three, &configuration(&[1, 2, 4], &[1, 2])));
        assert!(may_follow(&joint, &configuration(&[1, 2, 4], &[])));
        assert!(!may_follow(&joint, &three));
        assert!(!may_follow(&joint, &configuration(&[1, 4], &[1, 2, 4])));
    }
}

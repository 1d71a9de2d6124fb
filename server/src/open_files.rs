//! How many files this process may have open, of which each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// What is open beside connections of HTTP: the log, checkpoints, links to peers, requests that are passed on, and
/// connections that are told that there are too many.
const OTHERS: u64 = 1024;

/// Raises the limit as far as needed and allowed. How many of `connections` there is room for.
pub(crate) fn room_for(connections: usize) -> usize {
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let found = getrlimit(Resource::Nofile);
    let allowed = raised(&found, needed);
    if allowed != found.current {
        // What can't be had is said below.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: allowed, ..found });
    }
    let room = room(getrlimit(Resource::Nofile).current, connections);
    if room < connections {
        warn!(
            connections = room,
            wanted = connections,
            open_files = found.maximum,
            "fewer connections than --max-connections fit into the limit of open files (ulimit -n, LimitNOFILE=)"
        );
    }
    room
}

/// The limit to ask for; none is no limit.
fn raised(found: &Rlimit, needed: u64) -> Option<u64> {
    let current = found.current?;
    Some(current.max(needed.min(found.maximum.unwrap_or(u64::MAX))))
}

/// At least half of a limit that is hardly enough: few connections are better than none.
fn room(limit: Option<u64>, connections: usize) -> usize {
    let left = limit.map_or(u64::MAX, |limit| limit - OTHERS.min(limit / 2));
    connections.min(usize::try_from(left).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_needed_and_allowed() {
        let limit = |current, maximum| Rlimit { current, maximum };
        assert_eq!(raised(&limit(Some(1024), Some(4096)), 2000), Some(2000));
        assert_eq!(raised(&limit(Some(1024), Some(4096)), 9000), Some(4096));
        assert_eq!(raised(&limit(Some(1024), None), 9000), Some(9000));
        assert_eq!(raised(&limit(Some(5000), Some(9000)), 2000), Some(5000), "it is never lowered");
        assert_eq!(raised(&limit(None, None), 2000), None);
    }

    #[test]
    fn connections_get_what_the_others_leave() {
        assert_eq!(room(Some(3024), 5000), 2000);
        assert_eq!(room(Some(3024), 500), 500);
        assert_eq!(room(Some(1024), 5000), 512);
        assert_eq!(room(Some(100), 500), 50);
        assert_eq!(room(None, 500), 500);
    }
}

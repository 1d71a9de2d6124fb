//! What a token may, and the keys that a request reaches.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use serde::Deserialize;

/// What somebody may do. Each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Read keys, and how the cluster stands.
    Read,
    /// Change keys.
    Write,
    /// Everything.
    Admin,
}

impl Role {
    pub(crate) const ALL: [Role; 3] = [Role::Read, Role::Write, Role::Admin];

    /// As it is written.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Keys that a request reads or changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach<'a> {
    /// None: it concerns no key, or names none.
    Nothing,
    /// These.
    Keys(Vec<&'a [u8]>),
    /// All that begin so.
    Prefix(&'a [u8]),
    /// From one to before another; without that, to the last.
    Range(&'a Bound<Arc<[u8]>>, Option<&'a [u8]>),
    /// All of them.
    Everything,
}

impl Reach<'_> {
    /// What of it is not among the keys with one of these prefixes; no prefixes at all are all keys. A list or a watch
    /// has to stay within one of them.
    pub(crate) fn outside(&self, prefixes: &[String]) -> Option<String> {
        let is_within = |inside: &dyn Fn(&[u8]) -> bool| {
            prefixes.is_empty()
                || prefixes.iter().any(|prefix| prefix.is_empty() || inside(prefix.as_bytes()))
        };
        let shown = |key: &[u8]| format!("the key {:?}", shortened(key));
        match self {
            Reach::Nothing => None,
            Reach::Keys(keys) => {
                keys.iter().find(|key| !is_within(&|prefix| key.starts_with(prefix))).map(|key| shown(key))
            }
            Reach::Prefix(asked) => (!is_within(&|prefix| asked.starts_with(prefix)))
                .then(|| format!("all keys with the prefix {:?}", shortened(asked))),
            Reach::Range(start, end) => {
                (!is_within(&|prefix| spans(prefix, start, *end))).then(|| "a range of keys".to_owned())
            }
            Reach::Everything => (!is_within(&|_| false)).then(|| "all keys".to_owned()),
        }
    }
}

/// Whether every key of a range has this prefix.
fn spans(prefix: &[u8], start: &Bound<Arc<[u8]>>, end: Option<&[u8]>) -> bool {
    let starts_there = match start {
        Bound::Included(start) | Bound::Excluded(start) => **start >= *prefix,
        Bound::Unbounded => false,
    };
    // A prefix of 0xff alone has nothing behind it; no text has one.
    let ends_there = match (end, crate::http::behind(prefix)) {
        (Some(end), Some(behind)) => *end <= *behind,
        (_, None) => true,
        (None, Some(_)) => false,
    };
    starts_there && ends_there
}

/// The most characters of a key that an error quotes.
const SHOWN_CHARACTERS: usize = 80;

fn shortened(key: &[u8]) -> String {
    String::from_utf8_lossy(key).chars().take(SHOWN_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_outside(reach: &Reach<'_>, prefixes: &[&str]) -> bool {
        let prefixes: Vec<String> = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        reach.outside(&prefixes).is_some()
    }

    #[test]
    fn roles_grow() {
        assert!(Role::Read < Role::Write && Role::Write < Role::Admin);
    }

    #[test]
    fn without_prefixes_all_keys_are_inside() {
        for prefixes in [&[][..], &[""], &["a", ""]] {
            for reach in
                [Reach::Nothing, Reach::Keys(vec![b"a", b"b"]), Reach::Prefix(b""), Reach::Everything]
            {
                assert!(!is_outside(&reach, prefixes), "{reach:?}");
            }
            assert!(!is_outside(&Reach::Range(&Bound::Unbounded, None), prefixes));
        }
    }

    #[test]
    fn each_key_is_looked_at() {
        assert!(!is_outside(&Reach::Keys(vec![b"a/1", b"a/", b"b/2"]), &["a/", "b/"]));
        for keys in [&[&b"a/1"[..], b"c"][..], &[b"a"], &[b"A/1"], &[b"b/1", b"a/1", b"0a/1"]] {
            assert!(is_outside(&Reach::Keys(keys.to_vec()), &["a/", "b/"]), "{keys:?}");
        }
        assert!(!is_outside(&Reach::Keys(vec![]), &["a/"]));
        let named = Reach::Keys(vec![b"a/1", b"c"]).outside(&["a/".to_owned()]);
        assert_eq!(named.as_deref(), Some("the key \"c\""));
    }

    #[test]
    fn a_prefix_or_a_range_stays_within_one() {
        for (asked, outside) in [("a/", false), ("a/b", false), ("a", true), ("", true), ("b/", true)] {
            assert_eq!(is_outside(&Reach::Prefix(asked.as_bytes()), &["a/"]), outside, "{asked}");
        }
        let at = |text: &str| Bound::Included(Arc::from(text.as_bytes()));
        let behind = |text: &str| Bound::Excluded(Arc::from(text.as_bytes()));
        let cases = [
            (at("a/"), Some("a0"), false),
            (at("a/1"), Some("a/2"), false),
            (behind("a/1"), Some("a0"), false),
            (at("a/"), None, true),
            (at("a/"), Some("a1"), true),
            (at("a."), Some("a0"), true),
            (behind("a."), Some("a0"), true),
            (at(""), Some("a0"), true),
            (Bound::Unbounded, Some("a0"), true),
            // Empty, but who asks for it names keys of others.
            (at("b"), Some("c"), true),
        ];
        for (start, end, outside) in cases {
            let reach = Reach::Range(&start, end.map(str::as_bytes));
            assert_eq!(is_outside(&reach, &["a/"]), outside, "{reach:?}");
        }
        // Side by side is not within one.
        assert!(is_outside(&Reach::Range(&at("a"), Some(b"c")), &["a", "b"]));
        assert!(is_outside(&Reach::Everything, &["a"]));
    }
}

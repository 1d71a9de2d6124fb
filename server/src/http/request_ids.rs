//! A name for each request, so that one that went through several nodes can be found in the logs of all of them.
//!
//! A client may give one; else the node that it asks makes one. The node passes it on to the leader with the request,
//! and every answer says it.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::{HeaderMap, HeaderValue};

use super::headers::X_REQUEST_ID;

/// The longest that a client may give, in bytes.
const LONGEST: usize = 128;

/// Of a name that a node makes: what tells this start of this node, and the most that the number has.
const PREFIX_DIGITS: usize = 16;
const NUMBER_DIGITS: usize = 16;

/// Makes names that no other node makes, nor this one after a restart.
pub(super) struct RequestIds {
    /// Of this start of this node.
    prefix: u64,
    made: AtomicU64,
}

impl RequestIds {
    /// `prefix`: random.
    pub(super) fn new(prefix: u64) -> RequestIds {
        RequestIds { prefix, made: AtomicU64::new(0) }
    }

    /// The name of a request with these headers: the one that it came with, or a new one when it has none, or one
    /// that could spoil a log.
    pub(super) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(X_REQUEST_ID) {
            Some(given) if is_sound(given) => given.clone(),
            _ => self.make(),
        }
    }

    fn make(&self) -> HeaderValue {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let mut text = [b'-'; PREFIX_DIGITS + 1 + NUMBER_DIGITS];
        hex(self.prefix, &mut text[..PREFIX_DIGITS]);
        let digits = (number.checked_ilog2().unwrap_or(0) / 4 + 1) as usize;
        let end = PREFIX_DIGITS + 1 + digits;
        hex(number, &mut text[PREFIX_DIGITS + 1..end]);
        HeaderValue::from_bytes(&text[..end]).expect("digits are a header value")
    }
}

/// Fills `digits` with the last digits of a number, in hexadecimal. A request needs one of these, so there is no detour
/// over a formatter.
fn hex(number: u64, digits: &mut [u8]) {
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
}

/// Visible ASCII, and not too long: whoever reads a log must not be led astray by what somebody sent.
fn is_sound(given: &HeaderValue) -> bool {
    (1..=LONGEST).contains(&given.len()) && given.as_bytes().iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_str(text).expect("a header value"))])
    }

    #[test]
    fn a_request_keeps_the_name_that_it_came_with() {
        let ids = RequestIds::new(7);
        for given in ["a", "01HF-x/y=", &"z".repeat(LONGEST)] {
            assert_eq!(ids.of(&named(given)), given);
        }
    }

    #[test]
    fn numbers_have_as_many_digits_as_they_need() {
        let ids = RequestIds { prefix: u64::MAX, made: AtomicU64::new(0xf) };
        for last in ["f", "10", "11"] {
            assert_eq!(ids.make(), format!("ffffffffffffffff-{last}"));
        }
        ids.made.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(ids.make(), "ffffffffffffffff-ffffffffffffffff");
    }

    #[test]
    fn one_without_a_name_or_with_a_bad_one_gets_one_of_its_own() {
        let ids = RequestIds::new(0xab);
        assert_eq!(ids.of(&HeaderMap::new()), "00000000000000ab-0");
        for (made, given) in
            ["", "two words", "tab\tbed", &"z".repeat(LONGEST + 1), "ü"].into_iter().enumerate()
        {
            assert_eq!(ids.of(&named(given)), format!("00000000000000ab-{:x}", made + 1), "{given:?}");
        }
    }
}

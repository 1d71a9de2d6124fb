//! The text of a join token.
//!
//! ```text
//! "qj1." cluster "." secret "." check
//! cluster   32 hex digits: the cluster that it is for
//! secret    base64url, without padding, of 32 random bytes
//! check     8 hex digits: the beginning of the BLAKE3 of all before the last point
//! ```
//!
//! The check is against a paste that went wrong, and no secret: whoever has it has the rest. What the cluster keeps is
//! the BLAKE3 of the 32 bytes: they are random, so nobody finds them by guessing, however cheap a guess is.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::HeaderValue;
use quorate_node::raft::TokenHash;
use quorate_node::wire::ClusterId;

/// What every join token begins with; the number is the version of the form.
const PREFIX: &str = "qj1.";

const SECRET_BYTES: usize = 32;
const CHECK_BYTES: usize = 4;

/// A join token as somebody shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The cluster that it is for.
    pub(crate) cluster: ClusterId,
    secret: [u8; SECRET_BYTES],
}

/// Why a text is no join token. It does not say what the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JoinTokenError {
    /// It is something else.
    #[error("it is no join token, which begins with {PREFIX}: write what `quorate token join` printed")]
    Foreign,
    /// It begins like one.
    #[error(
        "it begins as a join token does, and was cut short or changed: write all of what `quorate token join` printed"
    )]
    Damaged,
}

impl JoinToken {
    /// A new one, of 32 random bytes.
    pub(crate) fn new(cluster: ClusterId, secret: [u8; SECRET_BYTES]) -> JoinToken {
        JoinToken { cluster, secret }
    }

    /// Reads a join token.
    ///
    /// # Errors
    /// [`JoinTokenError`].
    pub(crate) fn parse(text: &str) -> Result<JoinToken, JoinTokenError> {
        if !text.starts_with(PREFIX) {
            return Err(JoinTokenError::Foreign);
        }
        JoinToken::parse_whole(text).ok_or(JoinTokenError::Damaged)
    }

    fn parse_whole(text: &str) -> Option<JoinToken> {
        let (checked, check) = text.rsplit_once('.')?;
        let (cluster, secret) = checked.strip_prefix(PREFIX)?.split_once('.')?;
        let is_plain =
            cluster.len() == 32 && cluster.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let cluster = u128::from_str_radix(cluster, 16).ok().filter(|_| is_plain)?;
        let secret = URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
        (check == check_of(checked)).then_some(JoinToken { cluster: ClusterId(cluster), secret })
    }

    /// The text, to be shown to whoever made it, and to the cluster.
    pub(crate) fn reveal(&self) -> String {
        let checked = format!("{PREFIX}{}.{}", self.cluster, URL_SAFE_NO_PAD.encode(self.secret));
        let check = check_of(&checked);
        format!("{checked}.{check}")
    }

    /// The text as a header, which is not printed.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut header = HeaderValue::try_from(self.reveal()).expect("it is letters, digits and points");
        header.set_sensitive(true);
        header
    }

    /// What the cluster keeps of it.
    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash(*blake3::hash(&self.secret).as_bytes())
    }
}

fn check_of(checked: &str) -> String {
    let hash = blake3::hash(checked.as_bytes());
    hash.as_bytes()[..CHECK_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "JoinToken({})", self.hash())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn token() -> JoinToken {
        JoinToken::new(ClusterId(0xc1), [0xab; 32])
    }

    #[test]
    fn a_token_is_read_as_it_was_written_and_never_printed() {
        let text = token().reveal();
        assert!(text.starts_with("qj1.000000000000000000000000000000c1."), "{text}");
        assert!(text.len() < 100, "{} bytes", text.len());
        assert_eq!(JoinToken::parse(&text), Ok(token()));
        let secret = text.split('.').nth(2).unwrap();
        assert!(!format!("{:?}", token()).contains(secret));
        assert_eq!(token().hash().0, *blake3::hash(&[0xab; 32]).as_bytes());
    }

    #[test]
    fn a_paste_that_went_wrong_is_told_as_such() {
        let text = token().reveal();
        for length in "qj1.".len()..text.len() {
            assert_eq!(JoinToken::parse(&text[..length]), Err(JoinTokenError::Damaged), "{length} bytes");
        }
        for at in "qj1.".len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(JoinToken::parse(&changed), Err(JoinTokenError::Damaged), "byte {at}");
        }
        for more in [format!("{text}0"), format!("{text}."), format!("{text}.{text}"), format!("{text} ")] {
            assert_eq!(JoinToken::parse(&more), Err(JoinTokenError::Damaged), "{more}");
        }
    }

    #[test]
    fn something_else_is_told_as_such_and_not_repeated() {
        let text = token().reveal();
        for foreign in ["", "qj", "q1.0123456789abcdef.secret", &text[1..], &format!(" {text}")] {
            let error = JoinToken::parse(foreign).unwrap_err();
            assert_eq!(error, JoinTokenError::Foreign, "{foreign}");
            assert!(!error.to_string().contains("secret"));
        }
    }
}

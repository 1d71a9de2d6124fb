//! The text of a token, and the hash of its secret.
//!
//! ```text
//! token = "q1." id "." secret      id: 16 hex digits; secret: base64url, without padding, of 32 random bytes
//! hash  = "$argon2id$v=19$m=" KiB ",t=" passes ",p=" lanes "$" salt "$" hash      both base64 without padding
//! ```
//!
//! The second is the form that other programs for Argon2 write (the PHC string format), so that a file can be made
//! without this one.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

/// What every token begins with; the number is the version of the form.
const PREFIX: &str = "q1.";

const SECRET_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// What a new hash costs: OWASP's first choice for Argon2id.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What a hash in a file may cost at most: a node computes it when a request asks.
const MOST_MEMORY_KIB: u32 = 65_536;
const MOST_PASSES: u32 = 10;
const MOST_LANES: u32 = 4;

/// Names the hash to look at. It is no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TokenId([u8; 8]);

/// A token as somebody shows it.
pub(crate) struct Token {
    pub(crate) id: TokenId,
    secret: [u8; SECRET_BYTES],
}

/// What is kept of a token's secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hash {
    params: Params,
    salt: Vec<u8>,
    hash: [u8; HASH_BYTES],
}

impl Token {
    /// A new one, of 8 and 32 random bytes.
    pub(crate) fn new(id: [u8; 8], secret: [u8; SECRET_BYTES]) -> Token {
        Token { id: TokenId(id), secret }
    }

    /// Reads a token. What is none has no other reason to be told.
    pub(crate) fn parse(text: &str) -> Option<Token> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('.')?;
        let secret = URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
        Some(Token { id: TokenId::parse(id)?, secret })
    }

    /// The text, to be shown to whoever made it.
    pub(crate) fn reveal(&self) -> String {
        format!("{PREFIX}{}.{}", self.id, URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// The hash to be kept of it. It takes a while.
    pub(crate) fn hashed(&self, salt: [u8; SALT_BYTES]) -> Hash {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).expect("they are in bounds");
        let hash = argon2id(&params, &salt, &self.secret);
        Hash { params, salt: salt.to_vec(), hash }
    }

    /// A hash under a key that only this process has: cheap, and worth nothing elsewhere.
    pub(crate) fn keyed_hash(&self, key: &[u8; 32]) -> [u8; 32] {
        *blake3::keyed_hash(key, &self.secret).as_bytes()
    }
}

/// Whether two hashes are the same, in a time that does not tell how far they are.
pub(crate) fn same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    left.ct_eq(right).into()
}

impl Hash {
    /// Whether it is the hash of this token's secret. It takes a while, and `m` KiB of memory.
    pub(crate) fn verify(&self, token: &Token) -> bool {
        same(&argon2id(&self.params, &self.salt, &token.secret), &self.hash)
    }

    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<Hash, String> {
        let wanted = "write what `quorate token new` printed: $argon2id$v=19$m=…,t=…,p=…$salt$hash";
        let malformed = || format!("it is not a hash of Argon2id; {wanted}");
        let parts: Vec<&str> = text.split('$').collect();
        let ["", "argon2id", "v=19", costs, salt, hash] = parts[..] else { return Err(malformed()) };
        let costs: Vec<&str> = costs.split(',').collect();
        let [memory, passes, lanes] = costs[..] else { return Err(malformed()) };
        let number = |text: &str, name| {
            let digits = text.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
            digits.and_then(|digits| digits.parse::<u32>().ok()).ok_or_else(malformed)
        };
        let (memory, passes, lanes) = (number(memory, "m")?, number(passes, "t")?, number(lanes, "p")?);
        if memory > MOST_MEMORY_KIB || passes > MOST_PASSES || lanes > MOST_LANES {
            return Err(format!(
                "its costs are m={memory},t={passes},p={lanes}, and a node computes at most m={MOST_MEMORY_KIB},\
                 t={MOST_PASSES},p={MOST_LANES}"
            ));
        }
        let params = Params::new(memory, passes, lanes, Some(HASH_BYTES)).map_err(|_| malformed())?;
        let salt = STANDARD_NO_PAD.decode(salt).ok().filter(|salt| (8..=64).contains(&salt.len()));
        let hash = STANDARD_NO_PAD.decode(hash).ok().and_then(|hash| hash.try_into().ok());
        match (salt, hash) {
            (Some(salt), Some(hash)) => Ok(Hash { params, salt, hash }),
            _ => Err(malformed()),
        }
    }
}

fn argon2id(params: &Params, salt: &[u8], secret: &[u8]) -> [u8; HASH_BYTES] {
    let mut hash = [0; HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_into(secret, salt, &mut hash)
        .expect("costs and lengths were checked");
    hash
}

impl TokenId {
    pub(crate) fn parse(text: &str) -> Option<TokenId> {
        let is_plain = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_plain)?;
        Some(TokenId(number.to_be_bytes()))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token({})", self.id)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Hash")
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hash { params, salt, hash } = self;
        let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
        write!(formatter, "$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn token(byte: u8) -> Token {
        Token::new([byte; 8], [byte; 32])
    }

    #[test]
    fn a_token_is_read_as_it_was_written_and_never_printed() {
        let text = token(0xab).reveal();
        assert!(text.starts_with("q1.abababababababab."), "{text}");
        let read = Token::parse(&text).unwrap();
        assert_eq!((read.id, read.secret), (token(0xab).id, [0xab; 32]));
        let secret = text.rsplit('.').next().unwrap();
        assert!(!format!("{read:?} {:?}", read.hashed([1; 16])).contains(secret));
    }

    #[test]
    fn what_is_no_token_is_none() {
        let good = token(1).reveal();
        let (head, secret) = good.rsplit_once('.').unwrap();
        let short = &secret[1..];
        for text in [
            "",
            "q1",
            "q1..",
            head,
            &good[1..],
            &format!("q2{}", &good[2..]),
            &format!("{head}.{short}"),
            &format!("{head}.{secret}A"),
            &format!("{head}.{secret}="),
            &format!("{good}.x"),
            &format!("q1.01010101010101.{secret}"),
            &format!("q1.+101010101010101.{secret}"),
            &format!("q1.ABABABABABABABAB.{secret}"),
        ] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_hash_knows_its_secret_and_no_other() {
        let hash = token(7).hashed([9; 16]);
        let read = Hash::parse(&hash.to_string()).unwrap();
        assert_eq!(read, hash);
        assert!(read.verify(&token(7)));
        assert!(!read.verify(&token(8)));
        assert_ne!(token(7).hashed([8; 16]).hash, hash.hash);
    }

    /// Made by the `argon2` that Debian packages (the reference implementation).
    #[test]
    fn hashes_of_others_are_understood() {
        let mut secret = [0; 32];
        secret.copy_from_slice(b"0123456789abcdef0123456789abcdef");
        let theirs =
            "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$gBkReijjXJ9cVMrztgRhBLvAfuMZuzTE77jvIqymnCs";
        let hash = Hash::parse(theirs).unwrap();
        assert!(hash.verify(&Token::new([1; 8], secret)));
    }

    #[test]
    fn hashes_that_are_none_or_cost_too_much_are_refused() {
        let good = token(7).hashed([9; 16]).to_string();
        for (from, to, expected) in [
            ("argon2id", "argon2i", "not a hash"),
            ("v=19", "v=16", "not a hash"),
            ("m=19456", "m=65537", "at most m=65536"),
            ("t=2", "t=11", "at most"),
            ("p=1", "p=5", "at most"),
            ("m=19456", "m=1", "not a hash"),
            ("t=2,", "", "not a hash"),
            ("$argon2id", "argon2id", "not a hash"),
        ] {
            let error = Hash::parse(&good.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(expected), "{to}: {error}");
        }
        assert!(Hash::parse(&good[..good.len() - 1]).is_err());
        assert!(Hash::parse("").is_err());
    }
}

//! A configuration as the codec writes it.
//!
//! There were no join tokens at first, and fields are known by their position alone. So a configuration without tokens
//! is written as it always was, and what stands before one with tokens can be nothing else: more voters than fit
//! anywhere.
//!
//! ```text
//! without tokens   voters, outgoing, learners, contacts
//! with tokens      2^64-1 as a u64, voters, outgoing, learners, contacts, tokens
//! ```

use crate::{Contact, JoinToken, Learner, Members, NodeId, TokenHash};
use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};

/// Stands where the number of voters stood.
const WITH_TOKENS: u64 = u64::MAX;

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Members { voters, outgoing, learners, contacts, tokens } = self;
        let has_tokens = !tokens.is_empty();
        let mut fields = serializer.serialize_tuple(if has_tokens { 6 } else { 4 })?;
        if has_tokens {
            fields.serialize_element(&WITH_TOKENS)?;
        }
        fields.serialize_element(voters)?;
        fields.serialize_element(outgoing)?;
        fields.serialize_element(learners)?;
        fields.serialize_element(contacts)?;
        if has_tokens {
            fields.serialize_element(tokens)?;
        }
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        // How many there are the first of them tells.
        deserializer.deserialize_tuple(usize::MAX, Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a configuration")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Members, A::Error> {
        let first: u64 = next(&mut fields)?;
        let has_tokens = first == WITH_TOKENS;
        let count = if has_tokens { next(&mut fields)? } else { first };
        let mut voters = BTreeSet::<NodeId>::new();
        // A number that is a lie ends with the bytes.
        for _ in 0..count {
            voters.insert(next(&mut fields)?);
        }
        let outgoing: BTreeSet<NodeId> = next(&mut fields)?;
        let learners: BTreeMap<NodeId, Learner> = next(&mut fields)?;
        let contacts: BTreeMap<NodeId, Contact> = next(&mut fields)?;
        let mut tokens = BTreeMap::<TokenHash, JoinToken>::new();
        if has_tokens {
            tokens = next(&mut fields)?;
            if tokens.is_empty() {
                return Err(A::Error::custom("it announces tokens and has none"));
            }
        }
        Ok(Members { voters, outgoing, learners, contacts, tokens })
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(fields: &mut A) -> Result<T, A::Error> {
    fields.next_element()?.ok_or_else(|| A::Error::custom("it is cut short"))
}

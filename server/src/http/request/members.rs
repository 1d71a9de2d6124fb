//! Who is to belong to the cluster: `/raft/add`, `/raft/members` and their like.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use quorate_client::{Address, Endpoint};
use quorate_node::raft::{Learner, NodeId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::ApiError;
use super::json::parse;
use crate::config::{parse_duration, parse_name};
use crate::http::openapi::formats;

/// How long a join token lives, in milliseconds: a second, and thirty days.
const JOIN_TOKEN_TTL_MS: RangeInclusive<u64> = 1_000..=30 * 24 * 60 * 60 * 1_000;

/// The longest URL of a member: it is in every node's memory and every checkpoint.
const MAX_URL_BYTES: usize = 512;

/// A change of the members, of which the head has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberCall {
    /// `POST /raft/add`
    Add {
        /// Answer only when the new member votes.
        wait_for_voter: bool,
    },
    /// `POST /raft/join-tokens`
    MakeJoinToken,
    /// `POST /raft/promote`
    Promote,
    /// `POST /raft/remove`
    Remove,
    /// `POST /raft/members`
    SetMembers,
    /// `POST /raft/transfer`
    Transfer,
}

/// A change of the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// Take a node in.
    Add {
        /// Whom.
        member: NewMember,
        /// Answer only when the new member votes.
        wait_for_voter: bool,
    },
    /// Make a join token.
    MakeJoinToken {
        /// How long it can be used, in milliseconds of cluster time.
        ttl_ms: u64,
    },
    /// Let a learner vote.
    Promote(NodeId),
    /// Take a member out.
    Remove(NodeId),
    /// Make these the members.
    SetMembers(MemberSets),
    /// Hand leadership over, to this member or to the best.
    Transfer(Option<NodeId>),
}

impl MemberCall {
    /// The change, now that its body has come.
    ///
    /// # Errors
    /// `bad_json`, `bad_query`, `would_lose_quorum`.
    pub fn with_body(self, body: &[u8]) -> Result<MemberChange, ApiError> {
        Ok(match self {
            MemberCall::Add { wait_for_voter } => {
                let member = parse_add(body)?;
                if wait_for_voter && member.learner == Learner::Standing {
                    return Err(ApiError::BadQuery(
                        "wait=voter waits for what \"Role\": \"learner\" rules out: leave out one of the two"
                            .to_owned(),
                    ));
                }
                MemberChange::Add { member, wait_for_voter }
            }
            MemberCall::MakeJoinToken => MemberChange::MakeJoinToken { ttl_ms: parse_join_token(body)? },
            MemberCall::Promote => MemberChange::Promote(parse_member(body)?),
            MemberCall::Remove => MemberChange::Remove(parse_member(body)?),
            MemberCall::SetMembers => MemberChange::SetMembers(parse_members(body)?),
            MemberCall::Transfer => MemberChange::Transfer(parse_transfer(body)?),
        })
    }
}

/// A node that asks to join, as `POST /raft/add` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMember {
    /// Its id.
    pub id: NodeId,
    /// Where its peers dial it.
    pub address: Address,
    /// What becomes of it.
    pub learner: Learner,
    /// Where it says it serves HTTP.
    pub url: Option<String>,
    /// What people call it; may be empty.
    pub name: Option<String>,
    /// The member whose place it takes: that one has lost what it must not forget, and is not coming back.
    pub replaces: Option<NodeId>,
}

/// The body of `POST /raft/add`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddBody {
    #[serde(rename = "ID")]
    #[schema(schema_with = formats::node_id)]
    id: String,
    #[serde(rename = "Address")]
    #[schema(schema_with = formats::address)]
    address: String,
    #[serde(rename = "Role")]
    #[schema(pattern = "^(voter|learner)$")]
    role: Option<String>,
    /// Where it says it serves HTTP: `http://host:port` or `https://host:port`.
    #[serde(rename = "URL")]
    #[schema(max_length = 512, pattern = "^https?://.+$")]
    url: Option<String>,
    /// What people call it.
    #[serde(rename = "Name")]
    #[schema(max_length = 64, pattern = "^[ -~]*$")]
    name: Option<String>,
    #[serde(rename = "Replaces")]
    #[schema(schema_with = formats::optional_node_id, required = false)]
    replaces: Option<String>,
}

/// The body of `POST /raft/join-tokens`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinTokenBody {
    /// How long the token can be used: from `1s` to `30d`.
    #[schema(schema_with = formats::ttl)]
    ttl: String,
}

/// Who is to belong to the cluster, as `POST /raft/members` names them. No id is in both, and somebody votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSets {
    /// Who votes.
    pub voters: BTreeSet<NodeId>,
    /// Who doesn't.
    pub learners: BTreeSet<NodeId>,
}

/// A body that names a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberBody {
    #[serde(rename = "ID")]
    #[schema(schema_with = formats::node_id)]
    id: String,
}

/// A body that names a member, or none.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferBody {
    #[serde(rename = "ID")]
    #[schema(schema_with = formats::optional_node_id, required = false)]
    id: Option<String>,
}

/// The body of `POST /raft/members`: no id is in both lists.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MembersBody {
    #[schema(schema_with = formats::node_ids)]
    voters: Vec<String>,
    #[serde(default)]
    #[schema(schema_with = formats::node_ids, required = false)]
    learners: Vec<String>,
}

/// Reads the body of `POST /raft/add`.
///
/// # Errors
/// `bad_json`.
fn parse_add(body: &[u8]) -> Result<NewMember, ApiError> {
    let body: AddBody = parse(body)?;
    let address: Address = body
        .address
        .parse()
        .map_err(|error| ApiError::BadJson(format!("\"Address\" is {:?}: {error}", body.address)))?;
    if address.is_unspecified() || address.port() == 0 {
        return Err(ApiError::BadJson(format!(
            "\"Address\" is {address}, which nobody can dial: give a real one"
        )));
    }
    let learner = match body.role.as_deref() {
        None | Some("voter") => Learner::Joining,
        Some("learner") => Learner::Standing,
        Some(other) => {
            return Err(ApiError::BadJson(format!("\"Role\" is {other:?}: give \"voter\" or \"learner\"")));
        }
    };
    let AddBody { url, name, .. } = body;
    if let Some(url) = &url {
        check_url(url)?;
    }
    // An empty one is none: so a node says that it has lost its name.
    if let Some(name) = name.as_ref().filter(|name| !name.is_empty()) {
        parse_name(name).map_err(|error| ApiError::BadJson(format!("\"Name\" is {name:?}: {error}")))?;
    }
    let id = parse_id(&body.id)?;
    let replaces = body.replaces.map(|former| former.parse::<NodeId>()).transpose();
    let replaces = replaces.map_err(|error| ApiError::BadJson(format!("\"Replaces\": {error}")))?;
    if replaces == Some(id) {
        return Err(ApiError::BadJson(format!(
            "\"Replaces\" is {id}, as \"ID\": a node can't replace itself"
        )));
    }
    Ok(NewMember { id, address, learner, url, name, replaces })
}

/// A leader whose URL can't be dialled would get no request that another node passes on.
fn check_url(url: &str) -> Result<(), ApiError> {
    let refused = |why: String| ApiError::BadJson(format!("\"URL\" is {url:?}: {why}"));
    if url.len() > MAX_URL_BYTES {
        return Err(refused(format!("it has {} bytes: give at most {MAX_URL_BYTES}", url.len())));
    }
    let endpoint: Endpoint = url.parse().map_err(|error| refused(format!("{error}")))?;
    if endpoint.address().is_unspecified() {
        return Err(refused("nobody can dial it; give a real one".to_owned()));
    }
    Ok(())
}

/// Reads the body of `POST /raft/join-tokens`.
///
/// # Errors
/// `bad_json`.
fn parse_join_token(body: &[u8]) -> Result<u64, ApiError> {
    let JoinTokenBody { ttl } = parse(body)?;
    let milliseconds = parse_duration(&ttl).ok().and_then(|ttl| u64::try_from(ttl.as_millis()).ok());
    milliseconds.filter(|milliseconds| JOIN_TOKEN_TTL_MS.contains(milliseconds)).ok_or_else(|| {
        ApiError::BadJson(format!("\"ttl\" is {ttl:?}: give a time from 1s to 30d, for example 1h"))
    })
}

/// Reads a body that names one member.
///
/// # Errors
/// `bad_json`.
fn parse_member(body: &[u8]) -> Result<NodeId, ApiError> {
    parse_id(&parse::<MemberBody>(body)?.id)
}

/// Reads the body of `POST /raft/transfer`, which names a member or, by naming none, leaves the choice to the leader.
///
/// # Errors
/// `bad_json`.
fn parse_transfer(body: &[u8]) -> Result<Option<NodeId>, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    parse::<TransferBody>(body)?.id.as_deref().map(parse_id).transpose()
}

/// Reads the body of `POST /raft/members`.
///
/// # Errors
/// `bad_json`; `would_lose_quorum` when nobody is to vote.
fn parse_members(body: &[u8]) -> Result<MemberSets, ApiError> {
    let MembersBody { voters, learners } = parse(body)?;
    let set = |field: &str, texts: &[String]| -> Result<BTreeSet<NodeId>, ApiError> {
        let mut ids = BTreeSet::new();
        for text in texts {
            let id = text.parse().map_err(|error| ApiError::BadJson(format!("{field:?}: {error}")))?;
            if !ids.insert(id) {
                return Err(ApiError::BadJson(format!("{field:?} names {id} twice")));
            }
        }
        Ok(ids)
    };
    let sets = MemberSets { voters: set("voters", &voters)?, learners: set("learners", &learners)? };
    if let Some(both) = sets.voters.intersection(&sets.learners).next() {
        return Err(ApiError::BadJson(format!(
            "{both} is in \"voters\" and in \"learners\": it can't be both"
        )));
    }
    if sets.voters.is_empty() {
        let why =
            "\"voters\" is empty: a cluster without a voter can do nothing; name at least one".to_owned();
        return Err(ApiError::WouldLoseQuorum(why));
    }
    Ok(sets)
}

fn parse_id(text: &str) -> Result<NodeId, ApiError> {
    text.parse().map_err(|error| ApiError::BadJson(format!("\"ID\": {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_join_is_read_as_the_seed_wrote_it() {
        let body = br#"{"ID":"urn:uuid:00000000-0000-0000-0000-00000000000a","Address":"127.0.0.1:9080"}"#;
        let member = parse_add(body).unwrap();
        assert_eq!((member.id, member.learner), (NodeId(10), Learner::Joining));
        assert_eq!((member.url, member.name, member.replaces), (None, None, None));
        assert_eq!(member.address.to_string(), "127.0.0.1:9080");
    }

    #[test]
    fn a_learner_may_stay_one_and_say_more_of_itself() {
        let id = NodeId(10);
        let body =
            format!(r#"{{"ID":"{id}","Address":"n:1","Role":"learner","URL":"http://n:2","Name":"one"}}"#);
        let member = parse_add(body.as_bytes()).unwrap();
        assert_eq!((member.learner, member.url.as_deref()), (Learner::Standing, Some("http://n:2")));
        assert_eq!(member.name.as_deref(), Some("one"));
        let former = NodeId(11);
        let member =
            parse_add(format!(r#"{{"ID":"{id}","Address":"n:1","Replaces":"{former}"}}"#).as_bytes())
                .unwrap();
        assert_eq!(member.replaces, Some(former));
    }

    #[test]
    fn bad_bodies_say_what_is_wrong_with_them() {
        let id = "0000000000000000000000000000000a";
        let cases = [
            (String::new(), "not a JSON object"),
            ("[\"a\",\"b:1\"]".to_owned(), "not a JSON object"),
            ("{".to_owned(), "EOF"),
            (format!(r#"{{"ID":"{id}"}}"#), "missing field `Address`"),
            (format!(r#"{{"ID":"{id}","Address":"a:1","id":"x"}}"#), "unknown field `id`"),
            (format!(r#"{{"ID":"{id}","ID":"{id}","Address":"a:1"}}"#), "duplicate field"),
            (format!(r#"{{"ID":"{id}","Address":"a:1"}} x"#), "trailing"),
            (r#"{"ID":"me","Address":"a:1"}"#.to_owned(), "\"me\" is not an id"),
            (format!(r#"{{"ID":"{id}","Address":"a"}}"#), "no port"),
            (format!(r#"{{"ID":"{id}","Address":"0.0.0.0:1"}}"#), "nobody can dial"),
            (format!(r#"{{"ID":"{id}","Address":"a:0"}}"#), "nobody can dial"),
            (format!(r#"{{"ID":"{id}","Address":"a:1","Role":"boss"}}"#), "\"boss\""),
            (format!(r#"{{"ID":"{id}","Address":"a:1","Name":"{}"}}"#, "n".repeat(65)), "64 bytes"),
            (format!(r#"{{"ID":"{id}","Address":"a:1","Name":"a\u001b[2J"}}"#), "control characters"),
            (format!(r#"{{"ID":"{id}","Address":"a:1","Replaces":"me"}}"#), "\"Replaces\""),
            (format!(r#"{{"ID":"{id}","Address":"a:1","Replaces":"{id}"}}"#), "replace itself"),
            (
                format!(r#"{{"ID":"{id}","Address":"a:1","URL":"the first floor"}}"#),
                "does not begin with http://",
            ),
            (format!(r#"{{"ID":"{id}","Address":"a:1","URL":"http://[::]:80"}}"#), "nobody can dial"),
        ];
        for (body, expected) in cases {
            let error = parse_add(body.as_bytes()).unwrap_err();
            assert_eq!(error.name().1, "bad_json");
            assert!(error.to_string().contains(expected), "{body} gave {error}");
        }
        assert!(parse_add(b"{\"ID\":\"\xff\"}").is_err());
        assert_eq!(parse_member(format!(r#"{{"ID":"{id}"}}"#).as_bytes()), Ok(NodeId(10)));
        assert!(parse_member(b"{}").is_err());
    }

    #[test]
    fn a_join_token_lives_for_a_second_to_thirty_days() {
        let parsed = |ttl: &str| parse_join_token(format!(r#"{{"ttl":"{ttl}"}}"#).as_bytes());
        assert_eq!(
            (parsed("1s"), parsed("1h"), parsed("30d")),
            (Ok(1_000), Ok(3_600_000), Ok(2_592_000_000))
        );
        for ttl in ["", "0s", "999ms", "31d", "1", "for ever"] {
            let error = parsed(ttl).unwrap_err();
            assert_eq!(error.name().1, "bad_json");
            assert!(error.to_string().contains("from 1s to 30d"), "{error}");
        }
        for body in ["", "{}", r#"{"ttl":1}"#, r#"{"ttl":"1h","id":1}"#] {
            assert_eq!(parse_join_token(body.as_bytes()).unwrap_err().name().1, "bad_json", "{body}");
        }
    }

    #[test]
    fn a_transfer_names_a_member_or_none() {
        let id = NodeId(10);
        assert_eq!(parse_transfer(format!(r#"{{"ID":"{id}"}}"#).as_bytes()), Ok(Some(id)));
        for body in ["", " \n", "{}", r#"{"ID":null}"#] {
            assert_eq!(parse_transfer(body.as_bytes()), Ok(None), "{body:?}");
        }
        for body in ["[]", r#"{"ID":"me"}"#, r#"{"to":"me"}"#, "{"] {
            assert_eq!(parse_transfer(body.as_bytes()).unwrap_err().name().1, "bad_json", "{body:?}");
        }
    }

    #[test]
    fn sets_of_members_are_apart_and_somebody_votes() {
        let (one, two) = (NodeId(1), NodeId(2));
        let sets =
            parse_members(format!(r#"{{"voters":["{one}"],"learners":["{two}"]}}"#).as_bytes()).unwrap();
        assert_eq!((sets.voters, sets.learners), (BTreeSet::from([one]), BTreeSet::from([two])));
        let sets = parse_members(format!(r#"{{"voters":["{one}"]}}"#).as_bytes()).unwrap();
        assert_eq!((sets.voters, sets.learners), (BTreeSet::from([one]), BTreeSet::new()));
        let cases = [
            ("{}".to_owned(), "bad_json", "missing field `voters`"),
            (r#"{"voters":["me"],"learners":[]}"#.to_owned(), "bad_json", "\"voters\": \"me\""),
            (format!(r#"{{"voters":["{one}","{one}"],"learners":[]}}"#), "bad_json", "twice"),
            (format!(r#"{{"voters":["{one}"],"learners":["{one}"]}}"#), "bad_json", "can't be both"),
            (format!(r#"{{"voters":["{one}"],"learners":[],"x":1}}"#), "bad_json", "unknown field"),
            (format!(r#"{{"voters":[],"learners":["{one}"]}}"#), "would_lose_quorum", "\"voters\" is empty"),
        ];
        for (body, code, expected) in cases {
            let error = parse_members(body.as_bytes()).unwrap_err();
            assert_eq!(error.name().1, code, "{body}");
            assert!(error.to_string().contains(expected), "{body} gave {error}");
        }
    }
}

//! Tokens: who may ask for what over HTTP. What is behind each decision is in `docs/adr/0012-security.md`.
//!
//! | module | what it holds |
//! |---|---|
//! | `secret` | the text of a token, and the hash of its secret |
//! | `file` | the file of tokens |
//! | `rights` | what a token may, and the keys that a request reaches |
//! | `rate` | how many requests a token is good for in a second |
//! | `attempts` | wrong tokens, counted |
//! | `credentials` | the token that this node itself shows to others |
//! | `guard` | the tokens in force, and who a request is from |
//! | `join` | the text of a join token, which lets a node into the cluster |
//!
//! Secrets are in memory as long as a request or the file of a node's own token lasts; what stays of a token that was
//! verified is a keyed hash. Nothing here can be printed that holds one.

mod attempts;
mod credentials;
mod file;
mod guard;
mod join;
mod rate;
mod rights;
mod secret;

pub(crate) use credentials::Credentials;
pub(crate) use file::{
    Entry, PERMITTED, TokenFileError, entry_text, parse_tokens, read_join_file, read_secret_file,
};
pub(crate) use guard::{Asker, Guard, Sender};
pub use join::JoinToken;
pub(crate) use rate::Rate;
pub(crate) use rights::{Reach, Role};
pub(crate) use secret::Token;

//! The file of tokens, and files that hold one secret.
//!
//! ```toml
//! [[token]]
//! id = "3f2a9c0d5b7e1846"
//! name = "ci"
//! role = "write"
//! prefixes = ["ci/", "cache/"]
//! rate = 200
//! hash = "$argon2id$v=19$m=19456,t=2,p=1$…$…"
//! ```
//!
//! All of it counts, or nothing: a file in which one entry is wrong is refused whole, and names that entry.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::join::JoinToken;
use super::rate::Rate;
use super::rights::Role;
use super::secret::{Hash, Token, TokenId};
use crate::config::parse_name;

/// The largest file that is read.
const MOST_BYTES: u64 = 4 << 20;

/// The longest file of one token.
const MOST_SECRET_BYTES: u64 = 1024;

/// The permissions that a file may have: its owner's, and reading for its group, which is how some systems hand a
/// secret to a service.
pub(crate) const PERMITTED: u32 = 0o640;

/// One token, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: TokenId,
    /// Who has it. Several tokens may be the same one's, so that a new one can take the place of an old one.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// The keys that it is for; without any, all.
    pub(crate) prefixes: Vec<String>,
    /// How many requests it is good for in a second, at each node; without one, any number.
    pub(crate) rate: Option<Rate>,
    pub(crate) hash: Hash,
}

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It is not there, or not for us.
    #[error("{}: it can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others may read or change it.
    #[error(
        "{}: others than its owner may use it, its permissions are {mode:04o}: chmod 600 it (0640 is fine too)",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What it holds is not what it should.
    #[error("{}: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to write instead.
        problem: String,
    },
}

/// A file of tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    #[serde(default)]
    token: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    name: String,
    role: Role,
    #[serde(default)]
    prefixes: Vec<String>,
    #[serde(default)]
    rate: Option<u32>,
    hash: String,
}

impl Entry {
    /// Reads a file of tokens.
    ///
    /// # Errors
    /// [`TokenFileError`].
    pub(crate) fn read_all(path: &Path) -> Result<Vec<Entry>, TokenFileError> {
        let text = read_guarded(path, MOST_BYTES)?;
        parse_tokens(&text).map_err(|problem| TokenFileError::Unusable { path: path.to_owned(), problem })
    }
}

/// The tokens of a file's text.
///
/// # Errors
/// What is wrong, with the entry's name or line.
pub(crate) fn parse_tokens(text: &str) -> Result<Vec<Entry>, String> {
    let Tokens { token } = toml::from_str(text).map_err(|error| located(&error, text))?;
    let mut ids = BTreeSet::new();
    let mut entries = Vec::new();
    for row in token {
        let Row { id, name, role, prefixes, rate, hash } = row;
        let wrong = |problem: &str| format!("the token {name:?}: {problem}");
        parse_name(&name).map_err(|problem| wrong(&problem))?;
        let id = TokenId::parse(&id)
            .ok_or_else(|| wrong("its id is not the 16 hex digits that a token has between its points"))?;
        let hash = Hash::parse(&hash).map_err(|problem| wrong(&format!("its hash: {problem}")))?;
        let rate =
            rate.map(Rate::new).transpose().map_err(|problem| wrong(&format!("its rate: {problem}")))?;
        if !ids.insert(id) {
            return Err(wrong(&format!("its id {id} stands twice in the file: remove one of the two")));
        }
        entries.push(Entry { id, name, role, prefixes, rate, hash });
    }
    Ok(entries)
}

/// What TOML says, and where; not the line itself: it may be a secret that somebody took for an entry.
fn located(error: &toml::de::Error, text: &str) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let line = text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
    format!("line {line}: {}", error.message())
}

/// An entry as it stands in a file.
pub(crate) fn entry_text(entry: &Entry) -> String {
    let Entry { id, name, role, prefixes, rate, hash } = entry;
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = format!("[[token]]\nid = \"{id}\"\nname = {}\nrole = \"{role}\"\n", quoted(name));
    if !prefixes.is_empty() {
        let prefixes: Vec<String> = prefixes.iter().map(|prefix| quoted(prefix)).collect();
        text.push_str(&format!("prefixes = [{}]\n", prefixes.join(", ")));
    }
    if let Some(rate) = rate {
        text.push_str(&format!("rate = {rate}\n"));
    }
    text.push_str(&format!("hash = \"{hash}\"\n"));
    text
}

/// Reads the token that is alone in a file.
///
/// # Errors
/// [`TokenFileError`], which does not say what the file holds.
pub(crate) fn read_secret_file(path: &Path) -> Result<Token, TokenFileError> {
    let text = read_guarded(path, MOST_SECRET_BYTES)?;
    Token::parse(text.trim()).ok_or_else(|| TokenFileError::Unusable {
        path: path.to_owned(),
        problem: "it holds no token: write what `quorate token new` printed first, q1.….…, and nothing else"
            .to_owned(),
    })
}

/// Reads the join token that is alone in a file.
///
/// # Errors
/// [`TokenFileError`], which does not say what the file holds.
pub(crate) fn read_join_file(path: &Path) -> Result<JoinToken, TokenFileError> {
    let text = read_guarded(path, MOST_SECRET_BYTES)?;
    JoinToken::parse(text.trim())
        .map_err(|problem| TokenFileError::Unusable { path: path.to_owned(), problem: problem.to_string() })
}

fn read_guarded(path: &Path, most_bytes: u64) -> Result<String, TokenFileError> {
    let unreadable = |source| TokenFileError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o777;
    if metadata.is_file() && mode & 0o077 & !PERMITTED != 0 {
        return Err(TokenFileError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(most_bytes + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > most_bytes {
        let problem = format!("it has more than {most_bytes} bytes: is it the right file?");
        return Err(TokenFileError::Unusable { path: path.to_owned(), problem });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use quorate_node::wire::ClusterId;
    use std::os::unix::fs::PermissionsExt;

    fn entry(name: &str, id: u8, prefixes: &[&str]) -> Entry {
        let token = Token::new([id; 8], [id; 32]);
        let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        let hash =
            Hash::parse(&format!("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ${}", "A".repeat(43))).unwrap();
        let rate = (id == 2).then(|| Rate::new(200).unwrap());
        Entry { id: token.id, name: name.to_owned(), role: Role::Write, prefixes, rate, hash }
    }

    #[test]
    fn entries_are_read_as_they_were_written() {
        let entries = [entry("ci", 1, &["a/", "q\"uo\\te\n"]), entry("ci", 2, &[]), entry("Bär", 3, &[""])];
        let text = entries.each_ref().map(entry_text).join("\n");
        assert_eq!(parse_tokens(&format!("# tokens\n\n{text}")).unwrap(), entries);
        assert_eq!(parse_tokens("").unwrap(), []);
    }

    #[test]
    fn a_file_with_one_wrong_entry_is_refused_and_the_entry_named() {
        let good = format!("{}\n{}", entry_text(&entry("ci", 1, &["a/"])), entry_text(&entry("web", 2, &[])));
        for (from, to, expected) in [
            ("\"write\"", "\"root\"", "unknown variant `root`"),
            ("prefixes", "prefix", "unknown field `prefix`"),
            ("[[token]]", "[[tokens]]", "unknown field `tokens`"),
            ("name = \"ci\"\n", "", "missing field `name`"),
            ("\"web\"", "\"\"", "the token \"\""),
            (
                "0202020202020202",
                "0101010101010101",
                "the token \"web\": its id 0101010101010101 stands twice",
            ),
            ("0202020202020202", "02", "the token \"web\": its id is not the 16 hex digits"),
            ("v=19", "v=20", "the token \"ci\": its hash"),
            ("role", "role =", "line 4"),
        ] {
            let text = good.replacen(from, to, 1);
            let error = parse_tokens(&text).unwrap_err();
            assert!(error.contains(expected), "{to}: {error}");
        }
    }

    /// The token itself where the file of hashes, or a part of an entry, was meant.
    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        let token = Token::new([1; 8], [2; 32]).reveal();
        let good = entry_text(&entry("ci", 1, &[]));
        let hash = good.lines().last().unwrap();
        for text in [
            token.clone(),
            format!("{token} = 1"),
            good.replacen("0101010101010101", &token, 1),
            good.replacen(hash, &format!("hash = \"{token}\""), 1),
            good.replacen(hash, &format!("hash = {token}"), 1),
            format!("{good}\n\"{token}"),
        ] {
            let error = parse_tokens(&text).unwrap_err();
            let secret = token.rsplit('.').next().unwrap();
            assert!(!error.contains(secret), "{error}");
        }
        assert!(parse_tokens(&format!("{good}\nx")).unwrap_err().starts_with("line 7: "));
    }

    #[test]
    fn files_that_others_may_use_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        std::fs::write(&path, entry_text(&entry("ci", 1, &[]))).unwrap();
        for (mode, is_fine) in
            [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o660, false), (0o602, false)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match Entry::read_all(&path) {
                Ok(entries) => assert!(is_fine && entries.len() == 1, "{mode:o}"),
                Err(error) => {
                    assert!(!is_fine && error.to_string().contains("chmod 600"), "{mode:o}: {error}");
                }
            }
        }
        assert!(matches!(Entry::read_all(folder.path()), Err(TokenFileError::Unreadable { .. })));
    }

    #[test]
    fn a_file_of_one_token_is_not_quoted_when_it_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let write = |text: &str| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        };
        let token = Token::new([5; 8], [6; 32]);
        write(&format!("  {}\n\n", token.reveal()));
        assert_eq!(read_secret_file(&path).unwrap().reveal(), token.reveal());
        for wrong in ["q1.hunter2", &format!("{}\n{}", token.reveal(), token.reveal()), &"x".repeat(2000)] {
            write(wrong);
            let error = read_secret_file(&path).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.contains(&token.reveal()), "{error}");
        }
        let token = JoinToken::new(ClusterId(1), [6; 32]);
        write(&format!("{}\n", token.reveal()));
        assert_eq!(read_join_file(&path).unwrap(), token);
        assert!(read_secret_file(&path).is_err());
        write(&token.reveal()[..60]);
        let error = read_join_file(&path).unwrap_err().to_string();
        assert!(error.contains("cut short") && !error.contains(&token.reveal()[40..60]), "{error}");
    }
}

//! Checks of documents, and of what every text file may say.

use std::collections::{BTreeMap, BTreeSet};

use super::{Complaint, TextFile};

/// What the root of the repository holds, and nothing else.
const TOP_LEVEL: [&str; 21] = [
    ".cargo",
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "docs",
    "engine",
    "fuzz",
    "rustfmt.toml",
    "server",
    "sim",
    "tests",
    ".gitattributes",
];

/// Top-level entries that may be missing.
const OPTIONAL: [&str; 2] = [".gitattributes", "fuzz"];

/// Documents that must be there.
const DOCUMENTS: [&str; 10] = [
    "docs/ALERTS.md",
    "docs/ARCHITECTURE.md",
    "docs/DIFFERENCES.md",
    "docs/ERRORS.md",
    "docs/FORMAT.md",
    "docs/METRICS.md",
    "docs/OPERATING.md",
    "docs/PROTOCOL.md",
    "docs/RECOVERY.md",
    "docs/adr/0001-sans-io.md",
];

/// Every code that the contract has; some belong to features that are not built yet.
pub const ERROR_CODES: [&str; 37] = [
    "malformed",
    "key_empty",
    "key_not_utf8",
    "bad_query",
    "bad_json",
    "duplicate_key",
    "unauthenticated",
    "forbidden",
    "cross_origin",
    "route_not_found",
    "member_not_found",
    "lease_not_found",
    "method_not_allowed",
    "address_in_use",
    "change_in_progress",
    "would_lose_quorum",
    "not_caught_up",
    "compacted",
    "precondition_failed",
    "value_too_large",
    "request_too_large",
    "uri_too_long",
    "key_too_long",
    "not_leader",
    "wrong_host",
    "idempotency_mismatch",
    "locked",
    "rate_limited",
    "headers_too_large",
    "internal",
    "no_leader",
    "overloaded",
    "idempotency_full",
    "shutting_down",
    "outcome_unknown",
    "disk_full",
    "proxy_loop",
];

/// The root holds what the design draws, and the documents that it names exist.
pub fn layout(files: &[TextFile]) -> Vec<Complaint> {
    let present: BTreeSet<&str> = files.iter().filter_map(|file| file.path.split('/').next()).collect();
    let missing = TOP_LEVEL.iter().filter(|entry| !OPTIONAL.contains(entry) && !present.contains(*entry));
    let mut complaints: Vec<Complaint> =
        missing.map(|entry| Complaint::new(entry, 0, "this top-level entry is missing")).collect();
    let unknown = present.iter().filter(|entry| !TOP_LEVEL.contains(entry));
    complaints
        .extend(unknown.map(|entry| Complaint::new(entry, 0, "the root is full: put it where it belongs")));
    let missing = DOCUMENTS.iter().filter(|document| files.iter().all(|file| file.path != **document));
    complaints.extend(missing.map(|document| Complaint::new(document, 0, "this document is missing")));
    complaints
}

/// Links in Markdown files lead to a file of the repository, and to a heading that it has.
pub fn links(files: &[TextFile]) -> Vec<Complaint> {
    let known: BTreeMap<&str, &TextFile> = files.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, target) in link_targets(&file.text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if path.is_empty() { file.path.clone() } else { resolve(&file.path, path) };
            let is_folder = files.iter().any(|other| other.path.starts_with(&format!("{path}/")));
            match known.get(path.as_str()) {
                Some(document) if anchor.is_empty() || anchors(&document.text).contains(anchor) => {}
                Some(_) => {
                    complaints.push(Complaint::new(&file.path, line, format!("{path} has no #{anchor}")));
                }
                None if is_folder => {}
                None => complaints.push(Complaint::new(&file.path, line, format!("there is no {path}"))),
            }
        }
    }
    complaints
}

/// A document that is named anywhere (`docs/….md`) exists.
pub fn mentioned_documents(files: &[TextFile]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            for (at, _) in line.match_indices("docs/") {
                let is_name =
                    |character: char| character.is_ascii_alphanumeric() || "/_-.".contains(character);
                let name: String = line[at..].chars().take_while(|character| is_name(*character)).collect();
                let Some((name, _)) = name.split_once(".md") else { continue };
                let name = format!("{name}.md");
                if !line[..at].ends_with(is_name) && files.iter().all(|other| other.path != name) {
                    complaints.push(Complaint::new(&file.path, number + 1, format!("there is no {name}")));
                }
            }
        }
    }
    complaints
}

/// `docs/ERRORS.md` has a heading for each code of the contract and of the server's source, and for nothing else.
pub fn error_codes(errors: &TextFile, server: &TextFile) -> Vec<Complaint> {
    let codes: BTreeSet<&str> = ERROR_CODES.into_iter().chain(codes_in_source(&server.text)).collect();
    let headings: BTreeSet<&str> =
        errors.text.lines().filter_map(|line| line.strip_prefix("### ")).map(str::trim).collect();
    let missing = codes.difference(&headings).map(|code| format!("no heading for `{code}`"));
    let unknown = headings.difference(&codes).map(|heading| format!("`{heading}` is no code"));
    missing.chain(unknown).map(|what| Complaint::new(&errors.path, 0, what)).collect()
}

/// The codes in `(StatusCode::…, "code")`, which is how the server names them.
fn codes_in_source(source: &str) -> impl Iterator<Item = &str> {
    source.split("(StatusCode::").skip(1).filter_map(|pair| pair.split_once(')')?.0.split('"').nth(1))
}

/// Nothing names a place on somebody's machine.
pub fn machine_paths(file: &TextFile) -> Vec<Complaint> {
    // The words are put together here, so that this file doesn't hold them. The seed's own default is its history.
    let folders = [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/t", "mp/")];
    let seeds_default = concat!("/t", "mp/kv");
    let mut complaints = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for folder in folders {
            let found = line.match_indices(folder).any(|(at, _)| {
                let starts_path = !line[..at]
                    .ends_with(|before: char| before.is_alphanumeric() || "._-~}".contains(before));
                starts_path && !line[at..].starts_with(seeds_default)
            });
            if found {
                complaints.push(Complaint::new(
                    &file.path,
                    number + 1,
                    format!("`{folder}` is a path of one machine"),
                ));
            }
        }
    }
    complaints
}

/// The targets of `[text](target)` outside of code, with their lines.
pub(super) fn link_targets(text: &str) -> Vec<(usize, String)> {
    let mut targets = Vec::new();
    let mut in_code = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second piece between backticks is code.
        for prose in line.split('`').step_by(2).collect::<Vec<_>>().join("").split("](").skip(1) {
            if let Some((target, _)) = prose.split_once(')') {
                targets.push((number + 1, target.trim().to_owned()));
            }
        }
    }
    targets
}

/// The anchors that headings get: lowercase, spaces become dashes, punctuation goes.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading.to_lowercase().replace(' ', "-");
            kept.chars()
                .filter(|character| character.is_alphanumeric() || "-_".contains(*character))
                .collect()
        })
        .collect()
}

/// The path that a link in `from` leads to.
pub(super) fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.to_owned(), text: text.to_owned() }
    }

    fn words(complaints: &[Complaint]) -> Vec<String> {
        complaints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let files = [
            file("README.md", "[a](docs/A.md) [b](docs/B.md#here-it-is) [c](docs/)\n[d](LICENSE) `[e](f)`"),
            file("docs/B.md", "[up](../README.md) [gone](../GONE.md)\n# Here it is!\n[self](#there)"),
        ];
        let expected = [
            "README.md:1: there is no docs/A.md",
            "README.md:2: there is no LICENSE",
            "docs/B.md:1: there is no GONE.md",
            "docs/B.md:3: docs/B.md has no #there",
        ];
        assert_eq!(words(&links(&files)), expected);
    }

    #[test]
    fn mentions_of_documents_that_do_not_exist_are_found() {
        let files = [file("a.rs", "// see docs/B.md.\n// see docs/C.md"), file("docs/B.md", "")];
        assert_eq!(words(&mentioned_documents(&files)), ["a.rs:2: there is no docs/C.md"]);
    }

    #[test]
    fn a_code_without_a_heading_and_a_heading_without_a_code_are_found() {
        let all: String = ERROR_CODES.iter().map(|code| format!("### {code}\n")).collect();
        let server = file("error.rs", "A => (StatusCode::BAD_REQUEST, \"malformed\"),");
        assert_eq!(error_codes(&file("E.md", &all), &server), []);
        let wrong = error_codes(&file("E.md", &all.replace("### no_leader", "### no_ladder")), &server);
        assert_eq!(words(&wrong), ["E.md:0: no heading for `no_leader`", "E.md:0: `no_ladder` is no code"]);
        let more = file("error.rs", "A => (StatusCode::GONE, \"sold_out\"),");
        assert_eq!(words(&error_codes(&file("E.md", &all), &more)), ["E.md:0: no heading for `sold_out`"]);
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        let path = concat!("/ho", "me/me/quorate");
        assert_eq!(machine_paths(&file("a", path)).len(), 1);
        assert_eq!(machine_paths(&file("a", &format!("cd {path}"))).len(), 1);
        assert_eq!(machine_paths(&file("a", &format!("https://example.com{path}"))), []);
        assert_eq!(machine_paths(&file("a", concat!("the seed's /t", "mp/kv"))), []);
    }

    #[test]
    fn a_missing_and_an_extra_top_level_entry_are_found() {
        let found = words(&layout(&[file("scratch/a", "")]));
        assert!(found.contains(&"README.md:0: this top-level entry is missing".to_owned()), "{found:?}");
        assert!(
            found.contains(&"scratch:0: the root is full: put it where it belongs".to_owned()),
            "{found:?}"
        );
        assert!(found.contains(&"docs/FORMAT.md:0: this document is missing".to_owned()), "{found:?}");
    }
}

//! The book: `docs/SUMMARY.md` names its pages, and mdBook makes files of them.

use std::collections::BTreeSet;

use super::documents::{link_targets, resolve};
use super::{Complaint, TextFile};

const SUMMARY: &str = "docs/SUMMARY.md";

/// The pages, in the order of the summary.
///
/// # Panics
/// Without a summary.
pub fn pages(files: &[TextFile]) -> Vec<String> {
    let summary = files.iter().find(|file| file.path == SUMMARY).expect("the book has a summary");
    link_targets(&summary.text).into_iter().map(|(_, target)| resolve(SUMMARY, &target)).collect()
}

/// Each document of `docs/` is a page, once; and no page leads to a document that is none, which the book lacks.
pub fn check(files: &[TextFile]) -> Vec<Complaint> {
    let pages = pages(files);
    let known: BTreeSet<&str> = pages.iter().map(String::as_str).collect();
    let mut complaints = Vec::new();
    if known.len() < pages.len() {
        complaints.push(Complaint::new(SUMMARY, 0, "a page is named twice"));
    }
    let is_document = |path: &str| path.starts_with("docs/") && path.ends_with(".md") && path != SUMMARY;
    let documents = files.iter().filter(|file| is_document(&file.path));
    for document in documents {
        if !known.contains(document.path.as_str()) {
            complaints.push(Complaint::new(&document.path, 0, format!("{SUMMARY} does not name it")));
        }
        for (line, target) in link_targets(&document.text) {
            let path = target.split('#').next().unwrap_or_default();
            if target.contains("://") || path.is_empty() {
                continue;
            }
            let path = resolve(&document.path, path);
            let is_outside =
                !path.starts_with("docs/") || (path.ends_with(".md") && !known.contains(path.as_str()));
            if is_outside {
                complaints.push(Complaint::new(&document.path, line, format!("{path} is not in the book")));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn what_is_not_in_the_book_is_found() {
        let files = [
            file(SUMMARY, "- [a](a.md)\n  - [b](b/b.md)\n"),
            file(
                "docs/a.md",
                "[b](b/b.md#there) [c](c.md) [out](../README.md) [site](https://example.com/x.md) [j](j.json)",
            ),
            file("docs/b/b.md", "[a](../a.md) [here](#here)"),
            file("docs/c.md", ""),
        ];
        assert_eq!(pages(&files), ["docs/a.md", "docs/b/b.md"]);
        let found: Vec<String> = check(&files).iter().map(ToString::to_string).collect();
        let expected = [
            "docs/a.md:1: docs/c.md is not in the book",
            "docs/a.md:1: README.md is not in the book",
            "docs/c.md:0: docs/SUMMARY.md does not name it",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_page_that_is_named_twice_is_found() {
        let files = [file(SUMMARY, "- [a](a.md)\n- [again](a.md)\n"), file("docs/a.md", "")];
        assert_eq!(check(&files).len(), 1);
    }
}

//! Style is a test: the checks of `quorate_tests::style`, on this repository.

use quorate_tests::style::{
    Complaint, TextFile, assert_no_complaints, book, documents, manifests, repository_files, sources,
};

fn files_ending(end: &str) -> Vec<TextFile> {
    let files: Vec<TextFile> =
        repository_files().into_iter().filter(|file| file.path.ends_with(end)).collect();
    assert!(!files.is_empty(), "no file ends with {end}: the checks would check nothing");
    files
}

#[test]
fn sources_keep_to_the_style() {
    let files = files_ending(".rs");
    assert!(files.iter().any(|file| file.path == "tests/tests/style.rs"), "git does not list this file");
    let complaints: Vec<Complaint> = files.iter().flat_map(sources::check).collect();
    assert_no_complaints(&complaints);
}

#[test]
fn packages_depend_only_along_the_arrows() {
    assert_no_complaints(&manifests::check(&files_ending("Cargo.toml")));
}

#[test]
fn the_repository_holds_what_the_design_draws() {
    assert_no_complaints(&documents::layout(&repository_files()));
}

#[test]
fn links_and_mentions_of_documents_lead_somewhere() {
    let files = repository_files();
    assert_no_complaints(&documents::links(&files));
    let outside_of_checks: Vec<TextFile> =
        files.into_iter().filter(|file| !file.path.starts_with("tests/src/style/")).collect();
    assert_no_complaints(&documents::mentioned_documents(&outside_of_checks));
}

#[test]
fn every_document_is_in_the_book_and_the_book_leads_only_to_itself() {
    assert_no_complaints(&book::check(&repository_files()));
}

#[test]
fn every_error_code_is_explained() {
    let errors = files_ending("docs/ERRORS.md");
    let server = files_ending("server/src/http/error.rs");
    assert_no_complaints(&documents::error_codes(&errors[0], &server[0]));
}

#[test]
fn nothing_names_a_place_on_a_machine() {
    let complaints: Vec<Complaint> = repository_files().iter().flat_map(documents::machine_paths).collect();
    assert_no_complaints(&complaints);
}

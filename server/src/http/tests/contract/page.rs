//! The table as a page of the documentation.

use std::fmt::Write;
use std::path::Path;

use super::rows::{EVERY_ROUTE, Row};
use super::{WITHOUT_ROW, all_rows, operations};

/// Writes the documents that are made of the code, instead of comparing them.
const REGENERATE: &str = "QUORATE_REGENERATE";

/// Codes that the interface will have, and that nothing sends yet.
const NOT_YET: [&str; 2] = ["unauthenticated", "forbidden"];

/// Rows that say the same of several methods, as one line.
struct Line<'a> {
    requests: Vec<&'a str>,
    row: &'a Row,
}

fn lines<'a>(rows: impl Iterator<Item = (&'a str, &'a Row)>) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (request, row) in rows {
        let same = |line: &&mut Line<'_>| {
            (line.row.situation, line.row.status, line.row.code) == (row.situation, row.status, row.code)
        };
        match lines.iter_mut().find(same) {
            Some(line) if line.requests.contains(&request) => {}
            Some(line) => line.requests.push(request),
            None => lines.push(Line { requests: vec![request], row }),
        }
    }
    lines
}

fn write_section(page: &mut String, title: &str, lines: &[Line<'_>]) {
    write!(page, "\n## {title}\n\n| request | when | answer |\n|---|---|---|\n").unwrap();
    for Line { requests, row } in lines {
        let code = row.code.map(|code| format!(" [`{code}`](ERRORS.md#{code})")).unwrap_or_default();
        writeln!(page, "| `{}` | {} | {}{code} |", requests.join("`, `"), row.situation, row.status).unwrap();
    }
}

fn page() -> String {
    let mut page = String::from(
        "# Answers\n\n\
         What each request is answered with, in each situation. Every line is tried on the leader and through a follower by\n\
         the tests in `server/src/http/tests/contract/`, from which this page is made. [HTTP.md](HTTP.md) says what the\n\
         requests mean, [ERRORS.md](ERRORS.md) what to do about an error.\n",
    );
    let rows = all_rows();
    let routes = operations();
    let is_known = |row: &Row| routes.contains(&row.route.split_once(' ').unwrap_or_default());
    let others = rows.iter().filter(|row| row.route != EVERY_ROUTE && !is_known(row));
    let others = others.map(|row| (row.route, row));
    let everywhere = rows.iter().filter(|row| row.route == EVERY_ROUTE).map(|row| ("…", row));
    write_section(&mut page, "Every route", &lines(everywhere.chain(others)));
    let mut paths: Vec<&str> = routes.iter().map(|(_, path)| *path).collect();
    paths.dedup();
    for path in paths {
        let of_path = rows.iter().filter(|row| is_known(row)).filter_map(|row| {
            let (method, of) = row.route.split_once(' ')?;
            (of == path).then_some((method, row))
        });
        write_section(&mut page, &format!("`{path}`"), &lines(of_path));
    }
    page.push_str("\n## What is in no line\n\n| code | why |\n|---|---|\n");
    for (code, why) in WITHOUT_ROW {
        writeln!(page, "| [`{code}`](ERRORS.md#{code}) | {why} |").unwrap();
    }
    for code in NOT_YET {
        writeln!(page, "| [`{code}`](ERRORS.md#{code}) | nothing sends it yet |").unwrap();
    }
    page
}

#[test]
fn the_committed_page_is_what_is_tried() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ANSWERS.md");
    let page = page();
    if std::env::var_os(REGENERATE).is_some() {
        std::fs::write(&place, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&place).unwrap_or_default();
    assert!(
        committed == page,
        "docs/ANSWERS.md is not what is tried; `{REGENERATE}=1 cargo test -p quorate-server committed` writes it"
    );
}

//! The table as a page of the documentation.

use std::fmt::Write;

use super::rows::{EVERY_ROUTE, Row};
use super::{PAIRS_WITHOUT_ROW, WHEREVER, WITHOUT_ROW, all_rows};
use crate::http::openapi::reading::{assert_committed, operations};

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
                && (line.row.is_replayed, line.row.event) == (row.is_replayed, row.event)
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
        let replayed = if row.is_replayed { ", `Idempotency-Replayed: true`" } else { "" };
        let event = row.event.map(|event| format!(", `event: {event}`")).unwrap_or_default();
        let answer = format!("{}{code}{replayed}{event}", row.status);
        writeln!(page, "| `{}` | {} | {answer} |", requests.join("`, `"), row.situation).unwrap();
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
    page.push_str("\n## What is in no line\n\n");
    page.push_str("| code | why |\n|---|---|\n");
    for (code, why) in WITHOUT_ROW {
        writeln!(page, "| [`{code}`](ERRORS.md#{code}) | {why} |").unwrap();
    }
    page.push_str(
        "\nThese may end many requests, and stand in the lines of those with which they are tried:\n\n",
    );
    for code in WHEREVER.iter().filter(|code| WITHOUT_ROW.iter().all(|(without, _)| without != *code)) {
        writeln!(page, "- [`{code}`](ERRORS.md#{code})").unwrap();
    }
    page.push_str("\n| request | answer | why |\n|---|---|---|\n");
    for (route, what, why) in PAIRS_WITHOUT_ROW {
        let is_code = what.bytes().any(|byte| !byte.is_ascii_digit());
        let what = if is_code { format!("[`{what}`](ERRORS.md#{what})") } else { (*what).to_owned() };
        writeln!(page, "| `{route}` | {what} | {why} |").unwrap();
    }
    page
}

#[test]
fn the_committed_page_is_what_is_tried() {
    assert_committed("ANSWERS.md", page().as_bytes());
}

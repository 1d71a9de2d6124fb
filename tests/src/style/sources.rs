//! Checks of one Rust file.

use super::lexer::Source;
use super::{Complaint, TextFile};

const MOST_LINES_OF_A_FILE: usize = 600;
const MOST_LINES_OF_A_FUNCTION: usize = 70;
const MOST_LINES_OF_A_CONTENTS_PAGE: usize = 120;
const MOST_COLUMNS: usize = 110;
const MOST_COLUMNS_OF_PROSE: usize = 120;
const A_LONG_LITERAL: usize = 40;

/// Everything below that applies to the file.
pub fn check(file: &TextFile) -> Vec<Complaint> {
    let source = Source::new(&file.text);
    let mut complaints = file_length(file);
    complaints.extend(line_width(file, &source));
    complaints.extend(function_length(file, &source));
    complaints.extend(leftovers(file, &source));
    complaints.extend(commented_out_code(file, &source));
    complaints.extend(unbiased_select(file, &source));
    if is_test(&file.path) {
        complaints.extend(sleeping_tests(file, &source));
    }
    if file.path.starts_with("engine/") && file.path.contains("/src/") {
        complaints.extend(impure_engine(file, &source));
    }
    if file.path.ends_with("/src/lib.rs") {
        complaints.extend(contents_page(file, &source));
    }
    complaints
}

/// The one place that may sleep: between two looks at another process, under a deadline.
const SLEEPS_BETWEEN_LOOKS: &str = "tests/src/deadline.rs";

fn is_test(path: &str) -> bool {
    path != SLEEPS_BETWEEN_LOOKS && (path.starts_with("tests/") || path.contains("/tests/"))
}

fn file_length(file: &TextFile) -> Vec<Complaint> {
    let lines = file.text.lines().count();
    let too_long = lines > MOST_LINES_OF_A_FILE;
    let what =
        format!("{lines} lines: nobody holds more than {MOST_LINES_OF_A_FILE} in their head, split it");
    too_long.then(|| Complaint::new(&file.path, 0, what)).into_iter().collect()
}

/// Code is as wide as rustfmt makes it, and prose, which rustfmt leaves alone, hardly wider. What can't be broken
/// (an address, a long string, a row of a table) may stick out.
fn line_width(file: &TextFile, source: &Source) -> Vec<Complaint> {
    let prose = source.comments.lines().zip(source.documentation.lines());
    let parts = file.text.lines().zip(source.code.lines()).zip(prose).enumerate();
    parts
        .filter_map(|(number, ((line, code), (comment, documentation)))| {
            let visible = |part: &str| part.chars().filter(|character| !character.is_whitespace()).count();
            let prose = visible(comment) + visible(documentation);
            let literal = visible(line).saturating_sub(visible(code) + prose);
            let is_row =
                documentation.trim_start().trim_start_matches(['/', '!']).trim_start().starts_with('|');
            let unbreakable = line.contains("://") || literal >= A_LONG_LITERAL || is_row;
            let most = if visible(code) == 0 && prose > 0 { MOST_COLUMNS_OF_PROSE } else { MOST_COLUMNS };
            let width = line.chars().count();
            let what = format!("{width} columns, at most {most}");
            (width > most && !unbreakable).then(|| Complaint::new(&file.path, number + 1, what))
        })
        .collect()
}

fn function_length(file: &TextFile, source: &Source) -> Vec<Complaint> {
    let code = &source.code;
    let mut complaints = Vec::new();
    for start in words(code, "fn") {
        let Some(body) = code[start..].find(['{', ';']).map(|found| start + found) else { continue };
        if code[body..].starts_with(';') {
            continue;
        }
        let end = closing_brace(code, body);
        let lines = code[start..end].lines().count();
        if lines > MOST_LINES_OF_A_FUNCTION {
            let name = code[start + 2..body].split(['(', '<']).next().unwrap_or_default().trim();
            let what = format!(
                "`{name}` has {lines} lines, at most {MOST_LINES_OF_A_FUNCTION}: it must fit a screen"
            );
            complaints.push(Complaint::new(&file.path, line_of(code, start), what));
        }
    }
    complaints
}

/// What nobody should find a year later. The words are put together here, so that this file doesn't hold them.
fn leftovers(file: &TextFile, source: &Source) -> Vec<Complaint> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("HA", "CK")];
    let calls = [concat!("db", "g"), concat!("to", "do"), concat!("un", "implemented")];
    let mut complaints = Vec::new();
    for text in [&source.comments, &source.documentation, &source.code] {
        for mark in marks {
            for at in words(text, mark) {
                let what = format!("`{mark}`: do it now, or file an issue");
                complaints.push(Complaint::new(&file.path, line_of(text, at), what));
            }
        }
    }
    for call in calls {
        for at in words(&source.code, call).filter(|at| source.code[at + call.len()..].starts_with('!')) {
            complaints.push(Complaint::new(
                &file.path,
                line_of(&source.code, at),
                format!("`{call}!` is left over"),
            ));
        }
    }
    complaints
}

/// Code in a comment: it is in the history, where it can't mislead.
fn commented_out_code(file: &TextFile, source: &Source) -> Vec<Complaint> {
    let looks_like_code = |comment: &str| {
        let statement = ["let ", "use ", "pub ", "fn ", "return ", "mod ", "impl ", "#[", "assert"]
            .iter()
            .any(|start| comment.starts_with(start));
        let has_end = comment.ends_with([';', '{', '}', ']']) || comment.ends_with("),");
        let is_call = comment.ends_with(");") || comment.ends_with("?;") || comment.ends_with(") {");
        (statement && has_end) || is_call || comment == "}"
    };
    let lines = source.comments.lines().enumerate();
    lines
        .filter(|(_, line)| looks_like_code(line.trim().trim_start_matches('/').trim()))
        .map(|(number, _)| Complaint::new(&file.path, number + 1, "code in a comment: delete it, git has it"))
        .collect()
}

/// An unbiased `select!` draws from a generator of its own, and a run can't be replayed.
fn unbiased_select(file: &TextFile, source: &Source) -> Vec<Complaint> {
    let code = &source.code;
    words(code, "select")
        .filter(|at| {
            let call = code[at + "select".len()..].strip_prefix('!').map(str::trim_start);
            let body = call.and_then(|call| call.strip_prefix(['{', '(', '[']));
            body.is_some_and(|body| !body.trim_start().starts_with("biased;"))
        })
        .map(|at| Complaint::new(&file.path, line_of(code, at), "`select!` must begin with `biased;`"))
        .collect()
}

fn sleeping_tests(file: &TextFile, source: &Source) -> Vec<Complaint> {
    let what = "a test must not sleep: wait with deadline::wait_until, or use virtual time";
    let sleeps = ["thread::sleep", "time::sleep", "sleep_ms"].into_iter();
    sleeps
        .flat_map(|sleep| source.code.match_indices(sleep))
        .map(|(at, _)| Complaint::new(&file.path, line_of(&source.code, at), what))
        .collect()
}

/// The engine is told the time, and returns what is to be done: it has no clock, no task and no thread.
fn impure_engine(file: &TextFile, source: &Source) -> Vec<Complaint> {
    let banned =
        ["async", "await", "tokio", "Instant", "SystemTime", "thread", "thread_rng", "HashMap", "HashSet"];
    let what = |word| format!("`{word}`: the engine has no async, no clock, no thread and no random order");
    banned
        .into_iter()
        .flat_map(|word| words(&source.code, word).map(move |at| (word, at)))
        .map(|(word, at)| Complaint::new(&file.path, line_of(&source.code, at), what(word)))
        .collect()
}

/// A `lib.rs` is a table of contents: modules and what they export.
fn contents_page(file: &TextFile, source: &Source) -> Vec<Complaint> {
    let lines = file.text.lines().count();
    let mut complaints = Vec::new();
    if lines >= MOST_LINES_OF_A_CONTENTS_PAGE {
        let what =
            format!("{lines} lines: a table of contents has fewer than {MOST_LINES_OF_A_CONTENTS_PAGE}");
        complaints.push(Complaint::new(&file.path, 0, what));
    }
    complaints.extend(words(&source.code, "fn").map(|at| {
        Complaint::new(
            &file.path,
            line_of(&source.code, at),
            "a function in the table of contents: give it a module",
        )
    }));
    complaints
}

/// Where `word` stands in `code`, not as a part of a longer word.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| !code[..at].ends_with(is_part) && !code[at + word.len()..].starts_with(is_part))
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The end of the block that opens at `open`; the end of the text when it never closes.
fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (position, character) in code[open..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return open + position + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;

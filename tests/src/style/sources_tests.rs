use super::*;

fn complaints(path: &str, text: &str) -> Vec<String> {
    let file = TextFile { path: path.to_owned(), text: text.to_owned() };
    check(&file).iter().map(ToString::to_string).collect()
}

/// Asserts that the text gets exactly one complaint, at this line and with these words.
#[track_caller]
fn rejected(path: &str, text: &str, line: usize, words: &str) {
    let found = complaints(path, text);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with(&format!("{path}:{line}: ")) && found[0].contains(words), "{found:#?}");
}

#[track_caller]
fn accepted(path: &str, text: &str) {
    assert_eq!(complaints(path, text), Vec::<String>::new());
}

#[test]
fn a_file_may_have_six_hundred_lines_and_no_more() {
    accepted("server/src/a.rs", &"\n".repeat(600));
    rejected("server/src/a.rs", &"\n".repeat(601), 0, "601 lines");
}

#[test]
fn a_function_may_have_seventy_lines_and_no_more() {
    let function = |lines: usize| format!("\npub fn long(a: u8) -> u8 {{{}}}\n", "\n".repeat(lines - 1));
    accepted("server/src/a.rs", &function(70));
    rejected("server/src/a.rs", &function(71), 2, "`long` has 71 lines");
    accepted("server/src/a.rs", &format!("trait A {{ fn b();\n{} }}", "\n".repeat(80)));
}

#[test]
fn braces_in_literals_do_not_end_a_function() {
    let text = format!("fn long() {{\nlet a = \"}}\";{}}}", "\n".repeat(80));
    rejected("server/src/a.rs", &text, 1, "`long` has 82 lines");
}

#[test]
fn a_line_has_a_width_unless_it_can_not_be_broken() {
    accepted("server/src/a.rs", &format!("let {} = 1;", "a".repeat(101)));
    rejected("server/src/a.rs", &format!("let {} = 1;", "a".repeat(102)), 1, "111 columns");
    accepted("server/src/a.rs", &format!("    // {}", "a".repeat(113)));
    rejected("server/src/a.rs", &format!("    // {}", "a".repeat(114)), 1, "121 columns");
    accepted("server/src/a.rs", &format!("// https://example.com/{}", "a".repeat(120)));
    accepted("server/src/a.rs", &format!("//! | {} | b |", "word ".repeat(25)));
    rejected("server/src/a.rs", &format!("//! {} | b |", "word ".repeat(25)), 1, "columns");
    accepted("server/src/a.rs", &format!("    panic!(\"{}\");", "word ".repeat(25)));
}

#[test]
fn leftovers_are_found_in_comments_and_code_but_not_in_strings() {
    rejected("server/src/a.rs", concat!("// TO", "DO later"), 1, "file an issue");
    rejected("server/src/a.rs", concat!("\n/// FIX", "ME: wrong\nfn a() {}"), 2, "file an issue");
    rejected("server/src/a.rs", concat!("fn a() { db", "g!(1); }"), 1, "left over");
    rejected("server/src/a.rs", concat!("fn a() { to", "do!() }"), 1, "left over");
    accepted("server/src/a.rs", concat!("fn a() { say(\"TO", "DO\"); }"));
}

#[test]
fn code_in_comments_is_found_and_prose_is_not() {
    for code in ["let a = 1;", "foo.bar(1);", "if a.is_empty() {", "#[derive(Debug)]", "}"] {
        rejected("server/src/a.rs", &format!("fn a() {{\n    // {code}\n}}"), 2, "code in a comment");
    }
    for prose in
        ["let us see; it waits", "A race: (1) it sends, (2) it dies.", "use this one, not that", "see f()"]
    {
        accepted("server/src/a.rs", &format!("// {prose}"));
    }
    accepted("server/src/a.rs", "/// let a = f();\nconst A: u8 = 1;");
}

#[test]
fn a_select_must_be_biased() {
    rejected("server/src/a.rs", "fn a() {\n tokio::select! { _ = b => {} }\n}", 2, "biased");
    accepted("server/src/a.rs", "fn a() { tokio::select! {\n biased;\n _ = b => {} } }");
    accepted("server/src/a.rs", "fn select() { self.select(1) }");
}

#[test]
fn tests_must_not_sleep() {
    let sleep = "fn a() { std::thread::sleep(SECOND); }";
    rejected("tests/tests/a.rs", sleep, 1, "must not sleep");
    rejected("engine/raft/tests/a.rs", sleep, 1, "must not sleep");
    accepted("tests/src/deadline.rs", sleep);
}

#[test]
fn the_engine_must_be_pure() {
    for impure in ["async fn a() {}", "fn a() { Instant::now(); }", "use tokio::sync;", "use std::thread;"] {
        rejected("engine/raft/src/a.rs", impure, 1, "the engine has no");
        accepted("server/src/a.rs", impure);
    }
    accepted("engine/raft/src/a.rs", "/// Never an Instant, never async.\nfn instant() {}");
}

#[test]
fn lib_rs_is_a_table_of_contents() {
    accepted("engine/raft/src/lib.rs", "mod a;\npub use a::B;\n");
    rejected("engine/raft/src/lib.rs", "mod a;\nfn b() {}\n", 2, "table of contents");
    rejected("engine/raft/src/lib.rs", &"mod a;\n".repeat(120), 0, "120 lines");
}

//! The commands of a document, and whether what one printed is what the document shows.

use std::collections::BTreeSet;

/// What a block may hold: commands that are run, commands that are not, output, and files.
pub(crate) const KINDS: [&str; 7] = ["console", "sh", "text", "toml", "json", "yaml", "hcl"];

/// A command after `$ `, with the lines after `> ` that go on with it, and the lines that must follow.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Example {
    pub(crate) command: String,
    pub(crate) output: String,
}

impl Example {
    /// Whether it starts a local cluster, which goes on while the other commands are run.
    pub(crate) fn is_dev(&self) -> bool {
        self.command.ends_with("quorate dev")
    }
}

/// The examples of a document: what stands in blocks that begin with three backticks and `console`.
///
/// # Panics
/// When such a block does not begin with a command.
pub(crate) fn examples(document: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut in_console = false;
    for line in document.lines() {
        match (in_console, line.strip_prefix("$ ")) {
            (false, _) => in_console = line == "```console",
            (true, _) if line == "```" => in_console = false,
            (true, Some(command)) => {
                examples.push(Example { command: command.to_owned(), output: String::new() });
            }
            (true, None) => {
                let example = examples.last_mut().expect("a console block begins with a command");
                let (text, line) = match line.strip_prefix("> ") {
                    Some(more) => (&mut example.command, format!("\n{more}")),
                    None => (&mut example.output, format!("{line}\n")),
                };
                text.push_str(&line);
            }
        }
    }
    examples
}

/// What kinds of blocks a document has, by the word after the three backticks.
pub(crate) fn kinds(document: &str) -> BTreeSet<&str> {
    let fences = document.lines().filter_map(|line| line.trim_start().strip_prefix("```"));
    fences.step_by(2).collect()
}

/// Whether a command printed what the document shows.
///
/// There `…` stands for anything within a line, a line of `…` alone for any lines, and an id (32 hex digits) for any
/// id. Tables are in the order of ids: where there are some, the order of lines is not looked at. How many spaces stand
/// between two words is not looked at either: the columns of a table are as wide as what is in them.
pub(crate) fn matches(shown: &str, printed: &str) -> bool {
    let one_space =
        |line: &str| line.trim_end().split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let lines =
        |text: &str| text.trim_end().lines().map(|line| hide_ids(&one_space(line))).collect::<Vec<_>>();
    let (mut shown, mut printed) = (lines(shown), lines(printed));
    if lines_match(&shown, &printed) {
        return true;
    }
    let has_ids = shown.iter().any(|line| line.contains(ID));
    shown.sort_unstable();
    printed.sort_unstable();
    has_ids && lines_match(&shown, &printed)
}

/// What stands for each id.
const ID: &str = "<id>";

fn hide_ids(line: &str) -> String {
    let is_end = |character: char| !character.is_ascii_alphanumeric();
    let pieces = line.split_inclusive(is_end).map(|piece| {
        let word = piece.trim_end_matches(is_end);
        let is_id = word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { piece.replace(word, ID) } else { piece.to_owned() }
    });
    pieces.collect()
}

fn lines_match(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, others)| line_matches(first, line) && lines_match(rest, others)),
    }
}

fn line_matches(shown: &str, printed: &str) -> bool {
    let Some((start, rest)) = shown.split_once('…') else { return shown == printed };
    let Some(printed) = printed.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('…').unwrap_or(("", rest));
    let Some(printed) = printed.strip_suffix(end) else { return false };
    let found =
        middle.split('…').try_fold(printed, |left, part| Some(&left[left.find(part)? + part.len()..]));
    found.is_some()
}

#[test]
fn examples_are_found_with_their_output() {
    let document = "$ no\n```console\n$ a b\nc\nd\n$ e \\\n> f\n```\n```sh\n$ no\n```\n";
    let example =
        |command: &str, output: &str| Example { command: command.to_owned(), output: output.to_owned() };
    assert_eq!(examples(document), [example("a b", "c\nd\n"), example("e \\\nf", "")]);
    assert_eq!(kinds(document), BTreeSet::from(["console", "sh"]));
}

#[test]
fn dots_stand_for_what_is_different_each_time() {
    let same = [
        ("a\nb\n", "a\nb"),
        ("a … c\n", "a b c\n"),
        ("…\nx", "y\nx\n"),
        ("…\nx", "x"),
        ("…\nx", "y\nz\nx"),
        ("a\n…", "a"),
        ("a …", "a b"),
        ("… c", "b c"),
        ("{…}", "{{}}"),
        ("A  B", "A     B"),
        ("etag: …", "etag: 1\r\n"),
        ("a 0123456789abcdef0123456789abcdef, b", "a ffff456789abcdef0123456789abcdef, b"),
        ("0123456789abcdef0123456789abcdef x\nb", "b\nffff456789abcdef0123456789abcdef x"),
    ];
    for (shown, printed) in same {
        assert!(matches(shown, printed), "{shown:?} and {printed:?}");
    }
    let different = [
        ("a", "b"),
        ("a", "a\nb"),
        ("a … c", "a b"),
        ("a … b", "a c b d"),
        ("", "a"),
        ("…\nx", "x\ny"),
        ("a…a", "a"),
        ("A B", "AB"),
        ("A\tB", "A B"),
        ("a 0123456789abcdef0123456789abcdef", "a 0123456789abcdef"),
        ("x\nb", "b\nx"),
    ];
    for (shown, printed) in different {
        assert!(!matches(shown, printed), "{shown:?} and {printed:?}");
    }
}

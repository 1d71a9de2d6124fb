//! Tells Rust code from comments and literals, as far as the checks need it.

/// Rust source, taken apart. Each part has as many lines as the source.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The code; comments and the insides of string and character literals are blanks.
    pub code: String,
    /// The comments without the code; documentation comments (`///`, `//!`, `/** */`) are not among them.
    pub comments: String,
    /// The documentation comments.
    pub documentation: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Documentation,
    Literal,
}

impl Source {
    /// Takes source apart. Source that does not compile gives some result, but no panic.
    pub fn new(text: &str) -> Self {
        let mut source = Self { code: String::new(), comments: String::new(), documentation: String::new() };
        let mut rest = text;
        let mut before = ' ';
        while !rest.is_empty() {
            let (part, length) = next_token(rest, before);
            let (token, after) = rest.split_at(length);
            for character in token.chars() {
                source.push(part, character);
            }
            before = token.chars().next_back().unwrap_or(' ');
            rest = after;
        }
        source
    }

    fn push(&mut self, part: Part, character: char) {
        let parts = [
            (Part::Code, &mut self.code),
            (Part::Comment, &mut self.comments),
            (Part::Documentation, &mut self.documentation),
        ];
        for (of, text) in parts {
            text.push(if part == of || character == '\n' { character } else { ' ' });
        }
    }
}

/// What `rest` begins with, and for how many bytes.
fn next_token(rest: &str, before: char) -> (Part, usize) {
    let first = rest.chars().next().unwrap_or(' ');
    let starts_word = !(before.is_alphanumeric() || before == '_');
    if rest.starts_with("//") {
        let documentation = rest.starts_with("///") && !rest.starts_with("////") || rest.starts_with("//!");
        let part = if documentation { Part::Documentation } else { Part::Comment };
        return (part, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        let documentation = rest.starts_with("/**") && !rest.starts_with("/**/") || rest.starts_with("/*!");
        let part = if documentation { Part::Documentation } else { Part::Comment };
        return (part, block_comment_length(rest));
    }
    if starts_word && let Some(length) = raw_string_length(rest) {
        return (Part::Literal, length);
    }
    match first {
        '"' => (Part::Literal, quoted_length(rest, '"')),
        '\'' => character_length(rest).map_or((Part::Code, 1), |length| (Part::Literal, length)),
        _ => (Part::Code, first.len_utf8()),
    }
}

/// Block comments nest in Rust.
fn block_comment_length(rest: &str) -> usize {
    let (mut depth, mut position) = (0, 0);
    while position < rest.len() {
        let here = &rest[position..];
        if here.starts_with("/*") {
            depth += 1;
            position += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return position;
            }
        } else {
            position += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of `r"…"`, `r#"…"#`, `br"…"`, `cr"…"` and so on; `None` when `rest` begins with none of them.
fn raw_string_length(rest: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|after| after.trim_start_matches('#').starts_with('"'))
    })?;
    let after_prefix = &rest[prefix.len()..];
    let hashes = after_prefix.len() - after_prefix.trim_start_matches('#').len();
    let start = prefix.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(rest[start..].find(&end).map_or(rest.len(), |found| start + found + end.len()))
}

/// The length of a literal that ends at the next quote without a backslash before it.
fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (position, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return position + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal; `None` for a lifetime or a label.
fn character_length(rest: &str) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        return Some(quoted_length(rest, '\''));
    }
    let (position, second) = characters.next()?;
    (second == '\'').then_some(position + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_not_code() {
        let source = Source::new("let a = \"x // \\\" y\"; // b\n/// c\nlet d = 'e'; /* f /* g */ */ h\n");
        assert_eq!(source.code.split_whitespace().collect::<String>(), "leta=;letd=;h");
        assert_eq!(
            source.comments.split_whitespace().collect::<Vec<_>>(),
            ["//", "b", "/*", "f", "/*", "g", "*/", "*/"]
        );
        assert_eq!(source.documentation.trim(), "/// c");
    }

    #[test]
    fn raw_strings_end_at_their_own_hashes() {
        let source = Source::new("f(r#\"a \" // b\"#, br\"\\\", cr##\"\"# \"##); g");
        assert_eq!(source.code.split_whitespace().collect::<String>(), "f(,,);g");
        assert_eq!(source.comments.trim(), "");
    }

    #[test]
    fn lifetimes_are_code_and_quote_characters_are_not() {
        let source = Source::new("fn f<'a>(x: &'a str) -> char { '\"' } 'outer: loop { '\\'' } // \"");
        assert!(source.code.contains("<'a>(x: &'a str)") && source.code.contains("'outer: loop"));
        assert_eq!(source.comments.trim(), "// \"");
    }

    #[test]
    fn every_part_keeps_the_lines() {
        let source = Source::new("a\n\"b\nc\"\n/* d\n e */ f");
        for part in [&source.code, &source.comments, &source.documentation] {
            assert_eq!(part.lines().count(), 5, "{part:?}");
        }
    }
}

//! A file of `--config` with every setting in it, made from the table of settings.

use super::setting::{SETTINGS, Setting, Shape};

/// So long are lines of comments at most.
const COLUMNS: usize = 100;

const HEAD: &str = "\
# The settings of a node: `quorate serve --config FILE`. `quorate config example` prints this file.
#
# Each can be given as a flag and as a variable as well (listen, --listen, QUORATE_LISTEN), which come first. What is
# commented out has its default, where it has one. `quorate config check --config FILE` says whether a file can be used.
";

/// The text of the file. With the `#` before each setting's name removed it says what holds without it, but for those
/// that have no default, of which it shows the form.
pub(crate) fn example() -> String {
    let sections = SETTINGS.iter().map(section);
    HEAD.to_owned() + &sections.collect::<String>()
}

fn section(setting: &Setting) -> String {
    let (help, _) = split(setting.help);
    let needed = setting.name == "data-dir";
    let mut text = format!("\n{}", comment(&help));
    let mark = if needed { "" } else { "#" };
    text.push_str(&format!("{mark}{} = {}\n", setting.name, value(setting)));
    text
}

/// The help, and the default in it that can be written as it stands.
fn split(help: &str) -> (String, Option<&str>) {
    let default =
        help.rsplit_once(" [default: ").and_then(|(before, rest)| Some((before, rest.strip_suffix(']')?)));
    match default {
        Some((before, default)) if !default.contains(' ') => (before.to_owned(), Some(default)),
        Some((before, default)) => (format!("{before}; default: {default}"), None),
        None => (help.to_owned(), None),
    }
}

fn value(setting: &Setting) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (setting.shape, split(setting.help).1) {
        (Shape::Switch, _) => "false".to_owned(),
        (Shape::List, _) => format!("[{}]", quoted(setting.placeholder)),
        (Shape::Single, Some(default)) if is_number(default) => default.to_owned(),
        (Shape::Single, Some(default)) => quoted(default),
        (Shape::Single, None) if setting.name == "data-dir" => quoted("/var/lib/quorate"),
        (Shape::Single, None) => quoted(setting.placeholder),
    }
}

fn comment(text: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is always one");
        if last.len() + 1 + word.len() > COLUMNS {
            lines.push(format!("# {word}"));
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::config::{Flags, Resolved, Surroundings, resolve};
    use crate::http::openapi::reading::assert_committed;

    fn resolved(text: &str) -> Resolved {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        let flags = Flags { config_file: Some(file.path().to_str().unwrap().to_owned()), ..Flags::default() };
        resolve(&flags, &Surroundings { variable: &|_| None, own_address: &|| None }).unwrap()
    }

    #[test]
    fn the_committed_example_is_the_printed_one() {
        assert_committed("quorate.example.toml", example().as_bytes());
    }

    #[test]
    fn every_default_in_it_is_the_default() {
        let as_it_is = resolved(&example());
        let has_default =
            |setting: &&Setting| setting.shape == Shape::Switch || split(setting.help).1.is_some();
        let mut text = example();
        for setting in SETTINGS.iter().filter(has_default) {
            let (commented, plain) = (format!("\n#{} = ", setting.name), format!("\n{} = ", setting.name));
            assert!(text.contains(&commented), "{}", setting.name);
            text = text.replace(&commented, &plain);
        }
        let spelled_out = resolved(&text);
        assert_eq!(spelled_out.config, as_it_is.config);
        assert!(spelled_out.origins.len() > SETTINGS.len() / 2, "{:?}", spelled_out.origins);
    }

    #[test]
    fn lines_are_short() {
        assert!(example().lines().all(|line| line.len() <= 120));
    }
}

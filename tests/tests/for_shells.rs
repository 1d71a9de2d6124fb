//! What packages install beside the program: completions, accepted by the shells themselves, and manual pages, accepted
//! by the formatter.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use quorate_sim::trials::skip;
use quorate_tests::program::Program;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// Whether this program is installed.
fn have(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success()
}

/// What it says, which has to be nothing, and that it ends well.
fn accepts(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{program} {arguments:?}: {said}");
}

fn completions(folder: &Path, shell: &str) -> String {
    let finished = Program::new(QUORATE, &["completions", shell]).run();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{shell}");
    assert!(finished.stdout.contains("bootstrap"), "{shell}: {finished:?}");
    let file = folder.join(shell);
    fs::write(&file, &finished.stdout).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn each_shell_accepts_its_completions() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = completions(folder.path(), shell);
        if have(shell) {
            accepts(shell, &["-n", &script]);
        } else {
            skip("each_shell_accepts_its_completions", &format!("{shell} is not installed"));
        }
    }
    // No package of Debian's stable release has either of these.
    for shell in ["elvish", "powershell"] {
        completions(folder.path(), shell);
    }
}

/// The word under the cursor is completed by what the script says, in a bash that has read it.
#[test]
fn bash_completes_commands_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let script = completions(folder.path(), "bash");
    for (words, expected) in [("boot", "bootstrap"), ("serve --data-d", "--data-dir")] {
        let ask = format!(
            "source '{script}'; COMP_WORDS=(quorate {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _quorate quorate \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[*]}}\""
        );
        let output = Command::new("bash").args(["-c", &ask]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.trim(), expected, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_command_has_a_manual_page_that_renders_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    let written = Program::new(QUORATE, &["man", "--to", to]).run();
    assert_eq!(written.code, Some(0), "{written:?}");
    let pages: BTreeSet<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    // One a command of the help, and those of commands under commands.
    let help = Program::new(QUORATE, &["--help"]).run().stdout;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let names = commands.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty() && *name != "help")
    });
    for name in names {
        assert!(pages.contains(&format!("quorate-{name}.1")), "{name} is not among {pages:?}");
    }
    assert!(pages.contains("quorate.1") && pages.contains("quorate-token-new.1"), "{pages:?}");
    let main = fs::read_to_string(folder.path().join("quorate.1")).unwrap();
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES", "EXIT STATUS", "SEE ALSO"] {
        assert!(main.contains(&format!(".SH {section}\n")) || main.contains(&format!(".SH \"{section}\"\n")));
    }
    if !have("groff") {
        return skip(
            "every_command_has_a_manual_page_that_renders_without_a_warning",
            "groff is not installed",
        );
    }
    for page in &pages {
        let file = folder.path().join(page);
        accepts("groff", &["-man", "-Kutf8", "-Tutf8", "-ww", "-z", file.to_str().unwrap()]);
    }
}

#[test]
fn pages_that_can_not_be_written_are_named() {
    let finished = Program::new(QUORATE, &["man", "--to", "/nowhere"]).run();
    assert!(finished.code == Some(1) && finished.stderr.contains("/nowhere/quorate.1"), "{finished:?}");
}

//! A bug: a patch below `sim/zoo/`, and what stands at its head.
//!
//! ```text
//! # 62 joint-counts-one-majority          its number and name, as in the file's name
//! # A joint configuration needs ...       what is wrong
//! # source: openraft 6c0ccaf3             who had it
//! # breaks: A read is ...                 the promise that it breaks
//! # expected: read-confirmed, oracle      who may notice: checkers, or liveness, crash
//! # stack: full                           where it is looked for, unless on the core stack
//! # scenario: membership                  and unless in the scenario swarm
//! # calm: every hand-over goes wrong      why seeds without faults don't pass, where they don't
//! # search: a_leader_gives_nothing_up     which exhaustive search of quorate-raft finds it too
//! diff --git ...
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::plan::Scenario;
use crate::run::Stack;

/// What stands before all fields.
const ABOUT: &str = "what is wrong";
/// What a head may say.
const FIELDS: [&str; 7] = ["source", "breaks", "expected", "stack", "scenario", "calm", "search"];

/// A known bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bug {
    /// As in the list of bugs, with a letter for a second one of a kind.
    pub(super) number: String,
    /// In a few words, with dashes.
    pub(super) name: String,
    /// What is wrong.
    pub(super) about: String,
    /// Who had it.
    pub(super) source: String,
    /// The promise that it breaks.
    pub(super) breaks: String,
    /// Who may notice.
    pub(super) expected: Vec<String>,
    /// Where it is looked for.
    pub(super) stack: Stack,
    /// In which plans.
    pub(super) scenario: Scenario,
    /// Why seeds without faults don't pass.
    pub(super) calm: Option<String>,
    /// The exhaustive search that finds it too.
    pub(super) search: Option<String>,
    /// The patch.
    pub(super) path: PathBuf,
    /// The files that it changes, below the root of the code.
    pub(super) files: Vec<String>,
    /// How many lines it takes away or adds.
    pub(super) lines: usize,
}

/// All bugs in a folder, in the order of their numbers.
///
/// # Errors
/// Which file is no bug, and why.
pub(super) fn load_all(folder: &Path) -> Result<Vec<Bug>, String> {
    let unreadable = |error| format!("{} can't be read: {error}", folder.display());
    let mut bugs = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let text = fs::read_to_string(&path).map_err(unreadable)?;
        let bug = parse(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
        bugs.push(bug);
    }
    bugs.sort_by_key(|bug| (digits(&bug.number), bug.number.clone()));
    Ok(bugs)
}

fn digits(number: &str) -> u64 {
    number.trim_end_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap_or(u64::MAX)
}

/// Reads a patch with its head.
pub(super) fn parse(path: &Path, text: &str) -> Result<Bug, String> {
    let mut head = text.lines().map_while(|line| line.strip_prefix("# "));
    let title = head.next().ok_or("it begins with a line: # NUMBER NAME")?;
    let (number, name) = title.split_once(' ').ok_or_else(|| format!("{title:?} is no number and name"))?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    // Names of files have leading zeros, so that they sort.
    if stem.trim_start_matches('0') != format!("{number}-{name}").trim_start_matches('0') {
        return Err(format!("it calls itself {number}-{name}"));
    }
    let mut fields = fields(head);
    let mut take = |name: &str| fields.remove(name);
    let mut must = |name: &str| take(name).ok_or_else(|| format!("it does not say: {name}"));
    Ok(Bug {
        number: number.to_owned(),
        name: name.to_owned(),
        about: must(ABOUT)?,
        source: must("source")?,
        breaks: must("breaks")?,
        expected: must("expected")?.split(", ").map(str::to_owned).collect(),
        stack: take("stack").map_or(Ok(Stack::Core), |name| Stack::from_str(&name, false))?,
        scenario: take("scenario").map_or(Ok(Scenario::Swarm), |name| Scenario::from_str(&name, false))?,
        calm: take("calm"),
        search: take("search"),
        path: path.to_owned(),
        files: text.lines().filter_map(|line| line.strip_prefix("+++ b/")).map(str::to_owned).collect(),
        lines: text.lines().filter(|line| is_change(line)).count(),
    })
}

/// What the lines below the title say, by name; a line that begins with no name goes on with the one above.
fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<&'static str, String> {
    let mut fields = BTreeMap::new();
    let mut name = ABOUT;
    for line in lines {
        let begun =
            FIELDS.iter().find_map(|field| Some((*field, line.strip_prefix(field)?.strip_prefix(": ")?)));
        let (field, value) = begun.unwrap_or((name, line));
        name = field;
        let said: &mut String = fields.entry(name).or_default();
        if !said.is_empty() {
            said.push(' ');
        }
        said.push_str(value.trim());
    }
    fields
}

fn is_change(line: &str) -> bool {
    let marks = ["+++ ", "--- "];
    (line.starts_with('+') || line.starts_with('-')) && !marks.iter().any(|mark| line.starts_with(mark))
}

use std::path::Path;
use std::process::Command;

use super::bug::{Bug, load_all, parse};
use super::chase::{Caught, Outcome};
use super::page::page;
use crate::checkers::Checkers;
use crate::plan::{Plan, Scenario};
use crate::run::Stack;

/// A real bug hides until something goes wrong: its patch is small.
const MOST_LINES: usize = 15;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn bugs() -> Vec<Bug> {
    load_all(&root().join("sim/zoo")).unwrap()
}

#[test]
fn every_patch_applies_and_is_small() {
    for bug in bugs() {
        let checked =
            Command::new("git").current_dir(root()).args(["apply", "--check"]).arg(&bug.path).output();
        let checked = checked.unwrap();
        assert!(checked.status.success(), "{}: {}", bug.number, String::from_utf8_lossy(&checked.stderr));
        assert!(bug.lines <= MOST_LINES, "{}: {} lines are changed", bug.number, bug.lines);
        assert!(!bug.files.is_empty(), "{}", bug.number);
    }
}

#[test]
fn who_is_expected_to_notice_exists() {
    let mut names = Checkers::new(&Plan::new(Scenario::Calm, 0)).names();
    names.extend(["liveness", "unavailable", "crash"]);
    for bug in bugs() {
        for expected in &bug.expected {
            assert!(names.contains(&expected.as_str()), "{}: nobody is called {expected}", bug.number);
        }
    }
}

const PATCH: &str = "\
# 62 joint-counts-one-majority
# One majority
# is enough.
# source: openraft 6c0ccaf3
# breaks: A read is as fresh as it says.
# expected: read-confirmed, liveness
# stack: full
# scenario: membership
# calm: it happens at once
diff --git a/engine/a.rs b/engine/a.rs
--- a/engine/a.rs
+++ b/engine/a.rs
@@ -1,2 +1,2 @@
 fn a() {
-    one();
+    two();
";

#[test]
fn a_patch_says_what_it_is() {
    let path = Path::new("zoo/62-joint-counts-one-majority.patch");
    let bug = parse(path, PATCH).unwrap();
    assert_eq!((bug.number.as_str(), bug.name.as_str()), ("62", "joint-counts-one-majority"));
    assert_eq!(bug.about, "One majority is enough.");
    assert_eq!((bug.stack, bug.scenario), (Stack::Full, Scenario::Membership));
    assert_eq!(
        (bug.expected.join("+"), bug.calm.as_deref()),
        ("read-confirmed+liveness".to_owned(), Some("it happens at once"))
    );
    assert_eq!((bug.files.join("+"), bug.lines), ("engine/a.rs".to_owned(), 2));

    let bad = [
        (Path::new("zoo/62-another.patch"), PATCH.to_owned(), "calls itself"),
        (path, PATCH.replace("# source: ", "# sauce: "), "it does not say: source"),
        (path, PATCH.replace("membership", "nowhere"), "nowhere"),
        (path, PATCH.replace("# One majority\n# is enough.\n", ""), "what is wrong"),
        (path, "diff --git a/a b/a\n".to_owned(), "it begins with a line"),
    ];
    for (path, text, told) in bad {
        let error = parse(path, &text).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

fn outcome(caught: &[Option<(u64, &str)>]) -> Outcome {
    let one = |(seeds, by): (u64, &str)| Caught { seeds, by: by.to_owned() };
    Outcome { caught: caught.iter().map(|it| it.map(one)).collect(), calm: None }
}

#[test]
fn a_bug_is_killed_when_most_starting_points_show_it() {
    let bug = parse(
        Path::new("zoo/62-joint-counts-one-majority.patch"),
        &PATCH.replace("# calm: it happens at once\n", ""),
    )
    .unwrap();
    let (live, read) = ("liveness", "read-confirmed");
    let killed = outcome(&[Some((9, live)), None, Some((3, read)), Some((4, read)), None]);
    assert!(killed.is_killed());
    assert_eq!(killed.to_string().trim(), "9 seeds (9, never, 3, 4, never)  read-confirmed, liveness");
    assert_eq!(killed.complaint(&bug), None);

    let survived = outcome(&[Some((9, live)), None, None, None]);
    assert!(!survived.is_killed());
    assert!(survived.complaint(&bug).unwrap().contains("hole"));
    let by_another = outcome(&[Some((1, "cost"))]);
    assert!(by_another.complaint(&bug).unwrap().contains("cost noticed it"));
    let loud = Outcome { calm: Some(Caught { seeds: 5, by: live.to_owned() }), ..killed };
    assert!(loud.complaint(&bug).unwrap().contains("calm seed 4 fails"));
}

#[test]
fn the_page_tells_of_each_bug_what_came_of_it() {
    let path = Path::new("zoo/62-joint-counts-one-majority.patch");
    let text = PATCH.replace("# stack: full\n", "# search: two_majorities\n");
    let bug = parse(path, &text).unwrap();
    let killed = outcome(&[Some((9, "liveness")), Some((3, "read-confirmed")), Some((4, "read-confirmed"))]);
    let survived = outcome(&[None, None]);
    let page = page(&[(&bug, killed), (&bug, survived)], 500);
    assert!(page.contains("Killed 1 of 2, in 4 seeds in the median."), "{page}");
    assert!(page.contains("At most 500 seeds"), "{page}");
    let row = "| 62: One majority is enough. Calm seeds fail: it happens at once. | openraft 6c0ccaf3 | core, membership | \
               **4** (9 / 3 / 4) | `read-confirmed`, `liveness`, the exhaustive search `two_majorities` |\n";
    assert!(page.contains(row), "{page}");
    assert!(page.contains("| **survived** (never / never) | the exhaustive search"), "{page}");
}

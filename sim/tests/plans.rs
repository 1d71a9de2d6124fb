//! Plans that once failed: each is a bug that was found, and stays mended.

use quorate_sim::{Jury, Options, Plan, Stack, Verdict, run_plan};

#[test]
fn every_saved_plan_passes_on_both_stacks() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/plans");
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5, "only {} plans in {directory}", paths.len());
    for path in paths {
        let plan = Plan::load(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for stack in [Stack::Core, Stack::Full] {
            let report = run_plan(&plan, &Options { stack, keep_trace: false, jury: Jury::All });
            let again = format!("cargo sim --stack {} --replay {}", stack.name(), path.display());
            assert_eq!(report.verdict, Verdict::Passed, "to see it again: {again}");
        }
    }
}

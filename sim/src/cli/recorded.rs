//! A recording: what it is of, what came of replaying it.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;

use super::USAGE;
use super::arguments::{Arguments, Output};
use crate::recorded::{Recorded, RecordedError, Rerun, replay_recording};
use crate::timeline::{Scene, Subject, page};
use crate::verdict::Verdict;

pub(super) fn run(path: &Path, file: &[u8], arguments: &Arguments) -> ExitCode {
    match replay(path, file, arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}: {error}", path.display());
            ExitCode::from(USAGE)
        }
    }
}

fn replay(path: &Path, file: &[u8], arguments: &Arguments) -> Result<ExitCode, RecordedError> {
    let started = Instant::now();
    let recorded = Recorded::read(file)?;
    let text = arguments.output == Output::Text;
    if text {
        let (head, end) = (recorded.head(), recorded.end());
        println!(
            "recording of node {} in cluster {}, by Quorate {}",
            head.node,
            head.cluster,
            head.release()
        );
        println!(
            "{} inputs, up to {}, applied {}, revision {}",
            end.inputs, end.at, end.applied, end.revision
        );
    }
    let rerun = replay_recording(&recorded, arguments.events || arguments.trace.is_some())?;
    if arguments.events {
        rerun.trace.iter().for_each(|(at, observation)| println!("{at} {observation:?}"));
    }
    if text {
        print(&rerun, started.elapsed().as_secs_f64());
    } else {
        println!("{}", line(&recorded, &rerun));
    }
    if let Err(error) = write_trace(path, &recorded, &rerun, arguments) {
        eprintln!("error: the page could not be written: {error}");
        return Ok(ExitCode::from(USAGE));
    }
    if text {
        println!("state hash: {:016x}", rerun.state_hash);
    }
    Ok(ExitCode::from(rerun.verdict.exit_code()))
}

fn print(rerun: &Rerun, wall_seconds: f64) {
    let names = rerun.hosts.iter().map(|(id, host)| (host, id));
    let names: std::collections::BTreeMap<_, _> = names.collect();
    let names: Vec<String> = names.iter().map(|(host, id)| format!("s{host} is {id}")).collect();
    println!("begins after {}; {}", rerun.begins_after, names.join(", "));
    println!("{}", rerun.verdict);
    println!(
        "replayed {} inputs: {} turns, {:.1} virtual s, {wall_seconds:.1} wall s",
        rerun.replayed.inputs,
        rerun.replayed.turns,
        rerun.virtual_time.as_secs_f64()
    );
}

/// The result as a line for programs.
fn line(recorded: &Recorded, rerun: &Rerun) -> String {
    let what = (rerun.verdict != Verdict::Passed).then(|| rerun.verdict.to_string());
    json!({
        "node": recorded.head().node.to_string(),
        "cluster": recorded.head().cluster.to_string(),
        "verdict": rerun.verdict.kind(),
        "what": what,
        "exit_code": rerun.verdict.exit_code(),
        "begins_after": rerun.begins_after.index.0,
        "applied": recorded.end().applied.index.0,
        "inputs": rerun.replayed.inputs,
        "turns": rerun.replayed.turns,
        "virtual_seconds": rerun.virtual_time.as_secs_f64(),
        "state_hash": format!("{:016x}", rerun.state_hash),
    })
    .to_string()
}

fn write_trace(path: &Path, recorded: &Recorded, rerun: &Rerun, arguments: &Arguments) -> io::Result<()> {
    let Some(to) = &arguments.trace else { return Ok(()) };
    let scene = Scene {
        subject: Subject::Recording { node: recorded.head().node, hosts: &rerun.hosts },
        trace: &rerun.trace,
        verdict: rerun.verdict.to_string(),
        violated_at: rerun.broken_at,
        trace_hash: rerun.state_hash,
        again: format!("cargo sim --replay {}", path.display()),
        stack: "one recorded node",
    };
    std::fs::write(to, page(&scene))?;
    println!("what happened, as a page: {}", to.display());
    Ok(())
}

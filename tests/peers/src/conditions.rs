//! The machine, and what runs on it.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::options::Options;
use crate::results::Conditions;

/// As they are now.
pub(crate) fn now(options: &Options) -> Result<Conditions> {
    let first_line = |text: String| text.lines().next().unwrap_or_default().trim().to_owned();
    let processor = fs::read_to_string("/proc/cpuinfo")?
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name.to_owned()))
        .unwrap_or_else(|| "processor unknown".to_owned());
    let cores = std::thread::available_parallelism()?;
    let memory_kb = fs::read_to_string("/proc/meminfo")?
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok())
        .unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg")?;
    let disk = said("df", &["--output=source,fstype", &options.folder.display().to_string()]);
    Ok(Conditions {
        machine: format!("{processor}, {cores} cores, {:.0} GiB of memory", memory_kb / 1024.0 / 1024.0),
        kernel: first_line(said("uname", &["-srm"])),
        file_system: disk
            .lines()
            .last()
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(", "),
        load_before: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
        quorate: first_line(said(&options.quorate.display().to_string(), &["version"])),
        etcd: first_line(said("etcd", &["--version"])),
        wrk: first_line(said("wrk", &["-v"])).split(" Copyright").next().unwrap_or_default().to_owned(),
        command: options.command.clone(),
        day: first_line(said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
    })
}

/// What a program prints; nothing when there is no such program.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
